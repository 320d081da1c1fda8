"""Disks that are full or read-only, as real file systems are."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import time

import pytest
from botocore.exceptions import ClientError

from harness import raw
from harness.clients import s3
from harness.gateway import BINARY, clean_env
from harness.plain import Plain, admin, buckets, complete, keys, metric, ok, upload

POLICY = b'{"Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}'


def as_root(*command):
    subprocess.run([*([] if os.getuid() == 0 else ["sudo", "-n"]), *map(str, command)], check=True, capture_output=True)


@contextlib.contextmanager
def mounted(directory, size="4m"):
    """A file system of its own, in memory and small."""
    directory.mkdir(parents=True, exist_ok=True)
    as_root("mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "portcullis-test", directory)
    try:
        yield directory
    finally:
        as_root("umount", "-l", directory)


def fill(directory, keep=0):
    """Takes all the space but `keep` bytes."""
    path = directory / "filler"
    with open(path, "ab", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 65536)
        with contextlib.suppress(OSError):
            while True:
                file.write(b"\0")
        file.truncate(max(0, file.tell() - keep))
    return path


def wait(check, seconds=25):
    deadline = time.time() + seconds
    while not check():
        assert time.time() < deadline, "did not happen in time"
        time.sleep(0.1)


@pytest.fixture
def disk(tmp_path):
    """A gateway whose objects are on a small file system, and its state beside it."""
    with mounted(tmp_path / "disk") as disk:
        gateway = Plain(tmp_path / "gate", f'[disk]\npath = "{disk}/objects"\n')
        gateway.disk = disk
        yield gateway
        gateway.stop()


@pytest.mark.parametrize("keep", [0, 4096, 8192, 12288, 16384, 20480])
def test_a_first_start_on_a_full_disk_refuses_no_later_one(disk, keep):
    filler = fill(disk.disk, keep)
    try:
        disk.start()
        disk.stop()
    except AssertionError:
        assert disk.process.wait(10) > 0
        assert "No space left" in disk.log() or "ENOSPC" in disk.log() or "full" in disk.log(), disk.log()
    filler.unlink()
    with disk:
        ok(disk, "PUT", "/bucket")
        ok(disk, "PUT", "/bucket/key", body=b"kept")
        assert keys(disk, "bucket") == ["key"]


def test_a_full_disk_is_told_and_recovers(disk):
    with disk:
        ok(disk, "PUT", "/bucket")
        ok(disk, "PUT", "/bucket/key", body=b"kept")
        complete(disk, "bucket", "parts", upload(disk, "bucket", "parts"))
        filler = fill(disk.disk)
        for method, path, query in (("PUT", "/bucket/new", []), ("PUT", "/bucket/key", []), ("PUT", "/new-bucket", []), ("POST", "/bucket/key", [("uploads", "")])):
            answer = raw.request(disk, method, path, query, body=b"x" * 9000 if method == "PUT" and path.count("/") == 2 else b"")
            assert answer.status == 507, (method, path, answer)
        assert ok(disk, "GET", "/bucket/key").body == b"kept"
        assert keys(disk, "bucket") == ["key", "parts"]
        wait(lambda: admin(disk, "/readyz")[0] == 503)
        wait(lambda: 0.0 in metric(disk, "portcullis_backend_up").values())
        assert admin(disk, "/healthz")[0] == 200
        filler.unlink()
        wait(lambda: admin(disk, "/readyz")[0] == 200)
        wait(lambda: 0.0 not in metric(disk, "portcullis_backend_up").values())
        ok(disk, "PUT", "/bucket/new", body=b"new")
        assert buckets(disk) == ["bucket"]
        assert not list((disk.disk / "objects" / "staging").iterdir())
        # Deleting is possible on a full disk: it is how space comes back.
        fill(disk.disk)
        ok(disk, "DELETE", "/bucket/parts")
        assert keys(disk, "bucket") == ["key", "new"]


def test_a_policy_on_a_full_disk_is_insufficient_storage(tmp_path):
    with mounted(tmp_path / "disk") as disk:
        gateway = Plain(disk / "gate", f'[disk]\npath = "{tmp_path}/objects"\n')
        with gateway:
            ok(gateway, "PUT", "/bucket")
            ok(gateway, "PUT", "/bucket", [("policy", "")], body=POLICY)
            filler = fill(disk)
            longer = POLICY.replace(b"bucket/*", b"bucket/" + b"x" * 9000)
            answer = raw.request(gateway, "PUT", "/bucket", [("policy", "")], body=longer)
            assert answer.status == 507, answer
            assert ok(gateway, "GET", "/bucket", [("policy", "")]).body == POLICY
            filler.unlink()
            ok(gateway, "PUT", "/bucket", [("policy", "")], body=longer)
            gateway.stop()
            gateway.start()
            assert ok(gateway, "GET", "/bucket", [("policy", "")]).body == longer


@contextlib.contextmanager
def read_only(directory):
    as_root("mount", "-o", "remount,ro", directory)
    try:
        yield
    finally:
        as_root("mount", "-o", "remount,rw", directory)


def test_a_disk_that_becomes_read_only_is_told(tmp_path):
    """As ext4 does on its own when it finds itself damaged: in the middle of the work."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    as_root("mkfs.ext4", "-q", "-F", image)
    as_root("mount", "-o", "loop", image, disk)
    try:
        as_root("chmod", "777", disk)
        gateway = Plain(tmp_path / "gate", f'[disk]\npath = "{disk}/objects"\n')
        with gateway:
            ok(gateway, "PUT", "/bucket")
            ok(gateway, "PUT", "/empty")
            ok(gateway, "PUT", "/bucket/key", body=b"kept")
            identity = upload(gateway, "bucket", "open")
            os.sync()
            as_root("mount", "-o", "remount,abort", disk)
            refused = [("DELETE", "/empty", []), ("DELETE", "/bucket/key", []), ("PUT", "/bucket/new", []), ("PUT", "/more", []),
                       ("POST", "/bucket/new", [("uploads", "")]), ("DELETE", "/bucket/open", [("uploadId", identity)])]
            for method, path, query in refused:
                answer = raw.request(gateway, method, path, query)
                assert answer.status >= 500, (method, path, answer)
            assert buckets(gateway) == ["bucket", "empty"]
            assert ok(gateway, "GET", "/bucket/key").body == b"kept"
            wait(lambda: admin(gateway, "/readyz")[0] == 503)
            wait(lambda: 0.0 in metric(gateway, "portcullis_backend_up").values())
            gateway.stop()
            as_root("umount", disk)
            as_root("mount", "-o", "loop", image, disk)
            gateway.start()
            wait(lambda: admin(gateway, "/readyz")[0] == 200)
            ok(gateway, "DELETE", "/empty")
            complete(gateway, "bucket", "open", identity)
            assert keys(gateway, "bucket") == ["key", "open"]
    finally:
        as_root("umount", "-l", disk)


def test_a_read_only_store_can_be_read(disk):
    with disk:
        ok(disk, "PUT", "/bucket")
        ok(disk, "PUT", "/bucket/key", body=b"kept")
        complete(disk, "bucket", "parts", upload(disk, "bucket", "parts"))
    with read_only(disk.disk):
        # What is not there cannot be made there, which is said before.
        for path, status in ((disk.disk, 0), (disk.disk / "new", 1)):
            file = disk.directory / "elsewhere.toml"
            file.write_text(f'[disk]\npath = "{path}"\n')
            done = subprocess.run([BINARY, "check-config", str(file)], env=clean_env(), capture_output=True, text=True, timeout=60)
            assert done.returncode == status and ("mounted to be read only" in done.stderr) == (status == 1), done
        with disk:
            assert buckets(disk) == ["bucket"]
            assert keys(disk, "bucket") == ["key", "parts"]
            assert ok(disk, "GET", "/bucket/key").body == b"kept"
            assert ok(disk, "GET", "/bucket/parts").body == b"part"
            answer = raw.request(disk, "PUT", "/bucket/new", body=b"x")
            assert answer.status >= 500 and answer.code, answer
            assert "read-only" in disk.log().lower(), disk.log()
            assert admin(disk, "/healthz")[0] == 200
            wait(lambda: 0.0 in metric(disk, "portcullis_backend_up").values())
            assert admin(disk, "/readyz")[0] == 503
    with disk:
        ok(disk, "PUT", "/bucket/new", body=b"new")


def test_a_bucket_on_a_bind_mount_that_is_read_only_is_not_said_to_be_gone(disk):
    with disk:
        ok(disk, "PUT", "/bucket")
        objects = disk.disk / "objects"
        as_root("mount", "--bind", objects, objects)
        try:
            as_root("mount", "-o", "remount,bind,ro", objects)
            disk.stop()
            disk.start()
            assert raw.request(disk, "DELETE", "/bucket").status >= 500
            assert buckets(disk) == ["bucket"]
            disk.stop()
        finally:
            as_root("umount", "-l", objects)


def test_a_store_that_refuses_says_which_bucket(tmp_path):
    """Where a start is stopped by one bucket, it is named."""
    with Plain(tmp_path) as gateway:
        ok(gateway, "PUT", "/bucket")
    broken = pathlib.Path(gateway.data) / "objects" / "buckets" / "bucket" / "tmp"
    broken.rmdir()
    broken.write_bytes(b"a file where a directory should be")
    try:
        gateway.start()
        assert buckets(gateway) == ["bucket"]
    except AssertionError:
        assert "bucket/tmp" in gateway.log(), gateway.log()
    finally:
        gateway.stop()


@contextlib.contextmanager
def seen_read_only(directory, at):
    """A directory at another place, where nothing can be written."""
    at.mkdir(parents=True)
    as_root("mount", "--bind", directory, at)
    try:
        as_root("mount", "-o", "remount,bind,ro", at)
        yield at
    finally:
        as_root("umount", "-l", at)


def fsck(path):
    return subprocess.run([BINARY, "fsck", str(path)], env=clean_env(), capture_output=True, text=True, timeout=60)


def test_what_is_written_is_not_read_elsewhere(tmp_path):
    """A reader would remember what the writer changes."""
    with Plain(tmp_path / "writer") as writer:
        ok(writer, "PUT", "/bucket")
        ok(writer, "PUT", "/bucket/key", body=b"kept")
        with seen_read_only(writer.data / "objects", tmp_path / "elsewhere") as store:
            config = f'[disk]\npath = "{store}"\n'
            reader, other = Plain(tmp_path / "reader", config), Plain(tmp_path / "other", config)
            try:
                with pytest.raises(AssertionError):
                    reader.start()
                assert "another process writes" in reader.log(), reader.log()
                told = fsck(store)
                assert told.returncode == 2 and "another process writes" in told.stdout + told.stderr, told
                writer.stop()
                assert fsck(store).returncode == 0
                # Any number may read it then, and nobody write.
                reader.start()
                other.start()
                for gateway in (reader, other):
                    assert ok(gateway, "GET", "/bucket/key").body == b"kept"
                with pytest.raises(AssertionError):
                    writer.start()
                assert "another process" in writer.log(), writer.log()
            finally:
                for gateway in (reader, other, writer):
                    gateway.stop()


@pytest.mark.parametrize("missing", [None, "tls/ca.pem", "env.sh", "tls/server-key.pem", "state", "lock", "objects/lock"])
def test_data_that_cannot_be_written_is_served_for_reading(tmp_path, missing):
    with mounted(tmp_path / "disk", "16m") as disk:
        gateway = On(tmp_path / "gate", disk / "data")
        with gateway:
            s3(gateway).create_bucket(Bucket="bucket")
            s3(gateway).put_object(Bucket="bucket", Key="key", Body=b"kept")
        if missing:
            path = disk / "data" / missing
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        as_root("mount", "-o", "remount,ro", disk)
        if missing in (None, "lock", "objects/lock"):
            with gateway:
                assert s3(gateway).get_object(Bucket="bucket", Key="key")["Body"].read() == b"kept"
                with pytest.raises(ClientError):
                    s3(gateway).put_object(Bucket="bucket", Key="new", Body=b"new")
                assert "read-only" in gateway.log()
        else:
            try:
                with pytest.raises(AssertionError):
                    gateway.start()
            finally:
                gateway.stop()
            assert str(disk / "data" / missing) in gateway.log() and "read-only" in gateway.log(), gateway.log()


class On(Plain):
    """A gateway whose data is somewhere else."""

    def __init__(self, directory, data):
        super().__init__(directory, tls=True)
        self.elsewhere = data

    @property
    def data(self):
        return self.elsewhere
