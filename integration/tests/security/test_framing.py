"""T47 to T49: one reading of a message, or none. What stands behind an attack is a request that would
be answered if it were taken for one, so that the upstream shows whether it was."""

import base64
import zlib

import pytest

from harness import raw

STREAMING = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
DECODED = b"5\r\nabcde\r\n0\r\nx-amz-checksum-crc32:" + base64.b64encode(zlib.crc32(b"abcde").to_bytes(4, "big")) + b"\r\n\r\n"


def head(gateway, lines=(), method="PUT", target="/bucket/key", version="HTTP/1.1", headers=(), payload="UNSIGNED-PAYLOAD", **how):
    """A signed request's head with these lines in it, as they are."""
    signed = raw.signed_headers(gateway, method, target.split("?")[0], headers=headers, payload=payload, **how)
    out = f"{method} {target} {version}".encode() if isinstance(version, str) else version
    for name, value in signed:
        out += f"\r\n{name}: {value}".encode()
    for line in lines:
        out += b"\r\n" + (line.encode("latin-1") if isinstance(line, str) else line)
    return out + b"\r\n\r\n"


def smuggled(gateway):
    return head(gateway, method="GET", target="/bucket/smuggled")


LINES = {
    "both lengths": ["content-length: 5", "transfer-encoding: chunked"],
    "both lengths, the other way round": ["transfer-encoding: chunked", "content-length: 5"],
    "both lengths, one in capitals": ["CONTENT-LENGTH: 5", "Transfer-Encoding: chunked"],
    "two lengths": ["content-length: 5", "content-length: 6"],
    "one length twice": ["content-length: 5", "content-length: 5"],
    "a list of lengths": ["content-length: 5,5"],
    "two numbers": ["content-length: 5 5"],
    "a sign": ["content-length: +5"],
    "a negative length": ["content-length: -5"],
    "hexadecimal": ["content-length: 0x5"],
    "a fraction": ["content-length: 5.0"],
    "no number": ["content-length: five"],
    "no length": ["content-length:"],
    "2^64": ["content-length: 18446744073709551616"],
    "2^64 - 1 and more": ["content-length: 99999999999999999999999"],
    "chunked and identity": ["transfer-encoding: chunked, identity"],
    "identity": ["transfer-encoding: identity"],
    "xchunked": ["transfer-encoding: xchunked"],
    "gzip, chunked": ["transfer-encoding: gzip, chunked"],
    "chunked twice in a list": ["transfer-encoding: chunked, chunked"],
    "a parameter": ["transfer-encoding: chunked;q=1"],
    "quoted": ['transfer-encoding: "chunked"'],
    "a vertical tab": ["transfer-encoding: \x0bchunked"],
    "an odd byte": ["transfer-encoding: chunked\xa0"],
    "two encodings": ["transfer-encoding: chunked", "transfer-encoding: chunked"],
    "two encodings, one hidden": ["transfer-encoding: chunked", "transfer-encoding: x"],
    "an empty encoding": ["transfer-encoding:"],
    "a folded encoding": ["transfer-encoding:\r\n chunked"],
    "a space before the colon": ["content-length : 5"],
    "a tab before the colon": ["transfer-encoding\t: chunked"],
    "a space before the name": [" content-length: 5"],
    "a folded line": ["x: a\r\n folded", "content-length: 0"],
    "a line folded by a tab": ["x: a\r\n\tfolded", "content-length: 0"],
    "a bare line feed": ["x: a\ncontent-length: 5"],
    "a bare line feed, twice": ["x: a\n\nGET /bucket/smuggled HTTP/1.1"],
    "a bare carriage return": ["x: a\rcontent-length: 5"],
    "NUL in a value": ["x: a\0b", "content-length: 0"],
    "NUL in a name": ["x\0y: a", "content-length: 0"],
    "a name that is no token": ["x(y): a", "content-length: 0"],
    "a name beyond ASCII": ["x\xe9: a", "content-length: 0"],
    "no name": [": a", "content-length: 0"],
    "no colon": ["content-length"],
    "a second host": ["host: other", "content-length: 0"],
}


@pytest.mark.parametrize("attack", LINES)
def test_t47_message_framing(spied, spy, attack):
    behind = smuggled(spied)
    with raw.Connection(spied) as connection:
        connection.send(head(spied, LINES[attack]) + b"0\r\n\r\n" + behind)
        spy.refuses(connection.answer(), "BadRequest", statuses=(400,))
        assert connection.is_closed()
    spy.recorder.settle()
    assert spy.arrived == []


def test_t47_what_is_framed_well_is_answered_and_so_is_what_stands_behind(spied, spy):
    """The twin: a second request on the same connection arrives, when it is one."""
    streamed = [("x-amz-decoded-content-length", "5"), ("x-amz-trailer", "x-amz-checksum-crc32")]
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(DECODED), DECODED)
    for message in (
        head(spied, ["content-length: 5"]) + b"abcde",
        head(spied, ["content-length:  \t5 "]) + b"abcde",
        head(spied, ["Content-Length:5"]) + b"abcde",
        head(spied, ["transfer-encoding: chunked"], headers=streamed, payload=STREAMING) + chunk,
        head(spied, ["Transfer-Encoding:\tChunked "], headers=streamed, payload=STREAMING) + chunk,
        head(spied, ["transfer-encoding: chunked"], headers=streamed, payload=STREAMING) + b"".join(b"1\r\n%c\r\n" % byte for byte in DECODED) + b"0\r\n\r\n",
        head(spied, ["content-length: 0"]),
        head(spied, ["x: \xe9\xff", "content-length: 5"]) + b"abcde",
    ):
        with raw.Connection(spied) as connection:
            connection.send(message)
            first = connection.answer()
            assert first.status == 200, (message, first)
            connection.send(smuggled(spied))
            spy.passes(connection.answer(), "/bucket/key", "/bucket/smuggled")


VERSIONS = {
    "chunked in HTTP/1.0": (b"PUT /bucket/key HTTP/1.0", ["transfer-encoding: chunked"]),
    "HTTP/1.2": (b"PUT /bucket/key HTTP/1.2", ["content-length: 5"]),
    "HTTP/9.9": (b"PUT /bucket/key HTTP/9.9", ["content-length: 5"]),
    "no version": (b"PUT /bucket/key", ["content-length: 5"]),
    "two spaces": (b"PUT  /bucket/key  HTTP/1.1", ["content-length: 5"]),
    "a tab": (b"PUT\t/bucket/key\tHTTP/1.1", ["content-length: 5"]),
    "a bare line feed": (b"PUT /bucket/key HTTP/1.1\nx: y", ["content-length: 5"]),
    "a bare carriage return": (b"PUT /bucket/key HTTP/1.1\rx: y", ["content-length: 5"]),
    "NUL": (b"PUT /bucket/key\0 HTTP/1.1", ["content-length: 5"]),
}


@pytest.mark.parametrize("attack", VERSIONS)
def test_t47_request_lines(spied, spy, attack):
    line, lines = VERSIONS[attack]
    with raw.Connection(spied) as connection:
        connection.send(head(spied, lines, version=line) + b"0\r\n\r\n" + smuggled(spied))
        try:
            spy.refuses(connection.answer(), "BadRequest", "InvalidURI", statuses=(400,))
        except ConnectionError:
            pass
        assert connection.is_closed()
    spy.recorder.settle()
    assert spy.arrived == []


SIZE = b"%x" % len(DECODED)
CHUNKS = {
    "an extension with a bare carriage return": SIZE + b";a\rb\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "a quoted line end in an extension": SIZE + b';a="\r\n"\r\n' + DECODED + b"\r\n0\r\n\r\n",
    "2^64 - 1": b"ffffffffffffffff\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "2^63": b"8000000000000000\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "17 digits": b"00000000000000000" + SIZE + b"\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "17 digits beyond 2^64": b"1" + b"0" * 14 + SIZE + b"\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "a sign": b"+" + SIZE + b"\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "a negative size": b"-" + SIZE + b"\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "0x": b"0x" + SIZE + b"\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "no size": b"\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "a bare line feed behind the size": SIZE + b"\n" + DECODED + b"\r\n0\r\n\r\n",
    "a bare line feed behind the data": SIZE + b"\r\n" + DECODED + b"\n0\r\n\r\n",
    "more data than its size": b"5\r\n" + DECODED + b"\r\n0\r\n\r\n",
    "less data than its size": b"fff\r\n" + DECODED + b"\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("attack", CHUNKS)
def test_t47_chunks(spied, spy, attack):
    """No chunk of these ends where the next request could begin: at most one request, and that not whole,
    reaches the upstream, and the connection is over."""
    streamed = [("x-amz-decoded-content-length", "5"), ("x-amz-trailer", "x-amz-checksum-crc32")]
    with raw.Connection(spied) as connection:
        connection.send(head(spied, ["transfer-encoding: chunked"], headers=streamed, payload=STREAMING) + CHUNKS[attack] + smuggled(spied) * 40)
        try:
            answer = connection.answer()
            assert answer.status == 400, answer
        except ConnectionError:
            pass
        assert connection.is_closed()
    spy.recorder.settle()
    seen, spy.recorder.arrived = spy.arrived, []
    assert len(seen) <= 1 and not any(a.whole for a in seen), seen


def test_t47_an_extension_is_passed_over(spied, spy):
    """What Pingora reads past to the next CRLF, a bare line feed in it too: no byte of it becomes a request
    or a part of the body."""
    streamed = [("x-amz-decoded-content-length", "5"), ("x-amz-trailer", "x-amz-checksum-crc32")]
    for extension in (b";a=b", b';a="b"', b";" + b"x" * 1000, b";a\nb", b";\n\nGET /bucket/smuggled HTTP/1.1"):
        with raw.Connection(spied) as connection:
            connection.send(head(spied, ["transfer-encoding: chunked"], headers=streamed, payload=STREAMING) + SIZE + extension + b"\r\n" + DECODED + b"\r\n0\r\n\r\n" + smuggled(spied))
            arrived = spy.passes(connection.answer(), "/bucket/key")
            assert arrived.body.count(b"abcde") == 1 and b"smuggled" not in arrived.body
            assert connection.is_closed()
        spy.recorder.settle()
        assert spy.arrived == []


def test_t47_what_comes_with_a_chunked_body_is_not_answered_and_that_is_said(spied, spy):
    """Two servers could see its end in two places. Its twin alone keeps the connection."""
    streamed = [("x-amz-decoded-content-length", "5"), ("x-amz-trailer", "x-amz-checksum-crc32")]
    message = head(spied, ["transfer-encoding: chunked"], headers=streamed, payload=STREAMING) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(DECODED), DECODED)
    for behind in (smuggled(spied), b"GET", head(spied, ["content-length: 5"]) + b"abcde"):
        with raw.Connection(spied) as connection:
            connection.send(message + behind)
            answer = connection.answer()
            spy.passes(answer, "/bucket/key")
            assert answer.headers["connection"] == "close", answer.headers
            assert connection.is_closed()
        spy.recorder.settle()
        assert spy.arrived == []
    with raw.Connection(spied) as connection:
        for pieces in (1, 3, 10_000):
            for at in range(0, len(message), len(message) // pieces + 1):
                connection.send(message[at : at + len(message) // pieces + 1])
            answer = connection.answer()
            spy.passes(answer, "/bucket/key")
            assert answer.headers.get("connection", "keep-alive") == "keep-alive", answer.headers


def test_t47_a_body_where_none_is_read(spied, spy):
    """`0.CL`: a GET or DELETE with a body, which holds a request. It is passed over or the connection ends."""
    for method in ("GET", "HEAD", "DELETE"):
        for framing in ("length", "chunks"):
            behind = smuggled(spied)
            lines = [f"content-length: {len(behind)}"] if framing == "length" else ["transfer-encoding: chunked"]
            body = behind if framing == "length" else b"%x\r\n%s\r\n0\r\n\r\n" % (len(behind), behind)
            with raw.Connection(spied) as connection:
                connection.send(head(spied, lines, method=method) + body)
                answer = connection.answer(method == "HEAD")
                assert answer.status in (200, 204), answer
                assert connection.is_closed(1) or connection.data == b""
            spy.recorder.settle()
            assert [a.target for a in spy.arrived] == ["/bucket/key"], (method, framing)
            spy.recorder.clear()


EARLY = {
    "anonymous": (dict(key=None), 403, "AccessDenied"),
    "a forged signature": (dict(secret="forged"), 403, "SignatureDoesNotMatch"),
    "an unknown key": (dict(key="AKIAUNKNOWNUNKNOWN00"), 403, "InvalidAccessKeyId"),
    "a payload mode that is none": (dict(payload="garbage"), 400, "InvalidArgument"),
    "a header that is not done": (dict(headers=[("x-amz-acl", "public-read")]), 501, "NotImplemented"),
    "a sub-resource that is not done": (dict(target="/bucket/key?acl"), 501, "NotImplemented"),
    "another method": (dict(method="PATCH"), 405, "MethodNotAllowed"),
}


@pytest.mark.parametrize("early,late", [*((early, False) for early in EARLY), ("a forged signature", True), ("another method", True)])
def test_t48_an_unread_body_is_no_request(spied, spy, early, late):
    """Refused before the body was read, which is a request: it is never taken for one, whether it
    came with the head or behind the answer."""
    how, status, code = EARLY[early]
    body = smuggled(spied)
    lines = [f"content-length: {len(body)}"]
    message = head(spied, lines, **how) if "key" not in how or how["key"] else f"PUT /bucket/key HTTP/1.1\r\nhost: 127.0.0.1:{spied.port}\r\n{lines[0]}\r\n\r\n".encode()
    with raw.Connection(spied) as connection:
        connection.send(message if late else message + body)
        spy.refuses(connection.answer(), code, statuses=(status,))
        if late:
            try:
                connection.send(body)
            except OSError:
                pass  # It is closed already.
        assert connection.is_closed()
    spy.recorder.settle()
    assert spy.arrived == []


def test_t48_too_large_a_body_is_no_request(spied, spy):
    body = smuggled(spied)
    with raw.Connection(spied) as connection:
        connection.send(head(spied, [f"content-length: {6 * 1024**3}"]) + body * 10)
        spy.refuses(connection.answer(), "EntityTooLarge", statuses=(400,))
        assert connection.is_closed()
    spy.recorder.settle()
    assert spy.arrived == []


def test_t48_a_body_that_fails_half_way_is_no_request(spied, spy):
    """Refused by a check within the body; what is left of it is not read as the next request."""
    line = b"5;chunk-signature=" + b"0" * 64 + b"\r\nabcde\r\n"
    headers = [("x-amz-decoded-content-length", "100000")]
    with raw.Connection(spied) as connection:
        rest = smuggled(spied) * 200
        connection.send(head(spied, [f"content-length: {len(line) + len(rest)}"], headers=headers, payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD") + line + rest)
        spy.refuses_upload(connection.answer(), "SignatureDoesNotMatch", statuses=(403,))
        assert connection.is_closed()
    spy.recorder.settle()
    assert spy.arrived == []


MODES = {
    "CONNECT": (dict(method="CONNECT"), [], 405),
    "CONNECT to a host": (dict(method="CONNECT", version=b"CONNECT bucket:443 HTTP/1.1"), [], 400),
    "TRACE": (dict(method="TRACE"), [], 405),
    "OPTIONS": (dict(method="OPTIONS"), [], 400),
    "OPTIONS of another origin": (dict(method="OPTIONS"), ["origin: https://example.com", "access-control-request-method: PUT"], 403),
    "OPTIONS *": (dict(method="OPTIONS", version=b"OPTIONS * HTTP/1.1"), [], 400),
    "PATCH": (dict(method="PATCH"), [], 405),
    "a lower-case method": (dict(method="get"), [], 405),
    "h2c": (dict(method="GET"), ["upgrade: h2c", "connection: upgrade, http2-settings", "http2-settings: AAMAAABkAAQAAP__"], 501),
    "websocket": (dict(method="GET"), ["upgrade: websocket", "connection: upgrade"], 501),
    "upgrade without connection": (dict(method="GET"), ["upgrade: h2c"], 501),
    "connection: upgrade": (dict(method="GET"), ["connection: upgrade", "upgrade: anything"], 501),
    "TLS": (dict(method="GET"), ["upgrade: TLS/1.0", "connection: upgrade"], 501),
    "a trailer": (dict(), ["trailer: x-amz-meta-a", "content-length: 0"], 501),
    "te: gzip": (dict(method="GET"), ["te: gzip"], 501),
    "expect: other": (dict(), ["expect: 200-maybe", "content-length: 0"], 417),
    "expect: more": (dict(), ["expect: 100-continue, 200-maybe", "content-length: 0"], 417),
    "expect: twice": (dict(), ["expect: 100-continue", "expect: x", "content-length: 0"], 417),
}


@pytest.mark.parametrize("mode", MODES)
def test_t49_mode_changes(spied, spy, mode):
    how, lines, status = MODES[mode]
    with raw.Connection(spied) as connection:
        connection.send(head(spied, lines, **how) + smuggled(spied))
        answer = connection.answer()
        assert answer.status == status and answer.interim == [], answer
        spy.refuses(answer, answer.code, statuses=(status,))
        assert connection.is_closed()
    spy.recorder.settle()
    assert spy.arrived == []


def test_t49_continue_comes_after_the_decision(spied, spy):
    """A client that waits is told to go on only when its upload will be taken."""
    lines = ["expect: 100-continue", "content-length: 5"]
    with raw.Connection(spied) as connection:
        connection.send(head(spied, lines))
        while b"100 Continue" not in connection.data:
            assert connection.more()
        connection.send(b"abcde")
        answer = connection.answer()
        assert answer.interim == [100]
        assert spy.passes(answer).body.count(b"abcde") == 1
    for how, code in ((dict(secret="forged"), "SignatureDoesNotMatch"), (dict(payload="garbage"), "InvalidArgument"), (dict(target="/bucket/key?acl"), "NotImplemented")):
        with raw.Connection(spied) as connection:
            connection.send(head(spied, lines, **how))
            answer = connection.answer()
            assert answer.interim == [], answer
            spy.refuses(answer, code, statuses=(400, 403, 501))
            assert connection.is_closed()
