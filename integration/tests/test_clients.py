"""Clients do what their users do: sync a tree, move a large file, resume, list, delete."""

import os
import uuid

import boto3.s3.transfer
import pytest

from harness.clients import DEBIAN_AWS, VENV_AWS, aws, aws_sdk, rclone, s3, s3cmd
from harness.gateway import Gateway

LARGE = 110 * 1024 * 1024


@pytest.fixture(scope="module")
def tree(work):
    root = work / "tree"
    for name in ("a.txt", "b/c.txt", "b/d/e f.txt", "ü/ö.txt", "empty"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "empty" else os.urandom(3000))
    (root / "large").write_bytes(os.urandom(LARGE))
    return root


def same(one, other):
    files = lambda root: {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert files(one) == files(other)


def name():
    return f"c-{uuid.uuid4().hex[:12]}"


@pytest.mark.parametrize("binary", [VENV_AWS, DEBIAN_AWS])
def test_aws_command_line(disk, tree, tmp_path, binary):
    bucket = name()
    run = lambda *args, **how: aws(disk, *args, binary=binary, **how)
    run("s3", "mb", f"s3://{bucket}")
    run("s3", "sync", str(tree), f"s3://{bucket}/t/", "--no-progress")
    again = run("s3", "sync", str(tree), f"s3://{bucket}/t/", "--no-progress")
    assert "upload" not in again.stdout
    run("s3", "sync", f"s3://{bucket}/t/", str(tmp_path / "back"), "--no-progress")
    same(tree, tmp_path / "back")
    assert "e f.txt" in run("s3", "ls", "--recursive", f"s3://{bucket}/").stdout
    run("s3", "mv", f"s3://{bucket}/t/a.txt", f"s3://{bucket}/moved.txt")
    url = run("s3", "presign", f"s3://{bucket}/moved.txt").stdout.strip()
    assert "X-Amz-Signature=" in url or "Signature=" in url
    missing = run("s3api", "head-object", "--bucket", bucket, "--key", "nope", check=False)
    assert missing.returncode != 0 and "404" in missing.stderr
    run("s3", "rm", "--recursive", f"s3://{bucket}")
    run("s3", "rb", f"s3://{bucket}")


def test_boto3_transfers(disk, tree, tmp_path):
    client, bucket = s3(disk), name()
    client.create_bucket(Bucket=bucket)
    config = boto3.s3.transfer.TransferConfig(multipart_chunksize=8 * 1024 * 1024, max_concurrency=4)
    client.upload_file(str(tree / "large"), bucket, "large", Config=config)
    client.download_file(bucket, "large", str(tmp_path / "large"), Config=config)
    assert (tmp_path / "large").read_bytes() == (tree / "large").read_bytes()
    assert client.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-14"')


def test_boto3_resumes_an_upload(disk):
    client, bucket, part = s3(disk), name(), os.urandom(5 * 1024 * 1024)
    client.create_bucket(Bucket=bucket)
    client.create_multipart_upload(Bucket=bucket, Key="r")
    client.upload_part(Bucket=bucket, Key="r", UploadId=client.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["UploadId"], PartNumber=1, Body=part)
    # Another process takes it up from what the store knows.
    other = s3(disk)
    upload = other.list_multipart_uploads(Bucket=bucket)["Uploads"][0]
    known = other.list_parts(Bucket=bucket, Key="r", UploadId=upload["UploadId"])["Parts"]
    last = other.upload_part(Bucket=bucket, Key="r", UploadId=upload["UploadId"], PartNumber=2, Body=b"end")
    parts = [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in known] + [{"PartNumber": 2, "ETag": last["ETag"]}]
    other.complete_multipart_upload(Bucket=bucket, Key="r", UploadId=upload["UploadId"], MultipartUpload={"Parts": parts})
    assert other.get_object(Bucket=bucket, Key="r")["Body"].read() == part + b"end"


def test_rclone(disk, tree, tmp_path):
    bucket = name()
    rclone(disk, "mkdir", f"gate:{bucket}")
    rclone(disk, "sync", str(tree), f"gate:{bucket}/t")
    rclone(disk, "check", str(tree), f"gate:{bucket}/t")
    rclone(disk, "copy", f"gate:{bucket}/t", str(tmp_path / "back"))
    same(tree, tmp_path / "back")
    assert "large" in rclone(disk, "lsf", "-R", f"gate:{bucket}").stdout
    rclone(disk, "purge", f"gate:{bucket}")


def test_s3cmd(disk, tree, tmp_path):
    bucket = name()
    s3cmd(disk, "mb", f"s3://{bucket}")
    s3cmd(disk, "sync", f"{tree}/", f"s3://{bucket}/t/")
    (tmp_path / "back").mkdir()
    s3cmd(disk, "sync", f"s3://{bucket}/t/", f"{tmp_path}/back/")
    same(tree, tmp_path / "back")
    assert "e f.txt" in s3cmd(disk, "ls", "--recursive", f"s3://{bucket}").stdout
    s3cmd(disk, "del", "--recursive", "--force", f"s3://{bucket}")
    s3cmd(disk, "rb", f"s3://{bucket}")


@pytest.mark.parametrize("backend", ["disk", "stacked"])
def test_aws_sdk(request, backend):
    aws_sdk(request.getfixturevalue(backend))


def test_aws_sdk_signs_chunks_without_tls(work):
    with Gateway(work / "plain", tls=False) as gateway:
        aws_sdk(gateway)


def test_virtual_hosted_style(work):
    from harness import raw
    with Gateway(work / "virtual", '[listener]\nvirtual_host_domains = ["s3.example.test"]\n') as gateway:
        host = f"my-bucket.s3.example.test:{gateway.port}"
        send = lambda method, path, host=host, **how: raw.send(gateway, method, path, headers=raw.signed_headers(gateway, method, path, host=host, **how), body=how.get("body", b""))
        assert send("PUT", "/").status == 200
        assert send("PUT", "/a/b", body=b"virtual").status == 200
        assert send("GET", "/a/b").body == b"virtual"
        assert send("GET", "/my-bucket/a/b", host=f"127.0.0.1:{gateway.port}").body == b"virtual"
        assert send("GET", "/a/b", host=f"my-bucket.elsewhere.test:{gateway.port}").code in ("InvalidBucketName", "NoSuchBucket")
