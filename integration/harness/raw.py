"""Raw HTTP/1.1 over TLS, and a Signature Version 4 signer of our own, so that a test can get any
one field wrong. Written from AWS's documentation of the signing process."""

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
                   date=None, region="us-east-1", service="s3", skip=(), host=None, scope_date=None):
    """Headers of a correctly signed request; each argument is a way to get it wrong."""
    date = date or amz_now()
    payload = payload or hashlib.sha256(body).hexdigest()
    all_headers = [("host", host or f"127.0.0.1:{gateway.port}"), ("x-amz-date", date), ("x-amz-content-sha256", payload), *headers]
    names = sorted({k.lower() for k, _ in all_headers if k.lower() in ("host", "content-type", "content-md5") or k.lower().startswith("x-amz-")} - set(skip))
    scope = f"{scope_date or date[:8]}/{region}/{service}/aws4_request"
    sig = signature(secret, date, scope, canonical(method, path, query, all_headers, names, payload))
    auth = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(names)}, Signature={sig}"
    return [*all_headers, ("authorization", auth)]


def presign(gateway, method, path, query=(), headers=(), expires="3600", key=ROOT_KEY, secret=ROOT_SECRET, date=None, algorithm="AWS4-HMAC-SHA256", region="us-east-1", service="s3", payload="UNSIGNED-PAYLOAD"):
    date = date or amz_now()
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    all_headers = [("host", f"127.0.0.1:{gateway.port}"), *headers]
    names = sorted({k.lower() for k, _ in all_headers})
    pairs = [*query, ("X-Amz-Algorithm", algorithm), ("X-Amz-Credential", f"{key}/{scope}"), ("X-Amz-Date", date),
             ("X-Amz-Expires", expires), ("X-Amz-SignedHeaders", ";".join(names))]
    sig = signature(secret, date, scope, canonical(method, path, pairs, all_headers, names, payload))
    return [*pairs, ("X-Amz-Signature", sig)]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self):
        found = re.search(rb"<Code>([^<]+)</Code>", self.body)
        return found.group(1).decode() if found else None

    def __repr__(self):
        return f"<{self.status} {self.code} {self.body[:300]!r}>"


def connect(gateway, timeout=15):
    plain = socket.create_connection(("127.0.0.1", gateway.port), timeout)
    if not gateway.tls:
        return plain
    return ssl.create_default_context(cafile=gateway.ca).wrap_socket(plain, server_hostname="127.0.0.1")


def read_answer(sock, head_only=False):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError(f"closed within the head: {data!r}")
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    if status == 100:
        return read_answer(sock, head_only)
    length = int(headers.get("content-length", 0))
    while not head_only and len(body) < length:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError("closed within the body")
        body += piece
    return Answer(status, headers, body)


def raw(gateway, data, head_only=False):
    """Sends bytes as they are and reads one answer."""
    with connect(gateway) as sock:
        sock.sendall(data)
        return read_answer(sock, head_only)


def send(gateway, method, path, query=(), headers=(), body=b"", target=None):
    """One request with exactly these headers, and a content-length unless one is given."""
    pairs = "&".join(f"{quote(k)}={quote(v)}" for k, v in query)
    target = target or quote(path, "/-_.~") + (f"?{pairs}" if pairs else "")
    names = {k.lower() for k, _ in headers}
    lines = [f"{method} {target} HTTP/1.1"] + [f"{k}: {v}" for k, v in headers]
    if "host" not in names:
        lines.append(f"host: 127.0.0.1:{gateway.port}")
    if "content-length" not in names and "transfer-encoding" not in names and (body or method in ("PUT", "POST")):
        lines.append(f"content-length: {len(body)}")
    return raw(gateway, "\r\n".join([*lines, "", ""]).encode() + body, method == "HEAD")


def request(gateway, method, path, query=(), headers=(), body=b"", extra=(), **how):
    """A signed request; `extra` headers are added behind the signer's back."""
    headers = signed_headers(gateway, method, path, query, headers, body, **how)
    return send(gateway, method, path, query, [*headers, *extra], body)


def chunked(gateway, path, chunks, tamper=None, trailer=None, decoded=None, key=ROOT_KEY, secret=ROOT_SECRET, signed=True, headers=(), end=b"\r\n"):
    """An aws-chunked PUT. `tamper(index, size_line, data, signature)` may change a chunk."""
    date = amz_now()
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    kind = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD" if signed else "STREAMING-UNSIGNED-PAYLOAD") + ("-TRAILER" if trailer or not signed else "")
    length = sum(map(len, chunks)) if decoded is None else decoded
    extra = [("content-encoding", "aws-chunked"), *headers]
    if length != "absent":
        extra.append(("x-amz-decoded-content-length", str(length)))
    if trailer:
        extra.append(("x-amz-trailer", trailer[0]))
    head = signed_headers(gateway, "PUT", path, headers=extra, payload=kind, date=date, key=key, secret=secret)
    previous = dict(head)["authorization"].rsplit("=", 1)[1]
    body = b""
    signing = derive(secret, date[:8])
    for index, data in enumerate([*chunks, b""]):
        if signed:
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", date, scope, previous, EMPTY, hashlib.sha256(data).hexdigest()])
            previous = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
            line = f"{len(data):x};chunk-signature={previous}".encode()
        else:
            line = f"{len(data):x}".encode()
        if tamper:
            line, data = tamper(index, line, data)
        body += line + b"\r\n" + (data + b"\r\n" if data else b"")
    if trailer:
        name, value = trailer
        body += f"{name}:{value}\r\n".encode()
        if signed:
            text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", date, scope, previous, hashlib.sha256(f"{name}:{value}\n".encode()).hexdigest()])
            body += b"x-amz-trailer-signature:" + hmac.new(signing, text.encode(), hashlib.sha256).hexdigest().encode() + b"\r\n"
    body += end
    return send(gateway, "PUT", path, headers=head, body=body)
