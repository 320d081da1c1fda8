"""What is remembered is answered without the disk, counted at the kernel."""

import time

import pytest

from harness.faults import Watched
from harness.plain import ok, texts


def fewest(gateway, work):
    """The calls that `work` takes on the store's files, where nothing else happens to be carried out beside it."""
    rounds = []
    for _ in range(12):
        with gateway.counting() as made:
            work()
        rounds.append(made)
        time.sleep(0.15)
    return min(rounds, key=lambda made: sum(made.values()))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    directory = tmp_path_factory.mktemp("warm")
    with Watched(directory, below=directory / "data" / "objects") as gateway:
        ok(gateway, "PUT", "/bucket")
        for n in range(60):
            ok(gateway, "PUT", f"/bucket/d{n % 3}/k{n:02}", body=b"small")
        yield gateway


def test_a_small_object_is_read_from_memory(gateway):
    look = lambda: (ok(gateway, "GET", "/bucket/d0/k00"), ok(gateway, "HEAD", "/bucket/d0/k00"))
    # A start's look for leftovers, and the asking for health, go on beside it.
    gateway.stop()
    gateway.start()
    with gateway.counting() as cold:
        look()
    assert cold
    assert fewest(gateway, look) == {}


def test_a_page_is_told_from_memory_but_for_its_bucket(gateway):
    def page():
        assert len(texts(ok(gateway, "GET", "/bucket", [("list-type", "2")]), "Key")) == 60

    page()
    assert fewest(gateway, page) == {"openat2": 1}
