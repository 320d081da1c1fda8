"""Raw HTTP/1.1 over TLS, and a Signature Version 4 signer of our own, so that a test can get any
one field wrong. Written from AWS's documentation of the signing process."""

import base64
import datetime
import hashlib
import hmac
import re
import socket
import ssl
import urllib.parse

from .gateway import ROOT_KEY, ROOT_SECRET

EMPTY = hashlib.sha256(b"").hexdigest()


def amz_now(offset=0):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=offset)).strftime("%Y%m%dT%H%M%SZ")


def quote(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


def derive(secret, date, region="us-east-1", service="s3"):
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def canonical(method, path, query, headers, signed, payload):
    pairs = sorted((quote(k), quote(v)) for k, v in query)
    lines = [method, quote(path, "/-_.~"), "&".join(f"{k}={v}" for k, v in pairs)]
    for name in signed:
        values = [re.sub(" +", " ", v.strip()) for k, v in headers if k.lower() == name]
        lines.append(f"{name}:{','.join(values)}")
    lines += ["", ";".join(signed), payload]
    return "\n".join(lines)


def signature(secret, date, scope, text):
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(text.encode()).hexdigest()])
    return hmac.new(derive(secret, *scope.split("/")[:3]), to_sign.encode(), hashlib.sha256).hexdigest()


def signed_headers(gateway, method, path, query=(), headers=(), body=b"", payload=None, key=ROOT_KEY, secret=ROOT_SECRET,
                   date=None, region="us-east-1", service="s3", terminator="aws4_request", skip=(), host=None, scope_date=None, listed=None, digest=True):
    """Headers of a correctly signed request; each argument is a way to get it wrong. `listed` is the
    text of SignedHeaders, which is then what is signed. A DeleteObjects has its digest unless told otherwise."""
    date = date or amz_now()
    if digest and method == "POST" and ("delete", "") in list(query) and not any(k.lower() == "content-md5" or k.lower().startswith("x-amz-checksum-") for k, _ in headers):
        headers = [*headers, ("content-md5", base64.b64encode(hashlib.md5(body).digest()).decode())]
    payload = payload or hashlib.sha256(body).hexdigest()
    all_headers = [("host", host or f"127.0.0.1:{gateway.port}"), ("x-amz-date", date), ("x-amz-content-sha256", payload), *headers]
    names = sorted({k.lower() for k, _ in all_headers if k.lower() in ("host", "content-type", "content-md5") or k.lower().startswith("x-amz-")} - set(skip))
    listed = ";".join(names) if listed is None else listed
    scope = f"{scope_date or date[:8]}/{region}/{service}/{terminator}"
    sig = signature(secret, date, scope, canonical(method, path, query, all_headers, listed.split(";"), payload))
    auth = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={listed}, Signature={sig}"
    return [*all_headers, ("authorization", auth)]


def presign(gateway, method, path, query=(), headers=(), expires="3600", key=ROOT_KEY, secret=ROOT_SECRET, date=None, algorithm="AWS4-HMAC-SHA256",
            region="us-east-1", service="s3", terminator="aws4_request", payload="UNSIGNED-PAYLOAD", listed=None, scope_date=None, token=None, host=None):
    date = date or amz_now()
    scope = f"{scope_date or date[:8]}/{region}/{service}/{terminator}"
    all_headers = [("host", host or f"127.0.0.1:{gateway.port}"), *headers]
    listed = ";".join(sorted({k.lower() for k, _ in all_headers})) if listed is None else listed
    pairs = [*query, ("X-Amz-Algorithm", algorithm), ("X-Amz-Credential", f"{key}/{scope}"), ("X-Amz-Date", date),
             ("X-Amz-Expires", expires), ("X-Amz-SignedHeaders", listed)]
    pairs = [*pairs, ("X-Amz-Security-Token", token)] if token else pairs
    sig = signature(secret, date, scope, canonical(method, path, pairs, all_headers, listed.split(";"), payload))
    return [*pairs, ("X-Amz-Signature", sig)]


class Answer:
    def __init__(self, status, headers, body, interim=()):
        self.status, self.headers, self.body, self.interim = status, headers, body, list(interim)

    @property
    def code(self):
        found = re.search(rb"<Code>([^<]+)</Code>", self.body)
        return found.group(1).decode() if found else None

    def __repr__(self):
        return f"<{self.status} {self.code} {self.body[:300]!r}>"


class Connection:
    """One connection, on which anything can be sent and answers are read one by one."""

    def __init__(self, gateway, timeout=15, alpn=None, source=None):
        source = source and (source, 0)
        self.sock, self.data = socket.create_connection(("127.0.0.1", gateway.port), timeout, source), b""
        if gateway.tls:
            context = ssl.create_default_context(cafile=gateway.ca)
            if alpn:
                context.set_alpn_protocols([alpn])
            self.sock = context.wrap_socket(self.sock, server_hostname="127.0.0.1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def abort(self):
        """Goes away without a word: the other end gets a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def more(self):
        """Whether something came; False at the end."""
        piece = self.sock.recv(65536)
        self.data += piece
        return bool(piece)

    def take(self, count):
        while len(self.data) < count:
            if not self.more():
                raise ConnectionError(f"closed within the body, after {self.data[:200]!r}")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def answer(self, head_only=False):
        """The next final answer, with the interim ones before it."""
        interim = []
        while True:
            while b"\r\n\r\n" not in self.data:
                if not self.more():
                    raise ConnectionError(f"closed within the head: {self.data!r}")
            head, self.data = self.data.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split()[1])
            if status >= 200:
                break
            interim.append(status)
        headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        bodiless = head_only or status in (204, 304)
        return Answer(status, headers, b"" if bodiless else self.take(int(headers.get("content-length", 0))), interim)

    def is_closed(self, patience=5):
        """Whether the other end ends the connection, without another byte."""
        self.sock.settimeout(patience)
        try:
            return not self.data and not self.more()
        except TimeoutError:
            return False
        except OSError:
            return True


def raw(gateway, data, head_only=False):
    """Sends bytes as they are and reads one answer."""
    with Connection(gateway) as connection:
        connection.send(data)
        return connection.answer(head_only)


def render(gateway, method, path, query=(), headers=(), body=b"", target=None):
    """The bytes of a request with exactly these headers, and a content-length unless one is given."""
    pairs = "&".join(f"{quote(k)}={quote(v)}" for k, v in query)
    target = target or quote(path, "/-_.~") + (f"?{pairs}" if pairs else "")
    names = {k.lower() for k, _ in headers}
    lines = [f"{method} {target} HTTP/1.1"] + [f"{k}: {v}" for k, v in headers]
    if "host" not in names:
        lines.append(f"host: 127.0.0.1:{gateway.port}")
    if "content-length" not in names and "transfer-encoding" not in names and (body or method in ("PUT", "POST")):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def send(gateway, method, path, query=(), headers=(), body=b"", target=None):
    return raw(gateway, render(gateway, method, path, query, headers, body, target), method == "HEAD")


def signed(gateway, method, path, query=(), headers=(), body=b"", extra=(), **how):
    """The bytes of a signed request; `extra` headers are added behind the signer's back."""
    headers = signed_headers(gateway, method, path, query, headers, body, **how)
    return render(gateway, method, path, query, [*headers, *extra], body)


def request(gateway, method, path, query=(), headers=(), body=b"", extra=(), **how):
    return raw(gateway, signed(gateway, method, path, query, headers, body, extra, **how), method == "HEAD")


def chunked_parts(gateway, path, chunks, trailer=None, announced=None, decoded=None, key=ROOT_KEY, secret=ROOT_SECRET, signed=True,
                  headers=(), query=(), payload=None, link=False):
    """An aws-chunked PUT in parts: query, headers, [size line, data] of each chunk, lines of the trailer.
    `link` presigns it."""
    date = amz_now()
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    kind = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD" if signed else "STREAMING-UNSIGNED-PAYLOAD") + ("-TRAILER" if trailer or not signed else "")
    kind = payload or kind
    length = sum(map(len, chunks)) if decoded is None else decoded
    extra = [("content-encoding", "aws-chunked"), *headers]
    if length != "absent":
        extra.append(("x-amz-decoded-content-length", str(length)))
    if trailer or announced:
        extra.append(("x-amz-trailer", announced or trailer[0]))
    if link:
        head = [("x-amz-content-sha256", kind), *extra]
        query = presign(gateway, "PUT", path, query, head, key=key, secret=secret, date=date, payload=kind)
        previous = query[-1][1]
    else:
        head = signed_headers(gateway, "PUT", path, query, extra, payload=kind, date=date, key=key, secret=secret)
        previous = dict(head)["authorization"].rsplit("=", 1)[1]
    signing, pieces, lines = derive(secret, date[:8]), [], []
    sign = lambda *text: hmac.new(signing, "\n".join(text).encode(), hashlib.sha256).hexdigest()
    for data in [*chunks, b""]:
        if signed:
            previous = sign("AWS4-HMAC-SHA256-PAYLOAD", date, scope, previous, EMPTY, hashlib.sha256(data).hexdigest())
            pieces.append([f"{len(data):x};chunk-signature={previous}".encode(), data])
        else:
            pieces.append([f"{len(data):x}".encode(), data])
    if trailer:
        name, value = trailer
        lines.append(f"{name}:{value}".encode())
        if signed:
            lines.append(b"x-amz-trailer-signature:" + sign("AWS4-HMAC-SHA256-TRAILER", date, scope, previous, hashlib.sha256(f"{name}:{value}\n".encode()).hexdigest()).encode())
    return query, head, pieces, lines


def chunked_body(pieces, lines, end=b"\r\n"):
    body = b"".join(line + b"\r\n" + (data + b"\r\n" if data else b"") for line, data in pieces)
    return body + b"".join(line + b"\r\n" for line in lines) + end


def chunked(gateway, path, chunks, tamper=None, retrail=None, end=b"\r\n", **how):
    """An aws-chunked PUT. `tamper(pieces)` may change the chunks and `retrail(lines)` the trailer, or
    answer others in their place."""
    query, head, pieces, lines = chunked_parts(gateway, path, chunks, **how)
    pieces = pieces if tamper is None else tamper(pieces) or pieces
    lines = lines if retrail is None else retrail(lines)
    return send(gateway, "PUT", path, query, head, chunked_body(pieces, lines, end))
