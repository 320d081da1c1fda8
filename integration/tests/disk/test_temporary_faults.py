"""A fault that passes: what is told while it lasts, and what is there when it is gone."""

import errno
import os
import threading
import time

import pytest

from harness import raw
from harness.faults import Fault, Watched
from harness.plain import admin, buckets, complete, keys, ok, texts, upload

# What a read may fail with, of which none says that something is not there.
PASSING = [errno.EIO, errno.EMFILE, errno.EACCES, errno.ESTALE]
OPENING = ("openat2", "openat")
READING = ("pread64", "read", "preadv2", "preadv")


@pytest.mark.parametrize("last", [1, None])
def test_a_bucket_whose_objects_cannot_be_looked_for_is_not_deleted(watched, bucket, last):
    for key in ("a", "b/c"):
        ok(watched, "PUT", f"/{bucket}/{key}", body=b"kept")
    with watched.failing(Fault(("getdents64",), errno.EIO, 1, last, f"/{bucket}/")):
        assert raw.request(watched, "DELETE", f"/{bucket}").status in (409, 500, 503)
    assert keys(watched, bucket) == ["a", "b/c"]
    assert raw.request(watched, "DELETE", f"/{bucket}").code == "BucketNotEmpty"
    watched.stop()
    watched.start()
    assert keys(watched, bucket) == ["a", "b/c"]


@pytest.mark.parametrize("call", ["getdents64", "openat2", "pread64"])
@pytest.mark.parametrize("first", range(1, 14))
def test_a_start_that_reads_in_vain_keeps_the_parts_of_objects(tmp_path, call, first):
    gateway = Watched(tmp_path)
    with gateway:
        ok(gateway, "PUT", "/bucket")
        for key in ("deep/one", "two"):
            complete(gateway, "bucket", key, upload(gateway, "bucket", key))
        upload(gateway, "bucket", "open")
    with gateway.failing(Fault((call,), errno.EIO, first, first, "/buckets/")) as fault:
        try:
            gateway.start()
        except AssertionError:  # It may refuse to start.
            gateway.process.wait(10)
        # What a crash left is looked for beside the requests.
        ended = time.time() + 20
        while not fault.hit and time.time() < ended:
            time.sleep(0.01)
        assert fault.hit, f"{fault}: {fault.seen} calls were made"
        gateway.stop()
    with gateway:
        assert [ok(gateway, "GET", f"/bucket/{key}").body for key in ("deep/one", "two")] == [b"part"] * 2


def wait_for_collector(gateway):
    """Until a start's look for what a crash left has ended: its calls are not those of a request."""
    quiet = 0
    while quiet < 3:
        with gateway.counting() as made:
            time.sleep(0.02)
        quiet = 0 if made else quiet + 1


LISTINGS = {
    "objects": ([("list-type", "2")], "Key"),
    "objects, older": ([], "Key"),
    "uploads": ([("uploads", "")], "Key"),
}


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_is_whole_or_fails(watched, bucket, listing, number):
    query, name = LISTINGS[listing]
    known = ["a", "b/c", "b/d", "e"]
    for key in known:
        upload(watched, bucket, key) if listing == "uploads" else ok(watched, "PUT", f"/{bucket}/{key}", body=b"kept")
    for calls in (OPENING, READING, ("getdents64",), ("fstat", "newfstatat", "statx")):
        for first in (1, 2, 3, 4, 7):
            # What was listed before is remembered, and read no more: a gateway that has just started reads all of it.
            watched.stop()
            watched.start()
            wait_for_collector(watched)
            with watched.failing(Fault(calls, number, first, first, f"/{bucket}/")) as fault:
                answer = raw.request(watched, "GET", f"/{bucket}", query)
            assert answer.status >= 500 or texts(answer, name) == known, (str(fault), answer)
            assert fault.hit or answer.status == 200
            # The records of uploads were read by the start's look for leftovers.
            is_read = listing != "uploads" or calls in (OPENING, ("getdents64",))
            assert fault.hit or first > 1 or not is_read, f"{fault} failed nothing"
    assert texts(ok(watched, "GET", f"/{bucket}", query), name) == known


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
def test_a_listing_of_parts_is_whole_or_fails(watched, bucket, number):
    identity = upload(watched, bucket, "key", [b"1", b"2", b"3"])
    for calls in (OPENING, READING, ("getdents64",), ("fstat", "newfstatat", "statx")):
        for first in range(1, 8):
            with watched.failing(Fault(calls, number, first, first, f"/{bucket}/")) as fault:
                answer = raw.request(watched, "GET", f"/{bucket}/key", [("uploadId", identity)])
            assert answer.status >= 500 or texts(answer, "PartNumber") == ["1", "2", "3"], (str(fault), answer)


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
def test_the_list_of_buckets_is_whole_or_fails(watched, bucket, number):
    known = buckets(watched)
    assert bucket in known
    for calls in (OPENING, READING, ("getdents64",), ("fstat", "newfstatat", "statx")):
        for first in range(1, 5):
            with watched.failing(Fault(calls, number, first, first, "/buckets")) as fault:
                answer = raw.request(watched, "GET", "/")
            assert answer.status >= 500 or texts(answer, "Name") == known, (str(fault), answer)


def test_few_descriptors_make_no_bucket_disappear(tmp_path):
    """Plain load against 256 descriptors: an answer is whole, or it is an error."""
    with Watched(tmp_path, descriptors=256) as gateway:
        known = [f"bucket-{n}" for n in range(5)]
        for name in known:
            ok(gateway, "PUT", f"/{name}")
            ok(gateway, "PUT", f"/{name}/key", body=b"x" * 200_000)
        wrong, ended = [], time.time() + 4

        def load():
            while time.time() < ended:
                try:
                    answer = raw.request(gateway, "GET", "/")
                    if answer.status == 200 and texts(answer, "Name") != known:
                        wrong.append(answer)
                    if answer.status not in (200, 503):
                        wrong.append(answer)
                    answer = raw.request(gateway, "GET", "/bucket-1/key")
                    if answer.status not in (200, 503):
                        wrong.append(answer)
                except OSError:
                    pass

        # Held connections take most of the descriptors, requests the rest.
        held = []
        for _ in range(210):
            try:
                connection = raw.Connection(gateway)
                connection.send(b"GET / HTTP/1.1\r\n")
                held.append(connection)
            except OSError:
                break
        threads = [threading.Thread(target=load) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for connection in held:
            connection.sock.close()
        assert not wrong, wrong[:3]
        assert buckets(gateway) == known


def test_health_is_answered_without_a_descriptor_left(tmp_path):
    with Watched(tmp_path, descriptors=256) as gateway:
        held = []
        for _ in range(400):
            try:
                held.append(raw.Connection(gateway, timeout=2))
            except OSError:
                break
        assert admin(gateway, "/healthz")[0] == 200
        assert admin(gateway, "/readyz")[0] in (200, 503)
        for connection in held:
            connection.sock.close()


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
def test_an_upload_whose_record_cannot_be_read_is_not_said_to_be_gone(watched, bucket, number):
    identity = upload(watched, bucket, "key")
    requests = {
        "ListParts": ("GET", [("uploadId", identity)], b""),
        "UploadPart": ("PUT", [("partNumber", "2"), ("uploadId", identity)], b"more"),
        "AbortMultipartUpload": ("DELETE", [("uploadId", identity)], b""),
    }
    for name, (method, query, body) in requests.items():
        for calls in (OPENING, READING):
            with watched.failing(Fault(calls, number, 1, None, f"/uploads/{identity}")) as fault:
                answer = raw.request(watched, method, f"/{bucket}/key", query, body=body)
            # What is remembered need not be read.
            assert answer.status == 503 or answer.status < 300, (name, str(fault), answer)
            if name == "AbortMultipartUpload" and answer.status < 300:
                # What was said to be gone is gone.
                assert raw.request(watched, "GET", f"/{bucket}/key", [("uploadId", identity)]).code == "NoSuchUpload"
                return
    complete(watched, bucket, "key", identity)


@pytest.mark.parametrize("number", [*PASSING, errno.EROFS], ids=errno.errorcode.get)
def test_a_bucket_that_takes_no_file_is_not_said_to_be_gone(watched, bucket, number):
    for directory in ("/tmp", "/staging"):
        with watched.failing(Fault(OPENING, number, 1, None, directory)):
            answers = [raw.request(watched, "PUT", f"/{bucket}/small", body=b"x"), raw.request(watched, "PUT", f"/{bucket}/large", body=b"x" * 300_000),
                       raw.request(watched, "POST", f"/{bucket}/upload", [("uploads", "")])]
        for answer in answers:
            assert answer.status == 200 or answer.status >= 500, (directory, answer)
    ok(watched, "PUT", f"/{bucket}/small", body=b"x")


def test_too_many_open_files_are_no_damage(watched, bucket):
    ok(watched, "PUT", f"/{bucket}/key", body=b"kept")
    mark = len(watched.log())
    for method, body in (("PUT", b"new"), ("DELETE", b"")):
        with watched.failing(Fault(OPENING, errno.EMFILE, 1, None, "/objects/key@")):
            answer = raw.request(watched, method, f"/{bucket}/key", body=body)
        assert answer.status == 503 or answer.status < 300, answer
        assert "damaged" not in watched.log()[mark:]
        ok(watched, "PUT", f"/{bucket}/key", body=b"kept")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.EACCES, errno.ENOSPC], ids=errno.errorcode.get)
def test_a_bucket_that_cannot_be_deleted_is_there(watched, bucket, number):
    with watched.failing(Fault(("renameat", "renameat2", "rename"), number, 1, None, f"/{bucket}")):
        assert raw.request(watched, "DELETE", f"/{bucket}").status >= 500
    assert bucket in buckets(watched)
    ok(watched, "DELETE", f"/{bucket}")


@pytest.mark.parametrize("call", ["fsync", "fdatasync", "write", "renameat", "renameat2", "mkdirat", "openat2"])
def test_an_upload_that_could_not_be_opened_leaves_nothing(watched, bucket, call):
    staging = watched.data / "objects" / "staging"
    uploads = watched.data / "objects" / "buckets" / bucket / "uploads"
    for first in range(1, 4):
        before = {path.name for path in (*staging.iterdir(), *uploads.iterdir())}
        with watched.failing(Fault((call,), errno.ENOSPC, first, first)) as fault:
            answer = raw.request(watched, "POST", f"/{bucket}/key", [("uploads", "")])
        if answer.status != 200:
            left = {path.name for path in staging.iterdir()} - before
            assert not left, (str(fault), answer, left)
            assert not ok(watched, "GET", f"/{bucket}", [("uploads", "")]).body.count(b"<UploadId>"), (str(fault), answer)
        else:
            ok(watched, "DELETE", f"/{bucket}/key", [("uploadId", texts(answer, "UploadId")[0])])


def test_a_policy_that_finds_no_space_is_told_so(watched, bucket):
    policy = f'{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"123456789012"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/*"}}}}'.encode()
    for calls in (("write",), ("openat",), ("fsync",), ("rename", "renameat", "renameat2")):
        with watched.failing(Fault(calls, errno.ENOSPC, 1, None, "/state/")) as fault:
            answer = raw.request(watched, "PUT", f"/{bucket}", [("policy", "")], body=policy)
        assert fault.hit and answer.status == 507, (str(fault), answer)
    assert raw.request(watched, "GET", f"/{bucket}", [("policy", "")]).code == "NoSuchBucketPolicy"


def test_a_hung_disk_holds_only_who_needs_it(watched, bucket):
    """While every read waits for the disk, what touches no disk is answered."""
    for key, length in (("small", 4096), ("large", 3_000_000)):
        ok(watched, "PUT", f"/{bucket}/{key}", body=os.urandom(length))
    waiting = []
    with watched.failing(Fault((*OPENING, *READING, "fstat"), held=True, where=f"/{bucket}/")) as fault:
        for n in range(24):
            connection = raw.Connection(watched)
            connection.send(raw.signed(watched, "GET", f"/{bucket}/{('small', 'large')[n % 2]}"))
            waiting.append(connection)
        deadline = time.time() + 10
        while not fault.hit:
            assert time.time() < deadline
            time.sleep(0.01)
        assert admin(watched, "/healthz")[0] == 200
        assert admin(watched, "/readyz")[0] in (200, 503)
        # Refused before any backend is asked.
        assert raw.send(watched, "GET", f"/{bucket}/small").status == 403
        assert raw.request(watched, "GET", f"/{bucket}/small", [("retention", "")]).status == 501
    for connection in waiting:
        assert connection.answer().status in (200, 503)
        connection.sock.close()
