"""T87 and T88: clients that hold what they were given by saying, sending or reading nothing, or next to it."""

import socket
import ssl
import threading
import time
import urllib.request

import pytest

from hpack import Encoder as HeaderEncoder

from harness import h2, raw
from harness.gateway import Gateway

LIMITS = """
[limits]
header_timeout = "1s"
body_timeout = "2s"
idle_timeout = "2s"
shutdown_delay = "0s"
drain_timeout = "20s"
"""


@pytest.fixture(scope="module")
def slow(work):
    with Gateway(work / "slow", LIMITS) as gateway:
        raw.request(gateway, "PUT", "/bucket")
        yield gateway
        assert "panicked" not in gateway.log()


def connect(gateway, alpn="http/1.1"):
    context = ssl.create_default_context(cafile=gateway.ca)
    context.check_hostname = False
    context.set_alpn_protocols([alpn])
    connection = context.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port)), server_hostname="127.0.0.1")
    connection.settimeout(30)
    return connection


def closed_after(connection):
    """What still came, and after how many seconds the other end closed."""
    start, said = time.monotonic(), b""
    try:
        while data := connection.recv(65536):
            said += data
    except ConnectionError:
        pass
    return said, time.monotonic() - start


def upload(gateway, length=100_000):
    headers = raw.signed_headers(gateway, "PUT", "/bucket/slow", payload="UNSIGNED-PAYLOAD")
    return raw.render(gateway, "PUT", "/bucket/slow", headers=[*headers, ("content-length", length)])


def missing(gateway):
    return raw.request(gateway, "GET", "/bucket/slow").status == 404


def test_t87_a_handshake_that_never_begins_ends(slow):
    plain = socket.create_connection(("127.0.0.1", slow.port))
    plain.settimeout(30)
    assert closed_after(plain)[1] < 20


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
@pytest.mark.parametrize("said", [b"", b"PRI * HT"])
def test_t87_a_connection_that_says_nothing_is_closed(slow, alpn, said):
    connection = connect(slow, alpn)
    connection.sendall(said)
    assert closed_after(connection)[1] < 6


@pytest.mark.parametrize("drips", [False, True])
def test_t87_a_head_of_http_2_must_end_in_time(slow, drips):
    """It is one block in as many frames as its client likes."""
    connection = connect(slow, "h2")
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\1\1\0\0\0\1\x82")
    stop = threading.Event()

    def drip():
        while not stop.wait(0.2):
            try:
                connection.sendall(b"\0\0\1\x09\0\0\0\0\1\x87")
            except OSError:
                return

    dripping = threading.Thread(target=drip)
    if drips:
        dripping.start()
    seconds = closed_after(connection)[1]
    stop.set()
    assert 0.5 < seconds < 1.9, seconds
    # One that is only split arrives, later than one head may take after the connection began.
    headers = raw.signed_headers(slow, "GET", "/bucket")
    pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{slow.port}"), (":path", "/bucket")]
    whole = HeaderEncoder().encode([*pseudo, *((k, v) for k, v in headers if k != "host")])
    connection = connect(slow, "h2")
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    time.sleep(1.2)
    connection.sendall((40).to_bytes(3, "big") + b"\1\1\0\0\0\1" + whole[:40])
    time.sleep(0.3)
    connection.sendall(len(whole[40:]).to_bytes(3, "big") + b"\x09\4\0\0\0\1" + whole[40:])
    said, deadline = b"", time.monotonic() + 5
    while b"ListBucketResult" not in said and time.monotonic() < deadline:
        said += connection.recv(65536)
    assert b"ListBucketResult" in said


BEGINS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def pseudo(gateway, method, path):
    return [(":method", method), (":scheme", "https"), (":authority", f"127.0.0.1:{gateway.port}"), (":path", path)]


def said_until(connection, wanted):
    """What comes, until all of that has come or the other end closes."""
    said = b""
    while not all(words in said for words in wanted) and (data := connection.recv(65536)):
        said += data
    return said


def test_t87_a_head_that_ends_in_an_empty_frame_has_ended(slow):
    """Its client is answered, later than a head may take: by what it gets for a body that does not come."""
    headers = raw.signed_headers(slow, "PUT", "/bucket/slow", payload="UNSIGNED-PAYLOAD")
    block = HeaderEncoder().encode([*pseudo(slow, "PUT", "/bucket/slow"), *((k, v) for k, v in headers if k != "host"), ("content-length", "9")])
    connection = connect(slow, "h2")
    connection.sendall(BEGINS + frame(1, 0, 1, block) + frame(9, 4, 1))
    assert b"RequestTimeout" in said_until(connection, [b"RequestTimeout"])


def test_t52_a_head_that_ends_in_an_empty_frame_is_looked_at(slow):
    """Nothing comes behind it, and its fragment is found all the same."""
    for path, passes in (("/bucket/a", True), ("/bucket/a#b", False)):
        block = HeaderEncoder().encode(pseudo(slow, "GET", path))
        connection = connect(slow, "h2")
        connection.sendall(BEGINS + frame(1, 0, 1, block) + frame(9, 4, 1))
        said = said_until(connection, [b"AccessDenied"])
        assert (b"AccessDenied" in said) == passes, (path, said)


def test_t87_each_head_has_its_own_time(slow):
    """One ends and the next begins in the same bytes, again and again, for longer than one may take."""
    encoder, connection = HeaderEncoder(), connect(slow, "h2")
    blocks = [encoder.encode(pseudo(slow, "GET", f"/bucket/{n}")) for n in range(8)]
    connection.sendall(BEGINS + frame(1, 0, 1, blocks[0][:5]))
    for n, block in enumerate(blocks):
        time.sleep(0.3)
        following = frame(1, 0, 2 * n + 3, blocks[n + 1][:5]) if n + 1 < len(blocks) else b""
        connection.sendall(frame(9, 5, 2 * n + 1, block[5:]) + following)
        # Their bodies do not come, nor does another word about them.
    wanted = [f"/bucket/{n}</Resource>".encode() for n in range(8)]
    said = said_until(connection, wanted)
    assert all(words in said for words in wanted), said


def test_t87_a_head_must_end_in_time(slow):
    connection = connect(slow)
    connection.sendall(b"GET /bucket HTTP/1.1\r\nhost: x\r\n")
    stop = threading.Event()

    def drip():
        while not stop.wait(0.3):
            try:
                connection.sendall(b"x-a: b\r\n")
            except OSError:
                return

    dripping = threading.Thread(target=drip)
    dripping.start()
    seconds = closed_after(connection)[1]
    stop.set()
    dripping.join()
    assert seconds < 5
    # One that is only split arrives.
    connection = connect(slow)
    for part in (b"GET /buc", b"ket HTTP/1.1\r\nhost", b": x\r\n\r\n"):
        connection.sendall(part)
        time.sleep(0.2)
    assert connection.recv(65536).startswith(b"HTTP/1.1 403")


def test_t88_a_body_that_stalls_is_given_up(slow):
    connection = connect(slow)
    connection.sendall(upload(slow) + b"x" * 100)
    said, seconds = closed_after(connection)
    assert b"RequestTimeout" in said and 1 < seconds < 8
    assert missing(slow)


def test_t88_a_body_that_stalls_is_given_up_on_http_2(slow):
    start = time.monotonic()
    length = [("content-length", "100000")]
    answer = h2.signed(slow, "PUT", "/bucket/slow", body=b"x" * 100, payload="UNSIGNED-PAYLOAD", extra=length, ends=False)
    assert answer.status == 400 and b"RequestTimeout" in answer.body and 1 < time.monotonic() - start < 8
    assert missing(slow)
    whole = h2.signed(slow, "PUT", "/bucket/whole", body=b"x" * 100, payload="UNSIGNED-PAYLOAD", extra=[("content-length", "100")])
    assert whole.status == 200


def test_t88_a_body_that_drips_is_given_up(slow):
    connection = connect(slow)
    connection.sendall(upload(slow))
    said, start = b"", time.monotonic()
    connection.settimeout(0.5)
    while time.monotonic() - start < 20:
        try:
            connection.sendall(b"x")
            if not (data := connection.recv(65536)):
                break
            said += data
        except TimeoutError:
            pass
        except OSError:
            break
    assert b"RequestTimeout" in said and time.monotonic() - start < 15
    assert missing(slow)


def test_t88_a_slow_body_that_goes_on_is_taken(slow):
    connection, body = connect(slow), b"x" * 100_000
    connection.sendall(upload(slow))
    for at in range(0, len(body), 10_000):
        connection.sendall(body[at : at + 10_000])
        time.sleep(0.4)
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert raw.request(slow, "DELETE", "/bucket/slow").status == 204


def test_t88_answers_that_nobody_reads_are_given_up(slow):
    """A client that asks and asks and never reads holds nothing beyond its time."""
    connection = connect(slow)
    connection.settimeout(2)
    request = b"GET /bucket?list-type=2&prefix=" + b"p" * 4000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"

    def flying():
        text = urllib.request.urlopen(f"http://127.0.0.1:{slow.admin_port}/metrics", timeout=10).read().decode()
        return next(line for line in text.splitlines() if line.startswith("portcullis_requests_in_flight "))

    with pytest.raises(OSError):
        for _ in range(200_000):
            connection.sendall(request)
    deadline = time.monotonic() + 15
    while flying() != "portcullis_requests_in_flight 0":
        assert time.monotonic() < deadline, flying()
        time.sleep(0.2)


def test_a_drain_ends_what_is_idle_and_waits_for_what_has_begun(work):
    with Gateway(work / "draining", LIMITS.replace('shutdown_delay = "0s"', 'shutdown_delay = "1s"').replace('"1s"\nbody', '"10s"\nbody')) as gateway:
        raw.request(gateway, "PUT", "/bucket")
        idle, begun = connect(gateway), connect(gateway)
        idle.sendall(b"GET /bucket HTTP/1.1\r\nhost: x\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 403")
        begun.sendall(b"GET /bucket HTTP/1.1\r\nhost: x\r\n")
        time.sleep(0.3)
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        assert closed_after(idle)[1] < 0.9
        time.sleep(1.5)
        begun.sendall(b"\r\n")
        answer = begun.recv(65536)
        assert answer.startswith(b"HTTP/1.1 403") and b"connection: close" in answer.lower()
        stopping.join()
        assert gateway.process.returncode == 0
