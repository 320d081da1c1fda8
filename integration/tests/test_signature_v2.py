"""Signature Version 2, where a listener takes it: what botocore and s3cmd sign is accepted, and with any one thing
changed it is refused."""

import base64
import datetime
import hashlib
import hmac
import json
import random
import re
import subprocess
import time
import urllib.parse

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness import raw
from harness.clients import aws, curl, s3, s3cmd
from harness.gateway import BINARY, ROOT_KEY, ROOT_SECRET, Gateway, clean_env, free_port
from harness.operators import wait

BODY = b"some bytes of an object"
ALICE, SECRET = "AKIAALICEALICEALICE2", "alice-secret-canary-v2-0123456789"
DENY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
    {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::old/new-only/*", "Condition": {"StringEquals": {"s3:signatureversion": "AWS"}}},
    {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::old/young/*", "Condition": {"NumericGreaterThan": {"s3:signatureAge": 600000}}},
    {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::old/hashed/*", "Condition": {"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}}]}
CONFIG = f"""
[listener]
signature_v2 = true
virtual_host_domains = ["s3.example.com"]
[audit]
output = {{ file = "audit.jsonl" }}
[[users]]
name = "alice"
access_keys = [{{ id = "{ALICE}", secret = {{ env = "ALICE_SECRET" }} }}]
policies = ["p"]
[[policies]]
name = "p"
inline = '''{json.dumps(DENY)}'''
"""


@pytest.fixture(scope="module")
def old(work):
    with Gateway(work / "signature-v2", CONFIG, env={"ALICE_SECRET": SECRET}) as gateway:
        client = s3(gateway)
        client.create_bucket(Bucket="old")
        for key in ("k", "a b/\u00e9+", "new-only/k", "young/k", "hashed/k"):
            client.put_object(Bucket="old", Key=key, Body=BODY)
        yield gateway


def sign(gateway, method, target, headers=(), key=ROOT_KEY, secret=ROOT_SECRET, link=False, expires=600, token=None, auth_path=None):
    """Target and headers as botocore's own signers leave them."""
    request = AWSRequest(method, f"https://127.0.0.1:{gateway.port}{target}", headers=dict(headers))
    request.auth_path = auth_path
    credentials = Credentials(key, secret, token)
    (botocore.auth.HmacV1QueryAuth(credentials, expires) if link else botocore.auth.HmacV1Auth(credentials)).add_auth(request)
    parts = urllib.parse.urlsplit(request.url)
    kept = [(k, v) for k, v in request.headers.items() if not (link and k.lower() in ("date",) or link and k.lower().startswith("x-amz-"))]
    return f"{parts.path}?{parts.query}".rstrip("?"), kept


def ask(gateway, method, target, headers=(), body=b"", **how):
    target, headers = sign(gateway, method, target, headers, **how)
    return raw.send(gateway, method, None, headers=headers, body=body, target=target)


def says(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer


@pytest.mark.parametrize("link", [False, True])
def test_what_botocore_signs_is_accepted_and_any_change_is_refused(old, link):
    rng = random.Random(20261127)
    odd = ["a", "B", "7", "-", "_", "~", " ", "+", "%", "=", "\u00e9", "\U0001f980", "'", "(", "@", "&", ";"]
    text = lambda most: "".join(rng.choice(odd) for _ in range(rng.randint(1, most)))
    for case in range(150):
        key = text(8)
        target = "/old/" + urllib.parse.quote(key, safe="-_.~")
        method, headers, status = rng.choice([("PUT", [("x-amz-meta-a", "one  two"), ("content-type", "text/x")], 200), ("GET", [], 404), ("HEAD", [], 404), ("DELETE", [], 204), ("POST", [], 200)])
        target += {"GET": "?response-content-type=text%2Fz%2Bx&response-expires=a%20b", "POST": "?uploads"}.get(method, "")
        target, headers = sign(old, method, target, headers, link=link)
        send = lambda method=method, target=target, headers=headers: raw.send(old, method, None, headers=headers, target=target)
        answer = send()
        # What an earlier case put is found.
        assert answer.status in (status, 200), (case, target, headers, answer)
        changes = [lambda: send(target=target.replace("/old/", "/old/x", 1)), lambda: send(headers=[*headers, ("x-amz-meta-added", "1")]),
                   lambda: send(headers=[*headers, ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]),
                   lambda: send(target=target + ("&" if "?" in target else "?") + ("versionId=null" if method in ("GET", "HEAD", "DELETE") else "uploadId=u&partNumber=1"))]
        if method in ("GET", "DELETE"):
            changes.append(lambda: send(method="DELETE" if method == "GET" else "GET"))
        if method == "PUT" and not link:
            changes += [lambda n=n: send(headers=[(k, v + ("1" if k == n else "")) for k, v in headers]) for n in ("x-amz-meta-a", "content-type")]
            changes += [lambda n=n: send(headers=[(k, v) for k, v in headers if k != n]) for n in ("x-amz-meta-a", "content-type")]
        for number, change in enumerate(changes):
            answer = change()
            assert answer.status in (400, 403, 405, 501) and answer.code in (None, "SignatureDoesNotMatch", "NotImplemented", "InvalidArgument", "MethodNotAllowed"), (case, number, target, answer)


def test_clients_of_version_2(old, tmp_path):
    client = s3(old, signature_version="s3")
    for size in (0, 10, 6 << 20):
        client.put_object(Bucket="old", Key="d/e f", Body=b"x" * size, Metadata={"a": "b"}, ContentType="text/old")
        got = client.get_object(Bucket="old", Key="d/e f", ResponseContentType="text/z+y")
        assert got["Body"].read() == b"x" * size and got["ContentType"] == "text/z+y" and got["Metadata"] == {"a": "b"}
    assert "d/e f" in [o["Key"] for o in client.list_objects_v2(Bucket="old", Prefix="d/")["Contents"]]
    upload = client.create_multipart_upload(Bucket="old", Key="m")["UploadId"]
    part = client.upload_part(Bucket="old", Key="m", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    client.complete_multipart_upload(Bucket="old", Key="m", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    assert client.copy_object(Bucket="old", Key="c", CopySource={"Bucket": "old", "Key": "m"})["CopyObjectResult"]["ETag"]
    client.put_object_tagging(Bucket="old", Key="c", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert client.get_object_tagging(Bucket="old", Key="c")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert client.get_bucket_location(Bucket="old")["LocationConstraint"] is None
    assert not client.delete_objects(Bucket="old", Delete={"Objects": [{"Key": "c"}, {"Key": "m"}]}).get("Errors")
    here = tmp_path / "file"
    here.write_bytes(BODY * 1000)
    two = lambda *args: s3cmd(old, "--signature-v2", *args)
    two("put", str(here), "s3://old/s3cmd/a b")
    two("get", "--force", "s3://old/s3cmd/a b", str(here) + "2")
    assert (tmp_path / "file2").read_bytes() == here.read_bytes()
    assert "s3://old/s3cmd/a b" in two("ls", "s3://old/s3cmd/").stdout
    two("del", "s3://old/s3cmd/a b")


def test_links_of_version_2(old, tmp_path):
    (tmp_path / "s3cmd").write_text("[default]\nsignurl_use_https = True\n")
    links = [s3(old, signature_version=None).generate_presigned_url("get_object", {"Bucket": "old", "Key": "a b/\u00e9+"}),
             aws(old, "s3", "presign", "s3://old/a b/\u00e9+").stdout.strip(),
             s3cmd(old, "signurl", "s3://old/a b/\u00e9+", "+600", config=tmp_path / "s3cmd").stdout.strip()]
    for link in links:
        assert "AWSAccessKeyId=" in link and "X-Amz-" not in link
        assert curl(link, old.ca) == (200, BODY), link
        expires = int(re.search(r"Expires=(\d+)", link)[1])
        for changed in (link.replace(f"Expires={expires}", f"Expires={expires + 1}"), link.replace("/old/", "/old/x"), link.replace(ROOT_KEY, ALICE)):
            status, body = curl(changed, old.ca)
            assert status == 403 and b"SignatureDoesNotMatch" in body, body
    put = s3(old, signature_version="s3").generate_presigned_url("put_object", {"Bucket": "old", "Key": "put", "ContentType": "text/x", "Metadata": {"a": "1"}})
    target = put.partition(f":{old.port}")[2]
    assert raw.send(old, "PUT", None, headers=[("content-type", "text/x")], body=BODY, target=target).status == 200
    assert s3(old).head_object(Bucket="old", Key="put")["Metadata"] == {"a": "1"}
    for headers in ([], [("content-type", "text/html")]):
        says(raw.send(old, "PUT", None, headers=headers, body=BODY, target=target), 403, "SignatureDoesNotMatch")
    says(ask(old, "GET", "/old/k", link=True, expires=-1), 403, "AccessDenied")
    for missing in ("AWSAccessKeyId", "Expires", "Signature"):
        target, _ = sign(old, "GET", "/old/k", link=True)
        answer = raw.send(old, "GET", None, target=re.sub(rf"{missing}=[^&]+&?", "", target))
        assert answer.status in (403, 400), answer
    for expires in ("", "x", "+1", "1e9", "-1"):
        target, _ = sign(old, "GET", "/old/k", link=True)
        assert raw.send(old, "GET", None, target=re.sub(r"Expires=\d+", f"Expires={urllib.parse.quote(expires)}", target)).status == 403


def test_virtual_hosted_addresses(old):
    for target, auth_path, status in (("/k", "/old/k", 200), ("/", "/old/", 200), ("/old/k", "/old/old/k", 404)):
        target, headers = sign(old, "GET", target, auth_path=auth_path)
        assert raw.send(old, "GET", None, headers=[*headers, ("host", "old.s3.example.com")], target=target).status == status
        says(raw.send(old, "GET", None, headers=[*headers, ("host", "other.s3.example.com")], target=target), 403, "SignatureDoesNotMatch")


def test_dates(old):
    now = datetime.datetime.now(datetime.timezone.utc)
    for form in ("%a, %d %b %Y %H:%M:%S GMT", "%a, %d %b %Y %H:%M:%S +0000", "%Y%m%dT%H%M%SZ"):
        for shift, status in ((0, 200), (-3600, 403), (3600, 403)):
            date = (now + datetime.timedelta(seconds=shift)).strftime(form)
            # With x-amz-date there is no other: botocore never sends one, s3cmd does.
            for headers, text in (([("date", date)], f"GET\n\n\n{date}\n/old/k"), ([("x-amz-date", date)], f"GET\n\n\n\nx-amz-date:{date}\n/old/k"),
                                  ([("x-amz-date", date), ("date", "Thu, 01 Jan 1970 00:00:00 GMT")], f"GET\n\n\n\nx-amz-date:{date}\n/old/k")):
                signature = base64.b64encode(hmac.new(ROOT_SECRET.encode(), text.encode(), "sha1").digest()).decode()
                answer = raw.send(old, "GET", "/old/k", headers=[*headers, ("authorization", f"AWS {ROOT_KEY}:{signature}")])
                assert answer.status == status and answer.code == (None if status == 200 else "RequestTimeTooSkewed"), (form, shift, answer)
    target, headers = sign(old, "GET", "/old/k")
    says(raw.send(old, "GET", None, headers=[(k, v) for k, v in headers if k.lower() != "date"], target=target), 403, "AccessDenied")


def test_what_is_not_signed_makes_no_other_operation(old):
    """A link or a request to one thing is none to another, whatever is added that Version 2 does not sign."""
    for link in (False, True):
        for method, path, words in (("GET", "/old", ("publicAccessBlock", "policyStatus", "ownershipControls", "encryption", "intelligent-tiering")),
                                    ("DELETE", "/old", ("publicAccessBlock",)), ("PUT", "/old", ("publicAccessBlock",)), ("GET", "/old/k", ("attributes", "retention", "legal-hold"))):
            target, headers = sign(old, method, path, link=link)
            for word in words:
                answer = raw.send(old, method, None, headers=headers, target=target + ("&" if "?" in target else "?") + word)
                assert answer.status in (400, 501) and answer.code in ("InvalidRequest", "NotImplemented"), (word, answer)
        # What it signs is asked as what it is; prefix and the like belong to a listing either way.
        assert ask(old, "GET", "/old?versioning", link=link).status == 200
        target, headers = sign(old, "GET", "/old", link=link)
        assert raw.send(old, "GET", None, headers=headers, target=target + ("&" if "?" in target else "?") + "list-type=2&prefix=a").status == 200
        says(raw.send(old, "GET", None, headers=headers, target=target + ("&" if "?" in target else "?") + "versioning"), 403, "SignatureDoesNotMatch")


def test_headers_that_are_not_signed(old):
    target, headers = sign(old, "PUT", "/old/k2", link=True)
    for name in ("x-amz-meta-a", "x-amz-copy-source", "x-amz-tagging", "x-amz-security-token"):
        value = "/old/k" if "source" in name else "a=b"
        answer = raw.send(old, "PUT", None, headers=[*headers, (name, value)], body=b"" if "source" in name else BODY, target=target)
        says(answer, 403, "SignatureDoesNotMatch")
        answer = raw.send(old, "PUT", None, headers=headers, body=b"" if "source" in name else BODY, target=f"{target}&{name}={urllib.parse.quote(value)}")
        says(answer, 403, "SignatureDoesNotMatch")
    # A value is one line: no two headers become one, nor one two.
    target, headers = sign(old, "PUT", "/old/k2", [("x-amz-meta-a", "1"), ("x-amz-meta-b", "2")], link=True)
    assert raw.send(old, "PUT", None, headers=headers, body=BODY, target=target).status == 200
    joined = target.replace("x-amz-meta-b=2", "").replace("x-amz-meta-a=1", "x-amz-meta-a=1%0Ax-amz-meta-b:2").replace("&&", "&")
    assert joined != target and raw.send(old, "PUT", None, headers=headers, body=BODY, target=joined).status in (400, 403)
    # In both places at once it is neither.
    target, headers = sign(old, "PUT", "/old/k2", [("x-amz-meta-a", "1")], link=True)
    assert raw.send(old, "PUT", None, headers=headers, body=BODY, target=target).status == 200
    assert raw.send(old, "PUT", None, headers=[*headers, ("x-amz-meta-a", "1")], body=BODY, target=target).status in (400, 403)
    # A hash that is signed is the body's.
    digest = hashlib.sha256(BODY).hexdigest()
    assert ask(old, "PUT", "/old/k2", [("x-amz-content-sha256", digest)], BODY).status == 200
    says(ask(old, "PUT", "/old/k2", [("x-amz-content-sha256", digest)], b"other"), 400, "XAmzContentSHA256Mismatch")
    for streaming in ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"):
        says(ask(old, "PUT", "/old/k2", [("x-amz-content-sha256", streaming), ("x-amz-decoded-content-length", "0")], b"0\r\n\r\n"), 400, "InvalidRequest")


def test_keys_and_tokens(old):
    for link in (False, True):
        assert ask(old, "GET", "/old/k", link=link).status == 200
        says(ask(old, "GET", "/old/k", link=link, key="AKIAUNKNOWNUNKNOWN00"), 403, "InvalidAccessKeyId")
        says(ask(old, "GET", "/old/k", link=link, secret="wrong"), 403, "SignatureDoesNotMatch")
        says(ask(old, "GET", "/old/k", link=link, token="a token"), 400, "InvalidToken")
    target, headers = sign(old, "GET", "/old/k", link=True)
    says(raw.send(old, "GET", None, headers=raw.signed_headers(old, "GET", "/old/k"), target=target), 400, "InvalidArgument")
    for value in ("AWS", "AWS ", "AWS :", "AWS x", f"AWS {ROOT_KEY}", f"AWS {ROOT_KEY}:", "AWS :c2ln"):
        answer = raw.send(old, "GET", "/old/k", headers=[("authorization", value), ("date", datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT"))])
        assert answer.status in (400, 403) and answer.code in ("InvalidArgument", "SignatureDoesNotMatch"), (value, answer)
    assert ROOT_SECRET.encode() not in ask(old, "GET", "/old/k", secret="wrong").body


def test_policies_can_forbid_it(old):
    alice = dict(key=ALICE, secret=SECRET)
    for link in (False, True):
        assert ask(old, "GET", "/old/k", link=link, **alice).status == 200
        says(ask(old, "GET", "/old/new-only/k", link=link, **alice), 403, "AccessDenied")
        says(ask(old, "GET", "/old/hashed/k", link=link, **alice), 403, "AccessDenied")
    assert raw.request(old, "GET", "/old/new-only/k", **alice).status == 200
    # When a link was made is not said: it is not young.
    says(ask(old, "GET", "/old/young/k", link=True, **alice), 403, "AccessDenied")
    assert ask(old, "GET", "/old/young/k", **alice).status == 200
    link = raw.presign(old, "GET", "/old/young/k", **alice)
    assert raw.send(old, "GET", "/old/young/k", link).status == 200
    deadline, seen = time.time() + 10, set()
    while not {"header_v2", "presigned_v2", "header", "presigned"} <= seen:
        assert time.time() < deadline, seen
        seen = {json.loads(line).get("authenticated_by") for line in (old.directory / "audit.jsonl").read_text().splitlines()}
        time.sleep(0.05)


@pytest.mark.parametrize("main, beside", [(True, False), (False, True)])
def test_it_is_taken_listener_by_listener(tmp_path, main, beside):
    """Each listener for itself, also behind a reload, and by what the client has connected to rather than what it says."""
    port = free_port()
    config = lambda one, other: f"""[listener]
http_address = "127.0.0.1:{port}"
signature_v2 = {str(one).lower()}
http_signature_v2 = {str(other).lower()}
trusted_proxies = ["127.0.0.1"]
forwarded_proto = true
"""
    with Gateway(tmp_path, config(main, beside)) as gateway:
        s3(gateway).create_bucket(Bucket="old")
        s3(gateway).put_object(Bucket="old", Key="k", Body=BODY)
        class Beside:
            tls = False
        Beside.port = port
        def looks(one, other):
            for link in (False, True):
                for where, taken in ((gateway, one), (Beside, other)):
                    for said in ("http", "https"):
                        target, headers = sign(where, "GET", "/old/k", link=link)
                        answer = raw.send(where, "GET", "/old/k", headers=[*headers, ("x-forwarded-proto", said)], target=target)
                        assert answer.status == (200 if taken else 400), (link, where.port, said, answer)
            return True
        looks(main, beside)
        gateway.config_file.write_text(config(beside, main))
        wait(lambda: "the configuration is reloaded" in gateway.log())
        looks(beside, main)
    said = subprocess.run([BINARY, "check-config", gateway.config_file], capture_output=True, text=True, timeout=60, env=clean_env())
    assert said.returncode == 0, said
    gateway.config_file.write_text("[listener]\nhttp_signature_v2 = true\n")
    said = subprocess.run([BINARY, "check-config", gateway.config_file], capture_output=True, text=True, timeout=60, env=clean_env())
    assert said.returncode == 1 and "`listener.http_signature_v2`" in said.stderr and "`http_address`" in said.stderr, said


def test_where_it_is_off_it_is_refused_and_says_what_else(disk):
    for link in (False, True):
        answer = ask(disk, "GET", "/any/k", link=link)
        says(answer, 400, "InvalidRequest")
        assert b"signature_version = s3v4" in answer.body and b"listener.signature_v2" in answer.body, answer
