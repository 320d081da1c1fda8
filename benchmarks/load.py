"""Load that few programs make: thousands of clients that are slow, and requests that cost more to refuse than to send."""

import contextlib
import multiprocessing
import os
import socket
import ssl
import struct
import time

import servers
import signing

PIECE = 16 * 1024
BEHIND = b"\0" * PIECE


@contextlib.contextmanager
def on_client_core():
    """This thread, and what it starts, runs where the servers do not."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {servers.CLIENT_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Connection:
    """One kept connection, over which one request after another is sent."""

    def __init__(self, server, context=None, buffer=None):
        self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(120)
        self.sock.connect(("127.0.0.1", server.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.sock = context.wrap_socket(self.sock, server_hostname="127.0.0.1")

    def ask(self, request):
        """Status and body of its answer."""
        self.sock.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive()
        head, body = data.split(b"\r\n\r\n", 1)
        length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while length and len(body) < length[0]:
            body += self.receive()
        return int(head.split()[1]), body

    def receive(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise ConnectionError("closed")
        return piece


def render(method, host, target, headers, body=b"", length=None):
    pairs = headers.items() if isinstance(headers, dict) else headers
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}", *(f"{name}: {value}" for name, value in pairs)]
    if method in ("PUT", "POST"):
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def signed(signer, method, server, path, body=b"", length=None):
    headers = signer.headers(method, server.host, path, signing.UNSIGNED)
    return render(method, server.host, path, headers, body, length)


def slow(server, requests, upload, context, ready, stop, refused):
    """Every request on a connection of its own, that sends or takes 16 KiB a second."""
    with on_client_core():
        held = []
        for request in requests:
            connection = Connection(server, context, None if upload else 65536)
            connection.sock.sendall(request)
            connection.sock.setblocking(False)
            held.append(connection)
        ready.set()
        due, told = 0, [False] * len(held)
        while not stop.is_set():
            # A hundredth of them every hundredth of a second.
            share = max(1, len(held) // 100)
            for at, connection in enumerate(held[due : due + share], due):
                with contextlib.suppress(OSError):
                    if upload:
                        connection.sock.send(BEHIND)
                    elif (piece := connection.sock.recv(PIECE)) and not told[at]:
                        told[at] = True
                        refused.value += not piece.startswith(b"HTTP/1.1 2")
            due = due + share if due + share < len(held) else 0
            time.sleep(0.01)
        # An upload that is answered before its end was refused.
        for connection in held if upload else ():
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                try:
                    connection.sock.recv(1)
                except ConnectionError:
                    pass
                refused.value += 1


@contextlib.contextmanager
def slowly(server, requests, upload, tls):
    """Holds the requests open meanwhile."""
    context = servers.trusting(server.ca) if tls else None
    fork = multiprocessing.get_context("fork")
    ready, stop, refused = fork.Event(), fork.Event(), fork.Value("i", 0)
    clients = fork.Process(target=slow, args=(server, requests, upload, context, ready, stop, refused), daemon=True)
    clients.start()
    try:
        deadline = time.time() + 120
        while not ready.wait(1):
            if time.time() > deadline or not clients.is_alive():
                raise SystemExit("the slow clients do not get through")
        yield
    finally:
        stop.set()
        clients.join(10)
        clients.kill()
        print(f"  of {len(requests):,} slow clients {refused.value:,} were refused")


def percentile(times, share):
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# Requests that are refused before anyone is known. HTTP/2 by hand: no client sends what costs most.


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value, bits, first=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def field(name, value):
    """A header field that enters no table."""
    return b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value


def http2(stream, host, target, headers=()):
    block = field(b":method", b"GET") + field(b":scheme", b"https") + field(b":authority", host.encode()) + field(b":path", target)
    block += b"".join(field(name, value) for name, value in headers)
    pieces = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    frames = [frame(1 if n == 0 else 9, (1 if n == 0 else 0) | (4 if n == len(pieces) - 1 else 0), stream, piece) for n, piece in enumerate(pieces)]
    return b"".join(frames)


class Http2:
    """Asks one request after another, each on the next stream; a connection that is ended is made anew."""

    def __init__(self, server):
        self.server, self.context = server, servers.trusting(server.ca)
        self.context.set_alpn_protocols(["h2"])
        self.ended = 0
        self.connect()

    def connect(self):
        self.connection, self.stream, self.data = Connection(self.server, self.context), 1, b""
        # The connection's window is made large: what is measured is the server.
        self.connection.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(8, 0, 0, struct.pack(">I", 1 << 30)))

    def ask(self, target, headers=()):
        try:
            self.connection.sock.sendall(http2(self.stream, self.server.host, target, headers))
            while True:
                while len(self.data) < 9 or len(self.data) < 9 + int.from_bytes(self.data[:3], "big"):
                    self.data += self.connection.receive()
                length = int.from_bytes(self.data[:3], "big")
                kind, flags, stream = struct.unpack(">BBI", self.data[3:9])
                self.data = self.data[9 + length :]
                if kind == 7:
                    raise ConnectionError("told to go away")
                if kind == 4 and not flags & 1:
                    self.connection.sock.sendall(frame(4, 1, 0, b""))
                if stream == self.stream and (kind == 3 or (kind in (0, 1) and flags & 1)):
                    break
            self.stream += 2
        except (OSError, ssl.SSLError):
            self.ended += 1
            self.connect()


def expensive(size):
    """Queries and headers of about this size that say as much as they can, by name."""
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    link = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={servers.ACCESS_KEY}%2F{date[:8]}%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date={date}&X-Amz-Expires=60&X-Amz-Signature={'0' * 64}"
    many = lambda render: filled(size, render)
    return {
        "short query keys": ("/bench/key?" + many(lambda n: f"{short(n)}&"), []),
        "one query key again and again": ("/bench/key?" + many(lambda n: "a&"), []),
        "hoisted metadata": (f"/bench/key?{link}&X-Amz-SignedHeaders=host&" + filled(size - len(link) - 40, lambda n: f"x-amz-meta-{n:x}=&"), []),
        "a link of short keys": (f"/bench/key?{link}&X-Amz-SignedHeaders=host&" + filled(size - len(link) - 40, lambda n: f"{short(n)}&"), []),
        "a link of many signed headers": (f"/bench/key?{link}&X-Amz-SignedHeaders=host" + filled(size - len(link) - 40, lambda n: f"%3B{n:x}"), []),
        "percent signs": ("/" + many(lambda n: "%41"), []),
        "slashes": ("/" + many(lambda n: "/"), []),
        "short headers": ("/", [(f"x-amz-meta-{n:x}".encode(), b"") for n in range(size // 20)]),
        "one header again and again": ("/", [(b"x-amz-a", b"")] * (size // 12)),
        "many signed headers": ("/", [(b"authorization", f"AWS4-HMAC-SHA256 Credential={servers.ACCESS_KEY}/{date[:8]}/us-east-1/s3/aws4_request, SignedHeaders={filled(size - 300, lambda n: f'{n:x};')}host, Signature={'0' * 64}".encode()),
                                        (b"x-amz-date", date.encode()), (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")]),
    }


def short(n):
    """A name that is as short as its number allows."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    name = digits[n % 62]
    while n := n // 62:
        name += digits[n % 62]
    return name


def filled(size, render):
    pieces, length, n = [], 0, 0
    while length < size:
        pieces.append(render(n))
        length, n = length + len(pieces[-1]), n + 1
    return "".join(pieces)
