import uuid

import pytest

from harness.faults import Watched
from harness.plain import ok


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A gateway over plain HTTP, whose system calls fail when a test says so."""
    with Watched(tmp_path_factory.mktemp("watched")) as gateway:
        yield gateway
        assert "panicked" not in gateway.log()


@pytest.fixture
def bucket(watched):
    name = f"b-{uuid.uuid4().hex[:12]}"
    ok(watched, "PUT", f"/{name}")
    return name

