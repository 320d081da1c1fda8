"""The attacks of the published vulnerabilities, each with its positive twin, against a gateway whose
upstream keeps what reaches it: a refusal also means that nothing arrived there."""

import base64
import os
import re
import socket
import time
import zlib

import pytest

from harness import raw
from harness.gateway import ROOT_KEY, ROOT_SECRET
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET

BODY = b"some bytes of an object"


def passes(spy, answer, count=1):
    assert answer.status in (200, 204, 206), answer
    assert len(spy.complete()) >= count
    spy.clear()


def refuses(spy, answer, *codes, statuses=(400, 403)):
    assert answer.status in statuses and answer.code in codes, answer
    assert spy.complete() == [], spy.complete()
    spy.clear()


UNSIGNED = ["copy-source", "copy-source-range", "tagging", "acl", "grant-read", "storage-class", "server-side-encryption",
            "object-lock-mode", "meta-evil", "website-redirect-location", "security-token", "bypass-governance-retention", "checksum-crc32"]


@pytest.mark.parametrize("name", UNSIGNED)
def test_t01_unsigned_amz_header_on_a_presigned_put(spied, spy, name):
    query = raw.presign(spied, "PUT", "/bucket/key")
    passes(spy, raw.send(spied, "PUT", "/bucket/key", query, body=BODY))
    answer = raw.send(spied, "PUT", "/bucket/key", query, [(f"x-amz-{name}", "/bucket/secret")], BODY)
    assert answer.status in (400, 403, 501) and spy.complete() == [], answer


def test_t01_the_message_names_the_header(spied, spy):
    query = raw.presign(spied, "PUT", "/bucket/key")
    answer = raw.send(spied, "PUT", "/bucket/key", query, [("x-amz-meta-evil", "1")], BODY)
    assert answer.code == "AccessDenied" and b"not signed" in answer.body and b"x-amz-meta-evil" in answer.body
    assert spy.complete() == []


def test_t02_header_added_to_a_signed_request(spied, spy):
    passes(spy, raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=[("x-amz-meta-a", "1")]))
    refuses(spy, raw.request(spied, "PUT", "/bucket/key", body=BODY, extra=[("x-amz-meta-a", "1")]), "AccessDenied")
    refuses(spy, raw.request(spied, "PUT", "/bucket/key", body=BODY, skip=["host"]), "AccessDenied")
    good = dict(raw.signed_headers(spied, "GET", "/bucket/key"))
    for change in (";host", "host;", "host;host", "Host", "x-amz-date;host", "a" * 5000, "host;missing"):
        bad = {**good, "authorization": re.sub("SignedHeaders=[^,]+", f"SignedHeaders={change}", good["authorization"])}
        refuses(spy, raw.send(spied, "GET", "/bucket/key", headers=list(bad.items())), "AuthorizationHeaderMalformed", "AccessDenied")


def test_t03_forged_signature_with_unsigned_trailer(spied, spy):
    crc = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
    send = lambda secret: raw.chunked(spied, "/bucket/key", [BODY], trailer=("x-amz-checksum-crc32", crc), signed=False, secret=secret)
    passes(spy, send(ROOT_SECRET))
    refuses(spy, send("forged"), "SignatureDoesNotMatch", statuses=(403,))


def test_t04_unsigned_trailer_with_query_credentials(spied, spy):
    extra = [("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ("x-amz-decoded-content-length", "1"), ("x-amz-trailer", "x-amz-checksum-crc32")]
    for payload in ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "UNSIGNED-PAYLOAD"):
        for secret, codes in ((ROOT_SECRET, ("InvalidRequest",)), ("forged", ("InvalidRequest", "SignatureDoesNotMatch"))):
            query = raw.presign(spied, "PUT", "/bucket/key", headers=extra, payload=payload, secret=secret)
            refuses(spy, raw.send(spied, "PUT", "/bucket/key", query, extra, b"1\r\na\r\n0\r\n\r\n"), *codes)


def test_t05_the_payload_mode_selects_no_weaker_check(spied, spy):
    for payload in ("garbage", "", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-ANYTHING", "E3B0" * 16, "STREAMING-UNSIGNED-PAYLOAD"):
        answer = raw.request(spied, "PUT", "/bucket/key", body=BODY, payload=payload or " ")
        refuses(spy, answer, "InvalidArgument", "InvalidRequest", "SignatureDoesNotMatch")
    for method, path, query in (("GET", "/bucket/key", ()), ("DELETE", "/bucket/key", ()), ("POST", "/bucket", [("delete", "")]), ("PUT", "/bucket", ())):
        for payload in ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
            refuses(spy, raw.request(spied, method, path, query, payload=payload), "InvalidRequest")
    headers = [h for h in raw.signed_headers(spied, "GET", "/bucket/key") if h[0] != "x-amz-content-sha256"]
    refuses(spy, raw.send(spied, "GET", "/bucket/key", headers=headers), "InvalidRequest")
    twice = raw.signed_headers(spied, "GET", "/bucket/key")
    refuses(spy, raw.send(spied, "GET", "/bucket/key", headers=[*twice, ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]), "InvalidArgument", "AccessDenied", "SignatureDoesNotMatch")


BIG = [os.urandom(65536), os.urandom(65536), os.urandom(1000)]


def flip(data, at=0):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


CHUNK_ATTACKS = {
    "flip a byte": lambda i, line, data: (line, flip(data) if i == 1 else data),
    "flip the last chunk": lambda i, line, data: (line, flip(data) if i == 2 else data),
    "forge a signature": lambda i, line, data: (flip(line, -1 % len(line)) if i == 1 else line, data),
    "forge the zero chunk": lambda i, line, data: (line[:-4] + b"0000" if i == 3 else line, data),
    "drop the signature": lambda i, line, data: (line.split(b";")[0] if i == 0 else line, data),
}


@pytest.mark.parametrize("attack", CHUNK_ATTACKS)
def test_t06_chunk_chain_tampering(spied, spy, attack):
    passes(spy, raw.chunked(spied, "/bucket/key", BIG))
    answer = raw.chunked(spied, "/bucket/key", BIG, tamper=CHUNK_ATTACKS[attack])
    refuses(spy, answer, "SignatureDoesNotMatch", statuses=(403,))


def test_t07_a_body_that_ends_early_or_lies(spied, spy):
    passes(spy, raw.chunked(spied, "/bucket/key", BIG))
    refuses(spy, raw.chunked(spied, "/bucket/key", BIG, decoded=132071), "IncompleteBody")
    refuses(spy, raw.chunked(spied, "/bucket/key", BIG, decoded=132073), "IncompleteBody")
    refuses(spy, raw.chunked(spied, "/bucket/key", BIG, decoded="absent"), "MissingContentLength", statuses=(411,))
    refuses(spy, raw.chunked(spied, "/bucket/key", BIG, decoded="+5"), "InvalidArgument")
    refuses(spy, raw.chunked(spied, "/bucket/key", BIG, tamper=lambda i, line, data: (b"", b"") if i == 3 else (line, data), end=b""), "IncompleteBody", "InvalidRequest")
    refuses(spy, raw.chunked(spied, "/bucket/key", [b"tiny", os.urandom(9000)]), "InvalidChunkSizeError", statuses=(400, 403))
    refuses(spy, raw.chunked(spied, "/bucket/key", BIG, end=b"\r\ntrailing garbage"), "InvalidRequest")


def test_t08_trailer_attacks(spied, spy):
    crc = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
    for signed in (True, False):
        send = lambda trailer, **how: raw.chunked(spied, "/bucket/key", [BODY], trailer=trailer, signed=signed, **how)
        passes(spy, send(("x-amz-checksum-crc32", crc)))
        refuses(spy, send(("x-amz-checksum-crc32", "AAAAAA==")), "BadDigest")
        refuses(spy, send(("x-amz-checksum-crc32", "junk")), "InvalidRequest")
        refuses(spy, send(("x-amz-meta-a", "b")), "InvalidRequest", "MalformedTrailerError")
        refuses(spy, send(("x-amz-checksum-crc32", crc), end=b"x-amz-meta-evil:1\r\n\r\n"), "MalformedTrailerError", "InvalidRequest")
        refuses(spy, send(("x-amz-checksum-crc32", crc), end=b"no colon\r\n\r\n"), "MalformedTrailerError")
        refuses(spy, send(("x-amz-checksum-crc32", crc), end=b"a" * 70000 + b"\r\n\r\n"), "MalformedTrailerError")


def test_t09_the_body_is_not_what_was_signed(spied, spy):
    headers = raw.signed_headers(spied, "PUT", "/bucket/key", body=BODY)
    passes(spy, raw.send(spied, "PUT", "/bucket/key", headers=headers, body=BODY))
    refuses(spy, raw.send(spied, "PUT", "/bucket/key", headers=headers, body=flip(BODY)), "XAmzContentSHA256Mismatch")
    large = os.urandom(400_000)
    headers = raw.signed_headers(spied, "PUT", "/bucket/key", body=large)
    refuses(spy, raw.send(spied, "PUT", "/bucket/key", headers=headers, body=flip(large, 399_999)), "XAmzContentSHA256Mismatch")


def test_t10_time(spied, spy):
    get = lambda **how: raw.request(spied, "GET", "/bucket/key", **how)
    passes(spy, get(date=raw.amz_now(-800)))
    for offset in (-901 - 5, 901 + 5):
        refuses(spy, get(date=raw.amz_now(offset)), "RequestTimeTooSkewed", statuses=(403,))
    refuses(spy, get(scope_date="20200101"), "AuthorizationHeaderMalformed")
    refuses(spy, get(date="yesterday"), "AccessDenied", "AuthorizationHeaderMalformed")
    link = lambda **how: raw.send(spied, "GET", "/bucket/key", raw.presign(spied, "GET", "/bucket/key", **how))
    passes(spy, link(expires="604800"))
    for expires in ("604801", "-1", "abc", "1e30", "99999999999999999999"):
        refuses(spy, link(expires=expires), "AuthorizationQueryParametersError")
    refuses(spy, link(date=raw.amz_now(-100), expires="60"), "AccessDenied")
    refuses(spy, link(date=raw.amz_now(1000)), "AccessDenied")
    query = [p for p in raw.presign(spied, "GET", "/bucket/key") if p[0] != "X-Amz-Expires"]
    refuses(spy, raw.send(spied, "GET", "/bucket/key", query), "AuthorizationQueryParametersError")


def test_t11_two_credentials(spied, spy):
    headers, query = raw.signed_headers(spied, "GET", "/bucket/key"), raw.presign(spied, "GET", "/bucket/key")
    refuses(spy, raw.send(spied, "GET", "/bucket/key", query, headers), "InvalidArgument")
    refuses(spy, raw.send(spied, "GET", "/bucket/key", headers=[*headers, headers[-1]]), "InvalidArgument")
    refuses(spy, raw.send(spied, "GET", "/bucket/key", [*query, query[-1]]), "InvalidArgument")
    refuses(spy, raw.send(spied, "GET", "/bucket/key", [*query, ("AWSAccessKeyId", "x")]), "InvalidArgument")


def test_t12_algorithm_and_scope(spied, spy):
    get = lambda **how: raw.request(spied, "GET", "/bucket/key", **how)
    passes(spy, get())
    refuses(spy, get(region="eu-west-1"), "AuthorizationHeaderMalformed")
    refuses(spy, get(service="sts"), "AuthorizationHeaderMalformed")
    good = dict(raw.signed_headers(spied, "GET", "/bucket/key"))
    for old, new in (("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256x"), ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), ("aws4_request", "aws5_request")):
        bad = {**good, "authorization": good["authorization"].replace(old, new)}
        refuses(spy, raw.send(spied, "GET", "/bucket/key", headers=list(bad.items())), "InvalidRequest", "AuthorizationHeaderMalformed")
    for value in ("AWS AKID:c2lnbmF0dXJl", "Bearer token", "Basic dTpw", "nonsense"):
        refuses(spy, raw.send(spied, "GET", "/bucket/key", headers=[("authorization", value)]), "InvalidRequest", "AuthorizationHeaderMalformed")
    v2 = [("AWSAccessKeyId", "AKID"), ("Expires", "9999999999"), ("Signature", "c2ln")]
    refuses(spy, raw.send(spied, "GET", "/bucket/key", v2), "InvalidRequest")
    for algorithm in ("AWS4-ECDSA-P256-SHA256", "AWS4-HMAC-SHA1"):
        refuses(spy, raw.send(spied, "GET", "/bucket/key", raw.presign(spied, "GET", "/bucket/key", algorithm=algorithm)), "InvalidRequest", "AuthorizationQueryParametersError")


def test_t13_credential_state(spied, spy):
    get = lambda **how: raw.request(spied, "GET", "/bucket/key", **how)
    passes(spy, get())
    refuses(spy, get(key="AKIAUNKNOWNUNKNOWN00"), "InvalidAccessKeyId", statuses=(403,))
    refuses(spy, get(secret="wrong"), "SignatureDoesNotMatch", statuses=(403,))
    refuses(spy, get(headers=[("x-amz-security-token", "a token")]), "InvalidToken")


def test_t14_browser_forms_are_refused_by_name(spied, spy):
    answer = raw.send(spied, "POST", "/bucket", headers=[("content-type", "multipart/form-data; boundary=x")], body=b"--x--\r\n")
    refuses(spy, answer, "NotImplemented", statuses=(501,))


def test_t47_message_framing(spied, spy):
    host = f"host: 127.0.0.1:{spied.port}\r\n"
    smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
    attacks = [
        f"PUT /bucket/key HTTP/1.1\r\n{host}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        f"PUT /bucket/key HTTP/1.1\r\n{host}content-length: 5\r\ncontent-length: 6\r\n\r\nabcde{smuggled}",
        f"PUT /bucket/key HTTP/1.1\r\n{host}content-length: 5\r\ncontent-length: 5\r\n\r\nabcde",
        f"PUT /bucket/key HTTP/1.1\r\n{host}content-length: +5\r\n\r\nabcde",
        f"PUT /bucket/key HTTP/1.1\r\n{host}content-length: 5,5\r\n\r\nabcde",
        f"PUT /bucket/key HTTP/1.1\r\n{host}content-length: 0x5\r\n\r\nabcde",
        f"PUT /bucket/key HTTP/1.1\r\n{host}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        f"PUT /bucket/key HTTP/1.1\r\n{host}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        f"PUT /bucket/key HTTP/1.1\r\n{host}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        f"PUT /bucket/key HTTP/1.0\r\n{host}transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        f"GET /bucket/key HTTP/1.1\r\n{host}x: a\r\n folded\r\n\r\n",
        f"GET /bucket/key HTTP/1.1\r\n{host}x : a\r\n\r\n",
        f"GET /bucket/key HTTP/1.1\r\n{host}x: a\nb: c\r\n\r\n",
        f"GET /bucket/key HTTP/1.1\r\n{host}x: a\0b\r\n\r\n",
        f"GET /bucket/key HTTP/1.1\r\n{host}{host}\r\n",
        "GET /bucket/key HTTP/1.1\r\n\r\n",
    ]
    for attack in attacks:
        with raw.connect(spied) as sock:
            sock.sendall(attack.encode("latin-1"))
            answer = raw.read_answer(sock)
            assert answer.status == 400, (attack, answer)
            sock.settimeout(5)
            assert sock.recv(1) == b"", attack
    assert spy.complete() == []


def test_t48_an_unread_body_is_no_request(spied, spy):
    with raw.connect(spied) as sock:
        body = f"GET /bucket/secret HTTP/1.1\r\nhost: 127.0.0.1:{spied.port}\r\n\r\n".encode()
        sock.sendall(f"PUT /bucket/key HTTP/1.1\r\nhost: 127.0.0.1:{spied.port}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        assert raw.read_answer(sock).status == 403
        sock.settimeout(5)
        assert sock.recv(100) == b""
    assert spy.complete() == []


def test_t49_mode_changes(spied, spy):
    for method, headers in (("CONNECT", []), ("TRACE", []), ("OPTIONS", []), ("GET", [("upgrade", "h2c"), ("connection", "upgrade")]), ("PUT", [("expect", "200-maybe")])):
        answer = raw.send(spied, method, "/bucket/key", headers=headers)
        assert answer.status in (400, 405, 417, 501), (method, headers, answer)
    assert spy.complete() == []


def test_t50_the_key_that_was_authorised_is_forwarded(spied, spy):
    seen = lambda: spy.complete()[-1][0].split(b" ")[1].decode()
    for key in ("a%2Fb", "a//b", "a;b", "a%23b", "a%3Fb", "a+b", "a%20b", "%25%32%65", "caf%C3%A9"):
        decoded = raw.urllib.parse.unquote(key)
        headers = raw.signed_headers(spied, "GET", f"/bucket/{decoded}")
        passes_ = raw.send(spied, "GET", None, headers=headers, target=f"/bucket/{key}")
        assert passes_.status == 200, (key, passes_)
        assert raw.urllib.parse.unquote(seen()) == f"/bucket/{decoded}", key
        spy.clear()
    for key in ("../a", "a/../b", "a/./b", "..", "a/..", "%2e%2e/a", "a\\..\\b"):
        decoded = raw.urllib.parse.unquote(key)
        headers = raw.signed_headers(spied, "GET", f"/bucket/{decoded}")
        answer = raw.send(spied, "GET", None, headers=headers, target=f"/bucket/{raw.quote(key, '/-_.~%')}")
        assert answer.status == 400 and spy.complete() == [], (key, answer)
    for target in ("/bucket/%", "/bucket/%zz", "/bucket/%c3%28", "/bucket/%00", "/bucket/a#b"):
        answer = raw.send(spied, "GET", None, target=target)
        assert answer.status == 400 and spy.complete() == [], (target, answer)


def test_t51_sub_resources_never_fall_through(spied, spy):
    for method, path, query in (
        ("DELETE", "/bucket", "policyx"), ("DELETE", "/bucket", "unknown"), ("PUT", "/bucket", "ACL"), ("GET", "/bucket", "acl"), ("DELETE", "/bucket", "lifecycle"),
        ("GET", "/bucket/key", "tagging"), ("PUT", "/bucket/key", "acl"), ("DELETE", "/bucket/key", "tagging"), ("GET", "/bucket", "versions"), ("GET", "/bucket/key", "anything"),
        ("DELETE", "/bucket", "cors"), ("PUT", "/bucket/key", "renameObject"), ("GET", "/bucket", "versioning"), ("PUT", "/bucket", "versioning"), ("POST", "/bucket/key", "restore"),
    ):
        answer = raw.request(spied, method, path, [(query, "")])
        assert answer.status in (400, 405, 501) and spy.complete() == [], (method, path, query, answer)
    refuses(spy, raw.request(spied, "GET", "/bucket", [("policy", ""), ("acl", "")]), "NotImplemented", statuses=(501,))
    refuses(spy, raw.request(spied, "POST", "/bucket/key", [("uploadId", "")]), "InvalidArgument")
    refuses(spy, raw.request(spied, "GET", "/bucket", [("prefix", "a"), ("prefix", "b")]), "InvalidArgument")


def test_t53_t54_what_crosses_to_the_upstream(spied, spy):
    extra = [("cookie", "session=canary-cookie"), ("x-forwarded-for", "1.2.3.4"), ("x-internal", "canary"), ("x-real-ip", "1.2.3.4"), ("connection", "x-internal"), ("referer", "canary")]
    passes(spy, raw.request(spied, "GET", "/bucket/key"))
    answer = raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=[("x-amz-meta-kept", "yes"), ("content-type", "text/plain")], extra=extra)
    assert answer.status == 200
    head = spy.complete()[-1][0].decode().lower()
    assert "x-amz-meta-kept: yes" in head and "content-type: text/plain" in head
    assert UPSTREAM_KEY.lower() in head and "signature=" in head
    for secret in ("canary-cookie", "x-internal", "1.2.3.4", "referer", ROOT_KEY.lower(), ROOT_SECRET, "x-forwarded-for"):
        assert secret not in head, (secret, head)
    spy.clear()
    for name in ("x_amz_acl", "x-amz_acl"):
        answer = raw.request(spied, "PUT", "/bucket/key", body=BODY, extra=[(name, "public-read")])
        assert answer.status in (400, 403, 501) and spy.complete() == [], answer
    spy.reply = lambda h, b: Recorder.answer(b"<Error><Code>NoSuchBucket</Code><BucketName>hidden-bucket</BucketName><HostId>upstream-host</HostId></Error>", "404 Not Found")
    answer = raw.request(spied, "GET", "/bucket/key")
    assert answer.code == "NoSuchBucket" and b"hidden-bucket" not in answer.body and b"upstream-host" not in answer.body
    for status in ("301 Moved Permanently", "307 Temporary Redirect"):
        spy.clear()
        spy.reply = lambda h, b: Recorder.answer(b"", status, [f"location: {spy.url}/elsewhere"])
        answer = raw.request(spied, "GET", "/bucket/key")
        assert answer.status >= 500 and len(spy.complete()) == 1 and "location" not in answer.headers, answer


def test_t55_copy_sources(spied, spy):
    spy.reply = lambda h, b: Recorder.answer(b'<CopyObjectResult><ETag>"e"</ETag><LastModified>2026-11-24T00:00:00Z</LastModified></CopyObjectResult>')
    put = lambda source, **how: raw.request(spied, "PUT", "/bucket/key", headers=[("x-amz-copy-source", source)], **how)
    passes(spy, put("/bucket/from"))
    passes(spy, put("bucket/a%20b"))
    for source in ("/", "b", "bucket/", "/bucket", "bucket", "bucket?versionId=1", "bucket/key?versionId=", "bucket/key?other=1", "%ff/key", "bucket/%ff", "BUCKET/key", "arn:aws:s3:us-east-1:1:accesspoint/x/object/k", "../bucket/key", "bucket/../../etc"):
        answer = put(source)
        assert answer.status == 400 and spy.complete() == [], (source, answer)
    for method in ("GET", "HEAD", "DELETE"):
        answer = raw.request(spied, method, "/bucket/key", headers=[("x-amz-copy-source", "/bucket/from")])
        assert answer.status == 400 and spy.complete() == [], (method, answer)
    assert put("/bucket/from", body=b"body").status == 400 and spy.complete() == []


def test_t56_xml(spied, spy):
    bomb = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
    for body in (bomb, b"<Delete>" * 10000, b"<Delete " + b" ".join(b'a%d="1"' % n for n in range(80000)) + b"/>", "<Delete/>".encode("utf-16"), b"", b"{}",
                 b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>"):
        start = time.time()
        answer = raw.request(spied, "POST", "/bucket", [("delete", "")], body=body)
        assert answer.code == "MalformedXML" and time.time() - start < 2, answer
        assert spy.complete() == []


def download(spied, reply, spy, length=None):
    """What a client gets when the upstream answers like this: an answer, or a cut."""
    spy.reply = lambda h, b: reply
    try:
        return raw.request(spied, "GET", "/bucket/key")
    except (ConnectionError, OSError) as error:
        return error


META = ['etag: "e"', "last-modified: Tue, 24 Nov 2026 00:00:00 GMT"]


def test_t58_bad_upstream_answers(spied, spy):
    good = Recorder.answer(b"0123456789", headers=META)
    answer = download(spied, good, spy)
    assert answer.status == 200 and answer.body == b"0123456789"
    head = "HTTP/1.1 200 OK\r\netag: \"e\"\r\nlast-modified: Tue, 24 Nov 2026 00:00:00 GMT\r\n"
    for bad in (
        (head + "content-length: 20\r\nconnection: close\r\n\r\n0123456789").encode(),
        (head + "content-length: 5\r\ncontent-length: 10\r\nconnection: close\r\n\r\n0123456789").encode(),
        b"HTTP/1.1 200 OK\r\n" * 3 + b"connection: close\r\n\r\n",
        b"garbage\r\n\r\nconnection: close\r\n\r\n",
        None,
    ):
        answer = download(spied, bad, spy)
        clean = isinstance(answer, raw.Answer) and answer.status < 500
        assert not clean, (bad, answer)
    again = download(spied, good, spy)
    assert again.status == 200 and again.body == b"0123456789"
    for status in ("500 Internal Server Error", "503 Slow Down", "403 Forbidden", "401 Unauthorized"):
        answer = download(spied, Recorder.answer(b"<Error><Code>AccessDenied</Code></Error>", status), spy)
        assert answer.status >= 500, (status, answer)
    spy.reply = lambda h, b: Recorder.answer(b"<Error><Code>InternalError</Code></Error>")
    done = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"
    answer = raw.request(spied, "POST", "/bucket/key", [("uploadId", "u")], body=done)
    assert answer.status >= 500, answer


def test_t59_response_injection(spied, spy):
    for value in ("a\r\nx-evil: 1", "a\nb", "a\0b"):
        query = [("response-content-disposition", value)]
        answer = raw.request(spied, "GET", "/bucket/key", query)
        assert answer.status == 400 and "x-evil" not in answer.headers and spy.complete() == [], answer
    passes(spy, raw.request(spied, "GET", "/bucket/key", [("response-content-disposition", "attachment; filename=\"a\"")]))


def test_t45_anonymous_learns_nothing(spied, spy):
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        for headers in ([], [("if-none-match", "*")], [("if-match", '"e"')]):
            answer = raw.send(spied, method, "/bucket/key", headers=headers)
            assert answer.status == 403 and spy.complete() == [], answer


def test_t89_a_refusal_reads_no_body(spied, spy):
    with raw.connect(spied) as sock:
        sock.sendall(f"PUT /bucket/key HTTP/1.1\r\nhost: 127.0.0.1:{spied.port}\r\ncontent-length: 5000000000\r\nexpect: 100-continue\r\n\r\n".encode())
        answer = raw.read_answer(sock)
        assert answer.status == 403 and spy.complete() == []


def test_t94_limits(spied, spy):
    passes(spy, raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=[("x-amz-meta-a", "b" * 2000)]))
    refuses(spy, raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=[("x-amz-meta-a", "b" * 2050)]), "MetadataTooLarge")
    refuses(spy, raw.request(spied, "PUT", "/bucket/key", body=BODY, extra=[("x-padding", "p" * 9000)]), "RequestHeaderSectionTooLarge")
    for keys in ("-1", "x", "99999999999"):
        refuses(spy, raw.request(spied, "GET", "/bucket", [("max-keys", keys)]), "InvalidArgument")
    headers = raw.signed_headers(spied, "PUT", "/bucket/key", payload="UNSIGNED-PAYLOAD")
    refuses(spy, raw.send(spied, "PUT", "/bucket/key", headers=[*headers, ("content-length", str(6 * 1024**3))]), "EntityTooLarge")
