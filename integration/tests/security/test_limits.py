"""T89 and T94: what a request may cost before somebody is known to have sent it, and how large one may be."""

import base64
import pathlib
import time
import zlib

import pytest

from harness import h2, raw
from harness.spying import DELETE, UPLOAD, agree

BODY = b"some bytes of an object"
HUGE = 5 * 1000**3


def resident(gateway):
    """KiB in memory."""
    status = pathlib.Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


REFUSED = {
    # Who asks, what is sent, what is answered.
    "nobody": (dict(), [("content-length", HUGE)], 403, "AccessDenied"),
    "nobody, of unknown length": (dict(), [("transfer-encoding", "chunked")], 403, "AccessDenied"),
    "an unknown key": (dict(key="AKIAUNKNOWNUNKNOWN00"), [("content-length", HUGE)], 403, "InvalidAccessKeyId"),
    "a forged signature": (dict(secret="forged"), [("content-length", HUGE)], 403, "SignatureDoesNotMatch"),
    "a forged signature of a hash": (dict(secret="forged", payload="0" * 64), [("content-length", HUGE)], 403, "SignatureDoesNotMatch"),
    "a forged signature of chunks": (dict(secret="forged", payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD", headers=[("x-amz-decoded-content-length", str(HUGE))]),
                                     [("content-length", HUGE)], 403, "SignatureDoesNotMatch"),
    "an old signature": (dict(date=raw.amz_now(-3600)), [("content-length", HUGE)], 403, "RequestTimeTooSkewed"),
    "more than may be": (dict(payload="UNSIGNED-PAYLOAD"), [("content-length", 6 * 1024**3)], 400, "EntityTooLarge"),
    "more than may be, decoded": (dict(payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER", headers=[("x-amz-decoded-content-length", str(6 * 1024**3)),
                                                                                              ("x-amz-trailer", "x-amz-checksum-crc32")]), [("content-length", HUGE)], 400, "EntityTooLarge"),
    "no length": (dict(payload="UNSIGNED-PAYLOAD"), [("transfer-encoding", "chunked")], 411, "MissingContentLength"),
}


def all_refused(gateway, spy, messages):
    """Sends each on a connection of its own, all at once; gives the answers."""
    connections, answers = [raw.Connection(gateway) for _ in messages], []
    for connection, (message, _, _) in zip(connections, messages):
        connection.send(message)
    for connection in connections:
        answers.append(connection.answer())
    grown = resident(gateway)
    for connection in connections:
        connection.sock.close()
    for answer, (_, code, status) in zip(answers, messages):
        assert answer.interim == [], answer
        spy.refuses(answer, code, statuses=(status,))
    return answers, grown


def put(gateway, case, more):
    how, framing, status, code = REFUSED[case]
    headers = [] if case.startswith("nobody") else raw.signed_headers(gateway, "PUT", "/bucket/key", **{"payload": "UNSIGNED-PAYLOAD", **how})
    return raw.render(gateway, "PUT", "/bucket/key", headers=[*headers, *framing, *more]), code, status


def test_t89_a_refusal_reads_no_body(spied, spy):
    """Decided from the head: a client that waits to be told to go on is not."""
    answers, _ = all_refused(spied, spy, [put(spied, case, [("expect", "100-continue")]) for case in REFUSED])
    assert all(spy.event(answer)["bytes_in"] == 0 for answer in answers)
    spy.passes(raw.request(spied, "PUT", "/bucket/key", body=BODY))


def test_t89_a_refusal_costs_little_memory(spied, spy):
    """One that sends all the same, and many at once: what is kept of them is little."""
    chunk = b"x" * 100_000
    body = lambda case: b"%x\r\n%s\r\n" % (len(chunk), chunk) if dict(REFUSED[case][1]).get("transfer-encoding") else chunk
    messages = [(head + body(case), code, status) for case in REFUSED for head, code, status in [put(spied, case, [])] * 8]
    before = resident(spied)
    _, after = all_refused(spied, spy, messages)
    # The buffers of a TLS connection among them.
    assert after - before < len(messages) * 256, f"{after - before} KiB"


def test_t89_documents_are_not_read_for_those_who_may_not(spied, spy):
    spy.reply = agree
    document, messages = b"<Delete>" + b"<Object><Key>key</Key></Object>" * 1000 + b"</Delete>", []
    spy.passes(raw.request(spied, "POST", "/bucket", [("delete", "")], body=document))
    waits = lambda method, path, query, headers, length: raw.render(spied, method, path, query, [*headers, ("content-length", length), ("expect", "100-continue")])
    for method, path, query, code in (("POST", "/bucket", [("delete", "")], "MaxMessageLengthExceeded"), ("PUT", "/bucket", [("policy", "")], "MalformedPolicy"),
                                      ("POST", "/bucket/key", UPLOAD, "MaxMessageLengthExceeded"), ("PUT", "/bucket", [], "MaxMessageLengthExceeded"), ("PUT", "/bucket/key", [("tagging", "")], "MaxMessageLengthExceeded")):
        signed = lambda **how: raw.signed_headers(spied, method, path, query, body=document, **how)
        messages += [(waits(method, path, query, headers, len(document)), why, 403) for headers,
                     why in ((signed(secret="forged"), "SignatureDoesNotMatch"), (signed(key="AKIAUNKNOWNUNKNOWN00"), "InvalidAccessKeyId"), ([], "AccessDenied"))]
        # Nor beyond what a document may be, for anybody.
        messages.append((waits(method, path, query, signed(), 100 * 1024**2), code, 400))
    all_refused(spied, spy, messages)


def test_t89_refusals_are_quick(spied, spy):
    """Loosely, since the machine has other things to do: most of many are decided in a fraction of a millisecond."""
    times = []
    for n in range(100):
        answer = raw.request(spied, "PUT", "/bucket/key", body=BODY, key=f"AKIAUNKNOWN{n:04}")
        spy.refuses(answer, "InvalidAccessKeyId", statuses=(403,))
        times.append(spy.event(answer)["admit_us"])
    assert sorted(times)[50] < 1000, sorted(times)


def test_t94_head(spied, spy):
    put = lambda headers=(), extra=(): raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=headers, extra=extra)
    spy.passes(put(extra=[("x-padding", "p" * 7000)]))
    spy.refuses(put(extra=[("x-padding", "p" * 9000)]), "RequestHeaderSectionTooLarge", statuses=(400,))
    spy.refuses(put(extra=[(f"x-{n}", "p" * 50) for n in range(150)]), "RequestHeaderSectionTooLarge", statuses=(400,))
    for many in ([(f"x-{n}", "1") for n in range(1000)], [("x-padding", "p" * 200_000)], [("x" * 9000, "1")]):
        try:
            spy.refuses(put(extra=many), "RequestHeaderSectionTooLarge", "BadRequest", statuses=(400,))
        except OSError:
            pass  # Beyond what is worth an answer.
    spy.recorder.settle()
    assert spy.arrived == []


def test_t94_head_on_http_2(spied, spy):
    """Compressed it is small, and it is as long as without."""
    put = lambda extra: h2.signed(spied, "PUT", "/bucket/key", body=BODY, extra=[("content-length", str(len(BODY))), *extra])
    spy.passes(put([("x-padding", "p" * 7000)]))
    spy.refuses(put([("x-padding", "p" * 8200)]), "RequestHeaderSectionTooLarge", statuses=(400,))
    spy.refuses(put([(f"x-{n}", "p" * 50) for n in range(150)]), "RequestHeaderSectionTooLarge", statuses=(400,))
    spy.refuses(put([("x-a", "1")] * 300), "RequestHeaderSectionTooLarge", statuses=(400,))
    for many in ([("x-padding", "p" * 60_000)], [(f"x-{n}", "") for n in range(3000)]):
        answer = put(many)
        # Beyond what is worth an answer of ours.
        assert answer is None or answer.status in (400, 431), answer
    spy.recorder.settle()
    assert spy.arrived == []


@pytest.mark.parametrize("begun", [b"GET /bucket/key HTTP/1.1\r\nhost: x\r\nx-a: ", b"GET /bucket/", b"GET /bucket/key HTTP/1.1\r\nx: y\r\nx-a: " + (b"a" * 80 + b"\r\nx-a: ") * 100, b"\r\n" * 5000])
def test_t94_a_head_that_does_not_end(spied, spy, begun):
    """It is refused when it is too long, not when it ends, and what stands behind it is no request."""
    behind = raw.signed(spied, "PUT", "/bucket/behind", body=BODY)
    for padding in (b"a" * 8192, b"a" * 8192 + b"\r\n\r\n" + behind, b"a" * 2**20 + b"\r\n\r\n" + behind):
        before = resident(spied)
        with raw.Connection(spied) as connection:
            try:
                connection.send(begun + padding)
                spy.refuses(connection.answer(), "RequestHeaderSectionTooLarge", statuses=(400,))
                assert connection.is_closed()
            except OSError:
                assert len(padding) > 100_000  # Reset while it was still sending.
        assert resident(spied) - before < 4096
    spy.recorder.settle()
    assert spy.arrived == []
    spy.passes(raw.raw(spied, behind))


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_t89_a_query_of_many_keys(spied, spy, version):
    ask = lambda target: h2.request(spied, [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{spied.port}"), (":path", target)]) if version == "2" \
        else raw.send(spied, "GET", "", target=target)
    keys = lambda count: "&".join(f"{n:x}" for n in range(count))
    spy.refuses(ask("/bucket/key?" + keys(1500)), "InvalidArgument", statuses=(400,))
    spy.refuses(ask("/bucket/key?" + keys(100)), "AccessDenied", statuses=(403,))
    spy.refuses(ask("/bucket?" + keys(100)), "NotImplemented", statuses=(501,))
    link = lambda name, count: "&".join(f"{k}={raw.quote(v)}" for k, v in raw.presign(spied, "PUT", "/bucket/key", [(f"{name}{n:x}", "") for n in range(count)]))
    spy.refuses(ask("/bucket/key?" + link("X-Amz-Meta-", 120)), "SignatureDoesNotMatch", statuses=(403,))
    spy.refuses(ask("/bucket/key?" + keys(1500) + "&" + link("", 0)), "InvalidArgument", statuses=(400,))
    try:
        assert (answer := ask("/bucket/key?" + keys(10_000))) is None or answer.status in (400, 431)
    except OSError:
        pass  # Beyond what is worth an answer.
    spy.passes(raw.send(spied, "PUT", "/bucket/key", raw.presign(spied, "PUT", "/bucket/key", [(f"x-amz-meta-{n:x}", "") for n in range(120)]), body=BODY))


def test_t93_one_moved_header_is_one(spied, spy):
    link = lambda query: raw.send(spied, "PUT", "/bucket/key", raw.presign(spied, "PUT", "/bucket/key", query), body=BODY)
    spy.passes(link([("X-Amz-Acl", "private")]))
    spy.refuses(link([("X-Amz-Acl", "private"), ("x-amz-acl", "private")]), "InvalidArgument", statuses=(400,))


def test_t93_tiny_chunks(disk):
    """Right to the byte, and verified."""
    body = bytes(n * 7 % 251 for n in range(100_000))
    checksum = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    put = lambda value: raw.chunked(disk, "/t93-tiny/key", [body[n:n + 1] for n in range(len(body))], signed=False, trailer=("x-amz-checksum-crc32", value))
    assert raw.request(disk, "PUT", "/t93-tiny").status in (200, 409)
    assert put(checksum).status == 200
    assert raw.request(disk, "GET", "/t93-tiny/key").body == body
    assert raw.request(disk, "DELETE", "/t93-tiny/key").status == 204
    refused = put(base64.b64encode(b"none").decode())
    assert (refused.status, refused.code) == (400, "BadDigest"), refused
    assert raw.request(disk, "GET", "/t93-tiny/key").status == 404


def test_t94_metadata(spied, spy):
    put = lambda headers: raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=headers)
    # Names and values together, without the prefix.
    spy.passes(put([("x-amz-meta-a", "b" * 2047)]))
    spy.refuses(put([("x-amz-meta-a", "b" * 2048)]), "MetadataTooLarge", statuses=(400,))
    spy.passes(put([(f"x-amz-meta-{n:04}", "b" * 60) for n in range(32)]))
    spy.refuses(put([(f"x-amz-meta-{n:04}", "b" * 60) for n in range(33)]), "MetadataTooLarge", statuses=(400,))
    spy.refuses(put([("x-amz-meta-" + "n" * 2048, "b")]), "MetadataTooLarge", statuses=(400,))
    link = lambda value: raw.send(spied, "PUT", "/bucket/key", raw.presign(spied, "PUT", "/bucket/key", [("x-amz-meta-a", value)]), body=BODY)
    spy.passes(link("b" * 2047))
    spy.refuses(link("b" * 2048), "MetadataTooLarge", statuses=(400,))


NUMBERS = {
    "max-keys": ("GET", "/bucket", [], ["0", "1", "1000", "1001", "1000000000", "2147483647"],
                 ["-1", "x", "", "1.5", "+-1", "2147483648", "4294967296", "99999999999", "9" * 100, "0x10", " 1"]),
    "max-uploads": ("GET", "/bucket", [("uploads", "")], ["0", "1000", "1000000000"], ["-1", "x", "4294967296"]),
    "max-parts": ("GET", "/bucket/key", UPLOAD, ["0", "1000", "1000000000"], ["-1", "x", "4294967296"]),
    "part-number-marker": ("GET", "/bucket/key", UPLOAD, ["0", "10000"], ["-1", "x", "65536000000"]),
    "max-buckets": ("GET", "/", [], ["1", "10000"], ["0", "-1", "10001", "x", "4294967297"]),
    "partNumber": ("GET", "/bucket/key", [], ["1"], ["0", "10001", "65537", "-1", "x", ""]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_t94_numbers(spied, spy, name):
    spy.reply = agree
    method, path, query, good, bad = NUMBERS[name]
    for text in good:
        assert raw.request(spied, method, path, [*query, (name, text)]).status == 200, text
        spy.recorder.settle()
        spy.recorder.clear()  # Where none is asked for, no store is asked.
    for text in bad:
        spy.refuses(raw.request(spied, method, path, [*query, (name, text)]), "InvalidArgument", statuses=(400,))


def test_t94_parts_and_lengths(spied, spy):
    spy.reply = agree
    part = lambda number: raw.request(spied, "PUT", "/bucket/key", [("partNumber", number), ("uploadId", "u")], body=BODY)
    for number in ("1", "10000"):
        spy.passes(part(number))
    for number in ("0", "10001", "65537", "-1", "4294967297", "1e3", "x"):
        spy.refuses(part(number), "InvalidArgument", statuses=(400,))
    complete = lambda count: raw.request(spied, "POST", "/bucket/key", UPLOAD,
                                         body=b"<CompleteMultipartUpload>" + b"".join(b"<Part><PartNumber>%d</PartNumber><ETag>e</ETag></Part>" % n for n in range(1,
                                             count + 1)) + b"</CompleteMultipartUpload>")
    spy.passes(complete(10_000))
    spy.refuses(complete(10_001), "MalformedXML", statuses=(400,))
    delete = lambda count: raw.request(spied, "POST", "/bucket", [("delete", "")], body=DELETE.replace(b"<Object><Key>key</Key></Object>", b"<Object><Key>key</Key></Object>" * count))
    spy.passes(delete(1000))
    spy.refuses(delete(1001), "MalformedXML", statuses=(400,))
    spy.passes(raw.request(spied, "GET", "/bucket/" + "k" * 1024))
    spy.refuses(raw.request(spied, "GET", "/bucket/" + "k" * 1025), "KeyTooLongError", statuses=(400,))
    spy.passes(raw.request(spied, "GET", "/bucket/" + "\u00e9" * 512))
    spy.refuses(raw.request(spied, "GET", "/bucket/" + "\u00e9" * 513), "KeyTooLongError", statuses=(400,))
    for size in ("x", "-1", str(2**64)):
        spy.refuses(raw.request(spied, "POST", "/bucket/key", UPLOAD, headers=[("x-amz-mp-object-size", size)],
                                body=b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"), "InvalidArgument", statuses=(400,))


@pytest.mark.parametrize("text", ["bytes=" + ",".join(f"{n}-{n}" for n in range(0, 1200, 2)), "bytes=0-1,5-6", "bytes=99999999999999999999-", "bytes=-99999999999999999999",
                                  "bytes=5-1", "bytes=", "bytes=-", "items=0-1", "bytes=a-b", "bytes 0-1", "", "bytes=--1", "bytes=0-18446744073709551616"])
def test_t94_ranges(disk, text):
    """One that is none, or many: the whole object, or none; never an error of ours, never other bytes."""
    body = bytes(range(256)) * 8
    assert raw.request(disk, "PUT", "/t94-ranges").status in (200, 409)
    assert raw.request(disk, "PUT", "/t94-ranges/key", body=body).status == 200
    start = time.time()
    answer = raw.request(disk, "GET", "/t94-ranges/key", extra=[("range", text)])
    assert time.time() - start < 2
    if answer.status == 206:
        first, last = answer.headers["content-range"].removeprefix("bytes ").split("/")[0].split("-")
        assert answer.body == body[int(first):int(last) + 1]
    else:
        assert (answer.status, answer.body) == (200, body) or (answer.status, answer.code) == (416, "InvalidRange"), answer
    answer = raw.request(disk, "GET", "/t94-ranges/key", extra=[("range", "bytes=5-9")])
    assert answer.status == 206 and answer.body == body[5:10]
