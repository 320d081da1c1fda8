"""Clients killed in mid transfer and started again: what had arrived stays, what is missing follows, and
nothing is moved twice. What was moved is read from the gateway's audit, not from what the clients say."""

import json
import os
import re
import signal
import time
import urllib.request
import uuid

import pytest

from harness.clients import DEBIAN_AWS, VENV_AWS, aws, rclone, run, s3, s3cmd, start
from harness.gateway import Gateway

LARGE, PART = 12 * 1024 * 1024, 5 * 1024 * 1024
SENDS, FETCHES = ("PutObject", "UploadPart"), ("GetObject",)
SLOW = {"aws": "  max_bandwidth = 6MB/s\n", "rclone": ("--bwlimit", "6M"), "s3cmd": ("--limit-rate=6m",)}


@pytest.fixture(scope="module")
def gate(work):
    with Gateway(work / "resumed", '[audit]\noutput = { file = "audit.jsonl" }\n') as gateway:
        yield gateway


@pytest.fixture(scope="module")
def tree(work):
    root = work / "resumed-tree"
    for name, size in {"a": 3000, "b/c d": 0, "b/ü": 3000, "large-1": LARGE, "large-2": LARGE, "large-3": LARGE}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.urandom(size))
    return root


@pytest.fixture
def bucket(gate):
    return Bucket(gate)


class Bucket:
    """A bucket, what is in it, and what was asked of it."""

    def __init__(self, gate):
        self.gate, self.client, self.name = gate, s3(gate), f"r-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=self.name)
        self.audit = gate.directory / "audit.jsonl"
        self.at = self.audit.stat().st_size

    def events(self, *operations):
        """Those that were answered well and to their end, since `forget`."""
        with self.audit.open("rb") as file:
            file.seek(self.at)
            events = [json.loads(line) for line in file if line.endswith(b"\n")]
        return [e for e in events if e.get("bucket") == self.name and e["operation"] in operations and e["status"] < 300 and not e.get("cut")]

    def forget(self):
        self.at = self.audit.stat().st_size

    def objects(self):
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {o["Key"]: self.client.get_object(Bucket=self.name, Key=o["Key"])["Body"].read() for o in found}

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])

    def parts(self, upload):
        return self.client.list_parts(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", [])

    def in_parts(self):
        """Whether objects are there, and another one has begun to be."""
        completed = {e["key"] for e in self.events("CompleteMultipartUpload")}
        return self.events("PutObject") and {e["key"] for e in self.events("UploadPart")} - completed


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def interrupt(process, gate, seen):
    """Kills a client as soon as that is seen, and waits until the gateway has done with it."""
    deadline = time.time() + 60
    while not seen():
        assert process.poll() is None and time.time() < deadline, f"not seen before its end: {process.args}"
        time.sleep(0.01)
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
    quiet = 0
    while quiet < 10:  # What the client had sent may still be on its way.
        assert time.time() < deadline, "the gateway still answers a client that is gone"
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{gate.admin_port}/metrics", timeout=10).read()
        quiet = quiet + 1 if re.search(rb"^portcullis_requests_in_flight 0$", metrics, re.M) else 0
        time.sleep(0.02)


def aws_sync(binary):
    def sync(gate, source, target, work, slow):
        config = work / "aws-config"
        config.write_text(f"[default]\ns3 =\n  multipart_chunksize = 5MB\n  max_concurrent_requests = 2\n{SLOW['aws'] if slow else ''}")
        place = lambda where: f"s3://{where.name}/" if isinstance(where, Bucket) else str(where)
        return aws(gate, "s3", "sync", place(source), place(target), "--no-progress", binary=binary, config=config, how=start if slow else run)
    return sync


def rclone_copy(gate, source, target, _, slow):
    place = lambda where: f"gate:{where.name}" if isinstance(where, Bucket) else str(where)
    cutoff = ("--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M")
    return rclone(gate, "copy", place(source), place(target), *cutoff, *(SLOW["rclone"] if slow else ()), how=start if slow else run)


def s3cmd_sync(gate, source, target, _, slow):
    place = lambda where: f"s3://{where.name}/" if isinstance(where, Bucket) else f"{where}/"
    return s3cmd(gate, "sync", "--multipart-chunk-size-mb=5", place(source), place(target), *(SLOW["s3cmd"] if slow else ()), how=start if slow else run)


SYNCS = {"awscli": aws_sync(VENV_AWS), "awscli-2.9": aws_sync(DEBIAN_AWS), "rclone": rclone_copy, "s3cmd": s3cmd_sync}


@pytest.mark.parametrize("client", SYNCS)
def test_a_killed_upload_of_a_tree_goes_on(gate, tree, bucket, tmp_path, client):
    files = contents(tree)
    interrupt(SYNCS[client](gate, tree, bucket, tmp_path, slow=True), gate, bucket.in_parts)
    stored = bucket.objects()
    assert stored and stored.items() < files.items() and bucket.uploads()
    bucket.forget()
    SYNCS[client](gate, tree, bucket, tmp_path, slow=False)
    sent = bucket.events(*SENDS)
    assert {e["key"] for e in sent} == files.keys() - stored.keys()
    assert bucket.objects() == files
    # And then nothing is missing.
    bucket.forget()
    SYNCS[client](gate, tree, bucket, tmp_path, slow=False)
    assert not bucket.events(*SENDS)


@pytest.mark.parametrize("client", SYNCS)
def test_a_killed_download_of_a_tree_goes_on(gate, tree, bucket, tmp_path, client):
    files, back = contents(tree), tmp_path / "back"
    for key, body in files.items():
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=body)
    back.mkdir()

    def whole():
        return {name: body for name, body in contents(back).items() if files.get(name) == body}

    def in_the_middle():
        # Whatever name a client gives to what it has not got whole.
        try:
            sizes = {str(p.relative_to(back)): p.stat().st_size for p in back.rglob("*") if p.is_file()}
        except FileNotFoundError:  # It was given its name just now.
            return False
        return sizes.get("a") == 3000 and any(3000 < size < LARGE for size in sizes.values())

    interrupt(SYNCS[client](gate, bucket, back, tmp_path, slow=True), gate, in_the_middle)
    there = whole()
    assert there and there.items() < files.items()
    bucket.forget()
    SYNCS[client](gate, bucket, back, tmp_path, slow=False)
    assert {e["key"] for e in bucket.events(*FETCHES)} == files.keys() - there.keys()
    # Beside it may lie what the killed one had under another name.
    assert whole() == files
    bucket.forget()
    SYNCS[client](gate, bucket, back, tmp_path, slow=False)
    assert not bucket.events(*FETCHES)


def test_s3cmd_continues_a_killed_upload(gate, tree, bucket):
    put = lambda *args, how=run: s3cmd(gate, "put", "--continue-put", "--multipart-chunk-size-mb=5", *args, str(tree / "large-1"), f"s3://{bucket.name}/large", how=how)
    interrupt(put(*SLOW["s3cmd"], how=start), gate, lambda: bucket.events("UploadPart"))
    [upload] = bucket.uploads()
    known = bucket.parts(upload)
    assert 0 < len(known) < 3 and not bucket.objects()
    bucket.forget()
    put()
    assert len(bucket.events("UploadPart")) == 3 - len(known)
    assert sum(e["bytes_in"] for e in bucket.events("UploadPart")) == LARGE - sum(p["Size"] for p in known)
    assert bucket.objects() == {"large": (tree / "large-1").read_bytes()} and not bucket.uploads()


def test_s3cmd_continues_a_killed_download(gate, tree, bucket, tmp_path):
    body, back = (tree / "large-1").read_bytes(), tmp_path / "back"
    bucket.client.put_object(Bucket=bucket.name, Key="large", Body=body)
    get = lambda *args, how=run: s3cmd(gate, "get", *args, f"s3://{bucket.name}/large", str(back), how=how)
    interrupt(get(*SLOW["s3cmd"], how=start), gate, lambda: back.exists() and back.stat().st_size)
    have = back.stat().st_size
    assert 0 < have < LARGE and back.read_bytes() == body[:have]
    bucket.forget()
    get("--continue")
    [rest] = bucket.events("GetObject")
    assert (rest["status"], rest["bytes_out"]) == (206, LARGE - have)
    assert back.read_bytes() == body


def test_boto3_resumes_an_upload(bucket):
    client, part = bucket.client, os.urandom(PART)
    where = {"Bucket": bucket.name, "Key": "r"}
    upload = client.create_multipart_upload(**where)["UploadId"]
    client.upload_part(**where, UploadId=upload, PartNumber=1, Body=part)
    # Another process takes it up from what the store knows.
    other = s3(bucket.gate)
    [upload] = bucket.uploads()
    where["UploadId"] = upload["UploadId"]
    known = bucket.parts(upload)
    last = other.upload_part(**where, PartNumber=2, Body=b"end")
    parts = [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in [*known, {"PartNumber": 2, "ETag": last["ETag"]}]]
    other.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert bucket.objects() == {"r": part + b"end"}
