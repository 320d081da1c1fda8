"""Every system call that the disk makes fails in every way, while a model keeps what must be there: never a wrong byte, never a key
missing in a listing, nothing gone that was acknowledged, nothing said for good on account of a fault that passes."""

import errno

import pytest

from harness.faults import Fault, Watched
from harness.model import Store

ERRORS = [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EACCES, errno.EROFS, errno.ESTALE]

# What the disk and the gateway's own state are kept with, while requests are answered and at a start.
WORKING = ["fdatasync", "fstat", "fsync", "getdents64", "linkat", "mkdirat", "newfstatat", "openat", "openat2", "pread64", "rename", "renameat", "statx", "unlink",
           "unlinkat", "write"]
STARTING = ["fdatasync", "flock", "fstat", "fsync", "getdents64", "mkdir", "newfstatat", "openat", "openat2", "pread64", "read", "readlink", "rename", "statfs", "statx", "unlinkat", "write"]


def body(text, length):
    """Bytes that are nobody else's."""
    return (f"{text}. " * (length // len(f"{text}. ") + 1)).encode()[:length]


class Work:
    """A bucket with a bit of everything, and one round of every operation on it."""

    def __init__(self, gateway):
        self.store, self.round = Store(gateway), 0
        store = self.store
        store.create("kept")
        for key, length in [("steady", 900), ("steady-large", 400_000), ("a/b/c/steady", 900), ("tagged", 500), ("small", 500), ("odd@~%/./key", 10)]:
            store.put("kept", key, body(key, length))
        done = store.begin("kept", "steady-parts")
        store.part(done, 1, body("part", 200_000))
        store.complete(done, 1)
        self.open = store.begin("kept", "steady-upload")
        store.part(self.open, 1, body("open", 900))
        store.put_policy("kept", "p0")
        assert not store.wrong and not store.failed

    def go(self):
        store, n = self.store, self.round
        self.round += 1
        store.put("kept", "small", body(f"small {n}", 600))
        store.put("kept", "large", body(f"large {n}", 300_000))
        store.put("kept", f"new/{n}/deep/key", body(f"new {n}", 700))
        for key in ("steady", "steady-large", "steady-parts", "a/b/c/steady", "small", "nothing"):
            store.get("kept", key)
        store.list("kept", 5)
        store.list_buckets()
        store.copy("kept", "steady", "copied")
        store.tag("kept", "tagged", f"v{n}")
        store.get_tag("kept", "tagged")
        store.get("kept", "tagged")
        store.put_policy("kept", f"p{n}")
        store.get_policy("kept")
        upload = store.begin("kept", f"upload-{n}")
        store.part(upload, 1, body(f"upload {n}", 800))
        store.list_parts(upload)
        store.list_parts(self.open)
        store.list_uploads("kept")
        store.complete(upload, 1)
        dropped = store.begin("kept", f"dropped-{n}")
        store.part(dropped, 1, b"part")
        store.abort(dropped)
        for key in (f"new/{n - 1}/deep/key", f"upload-{n - 1}", "small"):
            store.delete("kept", key)
        store.remove("kept")
        store.create("spare")
        store.put_policy("spare", f"p{n}")
        store.remove("spare")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """How often each call is made in one round."""
    with Watched(tmp_path_factory.mktemp("counted")) as gateway:
        work = Work(gateway)
        with gateway.counting() as made:
            work.go()
        work.store.everything()
        assert not work.store.wrong, work.store.wrong
        return made


def test_every_call_of_the_disk_is_tried(made, tmp_path):
    assert made.keys() == set(WORKING)
    gateway = Watched(tmp_path)
    with gateway:
        Work(gateway).go()
    with gateway.counting() as starting, gateway:
        pass
    assert starting.keys() == set(STARTING)


def schedules(number, middle):
    """The first such call, one in the middle of a round, and all of them."""
    every = [(1, 1), (middle, middle), (1, None)]
    return [*every, (middle, None)] if number == errno.EIO else every


def tried(gateway, faults):
    """What is wrong with which fault; after the first that costs something no other is tried on this store."""
    with gateway:
        work = Work(gateway)
        store = work.store
        while faults and not store.wrong:
            fault = faults.pop(0)
            store.during = str(fault)
            with gateway.failing(fault):
                work.go()
            store.during += ", and after it"
            store.everything()
        assert gateway.process.poll() is None, gateway.log()
        gateway.stop()
        gateway.start()
        store.during = f"after a restart, the last having been {fault}"
        store.everything()
        assert "panicked" not in gateway.log(), gateway.log()
    return store.wrong


@pytest.mark.parametrize("call", WORKING)
def test_a_call_that_fails_costs_nothing_that_was_acknowledged(tmp_path, made, call):
    middle = max(2, made.get(call, 0) // 2)
    faults = [Fault((call,), number, *schedule) for number in ERRORS for schedule in schedules(number, middle)]
    wrong = []
    while faults:
        found = tried(Watched(tmp_path / str(len(faults))), faults)
        wrong += [*found[:3], f"and {len(found) - 3} more"] if len(found) > 3 else found
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("call", STARTING)
def test_a_start_that_fails_costs_nothing(tmp_path, call):
    gateway = Watched(tmp_path)
    with gateway:
        work = Work(gateway)
    for number in (errno.EIO, errno.EMFILE):
        for first, last in ((1, 1), (2, 2), (4, 4), (1, None)):
            with gateway.failing(Fault((call,), number, first, last, "/objects")) as fault:
                work.store.during = f"a start with {fault}"
                # It starts or says why it does not.
                try:
                    gateway.start()
                    work.store.list("kept")
                except AssertionError:
                    assert gateway.process.wait(10) not in (None, -6), gateway.log()
            gateway.stop()
    with gateway:
        work.store.during = f"after starts with faults of {call}"
        work.store.everything()
    assert not work.store.wrong, "\n".join(work.store.wrong)
