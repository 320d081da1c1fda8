"""`policy explain` and the running gateway agree about random users, policies and requests: of every operation that is
answered, on the disk and at an upstream, signed in every way at every listener."""

import base64
import email.utils
import hashlib
import hmac
import json
import os
import pathlib
import random
import re
import subprocess
import time

import pytest

from harness import raw
from harness.clients import s3
from harness.gateway import BINARY, ROOT_KEY, ROOT_SECRET, Gateway, clean_env, free_port

SEEDS, REQUESTS = range(int(os.environ.get("PORTCULLIS_EXPLAIN_SEEDS", "3"))), 120
# The second and the third are at an upstream, the third as some keys of another bucket there.
BUCKETS = ("bucket-one", "bucket-two", "bucket-part")
KEYS = ("a/1", "a/2", "alice/x", "public/p", "b")
# Keys that not every store can have, and one that none has.
ODD = ("a//1", "a/../b", "a/./1", "/a", "a/", "k" * 1025)
SOURCES = ("a/source", "alice/source", "public/source", "a/tagged", "alice/tagged")
# What a copy takes along, who may.
TAGS = {"s3:ExistingObjectTag/team": "blue"}
ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectTagging", "s3:*", "s3:Get*", "s3:*Object",
           "s3:ListAllMyBuckets", "s3:GetBucketPolicy", "s3:GetBucketLocation", "s3:GetObjectVersion", "s3:*Version*", "s3:Put*", "s3:List*",
           "s3:*Bucket*", "s3:*Configuration", "*")
# Every operation that is answered, as the table has it: name, method, target, words of its query, header, actions.
TABLE = [(name, method, target, re.findall(r'"([^"]+)"', words), header.strip('"'), re.findall(r'"([^"]+)"', actions))
         for name, method, target, words, header, actions in re.findall(
             r'^    (\w+) ([A-Z]+) (\w+) (\[[^\]]*\]) ("[^"]+"|-) \[[^\]]*\] (\[[^\]]*\]) \w+ \w+ yes;$',
             (pathlib.Path(__file__).parents[2] / "src/s3/operation.rs").read_text(), re.M)]
# Decided key by key, and made and removed for the next request's sake.
LEFT_OUT = {"DeleteObjects"}
VALUES = {"list-type": "2", "partNumber": "1", "uploadId": "none", "id": "one"}
# Words that Version 2 signs.
SIGNED_BY_TWO = {"accelerate", "acl", "analytics", "cors", "inventory", "lifecycle", "location", "logging", "metrics", "notification", "object-lock", "partNumber",
                 "policy", "replication", "requestPayment", "tagging", "uploadId", "uploads", "versionId", "versioning", "versions", "website"}
# Of a request that was let in: its body is none, or what it is about is not there.
NOT_OF_POLICIES = {"MalformedXML", "MalformedPolicy", "MissingRequestBodyError", "InvalidRequest", "MissingContentLength"}
USERS = ("alice", "bob", "keyless")


def conditions(rng, on_bucket):
    """One that these requests meet sometimes."""
    every = [
        {"StringEquals": {"aws:username": rng.choice(USERS)}}, {"StringNotEquals": {"aws:username": "bob"}},
        {"StringLike": {"aws:UserAgent": "good*"}}, {"StringNotLike": {"aws:UserAgent": "good*"}},
        {"IpAddress": {"aws:SourceIp": rng.choice(["127.0.0.0/8", "192.0.2.0/24"])}}, {"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}},
        {"Bool": {"aws:SecureTransport": rng.choice(["true", "false"])}}, {"StringEquals": {"aws:PrincipalTag/team": rng.choice(["blue", "red"])}},
        {"StringEqualsIfExists": {"aws:PrincipalTag/team": "blue"}}, {"StringEquals": {"aws:PrincipalType": rng.choice(["User", "Anonymous", "Account"])}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/a*"}}, {"Null": {"aws:PrincipalArn": rng.choice(["true", "false"])}},
        {"DateGreaterThan": {"aws:CurrentTime": rng.choice(["2020-01-01", "2099-01-01"])}}, {"NumericLessThan": {"s3:signatureAge": "600000"}},
        {"StringEquals": {"s3:authType": "REST-HEADER"}}, {"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}},
        {"NumericGreaterThanEquals": {"s3:TlsVersion": rng.choice(["1.2", "1.4"])}}, {"Null": {"s3:TlsVersion": rng.choice(["true", "false"])}},
        {"NumericLessThanIfExists": {"s3:TlsVersion": "1.3"}}, {"NumericGreaterThan": {"s3:signatureAge": "600000"}}, {"StringEquals": {"s3:signatureversion": "AWS"}}, {"StringLike": {"aws:Referer": "https://site/*"}},
        {"StringEquals": {"aws:userid": rng.choice(["alice", "anonymous"])}}, {"StringEquals": {"aws:PrincipalAccount": "123456789012"}},
        {"Bool": {"aws:MultiFactorAuthPresent": "false"}}, {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
        {"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}, {"StringEquals": {"aws:RequestedRegion": rng.choice(["us-east-1", "eu-west-1"])}},
        {"StringEquals": {"s3:ResourceAccount": "123456789012"}}, {"Bool": {"aws:ViaAWSService": "true"}},
        {"StringEquals": {"s3:ExistingObjectTag/team": rng.choice(["blue", "red"])}}]
    if on_bucket:
        every += [{"StringLike": {"s3:prefix": ["a/*", "${aws:username}/*"]}}, {"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"Null": {"s3:delimiter": "true"}}]
    return rng.choice(every)


def statement(rng, bucket=None):
    place = bucket or rng.choice([*BUCKETS, "bucket-*", "*"])
    resources = rng.choice([[place, f"{place}/*"], [place, f"{place}/a/*"], [place, f"{place}/${{aws:username}}/*"]])
    actions = rng.sample(ACTIONS, rng.randint(1, 3))
    made = {"Effect": "Deny" if rng.random() < 0.25 else "Allow", "Resource": [f"arn:aws:s3:::{one}" for one in resources]}
    if bucket:
        actions = [a for a in actions if a not in ("*", "s3:ListAllMyBuckets", "s3:List*")] or ["s3:GetObject"]
        made["Principal"] = rng.choice(["*", {"AWS": "arn:aws:iam::123456789012:user/alice"}, {"AWS": "123456789012"}, {"AWS": "*"}])
    made[("NotAction" if rng.random() < 0.1 else "Action")] = actions
    if rng.random() < 0.6:
        made["Condition"] = conditions(rng, actions == ["s3:ListBucket"])
    return made


def document(rng, bucket=None):
    return {"Version": "2012-10-17", "Statement": [statement(rng, bucket) for _ in range(rng.randint(1, 4))]}


def configuration(rng, behind):
    named = [f"[[policies]]\nname = \"p{n}\"\ninline = '''{json.dumps(document(rng))}'''" for n in range(8)]
    some = lambda most: json.dumps([f"p{n}" for n in rng.sample(range(8), rng.randint(0, most))])
    flag = lambda: rng.choice(["true", "false"])
    keys = rng.choice(["normalized", "exact", "trimmed"])
    upstream = f'''[[upstreams]]
name = "behind"
endpoint = "{behind.url}"
credentials = {{ access_key = {{ env = "UP_KEY" }}, secret_key = {{ env = "UP_SECRET" }} }}
keys = "{keys}"
[[routes]]
bucket = "bucket-two"
backend = "behind"'''
    lines = ["[listener]", f'http_address = "127.0.0.1:{free_port()}"', f"signature_v2 = {flag()}", f"http_signature_v2 = {flag()}",
             "[public_access_block]", f"restrict_public_buckets = {flag()}", "block_public_policy = false", upstream,
             '[[routes]]', 'bucket = "bucket-part"', 'backend = "behind"', 'rename = "bucket-there"', 'key_prefix = "part/"',
             *named, '[[groups]]', 'name = "g"', f"policies = {some(2)}"]
    for name in ("alice", "bob"):
        boundary = f'boundary = "p{rng.randrange(8)}"' if rng.random() < 0.2 else ""
        keys = [f'{{ id = "AK{name.upper()}", secret = {{ env = "SECRET" }} }}',
                f'{{ id = "SA{name.upper()}", secret = {{ env = "SECRET" }}, policy = "p{rng.randrange(8)}" }}']
        lines += ["[[users]]", f'name = "{name}"', f"policies = {some(3)}", f"groups = {rng.choice(['[]', json.dumps(['g'])])}", boundary,
                  f'tags = {{ team = "{rng.choice(["blue", "red"])}" }}', f"access_keys = [{', '.join(keys)}]"]
    return "\n".join(lines), {"UP_KEY": ROOT_KEY, "UP_SECRET": ROOT_SECRET}


def copied(rng):
    """What is copied, as its header has it: encoded or not."""
    key = rng.choice(SOURCES)
    return f"{rng.choice(BUCKETS)}/{rng.choice([key, key.replace('a', '%61')])}{rng.choice(['', '?versionId=null'])}"


def of_table(rng, at, of, headers, context):
    """Any operation that is answered."""
    name, method, target, words, header, actions = rng.choice([row for row in TABLE if row[0] not in LEFT_OUT])
    query = [(word, VALUES.get(word, "")) for word in words]
    action, bucket = actions[0], of.split("/")[0]
    path, resource = {"Service": ("/", "*"), "Bucket": (at.split("/", 2)[1], bucket), "Object": (at, of)}[target]
    path = path if path.startswith("/") else f"/{path}"
    if name in ("PutObject", "CopyObject", "CompleteMultipartUpload"):
        context = context | {"s3:ObjectCreationOperation": "true"}
    elif action == "s3:PutObject":
        context = context | {"s3:ObjectCreationOperation": "false"}
    if header != "-":
        source = copied(rng)
        headers, context = [*headers, (header, source)], context | {"s3:x-amz-copy-source": source} | (TAGS if "gged" in source else {})
    if name in ("GetObject", "HeadObject", "DeleteObject", "GetObjectTagging", "GetObjectAcl", "PutObjectTagging", "DeleteObjectTagging") and rng.random() < 0.4:
        query, action = [*query, ("versionId", "null")], action.replace("Object", "ObjectVersion")
    if action in ("s3:PutObject", "s3:CreateBucket") and name in ("PutObject", "CopyObject", "CreateMultipartUpload", "CreateBucket") and rng.random() < 0.4:
        asks = [("x-amz-acl", ["private", "public-read"]), ("x-amz-storage-class", ["STANDARD", "GLACIER"])]
        asks += ([("x-amz-object-ownership", ["BucketOwnerEnforced", "ObjectWriter"])] if name == "CreateBucket" else
                 [("x-amz-object-lock-mode", ["GOVERNANCE"]), ("x-amz-server-side-encryption", ["AES256"]), ("x-amz-website-redirect-location", ["/x", "x"])])
        known, values = rng.choice(asks)
        value = rng.choice(values)
        # CreateBucket has no storage class.
        if not (name == "CreateBucket" and known == "x-amz-storage-class"):
            headers = [*headers, (known, value)]
            context = context | {f"s3:{known.replace('amz-object-lock', 'object-lock').replace('x-object', 'object')}": value}
    return method, path, query, headers, context, action, resource


def asked(rng):
    """A request, and what `explain` is asked about it."""
    bucket, key = rng.choice(BUCKETS), rng.choice(KEYS if rng.random() < 0.9 else ODD)
    kind = rng.choice(["get", "put", "put if", "copy", "delete", "delete if", "list", "list", *["table"] * 8])
    at, of = f"/{bucket}/{key}", f"arn:aws:s3:::{bucket}/{key}"
    context, headers, query = {"aws:SourceIp": "127.0.0.1"}, [], []
    if rng.random() < 0.5:
        agent = rng.choice(["good/1", "evil/1"])
        headers.append(("user-agent", agent))
        context["aws:UserAgent"] = agent
    if rng.random() < 0.3:
        headers.append(("referer", "https://site/page"))
        context["aws:Referer"] = "https://site/page"
    match kind:
        case "table":
            return of_table(rng, at, of, headers, context)
        case "get":
            return "GET", at, query, headers, context, "s3:GetObject", of
        case "put":
            return "PUT", at, query, headers, context | {"s3:ObjectCreationOperation": "true"}, "s3:PutObject", of
        case "put if" | "delete if":
            etag = rng.choice(['"abc"', "*"]) if kind == "delete if" else '"abc"'
            made = {"s3:ObjectCreationOperation": "true"} if kind == "put if" else {}
            method, action = ("PUT", "s3:PutObject") if made else ("DELETE", "s3:DeleteObject")
            return method, at, query, [*headers, ("if-match", etag)], context | made | {"s3:if-match": etag}, action, of
        case "copy":
            source = copied(rng)
            return ("PUT", at, query, [*headers, ("x-amz-copy-source", source)], context | (TAGS if "gged" in source else {}) |
                    {"s3:ObjectCreationOperation": "true", "s3:x-amz-copy-source": source}, "s3:PutObject", of)
        case "delete":
            return "DELETE", at, query, headers, context, "s3:DeleteObject", of
    for name, values in (("prefix", ["a/", "alice/", "b"]), ("max-keys", ["5", "50", "many", "-1"]), ("delimiter", ["/"])):
        if rng.random() < 0.4:
            value = rng.choice(values)
            query.append((name, value))
            context[f"s3:{name}"] = value
    return "GET", f"/{bucket}", [("list-type", "2"), *query], headers, context, "s3:ListBucket", f"arn:aws:s3:::{bucket}"


class Plain:
    """The gateway's other address."""

    def __init__(self, gateway):
        self.port, self.tls = int(re.search(r"http_address = .*:(\d+)", gateway.config_file.read_text()).group(1)), False


def sent(gateway, who, secret, how, request):
    """The status of it, and what its signature adds to the context."""
    method, path, query, headers = request
    if who is None:
        return raw.send(gateway, method, path, query, headers), {"aws:PrincipalAccount": "anonymous"}
    if how.startswith("two"):
        date = email.utils.formatdate(usegmt=True)
        when = str(int(time.time()) + 600) if how == "two presigned" else date
        amz = sorted((name, value) for name, value in headers if name.startswith("x-amz-"))
        words = sorted((name, value) for name, value in query if name in SIGNED_BY_TWO)
        words = "&".join(f"{name}={value}" if value else name for name, value in words)
        signed = [raw.quote(path, "/-_.~") + (f"?{words}" if words else "")]
        text = "\n".join([method, "", "", when, *(f"{name}:{value}" for name, value in amz), *signed])
        mac = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
        if how == "two presigned":
            link = [*query, ("AWSAccessKeyId", who), ("Expires", when), ("Signature", mac)]
            return raw.send(gateway, method, path, link, headers), {"s3:authType": "REST-QUERY-STRING", "s3:signatureversion": "AWS"}
        signed = [("host", f"127.0.0.1:{gateway.port}"), ("date", date), *headers, ("authorization", f"AWS {who}:{mac}")]
        return raw.send(gateway, method, path, query, signed), {"s3:signatureversion": "AWS"}
    if how == "presigned":
        amz = [(name, value) for name, value in headers if name.startswith("x-amz-")]
        link = raw.presign(gateway, method, path, query, amz, key=who, secret=secret)
        return raw.send(gateway, method, path, link, headers), {"s3:authType": "REST-QUERY-STRING", "s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    payload = "UNSIGNED-PAYLOAD" if how == "unsigned" else None
    signed = raw.signed_headers(gateway, method, path, query, headers, key=who, secret=secret, payload=payload)
    hashed = dict(signed)["x-amz-content-sha256"]
    return raw.send(gateway, method, path, query, signed), {"s3:x-amz-content-sha256": hashed}


@pytest.mark.parametrize("seed", SEEDS)
def test_explain_and_the_gateway_agree(tmp_path, seed):
    rng, secret, decided = random.Random(seed), "a-secret-of-tests-0123456789", {0: 0, 1: 0, 2: 0}
    with Gateway(tmp_path / "behind", tls=False) as behind:
        s3(behind).create_bucket(Bucket="bucket-there")
        config, env = configuration(rng, behind)
        with Gateway(tmp_path / "gateway", config, env={**env, "SECRET": secret}) as gateway:
            agree(gateway, rng, secret, decided)
    assert min(decided.values()) > REQUESTS // 60, f"not every kind of decision came about: {decided}"


def agree(gateway, rng, secret, decided):
    root = s3(gateway)
    for bucket in BUCKETS:
        if bucket != "bucket-part":
            root.create_bucket(Bucket=bucket)
        for key in KEYS + SOURCES:
            root.put_object(Bucket=bucket, Key=key, Tagging="team=blue" if "tagged" in key else "")
        if rng.random() < 0.6:
            root.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={
                "RestrictPublicBuckets": rng.random() < 0.3, "BlockPublicPolicy": False, "BlockPublicAcls": True, "IgnorePublicAcls": True})
        for _ in range(50):
            made = raw.request(gateway, "PUT", f"/{bucket}", [("policy", "")], body=json.dumps(document(rng, bucket)).encode())
            if made.status == 204:
                break
    for _ in range(REQUESTS):
        method, path, query, headers, context, action, resource = asked(rng)
        if path.count("/") > 1 and not (method == "PUT" and not query):
            raw.request(gateway, "PUT", path)
        who = rng.choice([None, "AKALICE", "AKBOB", "SAALICE", "SABOB", ROOT_KEY])
        how = rng.choice(["header", "header", "unsigned", "presigned", "two", "two presigned"])
        if how.startswith("two"):
            # Version 2 does not sign it, and the same right is asked for without it.
            query = [pair for pair in query if pair[0] != "id"]
        plain = rng.random() < 0.25
        if plain:
            context["aws:SecureTransport"] = "false"
        signs = {} if who is None else said_of(how)
        by = ["--principal", "anonymous"] if who is None else ["--principal", "root"] if who == ROOT_KEY else ["--access-key", who]
        pairs = [word for key, value in (context | signs).items() for word in ("--context", f"{key}={value}")]
        # Before the request, which may change what is asked about.
        told = subprocess.run([BINARY, "policy", "explain", "--json", "--config", gateway.config_file, "--data", gateway.data, *by,
                               "--action", action, "--resource", resource, *pairs], capture_output=True, text=True, timeout=60, env=clean_env())
        answer, _ = sent(Plain(gateway) if plain else gateway, who, ROOT_SECRET if who == ROOT_KEY else secret, how, (method, path, query, headers))
        denied = answer.status == 403 and answer.code in (("AccessDenied", None) if method == "HEAD" else ("AccessDenied",))
        refused = answer.status in (400, 501) and answer.code not in NOT_OF_POLICIES
        well = {0: not denied and not refused, 1: denied, 2: answer.status in (400, 501)}
        assert answer.status != 403 or denied, (how, answer)
        assert well.get(told.returncode), ([str(word) for word in told.args], how, method, path, query, headers, answer, told.stdout, told.stderr, gateway.config_file.read_text(),
                                           [raw.request(gateway, "GET", f"/{b}", [("policy", "")]).body for b in BUCKETS])
        decided[told.returncode] += 1


def said_of(how):
    """What a request that is signed so says, and that an empty body's hash is."""
    two = {"s3:signatureversion": "AWS"} if how.startswith("two") else {}
    link = {"s3:authType": "REST-QUERY-STRING"} if how.endswith("presigned") else {}
    hashed = {"header": raw.EMPTY, "unsigned": "UNSIGNED-PAYLOAD", "presigned": "UNSIGNED-PAYLOAD"}.get(how)
    return two | link | ({"s3:x-amz-content-sha256": hashed} if hashed else {})
