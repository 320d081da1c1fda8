"""T53, T54, T56 and T59: what crosses to the upstream and back, and what never does."""

import base64
import hashlib
import re
import time

import pytest

from harness import h2, raw
from harness.gateway import ROOT_KEY, ROOT_SECRET
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import COMPLETE, DELETE, OBJECT, OPERATIONS, UPLOAD, agree

BODY = b"some bytes of an object"

# What a client, a proxy on the way or somebody who poses as one may send beside an S3 request.
STRAY = [
    ("cookie", "session=canary"), ("set-cookie", "a=canary"), ("referer", "https://canary/"), ("origin", "https://canary"), ("user-agent", "canary/1"),
    ("from", "canary@example.com"), ("dnt", "canary"),
    ("accept", "canary/type"), ("accept-encoding", "canary"), ("accept-language", "canary"), ("via", "1.1 canary"), ("forwarded", "for=canary"),
    ("x-forwarded-for", "1.2.3.4, canary"), ("x-forwarded-host", "canary"),
    ("x-forwarded-proto", "canary"), ("x-forwarded-port", "canary"), ("x-forwarded-prefix", "/canary"), ("x-real-ip", "canary"), ("x-client-ip", "canary"),
    ("true-client-ip", "canary"), ("cf-connecting-ip", "canary"),
    ("proxy-authorization", "Basic canary"), ("proxy-connection", "canary"), ("keep-alive", "timeout=canary"), ("te", "trailers"),
    ("connection", "x-internal, x-canary, keep-alive"), ("x-internal", "canary"), ("x-canary", "canary"),
    ("x-portcullis-caller", "canary"), ("x-portcullis-principal", "canary"), ("x-minio-source-replication-request", "canary"),
    ("x-minio-replication-server-side-encryption-sealed-key", "canary"), ("x-minio-internal-canary", "canary"),
    ("x-minio-extract", "canary"), ("x-rgw-canary", "canary"), ("x-seaweedfs-principal", "canary"), ("x-backend-canary", "canary"), ("x-goog-meta-canary", "canary"),
    ("x-ms-version", "canary"), ("x-object-meta-canary", "canary"),
    ("x-copy-from", "/canary/canary"), ("x-http-method-override", "DELETE"), ("x-original-url", "/canary"), ("remote-user", "canary"), ("x-remote-user", "canary"),
    ("x-auth-token", "canary"), ("x-api-key", "canary"),
    ("x_forwarded_for", "canary"), ("X-CANARY", "canary"), ("traceparent", "00-canary"), ("priority", "canary"), ("upgrade-insecure-requests", "canary"), ("early-data", "1"),
    ("content-md6", "canary"), ("content-location", "/canary"),
    ("last-modified", "canary"), ("etag", "canary"), ("date", "canary"), ("pragma", "canary"), ("warning", "canary"), ("max-forwards", "1"), ("x-obs-text", "canary\u00e9"),
]
PARSED = {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}

# Names that are rendered, and nothing else is.
RENDERED = {"host", "authorization", "x-amz-date", "x-amz-content-sha256", "content-length", "content-encoding", "x-amz-decoded-content-length", "content-md5", "content-type",
            "x-amz-copy-source", "x-amz-metadata-directive"}


def names(arrival):
    return {line.split(":", 1)[0] for line in arrival.lines}


def willing(name):
    """Agrees, and has no bucket where one is to be made."""
    if name != "CreateBucket":
        return agree
    return lambda head, body: Recorder.answer(status="404 Not Found") if head.startswith(b"HEAD") else agree(head, body)


@pytest.mark.parametrize("name", OPERATIONS)
def test_t53_only_what_is_rendered_crosses(spied, spy, name):
    method, path, query, headers, body = OPERATIONS[name]
    spy.reply = willing(name)
    answer = raw.request(spied, method, path, query, headers, body, extra=STRAY)
    arrived = list(spy.arrived)
    spy.passes(answer)
    for arrival in arrived:
        assert names(arrival) <= RENDERED, names(arrival) - RENDERED
        assert b"canary" not in arrival.head.lower().replace(UPSTREAM_KEY.lower().encode(), b"") + arrival.body, arrival.head


def test_t53_the_same_over_http2(spied, spy):
    stray = [(k.lower(), v.encode("ascii", "ignore").decode()) for k, v in STRAY if k not in ("connection", "proxy-connection", "keep-alive", "te")]
    arrived = spy.passes(h2.signed(spied, "PUT", "/bucket/key", body=BODY, headers=[("x-amz-meta-kept", "yes")], extra=[("content-length", str(len(BODY))), *stray]))
    assert names(arrived) <= RENDERED | {"x-amz-meta-kept"} and b"canary" not in arrived.head.lower().replace(UPSTREAM_KEY.lower().encode(), b"")
    # What belongs to a connection has no place in HTTP/2: refused, or passed over.
    for header in (("connection", "x-internal"), ("transfer-encoding", "chunked"), ("keep-alive", "1"), ("proxy-connection", "close"), ("upgrade", "h2c"), ("te", "gzip")):
        answer = h2.signed(spied, "PUT", "/bucket/key", body=BODY, extra=[("content-length", str(len(BODY))), header])
        spy.recorder.settle()
        arrived, spy.recorder.arrived = spy.arrived, []
        assert answer is None or answer.status in (200, 400, 501), (header, answer)
        assert all(names(a) <= RENDERED for a in arrived) and (answer and answer.status == 200 or arrived == []), (header, answer, arrived)


def test_t53_what_belongs_to_the_object_crosses(spied, spy):
    """The twin: standard headers and metadata of an upload, conditions and ranges of a read."""
    kept = [("cache-control", "no-cache"), ("content-disposition", 'attachment; filename="a"'), ("content-encoding", "gzip"), ("content-language", "en"), ("content-type", "text/plain"),
            ("expires", "Wed, 25 Nov 2026 00:00:00 GMT"), ("x-amz-website-redirect-location", "/other"), ("x-amz-meta-kept", "yes"), ("x-amz-meta-Other-One", "a  b")]
    spy.reply = agree
    for stray in ([], STRAY):
        stray = [h for h in stray if h[0] not in {k for k, _ in kept}]
        arrived = spy.passes(raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=kept, extra=stray))
        for line in ("cache-control: no-cache", 'content-disposition: attachment; filename="a"', "content-encoding: aws-chunked,gzip", "content-language: en", "content-type: text/plain",
                     "expires: wed, 25 nov 2026 00:00:00 gmt", "x-amz-website-redirect-location: /other", "x-amz-meta-kept: yes", "x-amz-meta-other-one: a  b"):
            assert line in arrived.lines, (line, arrived.lines)
        arrived = spy.passes(raw.request(spied, "POST", "/bucket/key", [("uploads", "")], headers=kept, extra=stray))
        assert "cache-control: no-cache" in arrived.lines and "x-amz-meta-kept: yes" in arrived.lines
    conditions = [("if-match", '"e"'), ("if-none-match", '"f"'), ("if-modified-since", "Tue, 24 Nov 2020 00:00:00 GMT"), ("if-unmodified-since", "Tue, 24 Nov 2099 00:00:00 GMT")]
    arrived = spy.passes(raw.request(spied, "HEAD", "/bucket/key", extra=conditions))
    assert PARSED <= names(arrived)


@pytest.mark.parametrize("name", ["x_amz_acl", "X_AMZ_ACL", "x-amz_acl", "x_amz-acl", "x_amz_meta_a", "x_amz_copy_source", "x_amz-meta-a", "x-amz_security_token", "x_amz_content_sha256"])
def test_t53_underscore_lookalikes(spied, spy, name):
    spy.passes(raw.request(spied, "PUT", "/bucket/key", body=BODY))
    value = "/bucket/secret" if "source" in name else "public-read"
    for ask in (lambda: raw.request(spied, "PUT", "/bucket/key", body=BODY, extra=[(name, value)]), lambda: raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=[(name, value)])):
        answer = ask()
        spy.refuses(answer, "InvalidArgument", statuses=(400,))
    # In the name that a user gives to metadata it is a letter like any other.
    assert "x-amz-meta-my_own: 1" in spy.passes(raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=[("x-amz-meta-my_own", "1")])).lines


def test_t53_repeated_and_internal_metadata(spied, spy):
    put = lambda headers, extra=(): raw.request(spied, "PUT", "/bucket/key", body=BODY, headers=headers, extra=extra)
    arrived = spy.passes(put([("x-amz-meta-a", "1"), ("X-Amz-Meta-A", "2")]))
    assert [line for line in arrived.lines if line.startswith("x-amz-meta-")] == ["x-amz-meta-a: 1,2"]
    # The second one, in whatever case, was not signed.
    for name in ("x-amz-meta-a", "X-AMZ-META-A"):
        spy.refuses(put([("x-amz-meta-a", "1")], [(name, "2")]), "SignatureDoesNotMatch", statuses=(403,))
    # What we keep with an object is ours to say.
    for name in ("x-amz-meta-portcullis-checksum", "X-Amz-Meta-Portcullis-Other", "x-amz-meta-portcullis_checksum"):
        spy.refuses(put([(name, "CRC32:AAAAAA==")]), "InvalidArgument", statuses=(400,))
    # And ours to see.
    spy.reply = lambda head, body: Recorder.answer(b"", headers=[*OBJECT, "x-amz-meta-portcullis-checksum: CRC32:AAAAAA==", "x-amz-meta-seen: yes"])
    answer = raw.request(spied, "GET", "/bucket/key")
    spy.passes(answer)
    assert answer.headers["x-amz-meta-seen"] == "yes" and not [k for k in answer.headers if "portcullis" in k]


SECRETS = [ROOT_KEY, ROOT_SECRET, "canary"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_t54_the_clients_credentials_stay_here(spied, spy, name):
    method, path, query, headers, body = OPERATIONS[name]
    spy.reply = willing(name)
    signed, link = raw.signed_headers(spied, method, path, query, headers, body), raw.presign(spied, method, path, query, headers)
    signatures = [dict(signed)["authorization"][-64:], dict(link)["X-Amz-Signature"]]
    cookies = [("cookie", "canary"), ("authorization-info", "canary"), ("x-auth-token", "canary")]
    for ask in (lambda: raw.send(spied, method, path, query, [*signed, *cookies], body), lambda: raw.send(spied, method, path, link, [*headers, *cookies], body)):
        answer = ask()
        heard = b"".join(a.head + a.body for a in spy.arrived).decode()
        spy.passes(answer)
        for secret in (*SECRETS, *signatures, "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Expires"):
            assert secret not in heard.replace(UPSTREAM_KEY, ""), secret
        assert f"Credential={UPSTREAM_KEY}/" in heard and UPSTREAM_SECRET not in heard


def test_t54_keys_of_a_clients_own_encryption_stay_here(spied, spy):
    key = base64.b64encode(b"canary-key-of-32-bytes-exactly!!").decode()
    headers = [("x-amz-server-side-encryption-customer-algorithm", "AES256"), ("x-amz-server-side-encryption-customer-key", key),
               ("x-amz-server-side-encryption-customer-key-md5", base64.b64encode(hashlib.md5(base64.b64decode(key)).digest()).decode())]
    source = [(k.replace("x-amz-", "x-amz-copy-source-"), v) for k, v in headers]
    for method, more in (("PUT", []), ("GET", []), ("HEAD", []), ("PUT", [("x-amz-copy-source", "/bucket/from")])):
        for sent in (headers, headers[1:2], source):
            answer = raw.request(spied, method, "/bucket/key", headers=[*more, *sent])
            spy.refuses(answer, *(["NotImplemented"] if method != "HEAD" else []), statuses=(501,))
            assert key.encode() not in answer.body


# Whatever an upstream says beside the answer itself.
LEAKS = ["server: canary", "x-amz-id-2: canary", "x-amz-request-id: canary", "set-cookie: canary=1", "location: http://canary/hidden-canary", "x-amz-bucket-region: canary",
         "via: canary", "x-rgw-object-type: canary", "www-authenticate: canary",
         "x-amz-expiration: canary", "x-amz-restore: canary", "x-amz-replication-status: canary", "x-amz-server-side-encryption-aws-kms-key-id: arn:canary",
         "content-location: /canary", "link: <http://canary>", "date: canary",
         "x-minio-error-desc: canary", "alt-svc: canary", "strict-transport-security: canary", "access-control-allow-origin: canary", "refresh: 0; url=http://canary"]
ANSWERED = {"content-length", "content-type", "x-amz-request-id", "server", "date", "connection", "keep-alive", "etag", "last-modified", "accept-ranges", "x-amz-bucket-region",
            "x-amz-access-point-alias", "location", "retry-after", "x-content-type-options"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_t54_the_upstreams_names_stay_there(spied, spy, name):
    """Neither in a success nor in an error of any operation: its host, bucket, prefix, key or words."""
    method, path, query, headers, body = OPERATIONS[name]
    # Only whole buckets are made and removed.
    path = path.replace("/bucket", "/retitled" if name in ("CreateBucket", "DeleteBucket") else "/renamed")
    headers = [(k, v.replace("/bucket", "/renamed")) for k, v in headers]
    body = body.replace(b"bucket", b"renamed")
    if name == "DeleteObjects":
        headers = [("content-md5", base64.b64encode(hashlib.md5(body).digest()).decode())]

    def leaking(head, sent):
        answer = willing(name)(head, sent)
        start, rest = answer.split(b"\r\n", 1)
        return b"\r\n".join([start, *(line.encode() for line in LEAKS), rest])

    error = ("<Error><Code>{}</Code><Message>canary said http://canary.internal</Message><BucketName>hidden-canary</BucketName><Key>prefix-canary/key</Key>"
             f"<Resource>/hidden-canary/prefix-canary/key</Resource><HostId>canary</HostId><RequestId>canary</RequestId><AWSAccessKeyId>{UPSTREAM_KEY}</AWSAccessKeyId><StringToSign>canary</StringToSign><Endpoint>canary</Endpoint></Error>")
    failing = lambda code, status: lambda head, sent: Recorder.answer(error.format(code).encode(), status, LEAKS)
    # A count that is no number is no answer.
    garbled = lambda head, sent: leaking(head, sent).replace(b"\r\n", b"\r\nx-amz-tagging-count: canary\r\n", 1)
    replies = [leaking, garbled] + [failing(code, status) for code, status in (("NoSuchKey", "404 Not Found"), ("SignatureDoesNotMatch", "403 Forbidden"),
                                                                      ("InvalidAccessKeyId", "403 Forbidden"), ("AccessDenied", "401 Unauthorized"),
                                                                      ("PermanentRedirect", "301 Moved Permanently"),
                                                                      ("InvalidArgument", "400 Bad Request"), ("InternalError", "500 Internal Server Error"),
                                                                      ("SlowDown", "503 Slow Down"), ("canary", "418 canary"))]
    for reply in replies:
        spy.reply = reply
        answer = raw.request(spied, method, path, query, headers, body)
        heard = b"".join(a.head + a.body for a in spy.arrived)
        assert b"hidden-canary" in heard or name == "ListBuckets"
        spy.recorder.clear()
        told = repr(answer.headers) + answer.body.decode()
        assert "canary" not in told.lower() and UPSTREAM_KEY not in told and str(spy.recorder.port) not in told, told
        assert set(answer.headers) <= ANSWERED, set(answer.headers) - ANSWERED
        assert reply is not leaking or answer.status < 300


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_t54_redirects_are_not_followed(spied, spy, status):
    for name, (method, path, query, headers, body) in OPERATIONS.items():
        for target in ("/elsewhere", f"{spy.recorder.url}/elsewhere", "http://169.254.169.254/latest/meta-data/", "https://canary.example/"):
            spy.reply = lambda head, sent: Recorder.answer(b"", status, [f"location: {target}"])
            answer = raw.request(spied, method, path, query, headers, body)
            if name != "DeleteObjects" or answer.status != 200:
                assert answer.status >= 500, (name, answer)
            assert "location" not in answer.headers and b"elsewhere" not in answer.body
            spy.recorder.settle()
            assert all("elsewhere" not in a.target for a in spy.arrived) and len(spy.arrived) <= 3, spy.arrived
            spy.recorder.clear()


BOMB = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'


def wrong(good, root, entry):
    """Documents that are not `good`, whose root is `root` and which has `entry` in it."""
    end = f"</{root}>".encode()
    return {
        "a document type": b"<!DOCTYPE x>" + good,
        "an external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + good.replace(b">key<", b">&e;<").replace(b">e<", b">&e;<"),
        "a parameter entity": b'<!DOCTYPE x [<!ENTITY % e SYSTEM "http://127.0.0.1:1/x"> %e;]>' + good,
        "a billion laughs": BOMB + good.replace(b">key<", b">&c;<").replace(b">e<", b">&c;<"),
        "an entity that is not there": good.replace(b">key<", b">&nope;<").replace(b">e<", b">&nope;<"),
        "UTF-16": good.decode().encode("utf-16"),
        "Latin-1": b'<?xml version="1.0" encoding="ISO-8859-1"?>' + good.replace(b">key<", b">\xe9<").replace(b">e<", b">\xe9<"),
        "80,000 attributes": b"<" + root.encode() + b" " + b" ".join(b'a%d="1"' % n for n in range(80000)) + b"/>",
        "10,000 namespaces": b"<" + root.encode() + b" " + b" ".join(b'xmlns:a%d="urn:%d"' % (n, n) for n in range(10000)) + b"><Other/>" + end,
        "a depth of 10,000": good.replace(entry, b"<a>" * 10000 + entry + b"</a>" * 10000, 1),
        "never closed": b"<" + root.encode() + b">" * 1 + b"<a>" * 10000,
        "an unknown element": good.replace(end, b"<Other>1</Other>" + end),
        "an unknown element within": good.replace(entry, entry + b"<Other>1</Other>", 1),
        "another root": good.replace(root.encode(), b"Other"),
        "two roots": good + good,
        "text behind the root": good + b"x",
        "text before the root": b"x" + good,
        "half of it": good[:-3],
        "the wrong end": good.replace(end, b"</Other>"),
        "no entry": b"<" + root.encode() + b"/>",
        "nothing": b"", "white space": b" \n ", "JSON": b"{}", "binary": bytes(range(256)), "NUL": good + b"\0", "open": b"<", "a comment": b"<!-- -->",
    }


DELETES = {
    "two keys": b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
    "no key": b"<Delete><Object><VersionId>1</VersionId></Object></Delete>",
    "an empty key": b"<Delete><Object><Key></Key></Object></Delete>",
    "a key with elements": b"<Delete><Object><Key><a>b</a></Key></Object></Delete>",
    "1,001 keys": b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
    "a flag that is none": b"<Delete><Quiet>perhaps</Quiet><Object><Key>k</Key></Object></Delete>",
    "an object in an object": b"<Delete><Object><Object><Key>k</Key></Object></Object></Delete>",
}
COMPLETES = {
    "two numbers": COMPLETE.replace(b"<ETag>", b"<PartNumber>2</PartNumber><ETag>"),
    "no tag": b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
    "number 0": COMPLETE.replace(b">1<", b">0<"), "number 10,001": COMPLETE.replace(b">1<", b">10001<"), "a number that is none": COMPLETE.replace(b">1<", b">x<"),
    "a huge number": COMPLETE.replace(b">1<", b">" + b"9" * 100 + b"<"),
    "a checksum that is none": COMPLETE.replace(b"<ETag>", b"<ChecksumCRC32>junk</ChecksumCRC32><ETag>"),
    "10,001 parts": b"<CompleteMultipartUpload>" + b"".join(b"<Part><PartNumber>%d</PartNumber><ETag>e</ETag></Part>" % n for n in range(1, 10002)) + b"</CompleteMultipartUpload>",
}
DOCUMENTS = [("POST", "/bucket", [("delete", "")], DELETE, {**wrong(DELETE, "Delete", b"<Key>"), **DELETES}),
             ("POST", "/bucket/key", UPLOAD, COMPLETE, {**wrong(COMPLETE, "CompleteMultipartUpload", b"<PartNumber>"), **COMPLETES})]


@pytest.mark.parametrize("method,path,query,good,bad", DOCUMENTS, ids=("DeleteObjects", "CompleteMultipartUpload"))
def test_t56_xml(spied, spy, method, path, query, good, bad):
    spy.reply = agree
    for fine in (good, b'<?xml version="1.0" encoding="UTF-8"?>\n' + good, b"\xef\xbb\xbf" + good, good.replace(b">", b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/">', 1),
                 good.replace(b"><", b">\n  <"), b"<!-- x -->" + good):
        spy.passes(raw.request(spied, method, path, query, body=fine))
    for what, body in bad.items():
        start = time.time()
        answer = raw.request(spied, method, path, query, body=body)
        assert time.time() - start < 2, what
        assert answer.status == 400, (what, answer)
        spy.refuses(answer, "MalformedXML", statuses=(400,))
        assert b"root:" not in answer.body


def test_t56_documents_that_are_refused_otherwise(spied, spy):
    spy.reply = agree
    delete = lambda inner: raw.request(spied, "POST", "/bucket", [("delete", "")], body=b"<Delete><Object>" + inner + b"</Object></Delete>")
    for text, key in ((b"a&amp;b", "a%26b"), (b"a&#65;&#x42;", "aAB"), (b"<![CDATA[<a>&b]]>", "%3Ca%3E%26b"), (b" a ", " a ")):
        heard = spy.passes(delete(b"<Key>" + text + b"</Key>")).body
        assert f"<Key>{raw.urllib.parse.unquote(key).replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}</Key>".encode() in heard
    for inner in (b"<Key>k</Key><LastModifiedTime>Tue, 24 Nov 2026 00:00:00 GMT</LastModifiedTime>", b"<Key>k</Key><Size>1</Size>"):
        spy.refuses(delete(inner), "NotImplemented", statuses=(501,))
    spy.refuses(delete(b"<Key>" + b"k" * 1025 + b"</Key>"), "KeyTooLongError", statuses=(400,))
    # The condition that is known is asked of each object.
    arrived = delete(b"<Key>k</Key><ETag>e</ETag>")
    assert arrived.status == 200
    assert b"<ETag>" in spy.arrived[-1].body or b"if-match" in spy.arrived[-1].head.lower(), spy.arrived[-1].head
    spy.recorder.clear()
    for order in ((2, 1), (1, 1), (3, 2)):
        body = b"<CompleteMultipartUpload>" + b"".join(b"<Part><PartNumber>%d</PartNumber><ETag>e</ETag></Part>" % n for n in order) + b"</CompleteMultipartUpload>"
        spy.refuses(raw.request(spied, "POST", "/bucket/key", UPLOAD, body=body), "InvalidPartOrder", statuses=(400,))
    for body, code in ((b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>", "IllegalLocationConstraintException"),
                       (b"<!DOCTYPE x><CreateBucketConfiguration/>", "MalformedXML"), (b"<Other/>", "MalformedXML"), (b"x" * 70000, "MaxMessageLengthExceeded")):
        spy.refuses(raw.request(spied, "PUT", "/bucket", body=body), code, statuses=(400,))


OVERRIDES = ["response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language", "response-content-type", "response-expires"]
INJECTIONS = ["a\r\nx-evil: 1", "a\nx-evil: 1", "a\rx-evil: 1", "a\0b", "\r\n\r\n<html>", "a\x7fb", "a\x1bb", "\r\n"]


def test_t59_response_overrides(spied, spy):
    for name in OVERRIDES:
        for value in ("attachment; filename=\"a\"", "text/plain;charset=utf-8", "fil\u00e9.txt"):
            answer = raw.request(spied, "GET", "/bucket/key", [(name, value)])
            spy.passes(answer)
            assert answer.headers[name.removeprefix("response-")].encode("latin-1").decode() == value
        for value in INJECTIONS:
            for ask in (lambda: raw.request(spied, "GET", "/bucket/key", [(name, value)]), lambda: raw.send(spied, "GET", "/bucket/key",
                                                                                                            raw.presign(spied, "GET", "/bucket/key", [(name, value)])),
                                                                                                            lambda: raw.request(spied, "HEAD", "/bucket/key", [(name, value)])):
                answer = ask()
                assert "x-evil" not in answer.headers and b"<html>" not in answer.body
                spy.refuses(answer, *(["InvalidArgument"] if answer.body else []), statuses=(400,))


def test_t59_metadata(spied, spy):
    """A presigned query can carry what no header can: it ends neither the upstream's head nor a reader's."""
    put = lambda pairs: raw.send(spied, "PUT", "/bucket/key", raw.presign(spied, "PUT", "/bucket/key", pairs), body=BODY)
    assert "x-amz-meta-a: fine" in spy.passes(put([("x-amz-meta-a", "fine")])).lines
    for value in INJECTIONS:
        spy.refuses(put([("x-amz-meta-a", value)]), "InvalidArgument", statuses=(400,))
        spy.refuses(put([("x-amz-website-redirect-location", "/" + value)]), "InvalidRedirectLocation", statuses=(400,))
    for name in ("x-amz-meta-a\r\nx-evil", "x-amz-meta-a b", "x-amz-meta-a:b", "x-amz-meta-\u00e9", "x-amz-meta-"):
        answer = put([(name, "1")])
        assert answer.status in (200, 400, 403, 501), answer
        spy.recorder.settle()
        assert not any(b"x-evil" in a.head for a in spy.arrived)
        if answer.status != 200:
            assert not any(a.whole for a in spy.arrived)
        spy.recorder.clear()
    spy.reply = agree
    arrived = spy.passes(raw.send(spied, "PUT", "/bucket/key", raw.presign(spied, "PUT", "/bucket/key", [("x-amz-copy-source", "/bucket/a\r\nx-evil: 1")])))
    assert "x-amz-copy-source: bucket/a%0d%0ax-evil%3a%201" in arrived.lines


def test_t59_errors_echo_as_text(spied, spy):
    """Bucket, key and argument stand escaped in the error and in no header."""
    for path, query in (("/<script>alert(1)</script>/key", []), ("/b\r\nx-evil: 1/key", []), ("/bucket/key", [("uploadId", "\r\nx-evil: 1<b>"), ("partNumber", "0")]),
                        ("/bucket", [("max-keys", "<script>\r\nx-evil:1")]), ("/bucket", [("<script>", "\r\nx-evil:1")]), ("/bucket", [("encoding-type", "\x1b<b>")])):
        answer = raw.request(spied, "PUT" if "partNumber" in dict(query) else "GET", path, query)
        spy.refuses(answer, answer.code, statuses=(400, 501))
        assert "x-evil" not in answer.headers and b"<script>" not in answer.body and b"<b>" not in answer.body and b"\r" not in answer.body and b"\x1b" not in answer.body
        assert answer.headers["content-type"] == "application/xml"
    spy.reply = lambda head, body: Recorder.answer(status="404 Not Found")
    answer = raw.request(spied, "GET", "/bucket/<b>&\r\nx-evil: 1")
    # One who says 404 and not in S3's words may know nothing of the key.
    assert answer.status == 500 and b"<b>" not in answer.body and "x-evil" not in answer.headers
    spy.recorder.clear()


def test_t59_what_an_upstream_says_ends_no_header(spied, spy):
    """Metadata and tags that would be a head of their own, and names in listings that are markup."""
    for line in ("x-amz-meta-a: 1\x01\x02", "x-amz-meta-a: a\tb", "x-amz-meta-a: \xe9\xff", "content-disposition: a\x0bb", 'etag: "<b>"'):
        spy.reply = lambda head, body: ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + "\r\n".join([line,
                                                                                                  *(o for o in OBJECT if not line.startswith("etag") or not o.startswith("etag"))]) + "\r\n\r\nok").encode("latin-1")
        answer = raw.request(spied, "GET", "/bucket/key")
        assert answer.status in (200, 500) and (answer.status != 200 or answer.body == b"ok"), answer
        assert all(0x20 <= ord(c) or c == "\t" for value in answer.headers.values() for c in value)
        spy.recorder.clear()
    listing = ('<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>&lt;script&gt;&#13;&#10;x</Key><Size>1</Size><ETag>&lt;b&gt;</ETag><LastModified>2026-11-24T00:00:00.000Z</LastModified></Contents>'
               '<CommonPrefixes><Prefix>&lt;b&gt;/</Prefix></CommonPrefixes></ListBucketResult>')
    spy.reply = lambda head, body: Recorder.answer(listing.encode())
    answer = raw.request(spied, "GET", "/bucket", [("list-type", "2"), ("delimiter", "/")])
    assert answer.status == 200 and b"<script>" not in answer.body and b"<b>" not in answer.body and b"\r" not in answer.body, answer.body
    assert re.search(rb"<Key>&lt;script&gt;&#xd;\nx</Key>", answer.body), answer.body
    spy.recorder.clear()
