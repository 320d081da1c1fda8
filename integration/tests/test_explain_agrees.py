"""`policy explain` and the running gateway agree about random users, policies and requests."""

import base64
import email.utils
import hashlib
import hmac
import json
import os
import random
import re
import subprocess
import time

import pytest

from harness import raw
from harness.clients import s3
from harness.gateway import BINARY, ROOT_KEY, ROOT_SECRET, Gateway, clean_env, free_port

SEEDS, REQUESTS = range(int(os.environ.get("PORTCULLIS_EXPLAIN_SEEDS", "3"))), 120
BUCKETS = ("bucket-one", "bucket-two")
KEYS = ("a/1", "a/2", "alice/x", "public/p", "b")
SOURCES = ("a/source", "alice/source", "public/source")
ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectTagging", "s3:*", "s3:Get*", "s3:*Object",
           "s3:ListAllMyBuckets", "s3:GetBucketPolicy", "s3:GetBucketLocation", "*")
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
        {"StringEquals": {"s3:ResourceAccount": "123456789012"}}, {"Bool": {"aws:ViaAWSService": "true"}}]
    if on_bucket:
        every += [{"StringLike": {"s3:prefix": ["a/*", "${aws:username}/*"]}}, {"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"Null": {"s3:delimiter": "true"}}]
    return rng.choice(every)


def statement(rng, bucket=None):
    place = bucket or rng.choice([*BUCKETS, "bucket-*", "*"])
    resources = rng.choice([[place, f"{place}/*"], [place, f"{place}/a/*"], [place, f"{place}/${{aws:username}}/*"]])
    actions = rng.sample(ACTIONS, rng.randint(1, 3))
    made = {"Effect": "Deny" if rng.random() < 0.25 else "Allow", "Resource": [f"arn:aws:s3:::{one}" for one in resources]}
    if bucket:
        actions = [a for a in actions if a not in ("*", "s3:ListAllMyBuckets")] or ["s3:GetObject"]
        made["Principal"] = rng.choice(["*", {"AWS": "arn:aws:iam::123456789012:user/alice"}, {"AWS": "123456789012"}, {"AWS": "*"}])
    made[("NotAction" if rng.random() < 0.1 else "Action")] = actions
    if rng.random() < 0.6:
        made["Condition"] = conditions(rng, actions == ["s3:ListBucket"])
    return made


def document(rng, bucket=None):
    return {"Version": "2012-10-17", "Statement": [statement(rng, bucket) for _ in range(rng.randint(1, 4))]}


def configuration(rng):
    named = [f"[[policies]]\nname = \"p{n}\"\ninline = '''{json.dumps(document(rng))}'''" for n in range(8)]
    some = lambda most: json.dumps([f"p{n}" for n in rng.sample(range(8), rng.randint(0, most))])
    lines = ["[listener]", f'http_address = "127.0.0.1:{free_port()}"', "signature_v2 = true", "[public_access_block]", f"restrict_public_buckets = {rng.choice(['true', 'false'])}", "block_public_policy = false",
             *named, '[[groups]]', 'name = "g"', f"policies = {some(2)}"]
    for name in ("alice", "bob"):
        boundary = f'boundary = "p{rng.randrange(8)}"' if rng.random() < 0.2 else ""
        keys = [f'{{ id = "AK{name.upper()}", secret = {{ env = "SECRET" }} }}',
                f'{{ id = "SA{name.upper()}", secret = {{ env = "SECRET" }}, policy = "p{rng.randrange(8)}" }}']
        lines += ["[[users]]", f'name = "{name}"', f"policies = {some(3)}", f"groups = {rng.choice(['[]', json.dumps(['g'])])}", boundary,
                  f'tags = {{ team = "{rng.choice(["blue", "red"])}" }}', f"access_keys = [{', '.join(keys)}]"]
    return "\n".join(lines)


def asked(rng):
    """A request, and what `explain` is asked about it."""
    bucket, key = rng.choice(BUCKETS), rng.choice(KEYS)
    kind = rng.choice(["get", "get", "put", "put if", "copy", "delete", "delete if", "list", "list", "tags", "buckets", "policy", "location"])
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
            source = f"{rng.choice(BUCKETS)}/{rng.choice(SOURCES)}"
            return ("PUT", at, query, [*headers, ("x-amz-copy-source", source)],
                    context | {"s3:ObjectCreationOperation": "true", "s3:x-amz-copy-source": source}, "s3:PutObject", of)
        case "delete":
            return "DELETE", at, query, headers, context, "s3:DeleteObject", of
        case "tags":
            return "GET", at, [("tagging", "")], headers, context, "s3:GetObjectTagging", of
        case "buckets":
            return "GET", "/", query, headers, context, "s3:ListAllMyBuckets", "*"
        case "policy":
            return "GET", f"/{bucket}", [("policy", "")], headers, context, "s3:GetBucketPolicy", f"arn:aws:s3:::{bucket}"
        case "location":
            return "GET", f"/{bucket}", [("location", "")], headers, context, "s3:GetBucketLocation", f"arn:aws:s3:::{bucket}"
    for name, values in (("prefix", ["a/", "alice/", "b"]), ("max-keys", ["5", "50"]), ("delimiter", ["/"])):
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
        signed = [path + "".join(f"?{name}" for name, _ in query if name in ("tagging", "policy", "location"))]
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
    rng, secret, decided = random.Random(seed), "a-secret-of-tests-0123456789", {True: 0, False: 0}
    env = {"SECRET": secret}
    with Gateway(tmp_path, configuration(rng), env=env) as gateway:
        root = s3(gateway)
        for bucket in BUCKETS:
            root.create_bucket(Bucket=bucket)
            for key in KEYS + SOURCES:
                root.put_object(Bucket=bucket, Key=key)
            if rng.random() < 0.6:
                root.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={
                    "RestrictPublicBuckets": rng.random() < 0.3, "BlockPublicPolicy": False, "BlockPublicAcls": True, "IgnorePublicAcls": True})
            for _ in range(50):
                made = raw.request(gateway, "PUT", f"/{bucket}", [("policy", "")], body=json.dumps(document(rng, bucket)).encode())
                if made.status == 204:
                    break
        for _ in range(REQUESTS):
            method, path, query, headers, context, action, resource = asked(rng)
            if method in ("GET", "DELETE") and path.count("/") > 1:
                raw.request(gateway, "PUT", path)
            who = rng.choice([None, "AKALICE", "AKBOB", "SAALICE", "SABOB", ROOT_KEY])
            how = rng.choice(["header", "unsigned", "presigned", "two", "two presigned"])
            plain = rng.random() < 0.25
            if plain:
                context["aws:SecureTransport"] = "false"
            answer, more = sent(Plain(gateway) if plain else gateway, who, ROOT_SECRET if who == ROOT_KEY else secret, how, (method, path, query, headers))
            context = context | more
            by = ["--principal", "anonymous"] if who is None else ["--principal", "root"] if who == ROOT_KEY else ["--access-key", who]
            pairs = [word for key, value in context.items() for word in ("--context", f"{key}={value}")]
            told = subprocess.run([BINARY, "policy", "explain", "--json", "--config", gateway.config_file, "--data", gateway.data, *by,
                                   "--action", action, "--resource", resource, *pairs], capture_output=True, text=True, timeout=60, env=clean_env())
            assert told.returncode in (0, 1), (told.args, told.stdout, told.stderr)
            allowed = not (answer.status == 403 and answer.code == "AccessDenied")
            assert allowed or answer.status == 403
            assert (told.returncode == 0) == allowed, ([str(word) for word in told.args], how, answer, json.dumps(json.loads(told.stdout), indent=1), gateway.config_file.read_text(),
                                                       [raw.request(gateway, "GET", f"/{b}", [("policy", "")]).body for b in BUCKETS])
            decided[allowed] += 1
    assert min(decided.values()) > REQUESTS // 10, f"only one kind of decision came about: {decided}"
