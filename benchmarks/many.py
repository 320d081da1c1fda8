"""Buckets with very many objects. They are written as files, in the form that FORMAT.md of the disk backend says, because a million
PUTs take long."""

import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import struct
import subprocess
import time
import urllib.parse

import load
import servers
from load import Connection
from report import BINARY, SECONDS, row, signer

FLAT, PREFIXES, EACH = 1_000_000, 1_000, 200
PAGE = 1000


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def record(key):
    """An object without bytes: only its footer."""
    text = json.dumps({"key": key, "size": 0, "etag": hashlib.md5(b"").hexdigest(), "modified": 1_790_000_000_000_000_000}, separators=(",", ":")).encode()
    footer = text + b"PORTCUL1" + struct.pack("<QII", 0, 0, len(text))
    return footer + struct.pack("<I", crc32c(footer)) + bytes(4)


def write(objects, keys):
    for key in keys:
        path = objects / f"{key}@"
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(descriptor, record(key))
        os.close(descriptor)


def fill(objects, keys, directories=()):
    for name in directories:
        (objects / name).mkdir(mode=0o700)
    shares = [keys[n::2] for n in range(2)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.starmap(write, [(objects, share) for share in shares])


def with_buckets(directory, *buckets):
    """A server, and the directories of its buckets' objects."""
    server = servers.gateway(BINARY, directory)
    connection = Connection(server.plain)
    for bucket in buckets:
        if connection.ask(load.signed(signer(), "PUT", server.plain, f"/{bucket}"))[0] != 200:
            raise SystemExit("a bucket cannot be made")
    return server, [directory / "data" / "objects" / "buckets" / bucket / "objects" for bucket in buckets]


def listed(server, query):
    """A signed request for a page."""
    canonical = "&".join(f"{name}={urllib.parse.quote(query[name], safe='-_.~')}" for name in sorted(query))
    headers = signer().headers("GET", server.host, "/bench", query=canonical)
    return load.render("GET", server.host, f"/bench?{canonical}", headers)


def pages(server, queries, whole):
    """Seconds of the server's CPU for each page; every page has as many entries as `whole` says."""
    with load.on_client_core():
        connection, before, count, ended = Connection(server.plain), server.cpu(), 0, time.monotonic() + 8 * SECONDS
        while (server.cpu() - before < SECONDS or count < 3) and time.monotonic() < ended:
            status, body = connection.ask(listed(server.plain, next(queries)))
            if status != 200 or not whole(body):
                raise SystemExit(f"{status} {body[:300]}")
            count += 1
        return (server.cpu() - before) / count


def once(server, queries, whole):
    """Seconds of the server's CPU for one page."""
    before = server.cpu()
    status, body = Connection(server.plain).ask(listed(server.plain, next(queries)))
    if status != 200 or not whole(body):
        raise SystemExit(f"{status} {body[:300]}")
    return server.cpu() - before


def of_page(body):
    return body.count(b"<Key>") == PAGE


def anywhere(keys):
    """Pages at random."""
    luck = random.Random(1)
    while True:
        yield {"list-type": "2", "start-after": keys[luck.randrange(len(keys) - PAGE - 1)]}


def listing(directory):
    # The policy of the benchmarks lets its user list this bucket.
    keys = [f"{prefix:04}/{n:06}" for prefix in range(PREFIXES) for n in range(EACH)]
    server, [objects] = with_buckets(directory, "bench")
    try:
        fill(objects, keys, [f"{n:04}" for n in range(PREFIXES)])
        row(f"pages of {PAGE:,} keys a second of CPU, {len(keys):,} nested keys", 1 / pages(server, anywhere(keys), of_page), 150)
        roots = iter(lambda: {"list-type": "2", "delimiter": "/"}, None)
        each = pages(server, roots, lambda body: body.count(b"<CommonPrefixes>") == PREFIXES)
        row(f"delimiter listing at the root of {len(keys):,} keys in {PREFIXES:,} prefixes, CPU", each * 1000, 5, " ms", most=True)
    finally:
        server.stop()


def again(directory):
    (directory / "stderr").write_text("")
    return servers.gateway(BINARY, directory, patience=1200)


def million(directory):
    """One flat directory: its pages, and a start with it and an open upload."""
    server, [objects] = with_buckets(directory, "bench")
    keys = [f"{n:07}" for n in range(FLAT)]
    fill(objects, keys)
    headers = signer().headers("POST", server.plain.host, "/bench/upload", query="uploads=")
    status, body = Connection(server.plain).ask(load.render("POST", server.plain.host, "/bench/upload?uploads=", headers))
    server.stop()
    if status != 200:
        raise SystemExit(body)
    server, queries = again(directory), anywhere(keys)
    try:
        # Its names are read with the first page; each page at random is seen for the first time, or once more.
        print(f"  the first page: {once(server, queries, of_page):.2f} s of CPU")
        each = pages(server, queries, of_page)
        row(f"pages of {PAGE:,} keys a second of CPU, one flat directory of {FLAT:,} keys", 1 / each, 150)
    finally:
        server.stop()
    subprocess.run(["sync"], check=True)
    for what in ("cold", "warm"):
        if what == "cold":
            try:
                pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
            except OSError as error:
                print(f"  the page cache cannot be dropped ({error}): the first start is a warm one")
        began = time.monotonic()
        server = again(directory)
        row(f"start with {FLAT:,} objects and an open upload, {what}", time.monotonic() - began, 1, " s", most=True)
        server.stop()
