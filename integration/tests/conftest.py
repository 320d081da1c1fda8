import uuid

import pytest

from harness.clients import s3
from harness.gateway import OPEN, ROOT_KEY, ROOT_SECRET, Gateway, upstream
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET, Ceph, Moto


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("portcullis")


@pytest.fixture(scope="session")
def disk(work):
    with Gateway(work / "disk", OPEN) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def stacked(work, disk):
    config, env = upstream("inner", disk.url, ROOT_KEY, ROOT_SECRET, f'ca = "{disk.ca}"\nchecksums = true\nkeys = "exact"')
    with Gateway(work / "stacked", OPEN + config, env=env) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def moto(work):
    server = Moto(work)
    config, env = upstream("moto", server.url, "testing", "testing", 'keys = "exact"')
    with Gateway(work / "over-moto", OPEN + config, env=env) as gateway:
        yield gateway
    server.stop()


@pytest.fixture(scope="session")
def ceph(work):
    server = Ceph(work)
    config, env = upstream("ceph", server.url, UPSTREAM_KEY, UPSTREAM_SECRET, 'keys = "exact"')
    with Gateway(work / "over-ceph", OPEN + config, env=env) as gateway:
        yield gateway
    server.stop()


@pytest.fixture(scope="session", params=["disk", "stacked", "moto", "ceph"])
def gateway(request):
    """The same behaviour is asked of every backend."""
    found = request.getfixturevalue(request.param)
    found.kind = request.param
    return found


@pytest.fixture
def client(gateway):
    return s3(gateway)


@pytest.fixture
def bucket(client):
    name = f"b-{uuid.uuid4().hex[:16]}"
    client.create_bucket(Bucket=name)
    return name
