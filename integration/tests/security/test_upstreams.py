"""T57 and T58: an upstream that misbehaves, and clients that leave. A client gets its own bytes, whole, or
sees that something is missing."""

import base64
import random
import threading
import time

import pytest

from harness import raw
from harness.gateway import Gateway, upstream
from harness.recorder import CLOSE, RESET, Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import AUDIT, COMPLETE, OBJECT, PART, SOURCE, UPLOAD, agree


@pytest.fixture(scope="module")
def store():
    server = Recorder()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def calm(store):
    yield
    store.reply, store.early = store.empty, None
    store.clear()


@pytest.fixture(scope="module")
def faulty(work, store):
    """A gateway of little patience and few connections, so that each is used again."""
    extra = 'checksums = true\nmax_connections = 3\ntimeouts = { connect = "2s", read = "2s", write = "2s", total = "4s", idle = "15s" }'
    config, env = upstream("store", store.url, UPSTREAM_KEY, UPSTREAM_SECRET, extra)
    with Gateway(work / "faulty", AUDIT + config, env=env) as gateway:
        yield gateway
        assert "panicked" not in gateway.log()


OTHER_KEY, OTHER_SECRET = "OTHEROTHEROTHEROTHER", "other-secret-for-these-tests-only-012345"
OTHER = """
[[users]]
name = "other"
access_keys = [{ id = "OTHEROTHEROTHEROTHER", secret = { env = "OTHER_SECRET" } }]
policies = ["all"]
[[policies]]
name = "all"
inline = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
"""


def head(length=None, *lines, status="200 OK", objects=OBJECT):
    all_lines = [f"HTTP/1.1 {status}", *([f"content-length: {length}"] if length is not None else []), *objects, *lines]
    return "\r\n".join([*all_lines, "", ""]).encode("latin-1")


SMALL, LARGE = b"0123456789", bytes(range(256)) * 4000


def good(body=SMALL):
    return head(len(body)) + body


GETS = {
    # What is answered to a GET. None of it is the object.
    "closed at once": [CLOSE],
    "reset at once": [RESET],
    "no answer": [10.0],
    "garbage": [b"garbage\r\n\r\n", CLOSE],
    "another protocol": [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", CLOSE],
    "half a head": [b"HTTP/1.1 200 OK\r\netag", CLOSE],
    "a head that stalls": [b"HTTP/1.1 200 OK\r\netag", 10.0],
    "a head that drips": [piece for byte in good() for piece in (bytes([byte]), 0.1)],
    "a head of 1 MiB": [head(10, "x: " + "y" * (1 << 20)) + SMALL, CLOSE],
    "10,000 headers": [head(10, *(f"x-{n}: y" for n in range(10000))) + SMALL, CLOSE],
    "HTTP/0.9": [SMALL, CLOSE],
    "an odd status": [b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n", CLOSE],
    "no status": [b"HTTP/1.1 OK\r\n\r\n", CLOSE],
    "a storm of interim answers": [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 1000 + good()],
    "interim answers without end": [piece for _ in range(200) for piece in (b"HTTP/1.1 100 Continue\r\n\r\n", 0.05)],
    "switching protocols": [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n" + SMALL, CLOSE],
    "a short small body": [head(20) + SMALL, CLOSE],
    "a short small body, reset": [head(20) + SMALL, 0.05, RESET],
    "a small body that stalls": [head(20) + SMALL, 10.0],
    "no body": [head(10), CLOSE],
    "two lengths": [head(5, "content-length: 10") + SMALL, CLOSE],
    "a list of lengths": [head("5, 10") + SMALL, CLOSE],
    "an odd length": [head("+10") + SMALL, CLOSE],
    "a negative length": [head(-1) + SMALL, CLOSE],
    "2^64": [head(2**64) + SMALL, CLOSE],
    "no length": [head() + SMALL, CLOSE],
    "both lengths": [head(10, "transfer-encoding: chunked") + b"a\r\n" + SMALL + b"\r\n0\r\n\r\n", CLOSE],
    "chunks": [head(None, "transfer-encoding: chunked") + b"a\r\n" + SMALL + b"\r\n0\r\n\r\n", CLOSE],
    "chunks that end early": [head(None, "transfer-encoding: chunked") + b"a\r\n" + SMALL, CLOSE],
    "no tag": [head(10, objects=OBJECT[1:]) + SMALL],
    "no date": [head(10, objects=OBJECT[:1]) + SMALL],
    "a date that is none": [head(10, "last-modified: yesterday", objects=OBJECT[:1]) + SMALL],
    "a part of it": [head(5, "content-range: bytes 0-4/10", status="206 Partial Content") + SMALL[:5]],
    "nothing": [head(None, status="204 No Content")],
    "created": [head(0, status="201 Created")],
    "a redirect": [head(0, "location: /other", status="302 Found")],
    "a short large body": [head(len(LARGE)) + LARGE[:-1], CLOSE],
    "half a large body": [head(len(LARGE)) + LARGE[:len(LARGE) // 2], CLOSE],
    "a large body, reset": [head(len(LARGE)) + LARGE[:-100], 0.05, RESET],
    "a large body that stalls": [head(len(LARGE)) + LARGE[:-1], 10.0],
    "a large body that drips": [head(len(LARGE))] + [piece for _ in range(100) for piece in (b"x", 0.2)],
}


def get(gateway, headers=()):
    """The answer, or why there is none."""
    try:
        return raw.request(gateway, "GET", "/bucket/key", extra=headers)
    except (ConnectionError, TimeoutError, raw.ssl.SSLError) as error:
        return error


@pytest.mark.parametrize("fault", GETS)
def test_t58_answers_to_a_get(faulty, store, fault):
    store.reply = lambda *_: GETS[fault]
    start = time.time()
    answer = get(faulty)
    assert time.time() - start < 9, "an upstream must not hold a client"
    if isinstance(answer, raw.Answer):
        assert answer.status >= 500 and answer.code in ("InternalError", "ServiceUnavailable", "NotImplemented"), answer
        assert SMALL not in answer.body
    else:
        # It had begun: then the client sees the cut.
        assert "large" in fault, answer
    # And is itself again with the next request.
    for body in (SMALL, LARGE):
        store.reply = lambda *_: good(body)
        assert get(faulty).body == body


def test_t58_sound_answers_to_a_get(faulty, store):
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    for steps, body in (([good()], SMALL), ([good(b"")], b""), ([good(LARGE)], LARGE), ([hints + good()], SMALL), ([good()[:30], 0.3, good()[30:]], SMALL),
                        ([head(len(LARGE)), 0.3, LARGE[:1000], 0.3, LARGE[1000:]], LARGE),
                        ([head(10, "content-length: 10") + SMALL], SMALL), ([head(10, "content-encoding: gzip") + SMALL], SMALL), ([head(10, "connection: close") + SMALL, CLOSE], SMALL)):
        store.reply = lambda *_: steps
        answer = get(faulty)
        assert answer.status == 200 and answer.body == body and answer.headers["etag"] == '"e"', (steps[0][:100], answer)


def test_t58_ranges_are_what_was_asked(faulty, store):
    ask = lambda: get(faulty, [("range", "bytes=2-5")])
    part = lambda span, body=b"2345", status="206 Partial Content": [head(len(body), f"content-range: bytes {span}", status=status) + body]
    store.reply = lambda *_: part("2-5/10")
    answer = ask()
    assert answer.status == 206 and answer.body == b"2345" and answer.headers["content-range"] == "bytes 2-5/10"
    for steps in (part("0-3/10"), part("2-6/10"), part("2-5/10", b"234"), part("2-5/10", b"23456"), part("2-5/4"), part("5-2/10"), part("2-5/*"), part("junk"),
                  part("2-5/10", status="200 OK"), [head(4, status="206 Partial Content") + b"2345"]):
        store.reply = lambda *_: steps
        answer = ask()
        assert not isinstance(answer, raw.Answer) or answer.status >= 500, (steps, answer)
    # A store that knows no ranges answers the whole: so says the answer.
    store.reply = lambda *_: good()
    answer = ask()
    assert not isinstance(answer, raw.Answer) or answer.status >= 500 or (answer.status == 200 and answer.body == SMALL), answer


DOCUMENTS = {
    "an error": b"<Error><Code>InternalError</Code></Error>",
    "an error behind white space": b"  \n \n<?xml version='1.0'?><Error><Code>InternalError</Code></Error>",
    "an error of another word": b"<Error><Code>Whatever</Code></Error>",
    "nothing": b"",
    "white space": b" \n" * 100,
    "half a document": b"<CompleteMultipartUploadResult><ETag>",
    "no tag": b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult><CopyObjectResult/>",
    "another root": b"<Other><ETag>e</ETag></Other>",
    "HTML": b"<!doctype html><html><body>OK</body></html>",
    "JSON": b'{"ETag": "e"}',
    "a billion laughs": b'<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><CopyObjectResult><ETag>&b;</ETag></CopyObjectResult>',
    "gzip": bytes.fromhex("1f8b0800000000000003b3710e720fb2b3d18330ec6c9c83800000000000ffff"),
    "a depth of 100,000": b"<CopyObjectResult>" + b"<a>" * 100_000,
    "50 MB": b"<CopyObjectResult>" + b" " * 50_000_000,
}


@pytest.mark.parametrize("fault", DOCUMENTS)
def test_t58_a_success_that_is_an_error(faulty, store, fault):
    """Complete, Copy and the like: a 200 whose document says otherwise, or nothing, is none."""
    store.reply = lambda *_: head(len(DOCUMENTS[fault]), "content-type: application/xml") + DOCUMENTS[fault]
    asks = (("POST", "/bucket/key", UPLOAD, [], COMPLETE), ("PUT", "/bucket/key", [], SOURCE, b""), ("PUT", "/bucket/key", PART, SOURCE, b""),
            ("POST", "/bucket/key", [("uploads", "")], [], b""), ("GET", "/bucket", [], [], b""), ("GET", "/", [], [], b""), ("GET", "/bucket/key", UPLOAD, [], b""))
    for ask in asks:
        answer = raw.request(faulty, *ask)
        assert answer.status >= 500 and answer.code in ("InternalError", "ServiceUnavailable"), (ask, answer)
    store.reply = agree
    for ask in asks:
        assert raw.request(faulty, *ask).status == 200


def test_t58_answers_to_an_upload(faulty, store):
    put = lambda body=SMALL: raw.request(faulty, "PUT", "/bucket/key", body=body, payload="UNSIGNED-PAYLOAD")
    done = lambda *lines, status="200 OK", objects=OBJECT: [head(0, *lines, status=status, objects=objects)]
    store.reply, store.early = lambda *_: done(), None
    assert put().status == 200
    wrong = base64.b64encode(b"12345678").decode()
    for fault in (done(objects=[]), done(f"x-amz-checksum-crc64nvme: {wrong}"), done(status="204 No Content", objects=[]), done(status="302 Found"),
                  done(status="500 Internal Server Error"), done(status="403 Forbidden"), [CLOSE], [RESET], [10.0], [b"garbage\r\n\r\n", CLOSE],
                  [head(5)], [head(20) + SMALL, CLOSE]):
        store.reply = lambda *_: fault
        try:
            answer = put()
        except (ConnectionError, TimeoutError) as error:
            raise AssertionError(f"no answer behind {fault}") from error
        assert answer.status >= 500, (fault, answer)
    # An answer before the body has come, more of it than lies about on the way: a refusal is one, a
    # success is none.
    endless = LARGE * 24
    for status, expected in (("200 OK", 500), ("503 Slow Down", 503), ("507 Insufficient Storage", 507), ("412 Precondition Failed", 412)):
        store.early = lambda _: [head(0, status=status), 0.2, CLOSE]
        answer = put(endless)
        assert answer.status == expected, (status, answer)
    store.early, store.reply = None, lambda *_: done()
    assert put(LARGE).status == 200


def tagged(target, times):
    return f"{target}\n".encode() * times


def own(answer, target):
    """Whether every line of an answer is the request's own."""
    return set(answer.body.split(b"\n")) <= {target.encode(), b""}


def echo(request_head, _body):
    """Each object is its own name, over and over; its number says how often."""
    target = request_head.split(b" ")[1].decode()
    number = int(target.rsplit("/", 1)[1].split("?")[0])
    body = tagged(target, 30_000 if number % 3 == 0 else 5)
    return head(len(body)) + (b"" if request_head.startswith(b"HEAD") else body)


@pytest.mark.parametrize("leave", ("abort", "close", "idle"))
def test_t57_a_client_that_leaves_in_mid_answer(faulty, store, leave):
    """The next one, and the one after it, gets its own bytes; so does one who was there already."""
    store.reply = echo
    before = store.connections
    for number in range(0, 30, 3):
        with raw.Connection(faulty) as connection:
            connection.send(raw.signed(faulty, "GET", f"/bucket/leaver/{number}"))
            while len(connection.data) < 70_000:
                assert connection.more()
            assert connection.data.split(b"\r\n\r\n", 1)[1].startswith(f"/bucket/leaver/{number}\n".encode())
            if leave == "abort":
                connection.abort()
            elif leave == "close":
                connection.sock.close()
            for next_one in (number + 1, number + 3):
                target = f"/bucket/next/{next_one}"
                answer = raw.request(faulty, "GET", target)
                assert answer.status == 200 and own(answer, target), answer
    # Connections were used again where that is right: what is asked here is not asked of new ones only.
    assert store.connections - before < 30


BEHIND = {
    "an answer": head(5) + b"EVIL\n",
    "an answer that closes": head(5, "connection: close") + b"EVIL\n",
    "a byte": b"\n",
    "bytes": b"EVIL\n" * 10_000,
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "chunks": b"5\r\nEVIL\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("pause", (0, 0.03, 0.2))
def test_t57_more_than_the_content_length(faulty, store, behind, pause):
    """What an upstream sends behind its answer is nobody's: neither of this client nor of the next."""
    for request, expected in (("GET", tagged("/bucket/own/1", 5)), ("GET", None), ("HEAD", b""), ("PUT", b"")):
        number = 1 if expected is not None else 3
        store.reply = lambda h, b: [echo(h, b) if not h.startswith(b"PUT") else head(0), *([pause] if pause else []), BEHIND[behind]]
        if not pause:
            store.reply = lambda h, b: [(echo(h, b) if not h.startswith(b"PUT") else head(0)) + BEHIND[behind]]
        target = f"/bucket/own/{number}"
        first = raw.request(faulty, request, target, body=b"body" if request == "PUT" else b"")
        assert first.status == 200 and own(first, target) and b"EVIL" not in first.body, first
        if pause:
            time.sleep(pause + 0.02)
        store.reply = echo
        for number in (4, 6, 7):
            target = f"/bucket/next/{number}"
            answer = raw.request(faulty, "GET", target)
            assert answer.status == 200 and own(answer, target) and answer.body.count(b"\n") in (5, 30_000), answer


def test_t57_an_upload_that_was_left(faulty, store):
    """Half an upload, and its client is gone: what follows on the pool is whole and its own."""
    store.reply = lambda h, b: head(0) if h.startswith(b"PUT") else echo(h, b)
    for number in range(10):
        store.clear()
        with raw.Connection(faulty) as connection:
            message = raw.signed(faulty, "PUT", f"/bucket/left/{number}", body=LARGE, payload="UNSIGNED-PAYLOAD")
            connection.send(message[:-1000])
            deadline = time.time() + 10
            while not store.arrived:
                assert time.time() < deadline
                time.sleep(0.002)
            connection.abort() if number % 2 else connection.sock.close()
        for target in (f"/bucket/next/{number}", f"/bucket/next/{number + 100}"):
            answer = raw.request(faulty, "GET", target)
            assert answer.status == 200 and own(answer, target)
        assert raw.request(faulty, "PUT", f"/bucket/whole/{number}", body=SMALL).status == 200
    assert not any(a.whole for a in store.arrived if "/left/" in a.target)


def test_t57_no_answer_is_ever_anothers(faulty, store):
    """Many clients over three connections, some of whom leave, over an upstream that breaks off, adds bytes
    and takes its time: whoever gets an answer gets its own."""
    def reply(h, b):
        number = int(h.split(b" ")[1].rsplit(b"/", 1)[1])
        answer = echo(h, b) if not h.startswith(b"PUT") else head(0)
        half = len(answer) // 2
        fault = number % 13
        if fault == 1:
            return [answer[:half], 0.01, RESET]
        if fault == 2:
            return [answer[:-1], CLOSE]
        # Behind a small answer, at once with it: bytes that came when the next request had gone out would
        # be its answer, in HTTP/1.1.
        if fault == 3 and number % 3:
            return [answer + BEHIND["an answer"]]
        if fault == 4:
            return [answer[:half], 0.03, answer[half:]]
        return [answer]

    store.reply = reply
    before, wrong, whole, lock = store.connections, [], [0], threading.Lock()

    def client(lane):
        choose = random.Random(lane)
        for round_ in range(60):
            number = lane * 1000 + round_
            target, way = f"/bucket/lane/{number}", choose.choice(["GET"] * 6 + ["HEAD", "PUT", "leave", "leave"])
            try:
                if way == "leave":
                    with raw.Connection(faulty) as connection:
                        connection.send(raw.signed(faulty, "GET", target))
                        time.sleep(choose.random() / 50)
                        connection.abort()
                    continue
                answer = raw.request(faulty, way, target, body=b"x" * choose.randrange(1, 100_000) if way == "PUT" else b"")
            except (ConnectionError, TimeoutError, raw.ssl.SSLError):
                continue
            if answer.status == 200 and not own(answer, target):
                wrong.append((target, answer.body[:200]))
            if answer.status == 200 and way == "GET" and (number % 13 in (1, 2) or answer.body != tagged(target, 30_000 if number % 3 == 0 else 5)):
                wrong.append((target, "short"))
            with lock:
                whole[0] += answer.status == 200

    lanes = [threading.Thread(target=client, args=(lane,)) for lane in range(6)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join(60)
    assert wrong == [] and whole[0] > 150, (wrong[:3], whole)
    assert store.connections - before < 360, "none was used again"


def test_one_caller_cannot_take_all_connections(work, store):
    """Downloads of which their client takes no byte leave a quarter of the upstream's connections to others."""
    large = bytes(32 << 20)
    store.reply = lambda h, b: [good(large if b"/large" in h else SMALL)]
    extra = 'max_connections = 8\ntimeouts = { connect = "1s" }'
    config, env = upstream("store", store.url, UPSTREAM_KEY, UPSTREAM_SECRET, extra)
    config = AUDIT + OTHER + config
    with Gateway(work / "shared", config, env={**env, "OTHER_SECRET": OTHER_SECRET}) as gateway:
        stalled = [raw.Connection(gateway) for _ in range(8)]
        for connection in stalled:
            connection.send(raw.signed(gateway, "GET", "/bucket/large"))
        deadline = time.time() + 10
        while len(store.arrived) < 6 and time.time() < deadline:
            time.sleep(0.02)
        assert len(store.arrived) == 6
        answer = raw.request(gateway, "GET", "/bucket/small")
        assert (answer.status, answer.code) == (503, "SlowDown") and answer.headers["retry-after"]
        for _ in range(3):
            answer = raw.request(gateway, "GET", "/bucket/small", key=OTHER_KEY, secret=OTHER_SECRET)
            assert answer.status == 200 and answer.body == SMALL
        # Who goes away makes room at once.
        for connection in stalled:
            connection.abort()
        deadline = time.time() + 10
        while (answer := raw.request(gateway, "GET", "/bucket/small")).status == 503 and time.time() < deadline:
            pass
        assert answer.status == 200


@pytest.mark.parametrize("said, told", [("9", "9"), ("0", "1"), ("86400", "60"), ("soon", "1"), ("Fri, 01 Jan 2010 00:00:00 GMT", "1"), (None, "1")])
def test_how_long_an_upstream_wants_to_be_left_alone_is_passed_on(faulty, store, said, told):
    error = b"<Error><Code>SlowDown</Code><Message>slowly</Message></Error>"
    lines = [f"retry-after: {said}"] if said else []
    for method, document in (("GET", error), ("HEAD", b"")):
        store.reply = lambda head, body: [Recorder.answer(document, "503 Slow Down", lines), CLOSE]
        answer = raw.request(faulty, method, "/bucket/busy")
        assert (answer.status, answer.headers["retry-after"]) == (503, told)
