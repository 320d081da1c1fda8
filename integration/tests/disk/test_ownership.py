"""One gateway owns a directory while it runs, and a new bucket starts with nothing."""

import hashlib
import threading
import uuid

import pytest

from harness import raw
from harness.clients import s3
from harness.faults import Fault
from harness.gateway import ROOT_KEY, ROOT_SECRET, upstream
from harness.plain import Plain, buckets, keys, ok


def policy(bucket, sid="p"):
    return f'{{"Statement":{{"Sid":"{sid}","Effect":"Allow","Principal":{{"AWS":"123456789012"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/*"}}}}'.encode()


def state(directory):
    """Every file's content and modification, by path."""
    return {str(path.relative_to(directory)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
            for path in directory.rglob("*")}


@pytest.mark.parametrize("other_disk", [False, True])
def test_a_second_gateway_on_one_directory_is_refused(tmp_path, other_disk):
    with Plain(tmp_path / "gate", tls=True) as first:
        s3(first).create_bucket(Bucket="bucket")
        s3(first).put_object(Bucket="bucket", Key="key", Body=b"kept")
        before = state(first.data)
        # On other ports, and with another name in its certificate.
        config = '[listener]\nexternal_url = "https://other.example.com"\n' + (f'[disk]\npath = "{tmp_path}/elsewhere"\n' if other_disk else "")
        second = Sharing(tmp_path / "second", config, first.data)
        try:
            with pytest.raises(AssertionError):
                second.start()
            assert second.process.wait(10) > 0
        finally:
            second.stop()
        assert "another process" in second.log() or "in use" in second.log(), second.log()
        after = state(first.data)
        assert not {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        assert s3(first).get_object(Bucket="bucket", Key="key")["Body"].read() == b"kept"


class Sharing(Plain):
    """A gateway with another's data directory."""

    def __init__(self, directory, config, data):
        super().__init__(directory, config, tls=True)
        self.shared = data

    @property
    def data(self):
        return self.shared


def test_the_directory_is_free_when_its_gateway_was_killed(tmp_path):
    gateway = Plain(tmp_path)
    with gateway:
        ok(gateway, "PUT", "/bucket")
        gateway.kill()
        gateway.start()
        assert buckets(gateway) == ["bucket"]


def both(*calls):
    """Runs them at once; answers what each answered."""
    barrier, answers = threading.Barrier(len(calls)), [None] * len(calls)

    def go(at, call):
        barrier.wait()
        answers[at] = call()

    threads = [threading.Thread(target=go, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


HELD = {
    "the policy's file is written": (("openat", "write"), "/state/"),
    "the policy comes into place": (("rename", "renameat", "renameat2"), "/state/"),
    "the bucket goes": (("rename", "renameat", "renameat2"), "/staging/"),
    "the bucket is gone": (("fsync",), "/buckets"),
    "its policy is removed": (("unlink", "unlinkat"), "/state/"),
}


@pytest.mark.parametrize("first", ["PUT", "DELETE"])
@pytest.mark.parametrize("moment", HELD)
def test_a_bucket_deleted_beside_its_policy_leaves_none(watched, bucket, moment, first):
    """One is held in the middle, the other comes: whoever wins, the next bucket of the name starts with nothing."""
    calls, where = HELD[moment]
    answers = {}
    asks = {
        "PUT": lambda: raw.request(watched, "PUT", f"/{bucket}", [("policy", "")], body=policy(bucket)),
        "DELETE": lambda: raw.request(watched, "DELETE", f"/{bucket}"),
    }
    threads = {name: threading.Thread(target=lambda name=name: answers.update({name: asks[name]()})) for name in asks}
    with watched.failing(Fault(calls, held=True, where=where)) as fault:
        threads[first].start()
        # It comes there, or does not pass there and is answered.
        while not fault.hit and threads[first].is_alive():
            threads[first].join(0.01)
        second = threads["DELETE" if first == "PUT" else "PUT"]
        second.start()
        second.join(1)  # It may have to wait for the one that is held.
    for thread in threads.values():
        thread.join(20)
    assert answers["DELETE"].status == 204, answers
    assert answers["PUT"].status in (200, 204) or answers["PUT"].code == "NoSuchBucket", answers
    assert bucket not in buckets(watched)
    ok(watched, "PUT", f"/{bucket}")
    assert raw.request(watched, "GET", f"/{bucket}", [("policy", "")]).code == "NoSuchBucketPolicy"
    watched.stop()
    watched.start()
    assert raw.request(watched, "GET", f"/{bucket}", [("policy", "")]).code == "NoSuchBucketPolicy"


def test_a_storm_of_policies_leaves_none_for_the_next_bucket(watched):
    for n in range(80):
        bucket = f"b-{uuid.uuid4().hex[:12]}"
        ok(watched, "PUT", f"/{bucket}")
        requests = [("PUT", f"/{bucket}", [("policy", "")], [], policy(bucket)), ("PUT", f"/{bucket}", [("publicAccessBlock", "")], [], b"<PublicAccessBlockConfiguration/>")]
        requests = [raw.signed(watched, *request) for request in [*requests * 4, ("DELETE", f"/{bucket}"), *requests * 4]]
        connections = [raw.Connection(watched) for _ in requests]
        for connection, request in zip(connections, requests):
            connection.send(request)
        for connection in connections:
            answer = connection.answer()
            assert answer.status in (200, 204) or answer.code == "NoSuchBucket", answer
            connection.sock.close()
        ok(watched, "PUT", f"/{bucket}")
        assert raw.request(watched, "GET", f"/{bucket}", [("policy", "")]).code == "NoSuchBucketPolicy"
        assert ok(watched, "GET", f"/{bucket}", [("publicAccessBlock", "")]).body.count(b"true") == 4
        ok(watched, "DELETE", f"/{bucket}")


@pytest.mark.parametrize("calls", [("unlink", "unlinkat"), ("rename", "renameat", "renameat2"), ("fsync",)])
def test_a_policy_that_cannot_be_removed_is_not_inherited(watched, bucket, calls):
    ok(watched, "PUT", f"/{bucket}", [("policy", "")], body=policy(bucket))
    with watched.failing(Fault(calls, where="/state/")):
        answer = raw.request(watched, "DELETE", f"/{bucket}")
    assert answer.status == 204 or answer.status >= 500
    if bucket in buckets(watched):
        # Not deleted: then it has its policy still, and deleting it goes on.
        assert raw.request(watched, "GET", f"/{bucket}", [("policy", "")]).status in (200, 404)
        ok(watched, "DELETE", f"/{bucket}")
    watched.stop()
    watched.start()
    assert bucket not in buckets(watched)
    ok(watched, "PUT", f"/{bucket}")
    assert raw.request(watched, "GET", f"/{bucket}", [("policy", "")]).code == "NoSuchBucketPolicy"


def test_a_bucket_made_anew_at_the_upstream_starts_with_nothing(tmp_path):
    with Plain(tmp_path / "inner", tls=True) as inner:
        config, env = upstream("inner", inner.url, ROOT_KEY, ROOT_SECRET, f'ca = "{inner.ca}"')
        with Plain(tmp_path / "outer", config, tls=True, env=env) as outer:
            ok(outer, "PUT", "/bucket")
            ok(outer, "PUT", "/bucket", [("policy", "")], body=policy("bucket"))
            ok(outer, "PUT", "/bucket", [("publicAccessBlock", "")], body=b"<PublicAccessBlockConfiguration/>")
            ok(inner, "DELETE", "/bucket")
            ok(outer, "PUT", "/bucket")
            assert raw.request(outer, "GET", "/bucket", [("policy", "")]).code == "NoSuchBucketPolicy"
            assert ok(outer, "GET", "/bucket", [("publicAccessBlock", "")]).body.count(b"true") == 4


def test_deletes_of_buckets_and_objects_do_not_fail_each_other(watched):
    for n in range(200):
        bucket = f"b-{uuid.uuid4().hex[:12]}"
        ok(watched, "PUT", f"/{bucket}")
        names = ("a/b/c/d", "a/b/e", "f")
        for key in names:
            ok(watched, "PUT", f"/{bucket}/{key}", body=b"x")
        remove = lambda path: lambda: raw.request(watched, "DELETE", path)
        answers = both(*(remove(f"/{bucket}/{key}") for key in names), remove(f"/{bucket}"), remove(f"/{bucket}"))
        for answer in answers:
            assert answer.status == 204 or answer.code in ("BucketNotEmpty", "NoSuchBucket"), answer
        if bucket in buckets(watched):
            assert keys(watched, bucket) == []
            ok(watched, "DELETE", f"/{bucket}")


def test_writers_and_the_deletion_of_their_bucket_agree(watched):
    """Either a write came first, and the bucket stays with it, or the bucket is gone and the write is refused."""
    for n in range(60):
        bucket = f"b-{uuid.uuid4().hex[:12]}"
        ok(watched, "PUT", f"/{bucket}")
        put = lambda key: lambda: raw.request(watched, "PUT", f"/{bucket}/{key}", body=b"x")
        answers = both(put("a/b"), put("c"), lambda: raw.request(watched, "DELETE", f"/{bucket}"))
        written = [key for key, answer in zip(("a/b", "c"), answers) if answer.status == 200]
        assert all(answer.status in (200, 404) for answer in answers[:2]), answers
        assert answers[2].status == 204 or answers[2].code == "BucketNotEmpty", answers
        if answers[2].status == 204:
            assert not written and bucket not in buckets(watched)
        else:
            assert keys(watched, bucket) == written
