"""T6 to T9: bodies that are not what was signed or announced. The upstream never has such an object,
nor one byte that was not verified; on disk, what was there before is there still."""

import base64
import hashlib
import os
import zlib

import pytest

from harness import raw
from harness.clients import s3
from harness.spying import OPERATIONS, agree

# One letter a chunk, so that whose bytes went through is seen in what arrived. Capitals are in no signature.
CHUNKS = [bytes([letter]) * 65536 for letter in b"ABCD"] + [b"E" * 1000]
WHOLE = b"".join(CHUNKS)
SMALL = b"some bytes of an object"


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def flip(data, at=0):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def change(index, part, value):
    """A chunk's size line (0) or data (1) changed."""
    def tamper(pieces):
        pieces[index][part] = value(pieces[index][part])
    return tamper


def swap(one, other, part=None):
    def tamper(pieces):
        for at in (0, 1) if part is None else (part,):
            pieces[one][at], pieces[other][at] = pieces[other][at], pieces[one][at]
    return tamper


def move_a_byte(pieces):
    """Both chunks have other bytes, the body the same."""
    for at, data in ((1, pieces[1][1] + pieces[2][1][:1]), (2, pieces[2][1][1:])):
        pieces[at] = [f"{len(data):x}".encode() + pieces[at][0][pieces[at][0].index(b";"):], data]


# The attack, and the first chunk that must not go through.
CHAIN = {
    "flip a byte of the first chunk": (change(0, 1, flip), 0),
    "flip a byte": (change(1, 1, lambda data: flip(data, 100)), 1),
    "flip the last byte": (change(4, 1, lambda data: flip(data, -1)), 4),
    "swap two chunks": (swap(1, 2), 1),
    "swap the data of two": (swap(1, 2, 1), 1),
    "swap the signatures of two": (swap(1, 2, 0), 1),
    "drop a chunk": (lambda pieces: pieces[:2] + pieces[3:], 2),
    "drop the first": (lambda pieces: pieces[1:], 0),
    "send a chunk twice": (lambda pieces: pieces[:2] + pieces[1:], 2),
    "use the previous signature again": (lambda pieces: pieces[:2] + [[pieces[1][0], pieces[2][1]]] + pieces[3:], 2),
    "move a byte to the next chunk": (move_a_byte, 1),
    "forge a signature": (change(1, 0, lambda line: line[:-1] + (b"0" if line[-1:] != b"0" else b"1")), 1),
    "a signature in capitals": (change(1, 0, lambda line: line[:-64] + line[-64:].upper()), 1),
    "a shorter signature": (change(1, 0, lambda line: line[:-1]), 1),
    "no signature": (change(1, 0, lambda line: line.split(b";")[0]), 1),
    "forge the zero chunk": (change(5, 0, lambda line: line[:-4] + b"0000"), 5),
    "no signature on the zero chunk": (change(5, 0, lambda line: b"0"), 5),
}


@pytest.mark.parametrize("attack", CHAIN)
def test_t06_chunk_chain_tampering(spied, spy, attack):
    tamper, first_bad = CHAIN[attack]
    arrived = spy.passes(raw.chunked(spied, "/bucket/key", CHUNKS))
    assert all(bytes([letter]) * 1000 in arrived.body for letter in b"ABCDE")
    seen = spy.refuses_upload(raw.chunked(spied, "/bucket/key", CHUNKS, tamper=tamper), "SignatureDoesNotMatch", statuses=(403,))
    for letter in b"ABCDE"[first_bad:]:
        assert bytes([letter]) * 8 not in seen, attack


def test_t06_a_chain_begins_with_its_own_request(spied, spy):
    """Chunks that were signed for another request, whole and in order."""
    spy.passes(raw.chunked(spied, "/bucket/key", CHUNKS))
    *_, others, lines = raw.chunked_parts(spied, "/bucket/key", CHUNKS, headers=[("x-amz-meta-other", "1")])
    seen = spy.refuses_upload(raw.chunked(spied, "/bucket/key", CHUNKS, tamper=lambda _: others), "SignatureDoesNotMatch", statuses=(403,))
    assert b"AAAA" not in seen


def test_t06_verified_chunks_flow_and_others_wait(spied, spy):
    """The upstream has the first chunks before the last one was sent: nothing is gathered whole, and
    the refusal still comes before the end."""
    _, head, pieces, lines = raw.chunked_parts(spied, "/bucket/key", CHUNKS)
    pieces[3][1] = flip(pieces[3][1])
    body = raw.chunked_body(pieces, lines)
    cut = body.index(b"D" * 8)
    with raw.Connection(spied) as connection:
        connection.send(raw.render(spied, "PUT", "/bucket/key", headers=[*head, ("content-length", len(body))]) + body[:cut])
        spy.wait(lambda: spy.arrived and b"A" * 8 in spy.arrived[0].body and b"B" * 8 in spy.arrived[0].body)
        connection.send(body[cut:])
        seen = spy.refuses_upload(connection.answer(), "SignatureDoesNotMatch", statuses=(403,))
    assert b"D" * 8 not in seen and b"E" * 8 not in seen


def longer(line, by=100):
    size, *rest = line.split(b";")
    return b";".join([f"{int(size, 16) + by:x}".encode(), *rest])


ENDS = {
    "no zero chunk": dict(tamper=lambda pieces: pieces[:-1], end=b""),
    "ends in a chunk": dict(tamper=lambda pieces: pieces[:-2] + [[pieces[-2][0], pieces[-2][1][:500]]], end=b""),
    "the last chunk says more than follows": dict(tamper=lambda pieces: pieces[:-2] + [[longer(pieces[-2][0]), pieces[-2][1]]], end=b""),
    "only a size line": dict(tamper=lambda pieces: [[pieces[0][0], b""]], end=b""),
    "nothing at all": dict(tamper=lambda pieces: [[b"", b""]], end=b""),
    "more was announced": dict(decoded=len(WHOLE) + 1),
    "less was announced": dict(decoded=len(WHOLE) - 1),
    "none was announced": dict(decoded=0),
}


@pytest.mark.parametrize("signed", (True, False), ids=("signed", "unsigned"))
@pytest.mark.parametrize("end", ENDS)
def test_t07_a_body_that_ends_early_or_lies(spied, spy, end, signed):
    send = lambda **how: raw.chunked(spied, "/bucket/key", CHUNKS, signed=signed, trailer=("x-amz-checksum-crc32", crc32(WHOLE)), **how)
    spy.passes(send())
    tamper, how = ENDS[end].get("tamper"), dict(ENDS[end])
    if tamper:
        how["retrail"] = lambda lines: []
    answer = send(**how)
    spy.refuses_upload(answer, "IncompleteBody", "InvalidRequest", "SignatureDoesNotMatch")
    assert answer.code == "IncompleteBody" or end in ("nothing at all", "none was announced"), answer


@pytest.mark.parametrize("signed", (True, False), ids=("signed", "unsigned"))
def test_t07_announced_lengths(spied, spy, signed):
    send = lambda **how: raw.chunked(spied, "/bucket/key", CHUNKS, signed=signed, trailer=("x-amz-checksum-crc32", crc32(WHOLE)), **how)
    spy.passes(send())
    spy.refuses(send(decoded="absent"), "MissingContentLength", statuses=(411,))
    for length in ("+5", "-1", "0x10", "5,5", " ", "1e3", str(2**64), "five"):
        spy.refuses(send(decoded=length), "InvalidArgument", statuses=(400,))
    spy.refuses(send(decoded=6 * 1024**3), "EntityTooLarge", statuses=(400,))
    spy.refuses_upload(send(end=b"\r\ntrailing garbage"), "InvalidRequest", statuses=(400,))


def test_t07_only_the_last_chunk_is_small(spied, spy):
    spy.passes(raw.chunked(spied, "/bucket/key", [b"x" * 8192, b"tiny"]))
    spy.refuses_upload(raw.chunked(spied, "/bucket/key", [b"x" * 8191, b"tiny"]), "InvalidChunkSizeError", statuses=(400, 403))
    spy.refuses_upload(raw.chunked(spied, "/bucket/key", [b"tiny", b"x" * 9000]), "InvalidChunkSizeError", statuses=(400, 403))


@pytest.mark.parametrize("signed", (True, False, None), ids=("signed chunks", "unsigned chunks", "plain"))
def test_t07_a_client_that_goes_away(spied, spy, signed):
    """The connection ends, cleanly or not, before the last byte: the upstream has no object."""
    if signed is None:
        head, body = raw.signed_headers(spied, "PUT", "/bucket/key", body=WHOLE), WHOLE
    else:
        _, head, pieces, lines = raw.chunked_parts(spied, "/bucket/key", CHUNKS, signed=signed, trailer=("x-amz-checksum-crc32", crc32(WHOLE)))
        body = raw.chunked_body(pieces, lines)
    spy.passes(raw.send(spied, "PUT", "/bucket/key", headers=head, body=body))
    ways = [(missing, leave) for missing in (1, 3, 500, 100_000) for leave in ("abort", "close")]
    with spy.events_of(len(ways)):
        for count, (missing, leave) in enumerate(ways, 1):
            with raw.Connection(spied) as connection:
                connection.send(raw.render(spied, "PUT", "/bucket/key", headers=[*head, ("content-length", len(body))]) + body[:-missing])
                # A reset takes what was not read with it: the request must have begun.
                spy.wait(lambda: len(spy.arrived) == count)
                connection.abort() if leave == "abort" else connection.sock.close()
    assert not any(a.whole for a in spy.arrived), spy.arrived
    spy.recorder.clear()


CRC_LINE = f"x-amz-checksum-crc32:{crc32(SMALL)}".encode()
FORGED = b"x-amz-trailer-signature:" + b"0" * 64
TRAILERS = {
    # Announced, sent (its signature is of these), what is done to the lines, codes.
    "a wrong checksum": (None, ("x-amz-checksum-crc32", "AAAAAA=="), None, "BadDigest"),
    "no base64": (None, ("x-amz-checksum-crc32", "junk"), None, "InvalidRequest"),
    "another length": (None, ("x-amz-checksum-crc32", "AAAAAAAA"), None, "InvalidRequest"),
    "empty": (None, ("x-amz-checksum-crc32", ""), None, "InvalidRequest"),
    "another checksum than announced": ("x-amz-checksum-crc32c", ("x-amz-checksum-crc32", crc32(SMALL)), None, "MalformedTrailerError"),
    "metadata is announced": (None, ("x-amz-meta-a", "b"), None, "InvalidRequest"),
    "an ACL is announced": (None, ("x-amz-acl", "public-read"), None, "InvalidRequest"),
    "two are announced": ("x-amz-checksum-crc32,x-amz-checksum-crc32c", ("x-amz-checksum-crc32", crc32(SMALL)), None, "InvalidRequest"),
    "metadata is sent": ("x-amz-checksum-crc32", ("x-amz-meta-a", "b"), None, "MalformedTrailerError"),
    "an ACL is sent": ("x-amz-checksum-crc32", ("x-amz-acl", "public-read"), None, "MalformedTrailerError"),
    "metadata before it": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [b"x-amz-meta-evil:1", *lines], "MalformedTrailerError"),
    "metadata behind it": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [*lines, b"x-amz-meta-evil:1"], "MalformedTrailerError"),
    "twice": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [lines[0], *lines], "MalformedTrailerError"),
    "no colon": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [b"no colon", *lines], "MalformedTrailerError"),
    "a space before the colon": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [lines[0].replace(b":", b" :", 1), *lines[1:]], "MalformedTrailerError"),
    "a bare line feed": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [lines[0] + b"\nx-amz-meta-evil:1", *lines[1:]], "MalformedTrailerError"),
    "folded": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [lines[0], b" folded", *lines[1:]], "MalformedTrailerError"),
    "a line of 1 MiB": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [b"a:" + b"b" * (1 << 20), *lines], "MalformedTrailerError"),
    "ten thousand lines": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [b"a:b"] * 10_000 + lines, "MalformedTrailerError"),
    "not sent": (None, ("x-amz-checksum-crc32", crc32(SMALL)), lambda lines: [], "MalformedTrailerError"),
}


@pytest.mark.parametrize("signed", (True, False), ids=("signed", "unsigned"))
@pytest.mark.parametrize("attack", TRAILERS)
def test_t08_trailer_attacks(spied, spy, attack, signed):
    announced, trailer, retrail, code = TRAILERS[attack]
    arrived = spy.passes(raw.chunked(spied, "/bucket/key", [SMALL], trailer=("x-amz-checksum-crc32", crc32(SMALL)), signed=signed))
    assert not [line for line in arrived.lines if "evil" in line or "x-amz-acl" in line]
    answer = raw.chunked(spied, "/bucket/key", [SMALL], announced=announced, trailer=trailer, retrail=retrail, signed=signed)
    spy.refuses_upload(answer, code, statuses=(400,))


@pytest.mark.parametrize("attack,retrail", {
    "a forged signature": lambda lines: [lines[0], FORGED],
    "a short one": lambda lines: [lines[0], FORGED[:-1]],
    "none": lambda lines: lines[:1],
    "before what it signs": lambda lines: lines[::-1],
    "twice": lambda lines: [*lines, lines[-1]],
}.items())
def test_t08_trailer_signatures(spied, spy, attack, retrail):
    send = lambda **how: raw.chunked(spied, "/bucket/key", [SMALL], trailer=("x-amz-checksum-crc32", crc32(SMALL)), **how)
    spy.passes(send())
    spy.refuses_upload(send(retrail=retrail), "SignatureDoesNotMatch", "MalformedTrailerError")
    # An unsigned trailer has no signature: one that stands there was for something else.
    spy.refuses_upload(send(signed=False, retrail=lambda lines: [*lines, FORGED]), "MalformedTrailerError", statuses=(400,))


def test_t08_a_trailer_signature_covers_the_checksum(spied, spy):
    """Right for the chain and for the trailer that was signed, with another checksum in its place that
    is right for the body: only the signature tells."""
    trailer, wrong = ("x-amz-checksum-crc32", crc32(SMALL)), ("x-amz-checksum-crc32", crc32(b"another body"))
    spy.passes(raw.chunked(spied, "/bucket/key", [SMALL], trailer=trailer))
    answer = raw.chunked(spied, "/bucket/key", [SMALL], trailer=wrong, retrail=lambda lines: [CRC_LINE, lines[1]])
    spy.refuses_upload(answer, "SignatureDoesNotMatch", statuses=(403,))


@pytest.mark.parametrize("size", (23, 400_000))
def test_t09_the_body_is_not_what_was_signed(spied, spy, size):
    body = os.urandom(size)
    hashed = [("x-amz-content-sha256", hashlib.sha256(body).hexdigest())]
    head, link = raw.signed_headers(spied, "PUT", "/bucket/key", body=body), raw.presign(spied, "PUT", "/bucket/key", headers=hashed, payload=hashed[0][1])
    for query, headers in (((), head), (link, hashed)):
        send = lambda sent: raw.send(spied, "PUT", "/bucket/key", query, headers, sent)
        assert spy.passes(send(body)).whole
        for wrong in (flip(body), flip(body, -1), body[:-1], body + b"x", b""):
            spy.refuses_upload(send(wrong), "XAmzContentSHA256Mismatch", statuses=(400,))
    for name, value in (("content-md5", base64.b64encode(hashlib.md5(body).digest()).decode()), ("x-amz-checksum-crc32", crc32(body)),
                        ("x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(body).digest()).decode())):
        put = lambda sent: raw.request(spied, "PUT", "/bucket/key", headers=[(name, value)], body=sent, payload="UNSIGNED-PAYLOAD")
        spy.passes(put(body))
        spy.refuses_upload(put(flip(body)), "BadDigest", statuses=(400,))


def test_t09_documents_are_what_was_signed(spied, spy):
    spy.reply = agree
    for name in ("DeleteObjects", "CompleteMultipartUpload", "PutBucketPolicy", "PutObjectTagging", "PutPublicAccessBlock"):
        method, path, query, headers, body = OPERATIONS[name]
        head = raw.signed_headers(spied, method, path, query, headers, body)
        spy.passes(raw.send(spied, method, path, query, head, body))
        spy.refuses(raw.send(spied, method, path, query, head, body.replace(b"e", b"f", 1)), "XAmzContentSHA256Mismatch", statuses=(400,))


def test_t06_to_t09_what_was_there_before_stays(disk):
    """The same attacks on the disk: neither the object nor a part of it changes, and no new one comes to be."""
    client = s3(disk)
    client.create_bucket(Bucket="untouched")
    client.put_object(Bucket="untouched", Key="key", Body=b"before")
    upload = client.create_multipart_upload(Bucket="untouched", Key="parts")["UploadId"]
    before = client.upload_part(Bucket="untouched", Key="parts", UploadId=upload, PartNumber=1, Body=b"before")["ETag"]
    crc = ("x-amz-checksum-crc32", crc32(WHOLE))

    def attacks(path, query):
        for tamper, _ in CHAIN.values():
            yield raw.chunked(disk, path, CHUNKS, tamper=tamper, query=query)
        for how in ENDS.values():
            yield raw.chunked(disk, path, CHUNKS, trailer=crc, signed=False, query=query, retrail=(lambda _: []) if "tamper" in how else None, **how)
        for announced, trailer, retrail, _ in TRAILERS.values():
            yield raw.chunked(disk, path, [SMALL], announced=announced, trailer=trailer, retrail=retrail, query=query)
        head = raw.signed_headers(disk, "PUT", path, query, body=WHOLE)
        yield raw.send(disk, "PUT", path, query, head, flip(WHOLE, -1))

    for path, query in (("/untouched/key", []), ("/untouched/new", []), ("/untouched/parts", [("partNumber", "1"), ("uploadId", upload)])):
        for answer in attacks(path, query):
            assert answer.status in (400, 403), answer
    assert client.get_object(Bucket="untouched", Key="key")["Body"].read() == b"before"
    assert [o["Key"] for o in client.list_objects_v2(Bucket="untouched")["Contents"]] == ["key"]
    assert [p["ETag"] for p in client.list_parts(Bucket="untouched", Key="parts", UploadId=upload)["Parts"]] == [before]
    # The positive twin: the same bodies, as they were signed.
    assert raw.chunked(disk, "/untouched/key", CHUNKS).status == 200
    assert client.get_object(Bucket="untouched", Key="key")["Body"].read() == WHOLE


def upload_parts(spied, spy, pieces, header="x-amz-checksum-crc32", sum_of=crc32):
    """An upload in parts to a store without checksums, of which each part has one."""
    spy.reply = agree
    for number, piece in enumerate(pieces, 1):
        query = [("partNumber", str(number)), ("uploadId", "u")]
        headers = [(header, sum_of(piece))] if header else []
        assert raw.request(spied, "PUT", "/bucket/key", query, headers, piece).status == 200
    spy.recorder.settle()
    spy.recorder.clear()


def completed(spied, sums, headers=(), element="ChecksumCRC32", etags=None, upload="u"):
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{(etags or {}).get(n, 'e')}</ETag>" + (f"<{element}>{s}</{element}>" if s else "") + "</Part>"
                    for n, s in enumerate(sums, 1))
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    return raw.request(spied, "POST", "/bucket/key", [("uploadId", upload)], headers, body)


def test_t09_checksums_of_parts_that_a_store_does_not_keep(spied, spy):
    """What cannot be passed on is compared here: a CompleteMultipartUpload that says otherwise never gets there."""
    one, two = b"first part", b"second part, longer"
    upload_parts(spied, spy, [one, two])
    good, wrong = [crc32(one), crc32(two)], crc32(b"other")
    for sums in ([wrong, good[1]], [good[0], wrong], [good[1], good[0]], [None, wrong]):
        spy.refuses(completed(spied, sums), "InvalidPart", statuses=(400,))
    # Not of another tag, upload or algorithm.
    spy.refuses(completed(spied, good, etags={2: "f"}), "InvalidPart", statuses=(400,))
    spy.refuses(completed(spied, good, upload="v"), "InvalidPart", statuses=(400,))
    spy.refuses(completed(spied, [base64.b64encode(hashlib.sha256(p).digest()).decode() for p in (one, two)], element="ChecksumSHA256"), "InvalidPart", statuses=(400,))
    # Of the whole: of its bytes, or of its parts' checksums.
    full = [("x-amz-checksum-crc32", crc32(one + two)), ("x-amz-checksum-type", "FULL_OBJECT")]
    joined = b"".join(base64.b64decode(s) for s in good)
    composite = lambda count: [("x-amz-checksum-crc32", f"{crc32(joined)}-{count}"), ("x-amz-checksum-type", "COMPOSITE")]
    for headers in ([("x-amz-checksum-crc32", wrong)], [("x-amz-checksum-crc32", crc32(two + one))], composite(3), [("x-amz-checksum-crc32", f"{wrong}-2")]):
        spy.refuses(completed(spied, good, headers), "BadDigest", statuses=(400,))
    # What no part was verified by cannot be told.
    spy.refuses(completed(spied, good, [("x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(one + two).digest()).decode())]), "NotImplemented", statuses=(501,))
    for sums, headers in ((good, []), ([None, None], []), ([None, good[1]], []), (good, full), (good, composite(2)), ([None, None], full)):
        spy.reply = agree
        spy.passes(completed(spied, sums, headers))
    # Of who says nothing of parts the whole is known by what S3 computes.
    upload_parts(spied, spy, [one, two], header=None)
    spy.refuses(completed(spied, good), "InvalidPart", statuses=(400,))
    spy.refuses(completed(spied, [None, None], [("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")]), "BadDigest", statuses=(400,))


@pytest.mark.parametrize("payload", ["UNSIGNED-PAYLOAD", None])
def test_t05_a_framed_body_is_not_taken_for_a_plain_one(spied, spy, payload):
    """Its headers say that it is framed, its payload mode that it is not: the framing would be stored."""
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMALL), SMALL)
    framing = ("content-encoding", "aws-chunked")
    for headers in ([framing, ("x-amz-decoded-content-length", str(len(SMALL)))],
                    [("content-encoding", "gzip, AWS-chunked"), ("x-amz-decoded-content-length", str(len(framed)))]):
        for query in ([], [("partNumber", "1"), ("uploadId", "u")]):
            answer = raw.request(spied, "PUT", "/bucket/framed", query, headers, framed, payload=payload)
            spy.refuses(answer, "InvalidRequest", statuses=(400,))
    spy.reply = agree
    # The length alone says nothing of a frame.
    for headers in ([], [("x-amz-decoded-content-length", str(len(framed)))], [("x-amz-decoded-content-length", str(len(SMALL)))]):
        spy.passes(raw.request(spied, "PUT", "/bucket/plain", (), headers, framed, payload=payload))
