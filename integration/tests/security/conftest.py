import pytest

from harness.gateway import Gateway, upstream
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import AUDIT, DISABLED, DISABLED_SECRET, Spy


@pytest.fixture(scope="session")
def recorder():
    server = Recorder()
    yield server
    server.close()


@pytest.fixture(scope="session")
def spied(work, recorder):
    """A gateway whose upstream keeps what reaches it."""
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET, 'keys = "exact"\n')
    # One bucket has another name and place there, which no client may learn.
    config = """
[[routes]]
bucket = "renamed"
backend = "spy"
rename = "hidden-canary"
key_prefix = "prefix-canary/"
[[routes]]
bucket = "retitled"
backend = "spy"
rename = "whole-hidden-canary"
# Under their own names they would be the same buckets once more.
[[routes]]
bucket = "*hidden-canary"
backend = "disk"
""" + config + f"""
[listener]
virtual_host_domains = ["s3.example.com"]
[[users]]
name = "dora"
access_keys = [{{ id = "{DISABLED}", secret = {{ env = "DISABLED_SECRET" }}, enabled = false }}]
"""
    with Gateway(work / "spied", AUDIT + config, env={**env, "DISABLED_SECRET": DISABLED_SECRET}) as gateway:
        yield gateway
        assert "panicked" not in gateway.log()


@pytest.fixture
def spy(spied, recorder):
    watching = Spy(spied, recorder)
    yield watching
    recorder.settle()
    assert recorder.arrived == [], "something arrived that the test did not ask for"
