"""Clients do what their users do: sync a tree, move a large file, presign, list, delete. How they resume is
in `test_resume.py`."""

import os
import re
import uuid

import boto3.s3.transfer
import pytest

from harness.clients import DEBIAN_AWS, VENV_AWS, aws, aws_sdk, curl, rclone, s3, s3cmd
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


# What makes a link: of boto3 and the command line from PyPI their users have to ask for Signature Version 4,
# since both take Version 2 in us-east-1 where nothing is said.
V4, HTTPS = "[default]\ns3 =\n  signature_version = s3v4\n", "[default]\nsignurl_use_https = True\n"
PRESIGNERS = {
    "boto3": lambda gate, _, bucket, key: s3(gate).generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}, ExpiresIn=600),
    "awscli": lambda gate, config, *where: aws(gate, "s3", "presign", "s3://" + "/".join(where), config=config(V4)).stdout.strip(),
    "awscli-2.9": lambda gate, _, *where: aws(gate, "s3", "presign", "s3://" + "/".join(where), binary=DEBIAN_AWS).stdout.strip(),
    "rclone": lambda gate, _, *where: rclone(gate, "link", "--expire", "10m", "gate:" + "/".join(where)).stdout.strip(),
}
VERSION_2 = {
    "boto3": lambda gate, _, bucket, key: s3(gate, signature_version=None).generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}),
    "awscli": lambda gate, _, *where: aws(gate, "s3", "presign", "s3://" + "/".join(where)).stdout.strip(),
    # It knows no other.
    "s3cmd": lambda gate, config, *where: s3cmd(gate, "signurl", "s3://" + "/".join(where), "+600", config=config(HTTPS)).stdout.strip(),
}


@pytest.fixture
def linked(disk, tmp_path):
    """An object, and how a client's link to it is made."""
    client, bucket, key, body = s3(disk), name(), "d/e f/ü+.bin", os.urandom(50_000)
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key=key, Body=body)

    def config(text):
        (tmp_path / "config").write_text(text)
        return tmp_path / "config"

    return body, lambda presign: presign(disk, config, bucket, key)


def refusal(answer):
    return answer[0], re.search(rb"<Code>(\w+)</Code>", answer[1])[1].decode()


@pytest.mark.parametrize("client", PRESIGNERS)
def test_presigned_link(disk, linked, client):
    body, link = linked
    url = link(PRESIGNERS[client])
    assert curl(url, disk.ca) == (200, body)
    last = url.index("X-Amz-Signature=") + len("X-Amz-Signature=") + 63
    for at in (last, url.index("/d/") + 1, url.index("X-Amz-Expires=") + len("X-Amz-Expires=")):
        changed = url[:at] + ("1" if url[at] != "1" else "2") + url[at + 1:]
        assert refusal(curl(changed, disk.ca)) == (403, "SignatureDoesNotMatch"), changed


@pytest.mark.parametrize("client", VERSION_2)
def test_a_link_of_signature_version_2_is_refused_by_name(disk, linked, client):
    """What these make unless told otherwise; s3cmd cannot be told."""
    _, link = linked
    url = link(VERSION_2[client])
    assert "AWSAccessKeyId=" in url and "X-Amz-" not in url
    answer = curl(url, disk.ca)
    assert refusal(answer) == (400, "InvalidRequest") and b"not supported. Please use AWS4-HMAC-SHA256." in answer[1]


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
