"""The tags of objects, asked of every backend alike, by boto3 and the command lines."""

import base64
import hashlib
import json
import threading
import uuid

import botocore.exceptions
import pytest

from harness import raw
from harness.clients import DEBIAN_AWS, VENV_AWS, aws, s3
from harness.gateway import ROOT_KEY, ROOT_SECRET, Gateway, upstream

MANY = {f"k{n}-é": f"v {n}/=+@:._-漢" for n in range(9)} | {"k" * 128: "v" * 256}
PART = 5 * 1024 * 1024


def tagging(tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tags(client, bucket, key):
    found = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def count(client, bucket, key):
    """As a read's head tells it."""
    told = {client.head_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPHeaders"].get("x-amz-tagging-count"),
            client.get_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPHeaders"].get("x-amz-tagging-count")}
    assert len(told) == 1, told
    return told.pop()


def refused(call, *codes):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] in codes, caught.value.response
    return caught.value.response["Error"]


@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_tags_of_an_object(client, bucket, size):
    body = b"x" * size
    client.put_object(Bucket=bucket, Key="k", Body=body, Metadata={"m": "1"})
    before = client.head_object(Bucket=bucket, Key="k")
    assert tags(client, bucket, "k") == {} and count(client, bucket, "k") is None
    for given in (MANY, {"one": ""}):
        client.put_object_tagging(Bucket=bucket, Key="k", Tagging=tagging(given))
        assert tags(client, bucket, "k") == given and count(client, bucket, "k") == str(len(given))
    after = client.head_object(Bucket=bucket, Key="k")
    assert [after[k] for k in ("ETag", "Metadata", "ContentLength")] == [before[k] for k in ("ETag", "Metadata", "ContentLength")]
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    client.delete_object_tagging(Bucket=bucket, Key="k")
    assert tags(client, bucket, "k") == {} and count(client, bucket, "k") is None
    client.put_object_tagging(Bucket=bucket, Key="k", Tagging=tagging({"a": "b"}))
    client.put_object_tagging(Bucket=bucket, Key="k", Tagging=tagging({}))
    assert tags(client, bucket, "k") == {}
    client.put_object_tagging(Bucket=bucket, Key="k", Tagging=tagging({"a": "b"}))
    client.put_object(Bucket=bucket, Key="k", Body=body)
    assert tags(client, bucket, "k") == {}
    refused(lambda: tags(client, bucket, "missing"), "NoSuchKey")
    refused(lambda: client.put_object_tagging(Bucket=bucket, Key="missing", Tagging=tagging({"a": "b"})), "NoSuchKey")
    refused(lambda: client.get_object_tagging(Bucket=f"no-{uuid.uuid4().hex}", Key="k"), "NoSuchBucket")


def test_tags_come_with_an_upload(client, bucket):
    client.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="b=2&a=1%202&c=%C3%A9%2B&none")
    assert tags(client, bucket, "k") == {"a": "1 2", "b": "2", "c": "é+", "none": ""}
    assert count(client, bucket, "k") == "4"
    client.put_object(Bucket=bucket, Key="none", Body=b"x", Tagging="")
    assert tags(client, bucket, "none") == {}
    upload = client.create_multipart_upload(Bucket=bucket, Key="m", Tagging="m=1&l=2 3")["UploadId"]
    parts = [{"PartNumber": n, "ETag": client.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=n, Body=body)["ETag"]}
             for n, body in ((1, b"1" * PART), (2, b"2"))]
    client.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": parts})
    assert tags(client, bucket, "m") == {"m": "1", "l": "2 3"} and count(client, bucket, "m") == "2"
    client.put_object_tagging(Bucket=bucket, Key="m", Tagging=tagging({"n": "4"}))
    assert tags(client, bucket, "m") == {"n": "4"}
    assert client.get_object(Bucket=bucket, Key="m")["Body"].read() == b"1" * PART + b"2"
    assert client.head_object(Bucket=bucket, Key="m")["Metadata"] == {}


COPIES = [
    ({}, "old"), ({"TaggingDirective": "COPY"}, "old"), ({"TaggingDirective": "COPY", "Tagging": "new=1"}, "old"),
    ({"TaggingDirective": "REPLACE", "Tagging": "new=1"}, "new"), ({"TaggingDirective": "REPLACE"}, None),
]


@pytest.mark.parametrize("more", [{}, {"MetadataDirective": "REPLACE", "Metadata": {"m": "2"}}], ids=["copied", "replaced"])
def test_tags_of_copies(client, bucket, more):
    client.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="old=1", Metadata={"m": "1"})
    for n, (directive, expected) in enumerate(COPIES):
        client.copy_object(Bucket=bucket, Key=f"c{n}", CopySource=f"{bucket}/k", **directive, **more)
        assert tags(client, bucket, f"c{n}") == ({expected: "1"} if expected else {}), directive
        assert client.head_object(Bucket=bucket, Key=f"c{n}")["Metadata"] == (more.get("Metadata") or {"m": "1"})
    if more:
        # Onto itself, as clients do to change metadata.
        client.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", **more)
        assert tags(client, bucket, "k") == {"old": "1"}
    refused(lambda: client.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", TaggingDirective="SOME"), "InvalidArgument")


def test_bad_tags_are_refused(client, bucket):
    client.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="kept=1")
    for header, code in (("a=b=c", "InvalidArgument"), ("a=1&a=2", "InvalidArgument"), ("a=%zz", "InvalidArgument"), ("=b", "InvalidTag"), ("a!=b", "InvalidTag"),
                         ("aws:a=b", "InvalidTag"), ("k" * 129 + "=v", "InvalidTag"), ("k=" + "v" * 257, "InvalidTag"),
                         ("&".join(f"k{n}=v" for n in range(11)), "BadRequest")):
        refused(lambda: client.put_object(Bucket=bucket, Key="k", Body=b"y", Tagging=header), code)
        refused(lambda: client.create_multipart_upload(Bucket=bucket, Key="k", Tagging=header), code)
        refused(lambda: client.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", Tagging=header, TaggingDirective="REPLACE"), code)
    for given, code, message in (({"a!": "v"}, "InvalidTag", "TagKey"), ({"a": "\n"}, "InvalidTag", "TagValue"), ({"k" * 129: "v"}, "InvalidTag", "TagKey"),
                                 ({"aws:a": "v"}, "InvalidTag", "aws:"), ({f"k{n}": "v" for n in range(11)}, "BadRequest", "cannot be greater than 10")):
        error = refused(lambda: client.put_object_tagging(Bucket=bucket, Key="k", Tagging=tagging(given)), code)
        assert message in error["Message"], error
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    refused(lambda: client.put_object_tagging(Bucket=bucket, Key="k", Tagging=twice), "InvalidTag")
    assert tags(client, bucket, "k") == {"kept": "1"} and client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_the_document_is_verified(disk):
    client, bucket = s3(disk), f"t-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="kept=1")
    good, other = (f"<Tagging><TagSet><Tag><Key>a</Key><Value>{v}</Value></Tag></TagSet></Tagging>".encode() for v in (1, 2))
    md5 = lambda body: ("content-md5", base64.b64encode(hashlib.md5(body).digest()).decode())
    put = lambda body, headers=(), path=f"/{bucket}/k", **how: raw.request(disk, "PUT", path, [("tagging", "")], list(headers), body, **how)
    assert put(good, [md5(other)]).code == "BadDigest"
    assert put(good, [("x-amz-checksum-crc32", "AAAAAA==")]).code == "BadDigest"
    signed = raw.signed_headers(disk, "PUT", f"/{bucket}/k", [("tagging", "")], body=other)
    assert raw.send(disk, "PUT", f"/{bucket}/k", [("tagging", "")], signed, good).code == "XAmzContentSHA256Mismatch"
    for body in (b"", b"<Tagging/>", good + good, b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", b"{}"):
        assert put(body).code == "MalformedXML", body
    assert put(good + b" " * 70_000).code == "MaxMessageLengthExceeded"
    assert tags(client, bucket, "k") == {"kept": "1"}
    assert put(good, [md5(good)]).status == 200
    assert tags(client, bucket, "k") == {"a": "1"}
    # This store has no versions but the current one.
    refused(lambda: client.get_object_tagging(Bucket=bucket, Key="k", VersionId="v" * 32), "NoSuchVersion")
    refused(lambda: client.put_object_tagging(Bucket=bucket, Key="k", VersionId="v" * 32, Tagging=tagging({})), "NoSuchVersion")
    refused(lambda: client.delete_object_tagging(Bucket=bucket, Key="k", VersionId="v" * 32), "NoSuchVersion")
    assert client.get_object_tagging(Bucket=bucket, Key="k", VersionId="null")["TagSet"]


@pytest.mark.parametrize("binary", [VENV_AWS, DEBIAN_AWS])
def test_command_line(gateway, client, bucket, tmp_path, binary):
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100_000)
    run = lambda *args: aws(gateway, *args, binary=binary).stdout
    where = ("--bucket", bucket, "--key", "k")
    run("s3api", "put-object", *where, "--body", str(file), "--tagging", "a=1&b=2")
    assert json.loads(run("s3api", "head-object", *where)).get("ETag")
    run("s3api", "put-object-tagging", *where, "--tagging", json.dumps(tagging({"c": "3"})))
    assert json.loads(run("s3api", "get-object-tagging", *where))["TagSet"] == [{"Key": "c", "Value": "3"}]
    # It asks for the tags itself where a copy is made in parts, and leaves others to the store.
    run("s3", "cp", f"s3://{bucket}/k", f"s3://{bucket}/copy", "--no-progress")
    assert tags(client, bucket, "copy") == {"c": "3"}
    if binary == DEBIAN_AWS:
        run("s3", "cp", f"s3://{bucket}/k", f"s3://{bucket}/bare", "--copy-props", "none", "--no-progress")
        assert tags(client, bucket, "bare") == {}
    run("s3api", "delete-object-tagging", *where)
    assert tags(client, bucket, "k") == {}


def test_tags_cross_from_one_store_to_another(work, disk):
    inner = f"inner-{uuid.uuid4().hex[:12]}"
    s3(disk).create_bucket(Bucket=inner)
    config, env = upstream("inner", disk.url, ROOT_KEY, ROOT_SECRET, f'ca = "{disk.ca}"')
    config = config.replace('bucket = "*"', f'bucket = "{inner}"')
    with Gateway(work / "tags-cross", config, env=env) as gateway:
        client = s3(gateway)
        client.create_bucket(Bucket="local")
        client.put_object(Bucket="local", Key="k", Body=b"x" * 100_000, Tagging="a=1")
        client.copy_object(Bucket=inner, Key="k", CopySource="local/k")
        assert tags(s3(disk), inner, "k") == {"a": "1"}
        client.put_object_tagging(Bucket=inner, Key="k", Tagging=tagging({"b": "2"}))
        client.copy_object(Bucket="local", Key="back", CopySource=f"{inner}/k")
        assert tags(client, "local", "back") == {"b": "2"}
        for more, expected in (({"Tagging": "c=3"}, {"c": "3"}), ({}, {})):
            client.copy_object(Bucket="local", Key="back", CopySource=f"{inner}/k", TaggingDirective="REPLACE", **more)
            assert tags(client, "local", "back") == expected


def test_tags_survive_a_kill(work):
    """T72, T76: what was acknowledged of bytes and tags is there after the gateway was killed under its writers."""
    gateway = Gateway(work / "tags-kill", tls=False).start()
    s3(gateway).create_bucket(Bucket="tags")
    acknowledged, stop = {}, threading.Event()

    def writer(lane):
        client, n = s3(gateway), 0
        key = f"d/{lane}"
        while not stop.is_set():
            n += 1
            try:
                body = f"{lane}-{n}-".encode() * (3 if n % 2 else 5000)
                client.put_object(Bucket="tags", Key=key, Body=body, Tagging=f"put={n}")
                acknowledged[key] = (body, {f"put={n}"})
                for m in range(3):
                    acknowledged[key][1].add(f"tag={n}.{m}")
                    client.put_object_tagging(Bucket="tags", Key=key, Tagging=tagging({"tag": f"{n}.{m}"}))
                    acknowledged[key] = (body, {f"tag={n}.{m}"})
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError):
                return

    for _ in range(5):
        stop.clear()
        threads = [threading.Thread(target=writer, args=(lane,), daemon=True) for lane in range(4)]
        for thread in threads:
            thread.start()
        stop.wait(0.7)
        gateway.kill()
        stop.set()
        for thread in threads:
            thread.join(30)
        gateway.start()
        client = s3(gateway)
        for key, (body, allowed) in acknowledged.items():
            found = client.get_object(Bucket="tags", Key=key)["Body"].read()
            kept = {f"{k}={v}" for k, v in tags(client, "tags", key).items()}
            assert len(kept) == 1, kept
            # A write that was not acknowledged may be there, then with its own tags.
            newer = found != body and kept.pop().startswith(f"put={int(found.split(b'-')[1])}")
            assert newer or kept <= allowed, (key, kept, allowed, found[:20])
    gateway.stop()
