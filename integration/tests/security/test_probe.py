"""T103: `check-config --probe` says what a store makes of keys, checksums and conditions, and which setting is
right. The stores here do each of it in one way or the other; moto and Ceph are themselves."""

import base64
import posixpath
import re
import subprocess
import unicodedata
import urllib.parse
import zlib

import pytest

from harness.clients import s3
from harness.gateway import BINARY, clean_env, upstream
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET

STAMP = "<LastModified>2026-11-24T00:00:00.000Z</LastModified>"


class Store:
    """Keeps objects under `canon(key)`."""

    def __init__(self, recorder, canon=lambda key: key, checksums=False, conditions=True):
        self.objects, self.canon, self.checksums, self.conditions, self.asked = {}, canon, checksums, conditions, []
        recorder.reply = self.reply

    def reply(self, head, body):
        method, target = head.decode().split(" ")[:2]
        lines = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        path, _, query = target.partition("?")
        if path == "/bucket":
            prefix = dict(urllib.parse.parse_qsl(query))["prefix"]
            entries = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag>{STAMP}</Contents>" for key in self.objects if key.startswith(prefix))
            return Recorder.answer(f"<ListBucketResult>{entries}<IsTruncated>false</IsTruncated></ListBucketResult>".encode())
        written = urllib.parse.unquote(path).removeprefix("/bucket/")
        self.asked.append(written)
        key = self.canon(written)
        if key is None:
            return self.error("400 Bad Request", "InvalidArgument")
        there = key in self.objects
        etag = lines.get("if-match")
        if method in ("PUT", "DELETE") and self.conditions and ((lines.get("if-none-match") == "*" and there) or (etag and etag != '"e"')):
            return self.error("412 Precondition Failed", "PreconditionFailed")
        if method == "PUT":
            given = re.search(rb"x-amz-checksum-crc32: (\S+)", head, re.I)
            given = given and given.group(1).decode()
            if self.checksums and given and given != base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode():
                return self.error("400 Bad Request", "BadDigest")
            self.objects[key] = (body, given if self.checksums else None)
            return Recorder.answer(headers=['etag: "e"'])
        if method == "DELETE":
            self.objects.pop(key, None)
            return Recorder.answer(status="204 No Content")
        if not there:
            return self.error("404 Not Found", "NoSuchKey", method == "HEAD")
        body, checksum = self.objects[key]
        headers = ['etag: "e"', *([f"x-amz-checksum-crc32: {checksum}"] if checksum else [])]
        return Recorder.answer(b"" if method == "HEAD" else body, headers=headers)

    @staticmethod
    def error(status, code, head=False):
        return Recorder.answer(b"" if head else f"<Error><Code>{code}</Code></Error>".encode(), status)


def squeeze(key):
    """As stores do that keep objects as files."""
    return re.sub("/+", "/", key).lstrip("/")


def probe(directory, url, extra="", bucket="bucket", key=UPSTREAM_KEY, secret=UPSTREAM_SECRET, routes=""):
    config, env = upstream("store", url, key, secret, extra)
    file = directory / "probe.toml"
    file.write_text(routes + config)
    return subprocess.run([BINARY, "check-config", str(file), "--probe", bucket], env=clean_env(**env), capture_output=True, text=True, timeout=120)


def lines(done, word):
    return [line for line in done.stdout.splitlines() if word in line]


CASES = {
    # What the store is, how it is configured, the status, and marks of lines that are found by a word.
    "exact": (dict(), 'keys = "exact"', 0, {"`a//x`": "ok", "`/a`": "ok", "another case": "ok", "NFD": "ok", "checksums": "ok", "If-None-Match": "ok"}),
    "exact, and not told": (dict(), "", 0, {"`a//x`": "note", "`/a`": "note"}),
    "files": (dict(canon=squeeze), "", 0, {"`a//x`": "ok", "`a///x`": "ok", "`/a`": "ok"}),
    "files, told exact": (dict(canon=squeeze), 'keys = "exact"', 1, {"`a//x`": "WRONG", "`/a`": "WRONG"}),
    "trimmed at both ends": (dict(canon=lambda key: squeeze(key).rstrip("/")), 'keys = "trimmed"', 0, {"`x/`": "ok", "`/a`": "ok"}),
    "trimmed at both ends, not told": (dict(canon=lambda key: squeeze(key).rstrip("/")), "", 1, {"`x/`": "WRONG"}),
    "folders, told trimmed": (dict(canon=squeeze), 'keys = "trimmed"', 0, {"`x/`": "note"}),
    "dots": (dict(canon=lambda key: key.rstrip(".")), "", 1, {"a dot at the end": "WRONG"}),
    "parameters": (dict(canon=lambda key: key.partition(";")[0]), "", 1, {"a semicolon": "WRONG"}),
    "trimmed, told exact": (dict(canon=lambda key: key.lstrip("/")), 'keys = "exact"', 1, {"`a//x`": "ok", "`/a`": "WRONG"}),
    "refusing": (dict(canon=lambda key: None if "//" in key or key.startswith("/") else key), 'keys = "exact"', 0, {"`a//x`": "ok", "`/a`": "ok"}),
    "paths": (dict(canon=lambda key: posixpath.normpath("/" + key)[1:] if key else key), "", 1, {"`a/./x`": "ok", "`b/../x`": "ok", "`x/`": "WRONG"}),
    "case": (dict(canon=str.lower), "", 1, {"another case": "WRONG", "NFD": "ok"}),
    "NFC": (dict(canon=lambda key: unicodedata.normalize("NFC", key)), "", 1, {"NFD": "WRONG", "(NFC)": "WRONG", "another case": "ok"}),
    "decoded twice": (dict(canon=urllib.parse.unquote), "", 1, {"an escape": "WRONG"}),
    "backslashes": (dict(canon=lambda key: key.replace("\\", "/")), "", 1, {"a backslash": "WRONG"}),
    "checksums": (dict(checksums=True), 'checksums = true\nkeys = "exact"', 0, {"checksums": "ok"}),
    "checksums, not told": (dict(checksums=True), "", 0, {"checksums": "note"}),
    "no checksums, told so": (dict(), "checksums = true", 1, {"checksums": "WRONG"}),
    "no conditions": (dict(conditions=False), "", 0, {"If-None-Match": "note", "must replace": "note", "a deletion": "note"}),
}


@pytest.mark.parametrize("name", CASES)
def test_t103_a_probe_says_what_a_store_does(work, recorder, name):
    how, extra, status, marks = CASES[name]
    store = Store(recorder, **how)
    store.objects["other"] = (b"somebody's", None)
    try:
        done = probe(work, recorder.url, extra)
        recorder.settle()
        assert done.returncode == status, (done.stdout, done.stderr)
        for word, mark in marks.items():
            assert [line.split()[0] for line in lines(done, word)] == [mark], (word, done.stdout)
        assert ("does not keep" in done.stderr) == bool(status)
        assert UPSTREAM_SECRET not in done.stdout + done.stderr
        # It leaves nothing, and touches nothing of others'.
        assert set(store.objects) == {"other"}
        prefixes = {re.search("portcullis-probe-[0-9a-f]{32}", key, re.I).group(0) for key in store.asked}
        assert len(prefixes) == 1
    finally:
        recorder.reply = recorder.empty
        recorder.clear()


def test_t103_a_probe_stays_in_its_route(work, recorder):
    store = Store(recorder)
    routes = '[[routes]]\nbucket = "mine"\nbackend = "store"\nrename = "bucket"\nkey_prefix = "tenant/"\n[[routes]]\nbucket = "bucket"\nbackend = "disk"\n'
    try:
        done = probe(work, recorder.url, bucket="mine", routes=routes)
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert all(key.lstrip("/").startswith("tenant/portcullis-probe-") for key in store.asked), store.asked
        # No store, no bucket, no answer.
        for bucket, why in (("nowhere_", "bucket"), ("bucket", "no route leads")):
            done = probe(work, recorder.url, bucket=bucket, routes=routes)
            assert done.returncode == 1 and why in done.stderr, done.stderr
        done = probe(work, "http://127.0.0.1:9")
        assert done.returncode == 1 and "cannot be asked" in done.stderr, done.stderr
        recorder.reply = lambda head, body: Recorder.answer(b"<Error><Code>AccessDenied</Code></Error>", "403 Forbidden")
        done = probe(work, recorder.url)
        assert done.returncode == 1 and "cannot be" in done.stderr and not done.stdout, done.stderr
    finally:
        recorder.reply = recorder.empty
        recorder.clear()


def test_t103_a_probe_of_real_stores(work, disk):
    """Portcullis itself keeps keys exactly, refuses no segment on disk, and keeps checksums and conditions."""
    from harness.gateway import ROOT_KEY, ROOT_SECRET
    s3(disk).create_bucket(Bucket="probed")
    told = f'ca = "{disk.ca}"\nkeys = "exact"\nchecksums = true'
    done = probe(work, disk.url, told, "probed", ROOT_KEY, ROOT_SECRET)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"} and len(done.stdout.splitlines()) == 18, done.stdout
    assert "Contents" not in s3(disk).list_objects_v2(Bucket="probed")
