"""T1 to T5 and T10 to T15: who asks. Each attack beside the request that is right, against a gateway
whose upstream keeps what reaches it: a refusal also means that nothing arrived there."""

import base64
import datetime
import re
import secrets
import zlib

import pytest

from harness import raw
from harness.gateway import ROOT_KEY, ROOT_SECRET
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY
from harness.spying import COMPLETE, DELETE, DISABLED, DISABLED_SECRET, OPERATIONS, PART, POLICY, UPLOAD, agree


BODY = b"some bytes of an object"
CRC = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()

# What a header is answered when the signature does not cover it, and when it does.
REFUSED, PASSES, UNKNOWN = "AccessDenied", None, "NotImplemented"
AMZ_HEADERS = [
    ("copy-source", "/bucket/secret", "InvalidRequest", "InvalidRequest"),  # It has a body here: see below.
    ("copy-source-range", "bytes=0-1", REFUSED, PASSES),
    ("copy-source-if-match", "e", REFUSED, PASSES),
    ("metadata-directive", "REPLACE", REFUSED, PASSES),
    ("meta-evil", "1", REFUSED, PASSES),
    ("website-redirect-location", "/elsewhere", REFUSED, PASSES),
    ("website-redirect-location", "elsewhere", "InvalidRedirectLocation", "InvalidRedirectLocation"),
    ("acl", "private", REFUSED, PASSES),
    ("acl", "public-read", UNKNOWN, UNKNOWN),
    ("tagging", "", REFUSED, PASSES),
    ("tagging", "a=b", REFUSED, PASSES),
    ("tagging", "a=b=c", "InvalidArgument", "InvalidArgument"),
    ("tagging", "a=!", "InvalidTag", "InvalidTag"),
    ("tagging-directive", "REPLACE", UNKNOWN, UNKNOWN),
    ("storage-class", "STANDARD", REFUSED, PASSES),
    ("storage-class", "GLACIER", "InvalidStorageClass", "InvalidStorageClass"),
    ("checksum-crc32", CRC, REFUSED, PASSES),
    ("sdk-checksum-algorithm", "CRC32", "InvalidRequest", "InvalidRequest"),
    ("content-sha256", "UNSIGNED-PAYLOAD", REFUSED, PASSES),
    ("decoded-content-length", "5", REFUSED, PASSES),
    ("security-token", "a token", REFUSED, "InvalidToken"),
    ("expected-bucket-owner", "123456789012", REFUSED, PASSES),
    ("grant-read", 'id="x"', UNKNOWN, UNKNOWN),
    ("grant-full-control", 'id="x"', UNKNOWN, UNKNOWN),
    ("server-side-encryption", "AES256", UNKNOWN, UNKNOWN),
    ("server-side-encryption-aws-kms-key-id", "k", UNKNOWN, UNKNOWN),
    ("server-side-encryption-customer-algorithm", "AES256", UNKNOWN, UNKNOWN),
    ("object-lock-mode", "GOVERNANCE", UNKNOWN, UNKNOWN),
    ("object-lock-retain-until-date", "2030-01-01T00:00:00Z", UNKNOWN, UNKNOWN),
    ("object-lock-legal-hold", "ON", UNKNOWN, UNKNOWN),
    ("bypass-governance-retention", "true", UNKNOWN, UNKNOWN),
]
named = pytest.mark.parametrize("name,value,unsigned,signed", AMZ_HEADERS, ids=[f"{h[0]}-{n}" for n, h in enumerate(AMZ_HEADERS)])
REFUSALS = (400, 403, 501)


@named
def test_t01_unsigned_amz_header_on_a_presigned_put(spied, spy, name, value, unsigned, signed):
    header, query = (f"x-amz-{name}", value), raw.presign(spied, "PUT", "/bucket/key")
    spy.passes(raw.send(spied, "PUT", "/bucket/key", query, body=BODY), "/bucket/key")
    answer = raw.send(spied, "PUT", "/bucket/key", query, [header], BODY)
    spy.refuses(answer, unsigned, statuses=REFUSALS)
    if unsigned == REFUSED:
        assert b"There were headers present in the request which were not signed" in answer.body
        assert f"<HeadersNotSigned>x-amz-{name}</HeadersNotSigned>".encode() in answer.body
    query = raw.presign(spied, "PUT", "/bucket/key", headers=[header])
    answer = raw.send(spied, "PUT", "/bucket/key", query, [header], BODY)
    spy.passes(answer, "/bucket/key") if signed is PASSES else spy.refuses(answer, signed, statuses=REFUSALS)


@named
def test_t02_unsigned_amz_header_on_a_signed_put(spied, spy, name, value, unsigned, signed):
    header = (f"x-amz-{name}", value)
    good = raw.signed_headers(spied, "PUT", "/bucket/key", body=BODY)
    spy.passes(raw.send(spied, "PUT", "/bucket/key", headers=good, body=BODY), "/bucket/key")
    answer = raw.send(spied, "PUT", "/bucket/key", headers=[*good, header], body=BODY)
    # Beside the one that is signed, it is a repeated header.
    spy.refuses(answer, "InvalidArgument" if name == "content-sha256" else unsigned, statuses=REFUSALS)
    if name == "content-sha256":
        return
    answer = raw.request(spied, "PUT", "/bucket/key", headers=[header], body=BODY)
    spy.passes(answer, "/bucket/key") if signed is PASSES else spy.refuses(answer, signed, statuses=REFUSALS)


def test_t01_a_copy_by_an_unsigned_header_reads_nothing(spied, spy):
    """The hole of 2026 itself: a PUT without a body, made a copy by one more header."""
    spy.reply = agree
    source = ("x-amz-copy-source", "/bucket/secret")
    link, head = raw.presign(spied, "PUT", "/bucket/key"), raw.signed_headers(spied, "PUT", "/bucket/key")
    spy.passes(raw.send(spied, "PUT", "/bucket/key", link))
    spy.passes(raw.send(spied, "PUT", "/bucket/key", headers=head))
    spy.refuses(raw.send(spied, "PUT", "/bucket/key", link, [source]), "AccessDenied", statuses=(403,))
    spy.refuses(raw.send(spied, "PUT", "/bucket/key", headers=[*head, source]), "AccessDenied", statuses=(403,))
    for query, headers in (([], raw.signed_headers(spied, "PUT", "/bucket/key", headers=[source])), (raw.presign(spied, "PUT", "/bucket/key", headers=[source]), [source])):
        arrived = spy.passes(raw.send(spied, "PUT", "/bucket/key", query, headers))
        assert "x-amz-copy-source: bucket/secret" in arrived.lines


def test_t01_headers_moved_into_the_query_are_signed_too(spied, spy):
    put = lambda query: raw.send(spied, "PUT", "/bucket/key", query, body=BODY)
    arrived = spy.passes(put(raw.presign(spied, "PUT", "/bucket/key", [("x-amz-meta-a", "1")])))
    assert "x-amz-meta-a: 1" in arrived.lines
    for pair in (("x-amz-meta-a", "1"), ("X-Amz-Meta-A", "1"), ("x-amz-copy-source", "/bucket/secret"), ("x-id", "PutObject"), ("X-Amz-Security-Token", "t")):
        spy.refuses(put([*raw.presign(spied, "PUT", "/bucket/key"), pair]), "SignatureDoesNotMatch", "InvalidRequest")
    # In the query and as a header at once: neither outweighs the other.
    query = raw.presign(spied, "PUT", "/bucket/key", [("x-amz-tagging", "a=b")], [("x-amz-tagging", "a=b")])
    spy.refuses(raw.send(spied, "PUT", "/bucket/key", query, [("x-amz-tagging", "a=b")], BODY), "InvalidArgument")
    # Of a checksum the header is what counts.
    query = raw.presign(spied, "PUT", "/bucket/key", [("x-amz-checksum-crc32", "AAAAAA==")], [("x-amz-checksum-crc32", CRC)])
    spy.passes(raw.send(spied, "PUT", "/bucket/key", query, [("x-amz-checksum-crc32", CRC)], BODY))


LISTS = [
    ("host;x-amz-content-sha256;x-amz-date", PASSES),
    ("x-amz-content-sha256;x-amz-date", "AccessDenied"),
    ("host;x-amz-date", "AccessDenied"),
    ("host;x-amz-content-sha256;x-amz-date;", "Malformed"),
    (";host;x-amz-content-sha256;x-amz-date", "Malformed"),
    ("host;;x-amz-content-sha256;x-amz-date", "Malformed"),
    ("host;host;x-amz-content-sha256;x-amz-date", "Malformed"),
    ("Host;x-amz-content-sha256;x-amz-date", "Malformed"),
    ("x-amz-date;host;x-amz-content-sha256", "Malformed"),
    ("host; x-amz-content-sha256;x-amz-date", "Malformed"),
    ("host;missing;x-amz-content-sha256;x-amz-date", "SignatureDoesNotMatch"),
    ("host;x-amz-content-sha256;x-amz-date;" + "z" * 4096, "Malformed"),
    ("", "Malformed"),
]


@pytest.mark.parametrize("listed,expected", LISTS, ids=[f"{n}-{text[:40]}" for n, (text, _) in enumerate(LISTS)])
def test_t02_the_list_of_signed_headers(spied, spy, listed, expected):
    """Every list is what was signed: nothing is wrong but the list."""
    extra = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("x-amz-date", raw.amz_now())]
    header = lambda: raw.request(spied, "GET", "/bucket/key", listed=listed)
    link = lambda: raw.send(spied, "GET", "/bucket/key", raw.presign(spied, "GET", "/bucket/key", headers=extra, listed=listed), extra)
    for ask, malformed in ((header, "AuthorizationHeaderMalformed"), (link, "AuthorizationQueryParametersError")):
        answer = ask()
        if expected is PASSES:
            spy.passes(answer)
        else:
            spy.refuses(answer, malformed if expected == "Malformed" else expected, statuses=(400,) if expected == "Malformed" else (403,))


def forge(headers):
    return [(name, re.sub("[0-9a-f]{64}$", secrets.token_hex(32), value) if name == "authorization" else value) for name, value in headers]


def test_t03_forged_signature_with_unsigned_trailer(spied, spy):
    trailer = ("x-amz-checksum-crc32", CRC)
    for query in ([], PART):
        spy.passes(raw.chunked(spied, "/bucket/key", [BODY], trailer=trailer, signed=False, query=query))
        spy.refuses(raw.chunked(spied, "/bucket/key", [BODY], trailer=trailer, signed=False, query=query, secret="forged"), "SignatureDoesNotMatch", statuses=(403,))
        _, head, pieces, lines = raw.chunked_parts(spied, "/bucket/key", [BODY], trailer=trailer, signed=False, query=query)
        answer = raw.send(spied, "PUT", "/bucket/key", query, forge(head), raw.chunked_body(pieces, lines))
        spy.refuses(answer, "SignatureDoesNotMatch", statuses=(403,))
    # Routes that take a document have no streaming payload: forged or not, it is refused.
    for method, path, query, body in (("PUT", "/bucket", [], b""), ("PUT", "/bucket", [("policy", "")], POLICY), ("POST", "/bucket", [("delete", "")], DELETE),
                                      ("POST", "/bucket/key", UPLOAD, COMPLETE)):
        for secret in (ROOT_SECRET, "forged"):
            answer = raw.request(spied, method, path, query, body=body, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER", secret=secret)
            spy.refuses(answer, "InvalidRequest", "SignatureDoesNotMatch")


def test_t04_unsigned_trailer_with_query_credentials(spied, spy):
    trailer = ("x-amz-checksum-crc32", CRC)
    for signed in (False, True):
        for key, secret in ((ROOT_KEY, ROOT_SECRET), (ROOT_KEY, "forged"), ("AKIAUNKNOWNUNKNOWN00", "forged")):
            answer = raw.chunked(spied, "/bucket/key", [BODY], trailer=trailer, signed=signed, link=True, key=key, secret=secret)
            spy.refuses(answer, "InvalidRequest", "SignatureDoesNotMatch", "InvalidAccessKeyId")
    # The same body and trailer are fine where the header signs them, and the same link without them.
    spy.passes(raw.chunked(spied, "/bucket/key", [BODY], trailer=trailer, signed=False))
    spy.passes(raw.send(spied, "PUT", "/bucket/key", raw.presign(spied, "PUT", "/bucket/key"), body=BODY))


STREAMING = ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-EVENTS", "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
             "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD"]
PAYLOADS = ["hash", "UNSIGNED-PAYLOAD", *STREAMING, "", "garbage", "E3B0" * 16, "0" * 63, "absent", "twice"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_t05_the_payload_mode_selects_no_weaker_check(spied, spy, name):
    """Every operation, payload mode and mechanism: none is answered but where the signature holds."""
    method, path, query, headers, body = OPERATIONS[name]
    # A bucket is looked for before it is made.
    spy.reply = agree if name != "CreateBucket" else lambda head, body: Recorder.answer(status="404 Not Found") if head.startswith(b"HEAD") else agree(head, body)
    for payload in PAYLOADS:
        sent = {"hash": None, "absent": "UNSIGNED-PAYLOAD", "twice": "UNSIGNED-PAYLOAD", "": " "}.get(payload, payload)
        hashed = ("x-amz-content-sha256", raw.hashlib.sha256(body).hexdigest() if sent is None else sent)
        for secret in ("forged", ROOT_SECRET):
            head = raw.signed_headers(spied, method, path, query, headers, body, payload=sent, secret=secret)
            link_headers = [*headers, *([] if payload == "absent" else [hashed])]
            link = raw.presign(spied, method, path, query, link_headers, payload=hashed[1], secret=secret)
            if payload == "absent":
                head = [h for h in head if h[0] != "x-amz-content-sha256"]
            if payload == "twice":
                head, link_headers = [*head, hashed], [*link_headers, hashed]
            good = secret == ROOT_SECRET and payload in ("hash", "UNSIGNED-PAYLOAD")
            for mechanism, keys, sent_headers in (("header", query, head), ("link", link, link_headers)):
                answer = raw.send(spied, method, path, keys, sent_headers, body)
                if good or (secret == ROOT_SECRET and payload == "absent" and mechanism == "link"):
                    spy.passes(answer)
                else:
                    assert not 200 <= answer.status < 300, (payload, mechanism, answer)
                    spy.refuses(answer, *([answer.code] if answer.code else []), statuses=(400, 403, 411))
        if payload not in ("absent", "twice"):
            answer = raw.send(spied, method, path, query, [*headers, hashed], body)
            spy.refuses(answer, *([answer.code] if answer.code else []), statuses=(400, 403))


@pytest.mark.parametrize("payload,code", [("", "InvalidArgument"), ("garbage", "InvalidArgument"), ("E3B0" * 16, "InvalidArgument"), ("STREAMING-UNSIGNED-PAYLOAD", "InvalidArgument"),
                                          ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "InvalidRequest"), ("absent", "InvalidRequest"), ("twice", "InvalidArgument")])
def test_t05_payload_modes_are_refused_by_name(spied, spy, payload, code):
    head = raw.signed_headers(spied, "PUT", "/bucket/key", body=BODY, payload={"absent": None, "twice": None, "": " "}.get(payload, payload))
    head = [h for h in head if payload != "absent" or h[0] != "x-amz-content-sha256"] + ([("x-amz-content-sha256", "UNSIGNED-PAYLOAD")] if payload == "twice" else [])
    spy.refuses(raw.send(spied, "PUT", "/bucket/key", headers=head, body=BODY), code, statuses=(400,))
    spy.passes(raw.request(spied, "PUT", "/bucket/key", body=BODY))


def test_t10_time(spied, spy):
    get = lambda **how: raw.request(spied, "GET", "/bucket/key", **how)
    for offset in (-14 * 60, 14 * 60):
        spy.passes(get(date=raw.amz_now(offset)))
    for offset in (-901 - 5, 901 + 5):
        spy.refuses(get(date=raw.amz_now(offset)), "RequestTimeTooSkewed", statuses=(403,))
    spy.refuses(get(scope_date="20200101"), "AuthorizationHeaderMalformed", statuses=(400,))
    for date in ("yesterday", "20261324T000000Z", "2026-11-24T00:00:00Z", "20261124T000000", "99999999T999999Z", "é" * 8):
        spy.refuses(get(date=date, scope_date=raw.amz_now()[:8]), "AccessDenied", statuses=(403,))
    # Where there is no x-amz-date, Date stands for it: as what was signed, and as strictly.
    now = raw.amz_now()
    at = datetime.datetime.strptime(now, "%Y%m%dT%H%M%SZ")
    head = [h for h in raw.signed_headers(spied, "GET", "/bucket/key", date=now, skip=("x-amz-date",)) if h[0] != "x-amz-date"]
    dated = lambda at: raw.send(spied, "GET", "/bucket/key", headers=[*head, ("date", at.strftime("%a, %d %b %Y %H:%M:%S GMT"))])
    spy.passes(dated(at))
    spy.refuses(dated(at.replace(year=2020)), "AuthorizationHeaderMalformed", statuses=(400,))
    other = at + datetime.timedelta(seconds=-1 if at.hour else 1)
    spy.refuses(dated(other), "SignatureDoesNotMatch", statuses=(403,))
    spy.refuses(raw.send(spied, "GET", "/bucket/key", headers=head), "AccessDenied", statuses=(403,))


def test_t10_time_of_links(spied, spy):
    link = lambda drop="", **how: raw.send(spied, "GET", "/bucket/key", [p for p in raw.presign(spied, "GET", "/bucket/key", **how) if p[0] != drop])
    for expires in ("60", "604800"):
        spy.passes(link(expires=expires))
    spy.passes(link(date=raw.amz_now(-6 * 86400), expires="604800"))
    for expires in ("604801", "-1", "abc", "1e30", "99999999999999999999", "+60", " 60", "60.0", "0x10"):
        spy.refuses(link(expires=expires), "AuthorizationQueryParametersError", statuses=(400,))
    for gone in ("X-Amz-Expires", "X-Amz-Date", "X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Algorithm", "X-Amz-Signature"):
        spy.refuses(link(drop=gone), "AuthorizationQueryParametersError", statuses=(400,))
    answer = link(date=raw.amz_now(-100), expires="60")
    spy.refuses(answer, "AccessDenied", statuses=(403,))
    assert b"Request has expired" in answer.body
    spy.refuses(link(date=raw.amz_now(1000)), "AccessDenied", statuses=(403,))
    spy.refuses(link(scope_date="20200101"), "AuthorizationQueryParametersError", statuses=(400,))
    for date in ("yesterday", "20261324T000000Z", "é" * 8):
        spy.refuses(link(date=date, scope_date=raw.amz_now()[:8]), "AuthorizationQueryParametersError", statuses=(400,))


def test_t11_two_credentials(spied, spy):
    get = lambda query=(), headers=(): raw.send(spied, "GET", "/bucket/key", query, headers)
    headers, query = raw.signed_headers(spied, "GET", "/bucket/key"), raw.presign(spied, "GET", "/bucket/key")
    spy.passes(get(headers=headers))
    spy.passes(get(query))
    forged = raw.signed_headers(spied, "GET", "/bucket/key", secret="forged")
    stranger = raw.presign(spied, "GET", "/bucket/key", key="AKIAUNKNOWNUNKNOWN00")
    bearer, v2 = ("authorization", "Bearer a.token"), [("AWSAccessKeyId", "x"), ("Expires", "9999999999"), ("Signature", "c2ln")]
    for answer in (
        get(query, headers), get(query, [headers[-1]]), get(stranger, headers), get(query, forged),
        get(headers=[*headers, headers[-1]]), get(headers=[*headers, forged[-1]]), get(headers=[*headers, bearer]), get(headers=[bearer, *headers]),
        get(query, [bearer]), get([*query, *v2]), get(v2, headers), get([*query, ("AWSAccessKeyId", "x")]),
        *(get([*query, (name, dict(query)[name])]) for name in ("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Algorithm", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")),
        get([*query, ("X-Amz-Credential", dict(stranger)["X-Amz-Credential"])]),
        get(headers=[*headers[:-1], ("authorization", headers[-1][1] + f", Credential={ROOT_KEY}/x")]),
    ):
        spy.refuses(answer, "InvalidArgument", statuses=(400,))
    # A form's policy and a header: forms are refused whatever stands beside them.
    form = [("content-type", "multipart/form-data; boundary=x")]
    spy.refuses(raw.request(spied, "POST", "/bucket", headers=form, body=b'--x\r\ncontent-disposition: form-data; name="policy"\r\n\r\ne30=\r\n--x--\r\n'), "NotImplemented", statuses=(501,))


def test_t12_algorithm_and_scope(spied, spy):
    get = lambda **how: raw.request(spied, "GET", "/bucket/key", **how)
    link = lambda **how: raw.send(spied, "GET", "/bucket/key", raw.presign(spied, "GET", "/bucket/key", **how))
    spy.passes(get())
    spy.passes(link())
    for how in ({"region": "eu-west-1"}, {"region": "US-EAST-1"}, {"region": ""}, {"service": "sts"}, {"service": "admin"}, {"service": "S3"}, {"service": "s3express"},
                {"terminator": "aws5_request"}, {"terminator": ""}):
        spy.refuses(get(**how), "AuthorizationHeaderMalformed", statuses=(400,))
        spy.refuses(link(**how), "AuthorizationQueryParametersError", statuses=(400,))
    good = dict(raw.signed_headers(spied, "GET", "/bucket/key"))
    for algorithm in ("AWS4-HMAC-SHA1", "AWS4-HMAC-SHA256x", "AWS4-HMAC-SHA512", "AWS4-ECDSA-P256-SHA256", "aws4-hmac-sha256", "AWS4-HMAC-SHA256,"):
        bad = {**good, "authorization": good["authorization"].replace("AWS4-HMAC-SHA256", algorithm)}
        spy.refuses(raw.send(spied, "GET", "/bucket/key", headers=list(bad.items())), "InvalidRequest", "AuthorizationHeaderMalformed", statuses=(400,))
        spy.refuses(link(algorithm=algorithm), "InvalidRequest", "AuthorizationQueryParametersError", statuses=(400,))
    for value in ("AWS AKID:c2lnbmF0dXJl", "Bearer token", "Basic dTpw", "nonsense", "", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=x"):
        spy.refuses(raw.send(spied, "GET", "/bucket/key", headers=[("authorization", value)]), "InvalidRequest", "InvalidArgument", "AuthorizationHeaderMalformed", statuses=(400,))
    v2 = [("AWSAccessKeyId", "AKID"), ("Expires", "9999999999"), ("Signature", "c2ln")]
    spy.refuses(raw.send(spied, "GET", "/bucket/key", v2), "InvalidRequest", statuses=(400,))
    for field in ("Credential", "SignedHeaders", "Signature"):
        bad = {**good, "authorization": re.sub(f"{field}=[^,]+,?", "", good["authorization"])}
        spy.refuses(raw.send(spied, "GET", "/bucket/key", headers=list(bad.items())), "AuthorizationHeaderMalformed", statuses=(400,))
    for change in (lambda a: a.upper(), lambda a: a[:-1], lambda a: a + "0", lambda a: a[:-1] + "g", lambda a: re.sub("Signature=.*", lambda m: "Signature=" + m[0][10:].upper(), a)):
        bad = {**good, "authorization": change(good["authorization"])}
        spy.refuses(raw.send(spied, "GET", "/bucket/key", headers=list(bad.items())), "AuthorizationHeaderMalformed", "InvalidRequest", statuses=(400,))


def test_t13_credential_state(spied, spy):
    get = lambda **how: raw.request(spied, "GET", "/bucket/key", **how)
    link = lambda **how: raw.send(spied, "GET", "/bucket/key", raw.presign(spied, "GET", "/bucket/key", **how))
    for ask in (get, link):
        spy.passes(ask())
        for key in ("AKIAUNKNOWNUNKNOWN00", ROOT_KEY.lower(), ROOT_KEY[:-1], ROOT_KEY + "0", UPSTREAM_KEY):
            spy.refuses(ask(key=key), "InvalidAccessKeyId", statuses=(403,))
        spy.refuses(ask(secret="wrong"), "SignatureDoesNotMatch", statuses=(403,))
        spy.refuses(ask(secret=""), "SignatureDoesNotMatch", statuses=(403,))
        # A disabled key, with its own secret: as if it were not there.
        spy.refuses(ask(key=DISABLED, secret=DISABLED_SECRET), "InvalidAccessKeyId", statuses=(403,))
    # A permanent key has no token; one that stands beside it belongs to something else.
    for token in ("a token", "x" * 2000):
        spy.refuses(get(headers=[("x-amz-security-token", token)]), "InvalidToken", statuses=(400,))
        spy.refuses(link(token=token), "InvalidToken", statuses=(400,))
    spy.refuses(raw.send(spied, "GET", "/bucket/key", headers=[("x-amz-security-token", "a token")]), "InvalidRequest", statuses=(400,))


def form(*fields, boundary="x", end="--x--\r\n"):
    parts = "".join(f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields)
    return (parts + end).encode()


def test_t14_browser_forms_are_refused_by_name(spied, spy):
    """Forms are not answered: whatever is in one, nothing of it is read, and none falls through to another way in."""
    spy.passes(raw.request(spied, "PUT", "/bucket/key", body=BODY))
    policy = base64.b64encode(b'{"expiration":"2099-01-01T00:00:00Z","conditions":[{"bucket":"other"},["starts-with","$key",""]]}').decode()
    file = ("file", "bytes")
    for body in (form(("key", "k"), file), form(("key", "k"), ("policy", policy), file), form(("bucket", "other"), ("key", "k"), ("policy", policy), file),
                 form(("key", "k"), ("key", "l"), file, file, ("acl", "public-read")), form(("key", "../x"), ("x-amz-meta-a", "1"), file), form(file, ("key", "k")), form(end=""), b""):
        head = [("content-type", "multipart/form-data; boundary=x")]
        spy.refuses(raw.send(spied, "POST", "/bucket", headers=head, body=body), "NotImplemented", statuses=(501,))
        spy.refuses(raw.request(spied, "POST", "/bucket", headers=head, body=body), "NotImplemented", statuses=(501,))
        spy.refuses(raw.send(spied, "POST", "/bucket", raw.presign(spied, "POST", "/bucket", headers=head), head, body), "NotImplemented", statuses=(501,))
        spy.refuses(raw.send(spied, "POST", "/bucket/key", headers=head, body=body), "MethodNotAllowed", statuses=(405,))
        spy.refuses(raw.send(spied, "POST", "/", headers=head, body=body), "NotImplemented", statuses=(501,))


def test_t15_a_wrong_signature_tells_nothing_of_the_right_one(spied, spy):
    """However much of it is right, the answer is the same but for what the client itself sent. How long
    it takes is asked where it can be measured, in `authn`."""
    good = dict(raw.signed_headers(spied, "GET", "/bucket/key"))
    right, answers = good["authorization"][-64:], set()
    spy.passes(raw.send(spied, "GET", "/bucket/key", headers=list(good.items())))
    for digits in (0, 1, 8, 32, 63):
        other = "".join("0" if digit != "0" else "1" for digit in right[digits:])
        wrong = right[:digits] + other
        answer = raw.send(spied, "GET", "/bucket/key", headers=list({**good, "authorization": good["authorization"].replace(right, wrong)}.items()))
        spy.refuses(answer, "SignatureDoesNotMatch", statuses=(403,))
        assert right.encode() not in answer.body and ROOT_SECRET.encode() not in answer.body
        answers.add(re.sub(rb"<(SignatureProvided|RequestId|HostId)>[^<]*", b"", answer.body))
    assert len(answers) == 1, answers
    # Nor does an unknown key's: not even the secret that stands in for its own opens anything.
    answers = set()
    for secret in (ROOT_SECRET, "wrong", "nobody has this secret", DISABLED_SECRET):
        answer = raw.request(spied, "GET", "/bucket/key", key="AKIAUNKNOWNUNKNOWN00", secret=secret)
        spy.refuses(answer, "InvalidAccessKeyId", statuses=(403,))
        answers.add(re.sub(rb"<(RequestId|HostId)>[^<]*", b"", answer.body))
    assert len(answers) == 1, answers
