"""Damage is found before a reader finds it: by `fsck` while nobody serves, by scrubbing while somebody does."""

import hashlib
import json
import os
import pty
import resource
import subprocess

import botocore.exceptions
import pytest

from harness.clients import s3
from harness.gateway import BINARY, Gateway, clean_env
from harness.operators import metric, wait

PART = os.urandom(5 * 1024 * 1024)
BODIES = {"k": b"small", "d/e f/ä": b"deep", "empty": b"", "large": PART[:3_000_000]}


def fsck(*args, **how):
    """Exit code and lines of a check."""
    command = [BINARY, "fsck", *map(str, args)]
    done = subprocess.run(command, env=clean_env(), capture_output=True, text=True, timeout=120, **how)
    return done.returncode, done.stdout.splitlines(), done.stderr


def found(*args, **how):
    """Exit code, problems and summary."""
    code, lines, errors = fsck("--json", *args, **how)
    assert errors == "", errors
    *problems, last = map(json.loads, lines)
    return code, problems, last["summary"]


def tree(directory):
    """Every file and directory, and what is in it; the lock, which holds nothing, aside."""
    return {str(path): path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest()
            for path in directory.rglob("*") if path.name != "lock"}


def flip(path, at=0):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def furnish(gateway, client):
    client.create_bucket(Bucket="bucket")
    for key, body in BODIES.items():
        client.put_object(Bucket="bucket", Key=key, Body=body)
    upload = client.create_multipart_upload(Bucket="bucket", Key="m/o")["UploadId"]
    parts = [client.upload_part(Bucket="bucket", Key="m/o", UploadId=upload, PartNumber=n, Body=body)["ETag"]
             for n, body in ((1, PART), (2, b"end"))]
    client.complete_multipart_upload(Bucket="bucket", Key="m/o", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(parts, 1)]})
    return gateway.data / "objects"


def test_a_sound_store_and_one_that_is_served(tmp_path):
    with Gateway(tmp_path / "g") as gateway:
        store = furnish(gateway, s3(gateway))
        before = tree(store)
        for args in ([], ["--repair"], ["--json"]):
            code, lines, errors = fsck(*args, store)
            assert (code, lines) == (2, []) and "another process" in errors, errors
        assert tree(store) == before
        assert s3(gateway).get_object(Bucket="bucket", Key="k")["Body"].read() == b"small"
    for args in ([store], ["--data", gateway.data], ["--config", gateway.config_file, "--data", gateway.data], ["--repair", store]):
        code, problems, summary = found(*args)
        assert (code, problems) == (0, [])
        assert (summary["buckets"], summary["objects"], summary["parts"]) == (1, 5, 2)
        assert summary["bytes"] == sum(map(len, BODIES.values())) + len(PART) + 3
    assert tree(store) == before
    code, lines, _ = fsck(store)
    assert code == 0 and len(lines) == 1 and lines[0].endswith("sound")


def test_what_is_no_store_is_not_touched(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("x")
    for path in ("other", "nowhere"):
        code, lines, errors = fsck("--repair", tmp_path / path)
        assert (code, lines) == (2, []) and path in errors, errors
    assert [path.name for path in tmp_path.rglob("*")] == ["other", "file"]


def test_damage_is_told_and_repaired(tmp_path):
    with Gateway(tmp_path / "g") as gateway:
        store = furnish(gateway, s3(gateway))
    bucket = store / "buckets/bucket"
    flip(bucket / "objects/large@", 2_500_000)
    parts = next((bucket / "parts").iterdir())
    flip(parts / "1", 4_000_000)
    (bucket / "objects/k@").rename(bucket / "objects/j@")
    (bucket / "tmp" / ("0" * 32)).write_bytes(b"x")
    (bucket / "uploads").rmdir()
    (bucket / "objects/.DS_Store").write_bytes(b"x")
    before = tree(store)
    code, problems, _ = found(store)
    assert code == 1 and tree(store) == before
    told = {(problem["kind"], problem["path"].removeprefix("buckets/bucket/"), problem["key"]) for problem in problems}
    assert told == {
        ("damaged", "objects/large@", "large"),
        ("damaged", f"parts/{parts.name}/1", "m/o"),
        ("misplaced", "objects/j@", "k"),
        ("leftover", "tmp/" + "0" * 32, None),
        ("missing", "uploads", None),
        ("foreign", "objects/.DS_Store", None),
    }
    code, lines, errors = fsck(store)
    assert code == 1 and len(lines) == 7 and errors == ""
    assert any("s3://bucket/m/o" in line and "block 3" in line for line in lines), lines

    code, problems, summary = found("--repair", store)
    assert code == 1 and summary["repaired"] == 4
    assert {problem["kind"] for problem in problems if not problem["repaired"]} == {"misplaced", "foreign"}
    aside = {path.name: path for path in (store / "damaged/bucket").rglob("*") if path.is_file()}
    assert aside.keys() == {"large@", "o@", "1", "2"}
    # What a person can put right is put right by hand.
    (bucket / "objects/j@").rename(bucket / "objects/k@")
    (bucket / "objects/.DS_Store").unlink()
    assert found(store)[0] == 0
    with Gateway(tmp_path / "g") as gateway:
        client = s3(gateway)
        keys = [entry["Key"] for entry in client.list_objects_v2(Bucket="bucket")["Contents"]]
        assert keys == sorted(BODIES.keys() - {"large"})
        for key in keys:
            assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == BODIES[key]
            client.delete_object(Bucket="bucket", Key=key)
        client.delete_bucket(Bucket="bucket")


def test_what_cannot_be_read_is_neither(tmp_path):
    with Gateway(tmp_path / "g") as gateway:
        store = furnish(gateway, s3(gateway))
        s3(gateway).put_object(Bucket="bucket", Key="/".join("abcdefghijklmno"), Body=b"deep")
    before = tree(store)
    # Descriptors for some of its directories, and not for all.
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    code, problems, _ = found("--repair", store, preexec_fn=few)
    assert code == 2 and {problem["kind"] for problem in problems} == {"unreadable"}, problems
    assert tree(store) == before and found(store)[0] == 0


def test_progress_is_for_terminals(tmp_path):
    with Gateway(tmp_path / "g") as gateway:
        store = furnish(gateway, s3(gateway))
    master, slave = pty.openpty()
    env = clean_env(TERM="xterm")
    with subprocess.Popen([BINARY, "fsck", store], env=env, stdout=subprocess.PIPE, stderr=slave, text=True) as running:
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 4096):
                shown += piece
        except OSError:
            pass
        assert running.stdout.read().count("\n") == 1
    assert running.returncode == 0
    assert b"% " in shown and b" read, " in shown and b"objects" in shown, shown


def test_scrubbing_finds_what_nobody_asked_for(tmp_path):
    quick = "[disk]\nscrub_bytes_per_second = 1000000000\n"
    log = f'[audit]\noutput = {{ file = "{tmp_path}/audit.jsonl" }}\n'
    with Gateway(tmp_path / "g", quick + log) as gateway:
        store = furnish(gateway, s3(gateway))
    part = next((store / "buckets/bucket/parts").iterdir()) / "1"
    flip(store / "buckets/bucket/objects/k@")
    flip(part, 2_000_000)
    with gateway:
        wait(lambda: metric(gateway, "portcullis_disk_scrub_passes_total") == 1)
        assert metric(gateway, 'portcullis_disk_faults_total{kind="damaged"}') == 2
        assert metric(gateway, "portcullis_disk_scrub_bytes_total") > 4_000_000
        assert metric(gateway, "portcullis_disk_scrub_completed_seconds") > 1_000_000_000
        for path in ("buckets/bucket/objects/k@", str(part.relative_to(store))):
            assert path in gateway.log()
            wait(lambda: path in (tmp_path / "audit.jsonl").read_text())
        with pytest.raises(botocore.exceptions.ClientError):
            s3(gateway).get_object(Bucket="bucket", Key="k")
        assert s3(gateway).get_object(Bucket="bucket", Key="d/e f/ä")["Body"].read() == b"deep"
