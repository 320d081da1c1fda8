"""What others left in the store's directories: it is left alone, said once, counted, and in nobody's way."""

import hashlib
import os
import shutil
import subprocess
import time

import pytest

from harness import raw
from harness.gateway import BINARY, clean_env
from harness.plain import Plain, buckets, complete, keys, metric, ok, upload

FILES = [".DS_Store", ".nfs0000000000a1b2c3", "README", "Thumbs.db", "no utf-8 \udcff"]


def plant(directory, link_to):
    """One of every kind; answers what was planted."""
    for name in FILES:
        (directory / name).write_bytes(b"not ours")
    (directory / "a link").symlink_to(link_to)
    (directory / "a broken link").symlink_to("/nowhere/at/all")
    (directory / "lost+found").mkdir(mode=0o700)
    (directory / "lost+found" / "#12345").write_bytes(b"found")
    os.mkfifo(directory / "a pipe")
    return {directory / name for name in (*FILES, "a link", "a broken link", "lost+found", "lost+found/#12345", "a pipe")}


PLACES = {
    "the root": ".",
    "buckets": "buckets",
    "a bucket": "buckets/bucket",
    "its objects": "buckets/bucket/objects",
    "a directory of keys": "buckets/bucket/objects/a",
    "its parts": "buckets/bucket/parts",
    "its uploads": "buckets/bucket/uploads",
    "an upload": "buckets/bucket/uploads/*",
}


def counted(gateway, least):
    """Waits until the metric says so many foreign entries, which it is told of now and then."""
    ended = time.time() + 20
    while (found := metric(gateway, "portcullis_disk_faults_total").get('{kind="foreign"}', 0)) < least:
        assert time.time() < ended, f"{found} of {least} are counted"
        time.sleep(0.05)


@pytest.fixture
def gateway(tmp_path):
    with Plain(tmp_path / "gate") as gateway:
        ok(gateway, "PUT", "/bucket")
        for key in ("a/b", "c"):
            ok(gateway, "PUT", f"/bucket/{key}", body=b"kept")
        complete(gateway, "bucket", "parts", upload(gateway, "bucket", "parts"))
        gateway.open = upload(gateway, "bucket", "open")
        yield gateway


@pytest.mark.parametrize("started", ["running", "before the start"])
@pytest.mark.parametrize("place", PLACES)
def test_foreign_entries_are_in_nobodys_way(gateway, tmp_path, place, started):
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "secret@").write_bytes(b"not in the store")
    [directory] = (gateway.data / "objects").glob(PLACES[place]) if place != "the root" else [gateway.data / "objects"]
    if started == "before the start":
        gateway.stop()
    planted = plant(directory, secret)
    if started == "before the start":
        gateway.start()
    assert buckets(gateway) == ["bucket"]
    assert keys(gateway, "bucket") == ["a/b", "c", "parts"]
    assert ok(gateway, "GET", "/bucket/parts").body == b"part"
    assert gateway.open.encode() in ok(gateway, "GET", "/bucket", [("uploads", "")]).body
    assert ok(gateway, "GET", "/bucket/open", [("uploadId", gateway.open)]).body.count(b"<PartNumber>") == 1
    ok(gateway, "PUT", "/bucket/a/new", body=b"new")
    assert raw.request(gateway, "DELETE", "/bucket").code == "BucketNotEmpty"
    assert all(os.path.lexists(path) for path in planted)
    if place not in ("the root", "a bucket"):
        # A directory whose names are remembered need not be read again.
        may_be_none = started == "running" and place in ("its objects", "a directory of keys", "its parts")
        assert gateway.log().count(".DS_Store") in ((0, 1) if may_be_none else (1,)), gateway.log()
        if not may_be_none:
            # Each that stands right there, but for a name that is no text.
            counted(gateway, len([path for path in planted if path.parent == directory]) - 1)
    # What is in a bucket's own directories may go with the bucket. What is elsewhere stays.
    complete(gateway, "bucket", "open", gateway.open)
    for key in keys(gateway, "bucket"):
        ok(gateway, "DELETE", f"/bucket/{key}")
    assert keys(gateway, "bucket") == []
    ok(gateway, "DELETE", "/bucket")
    assert buckets(gateway) == []
    assert (secret / "secret@").read_bytes() == b"not in the store"
    if place in ("the root", "buckets"):
        assert all(os.path.lexists(path) for path in planted)
    ok(gateway, "PUT", "/bucket")
    assert keys(gateway, "bucket") == []
    gateway.stop()
    gateway.start()
    assert buckets(gateway) == ["bucket"]


@pytest.mark.parametrize("place", ["buckets/bucket/objects/foreign", "buckets/foreign", "lost+found", "buckets/bucket/parts/foreign", "buckets/bucket/uploads/foreign"])
def test_an_unreadable_directory_stops_no_start(tmp_path, place):
    """As `lost+found` of a fresh mount is for anyone but root: so the gateway runs as another. What a bucket's or a
    key's name is hides what may be one: that is a fault, and never an empty answer."""
    directory = tmp_path / "gate"
    directory.mkdir()
    with Plain(directory) as gateway:
        ok(gateway, "PUT", "/bucket")
        ok(gateway, "PUT", "/bucket/key", body=b"kept")
        complete(gateway, "bucket", "parts", upload(gateway, "bucket", "parts"))
    foreign = gateway.data / "objects" / place
    foreign.mkdir(mode=0o700)
    (foreign / "file").write_bytes(b"not ours")
    foreign.chmod(0)
    launch = [] if os.getuid() else unprivileged(directory, foreign)
    gateway.launcher = launch
    with gateway:
        if place == "buckets/foreign":
            assert raw.request(gateway, "GET", "/").status == 503
            assert raw.request(gateway, "DELETE", "/foreign").status == 503
        else:
            assert buckets(gateway) == ["bucket"]
        assert ok(gateway, "GET", "/bucket/parts").body == b"part"
        listed = raw.request(gateway, "GET", "/bucket", [("list-type", "2")])
        if "objects/" in place:
            assert listed.status == 503
            assert raw.request(gateway, "DELETE", "/bucket").status in (409, 503)
            assert raw.request(gateway, "GET", "/bucket", [("list-type", "2"), ("prefix", "key")]).status == 200
        else:
            assert keys(gateway, "bucket") == ["key", "parts"]
        ok(gateway, "PUT", "/bucket/other", body=b"new")
    assert foreign.is_dir()


@pytest.mark.skipif(os.getuid() != 0, reason="gives a directory to another user")
def test_a_directory_of_another_user_hides_nothing(tmp_path):
    """As after a restore by root: pages fail until the rights are mended, and are right from then on."""
    directory = tmp_path / "gate"
    directory.mkdir()
    with Plain(directory) as gateway:
        ok(gateway, "PUT", "/bucket")
        ok(gateway, "PUT", "/bucket/other", body=b"kept")
        complete(gateway, "bucket", "docs/film", upload(gateway, "bucket", "docs/film"))
    docs = gateway.data / "objects" / "buckets" / "bucket" / "objects" / "docs"
    gateway.launcher = unprivileged(directory, docs)
    for path in (docs, *docs.iterdir()):
        os.chown(path, 0, 0)
    docs.chmod(0o700)
    with gateway:
        for _ in range(2):
            assert raw.request(gateway, "GET", "/bucket", [("list-type", "2")]).status == 503
            assert raw.request(gateway, "GET", "/bucket", [("list-type", "2"), ("delimiter", "/")]).status == 503
        assert raw.request(gateway, "GET", "/bucket/docs/film").status == 503
        ok(gateway, "DELETE", "/bucket/other")
        assert raw.request(gateway, "DELETE", "/bucket").status == 503
        said = [line for line in gateway.log().splitlines() if "unreadable" in line and "objects/docs" in line]
        assert len(said) == 1, gateway.log()
        for path in (docs, *docs.iterdir()):
            os.chown(path, 65534, 65534)
        assert keys(gateway, "bucket") == ["docs/film"]
        assert raw.request(gateway, "DELETE", "/bucket").code == "BucketNotEmpty"
        gateway.stop()
        gateway.start()
        assert ok(gateway, "GET", "/bucket/docs/film").body == b"part"


def unprivileged(directory, foreign):
    """Gives the tree to another user; answers how to start as that one."""
    other = 65534
    for path in (directory, *directory.rglob("*")):
        if path != foreign and foreign not in path.parents:
            os.chown(path, other, other, follow_symlinks=False)
    # The way there must be open to that user as well.
    for parent in directory.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o011)
    return ["setpriv", f"--reuid={other}", f"--regid={other}", "--clear-groups"]


@pytest.mark.parametrize("missing", ["tmp", "uploads", "parts"])
def test_a_bucket_without_an_empty_directory_stops_no_start(tmp_path, missing):
    """Tools that restore a store may drop empty directories."""
    with Plain(tmp_path) as gateway:
        for name in ("bucket", "other"):
            ok(gateway, "PUT", f"/{name}")
            ok(gateway, "PUT", f"/{name}/key", body=b"kept")
    shutil.rmtree(gateway.data / "objects" / "buckets" / "bucket" / missing)
    with gateway:
        assert buckets(gateway) == ["bucket", "other"]
        for name in ("bucket", "other"):
            assert ok(gateway, "GET", f"/{name}/key").body == b"kept"
            ok(gateway, "PUT", f"/{name}/new", body=b"new")
            ok(gateway, "PUT", f"/{name}/large", body=b"x" * 300_000)
            assert ok(gateway, "GET", f"/{name}", [("uploads", "")]).body.count(b"<UploadId>") == 0
            complete(gateway, name, "parts", upload(gateway, name, "parts"))
            assert keys(gateway, name) == ["key", "large", "new", "parts"]


def test_a_bucket_that_lost_its_objects_is_named(tmp_path):
    """With nothing in `parts` it starts empty, which may hide a loss: `fsck` tells of it, and the start, once."""
    with Plain(tmp_path) as gateway:
        for name in ("bucket", "other"):
            ok(gateway, "PUT", f"/{name}")
            ok(gateway, "PUT", f"/{name}/key", body=b"kept")
    store = gateway.data / "objects"
    lost = store / "buckets" / "bucket" / "objects"
    shutil.rmtree(lost)
    told = subprocess.run([BINARY, "fsck", str(store)], env=clean_env(), capture_output=True, text=True, timeout=60)
    assert told.returncode != 0 and "buckets/bucket/objects" in told.stdout + told.stderr, told
    for _ in range(2):
        with gateway:
            assert buckets(gateway) == ["bucket", "other"]
            assert keys(gateway, "bucket") == [] and keys(gateway, "other") == ["key"]
            said = [line for line in gateway.log().splitlines() if "`objects` is missing" in line]
            assert len(said) == 1 and "WARN" in said[0] and "bucket" in said[0], gateway.log()


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_stands_in_an_objects_place_stays(tmp_path, kind):
    """No object for who reads, and in the way of who writes or deletes: said once, and counted."""
    with Plain(tmp_path / "gate") as gateway:
        ok(gateway, "PUT", "/bucket")
        ok(gateway, "PUT", "/bucket/there", body=b"there")
        (tmp_path / "elsewhere").write_bytes(b"not in the store")
        at = gateway.data / "objects" / "buckets" / "bucket" / "objects" / "k@"
        make = {"link": lambda: at.symlink_to(tmp_path / "elsewhere"), "pipe": lambda: os.mkfifo(at), "directory": at.mkdir}
        make[kind]()
        stood = at.lstat()
        identity = upload(gateway, "bucket", "k")
        tag = '"' + hashlib.md5(b"part").hexdigest() + '"'
        body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>".encode()
        refused = [
            raw.request(gateway, "PUT", "/bucket/k", (), (), b"new"),
            raw.request(gateway, "PUT", "/bucket/k", (), [("if-none-match", "*")], b"new"),
            raw.request(gateway, "PUT", "/bucket/k", (), [("x-amz-copy-source", "/bucket/there")], b""),
            raw.request(gateway, "POST", "/bucket/k", [("uploadId", identity)], (), body),
            raw.request(gateway, "DELETE", "/bucket/k", (), (), b""),
        ]
        assert [answer.status for answer in refused] == [500] * 5, refused
        assert (at.lstat().st_ino, at.lstat().st_mode) == (stood.st_ino, stood.st_mode)
        assert raw.request(gateway, "GET", "/bucket/k").status == raw.request(gateway, "HEAD", "/bucket/k").status == 404
        assert keys(gateway, "bucket") == ["there"]
        # Beside the line of each refused request.
        said = [line for line in gateway.log().splitlines() if "not the store's" in line and "objects/k@" in line and "WARN" in line]
        assert len([line for line in said if "request_id" not in line]) == 1, said
        at.rmdir() if kind == "directory" else at.unlink()
        ok(gateway, "PUT", "/bucket/k", body=b"new")
        assert (tmp_path / "elsewhere").read_bytes() == b"not in the store"


def test_a_fresh_mount_becomes_a_store(tmp_path):
    """`lost+found` is there before the first start."""
    (tmp_path / "data" / "objects" / "lost+found").mkdir(parents=True, mode=0o700)
    with Plain(tmp_path) as gateway:
        ok(gateway, "PUT", "/bucket")
        assert buckets(gateway) == ["bucket"]
    assert (tmp_path / "data" / "objects" / "lost+found").is_dir()


def test_a_damaged_object_is_told_by_one_rule(tmp_path):
    """It is listed, or the page fails: it is never silently left out. The others can be read either way."""
    with Plain(tmp_path) as gateway:
        ok(gateway, "PUT", "/bucket")
        for key in ("a", "b", "c"):
            ok(gateway, "PUT", f"/bucket/{key}", body=b"kept")
        path = gateway.data / "objects" / "buckets" / "bucket" / "objects" / "b@"
        for damage in (lambda b: b[:-1], lambda b: b[:-20] + b"\0" * 20, lambda b: b""):
            path.write_bytes(damage(path.read_bytes()))
            gateway.stop()
            gateway.start()
            answer = raw.request(gateway, "GET", "/bucket", [("list-type", "2")])
            assert answer.status >= 500 or keys(gateway, "bucket") == ["a", "b", "c"], answer
            assert raw.request(gateway, "GET", "/bucket/b").status == 500
            assert ok(gateway, "GET", "/bucket/c").body == b"kept"
            assert raw.request(gateway, "DELETE", "/bucket").code == "BucketNotEmpty"
