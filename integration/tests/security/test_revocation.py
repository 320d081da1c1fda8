"""T109: a right that is taken away is gone within a second, also for requests that were on their way: while
their head, their body or their place was waited for."""

import contextlib
import json
import signal
import threading
import time

import pytest

from harness import raw
from harness.gateway import Gateway, upstream
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import AUDIT, DELETE, OBJECT, Spy, agree

SECRET = "a-users-secret-canary-0123456789"
EVE = dict(key="AKIAEVE0000000000000", secret=SECRET)
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
DENY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}
# How a right goes away, and what is said then.
AWAY = {"the key": (False, ALLOW, "InvalidAccessKeyId"), "the policy": (True, DENY, "AccessDenied")}


class Store:
    """A gateway whose configuration changes, over an upstream of one connection."""

    def __init__(self, directory, recorder):
        self.recorder = recorder
        extra = 'max_connections = 1\nmax_connections_per_caller = 1\ntimeouts = { connect = "20s" }'
        self.config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET, extra)
        self.gateway = Gateway(directory, self.text(True, ALLOW), env={**env, "USERS_SECRET": SECRET})

    def text(self, enabled, policy):
        return AUDIT + self.config + f"""
[[users]]
name = "eve"
access_keys = [{{ id = "{EVE['key']}", secret = {{ env = "USERS_SECRET" }}, enabled = {str(enabled).lower()} }}]
policies = ["eve"]
[[policies]]
name = "eve"
inline = '''{json.dumps(policy)}'''
"""

    def write(self, enabled, policy):
        # Renamed into its place, so that nobody reads a half.
        new = self.gateway.config_file.with_suffix(".new")
        new.write_text(self.text(enabled, policy))
        new.rename(self.gateway.config_file)

    def becomes(self, enabled, policy, allowed):
        """Changes the configuration, and waits until who asks anew is told so."""
        self.write(enabled, policy)
        deadline = time.time() + 20
        while (raw.request(self.gateway, "GET", "/bucket", [("policyStatus", "")], **EVE).status != 403) != allowed:
            assert time.time() < deadline, "the configuration is not taken"
            time.sleep(0.02)

    def wait(self, check):
        deadline = time.time() + 20
        while not check():
            assert time.time() < deadline, "did not happen in time"
            time.sleep(0.01)


@pytest.fixture(scope="module")
def module_store(work, recorder):
    store = Store(work / "revoked", recorder)
    with store.gateway:
        yield store
        assert "panicked" not in store.gateway.log()


@pytest.fixture
def store(module_store, recorder):
    module_store.becomes(True, ALLOW, True)
    recorder.settle()
    recorder.clear()
    recorder.reply, recorder.early = agree, None
    yield module_store
    recorder.reply, recorder.early = recorder.empty, None
    recorder.settle()
    recorder.clear()


def mutations(recorder, method):
    recorder.settle()
    return [a for a in recorder.arrived if a.head.startswith(method.encode()) and a.whole and "key" in a.target]


@pytest.mark.parametrize("away", [None, *AWAY])
def test_t109_a_head_that_takes_its_time(store, recorder, away):
    """What decides is what holds when the head is complete."""
    request = raw.signed(store.gateway, "DELETE", "/bucket/key", **EVE)
    with raw.Connection(store.gateway) as connection:
        connection.send(request[:-2])
        time.sleep(0.2)
        if away:
            enabled, policy, code = AWAY[away]
            store.becomes(enabled, policy, False)
            recorder.settle()
            recorder.clear()
        connection.send(request[-2:])
        answer = connection.answer()
    if away:
        assert (answer.status, answer.code) == (403, code)
    assert (answer.status == 204) == (not away)
    assert bool(mutations(recorder, "DELETE")) == (not away)


@pytest.mark.parametrize("away", [None, *AWAY])
@pytest.mark.parametrize("kind", ["PutObject", "UploadPart", "DeleteObjects", "PutObjectTagging"])
def test_t109_a_body_that_takes_its_time(store, recorder, away, kind):
    """No object, part or deletion of it is whole anywhere."""
    method, path, query, body = {
        "PutObject": ("PUT", "/bucket/key", [], b"x" * 300_000),
        "UploadPart": ("PUT", "/bucket/key", [("partNumber", "1"), ("uploadId", "u")], b"x" * 300_000),
        "DeleteObjects": ("POST", "/bucket", [("delete", "")], DELETE),
        "PutObjectTagging": ("PUT", "/bucket/key", [("tagging", "")], b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"),
    }[kind]
    request = raw.signed(store.gateway, method, path, query, body=body, **EVE)
    with raw.Connection(store.gateway) as connection:
        connection.send(request[:-2])
        time.sleep(0.3)
        if away:
            enabled, policy, code = AWAY[away]
            # Not by asking: the one connection may be this one's.
            store.write(enabled, policy)
            mark = store.gateway.log().count("reloaded")
            store.gateway.process.send_signal(signal.SIGHUP)
            store.wait(lambda: store.gateway.log().count("reloaded") > mark)
        connection.send(request[-2:])
        answer = connection.answer()
    if not away:
        assert answer.status == 200, answer
    elif kind == "DeleteObjects" and away == "the policy":
        assert answer.status == 503 or b"AccessDenied" in answer.body, answer
    elif kind == "DeleteObjects":
        assert answer.status in (403, 503), answer
    else:
        assert (answer.status, answer.code) == (403, code), answer
    recorder.settle()
    whole = [a for a in recorder.arrived if a.whole and a.head.split(b" ")[0] in (b"PUT", b"POST", b"DELETE")]
    assert bool(whole) == (not away), whole


@pytest.mark.parametrize("away", [None, *AWAY])
@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_t109_a_place_that_is_waited_for(store, recorder, away, method):
    """An upstream's only connection is another's for a while."""
    released = threading.Event()

    def reply(head, body):
        if b"/bucket/first" in head:
            released.wait(20)
            return Recorder.answer(b"first", headers=OBJECT)
        return agree(head, body)

    recorder.reply = reply
    first = threading.Thread(target=lambda: raw.request(store.gateway, "GET", "/bucket/first"))
    first.start()
    answers = []
    second = threading.Thread(target=lambda: answers.append(raw.request(store.gateway, method, "/bucket/key", **EVE)))
    try:
        store.wait(lambda: any("first" in a.target for a in recorder.arrived))
        second.start()
        time.sleep(0.3)
        if away:
            enabled, policy, code = AWAY[away]
            store.write(enabled, policy)
            mark = store.gateway.log().count("reloaded")
            store.gateway.process.send_signal(signal.SIGHUP)
            store.wait(lambda: store.gateway.log().count("reloaded") > mark)
    finally:
        released.set()
        first.join(30)
    second.join(30)
    (answer,) = answers
    if away:
        assert (answer.status, answer.code) == (403, code), answer
    else:
        assert answer.status in (200, 204), answer
    recorder.settle()
    assert any(a.target == "/bucket/key" for a in recorder.arrived) == (not away), recorder.arrived


def test_t109_a_right_is_gone_within_a_second_of_the_file(store, recorder):
    """Nobody says SIGHUP: the file is changed, and soon nothing of the kind is granted any more. An upload that
    goes on and on is cut as well."""
    body = b"x" * 40_000
    request = raw.signed(store.gateway, "PUT", "/bucket/key", body=body, **EVE)
    head, rest = request[:-len(body)], body
    cut = None
    with raw.Connection(store.gateway) as connection:
        connection.send(head)
        store.write(False, ALLOW)
        # A piece every tenth of a second for four seconds, and then it would be whole.
        with contextlib.suppress(ConnectionError, OSError):
            for at in range(0, len(rest), 1000):
                connection.send(rest[at:at + 1000])
                time.sleep(0.1)
        with contextlib.suppress(ConnectionError, EOFError, AssertionError, IndexError):
            cut = connection.answer()
    assert cut is None or (cut.status, cut.code) == (403, "InvalidAccessKeyId"), cut
    assert not mutations(recorder, "PUT")


def test_t109_time_takes_nothing_away(store, recorder):
    """What is asked again is whether the right is still there: an upload may outlast what conditions say of its
    signature's age, as at AWS."""
    young = {"Version": "2012-10-17", "Statement": [*ALLOW["Statement"], {
        "Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"NumericGreaterThan": {"s3:signatureAge": "2500"}}}]}
    store.becomes(True, young, True)
    recorder.settle()
    recorder.clear()
    request = raw.signed(store.gateway, "PUT", "/bucket/key", body=b"x" * 1000, **EVE)
    with raw.Connection(store.gateway) as connection:
        connection.send(request[:-1])
        time.sleep(3)
        connection.send(request[-1:])
        assert connection.answer().status == 200
    assert mutations(recorder, "PUT")
    # Who comes late is refused.
    late = raw.signed(store.gateway, "PUT", "/bucket/key", body=b"x", date=raw.amz_now(-10), **EVE)
    assert raw.raw(store.gateway, late).status == 403
