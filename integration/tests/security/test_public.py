"""T45, where a policy lets anyone in and public access is blocked: by the server, by the bucket, or by what
cannot be read. Nothing of a refused request reaches the store, which a spy behind the gateway sees."""

import hashlib
import json

import pytest

from harness import raw
from harness.gateway import OPEN, Gateway, upstream
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import AUDIT, DELETE, OPERATIONS, Spy, agree

ALICE, ALICE_SECRET = "AKIAALICEALICEALICE0", "alice-secret-canary-0123456789"
MALLORY = "AKIAMALLORYMALLORY00"
MANAGES = [{"Effect": "Allow", "Action": ["s3:PutBucketPolicy", "s3:GetBucketPublicAccessBlock"], "Resource": "*"}]
POLICY = {"Statement": [{"Sid": "Anyone", "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]},
                        {"Sid": "NotThis", "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/shut"}]}
block = lambda **settings: ("<PublicAccessBlockConfiguration>" + "".join(f"<{k}>{v}</{k}>" for k, v in settings.items()) + "</PublicAccessBlockConfiguration>").encode()


@pytest.fixture(scope="module")
def public(work, recorder):
    """Anyone may do anything in `bucket`, as far as its policy goes."""
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET)
    config += f"""
[[users]]
name = "alice"
access_keys = [{{ id = "{ALICE}", secret = {{ env = "ALICE_SECRET" }} }}]
[[users]]
name = "mallory"
access_keys = [{{ id = "{MALLORY}", secret = {{ env = "ALICE_SECRET" }} }}]
policies = ["manages"]
[[policies]]
name = "manages"
inline = '''{json.dumps({"Version": "2012-10-17", "Statement": MANAGES})}'''
"""
    with Gateway(work / "public", AUDIT + OPEN + config, env={**env, "ALICE_SECRET": ALICE_SECRET}) as gateway:
        gateway.rest = AUDIT + config
        yield gateway
        assert "panicked" not in gateway.log()


@pytest.fixture
def spy(public, recorder):
    watching = Spy(public, recorder)
    watching.reply = agree
    watching.publish("bucket", POLICY)
    yield watching
    recorder.settle()
    assert recorder.arrived == [], "something arrived that the test did not ask for"


def configure(public, spy, body):
    spy.passes(raw.request(public, "PUT", "/bucket", [("publicAccessBlock", "")], body=body))


def nobody_passes(public, spy):
    """Anonymous, and by no way around: each operation, and each that names the bucket beside its own."""
    for name, (method, path, query, headers, body) in OPERATIONS.items():
        if path == "/":
            continue
        answer = raw.send(public, method, path, query, headers, body)
        spy.refuses(answer, *(["AccessDenied"] if method != "HEAD" else []), statuses=(403,))
        event = spy.event(answer)
        assert event["decision"] == "implicit_deny" and event["caller"] == "anonymous" and event["reason"] == "public access is blocked", (name, event)
        assert "policy" not in event or event["policy"] is None
        assert event["bytes_in"] == 0, name
    # An explicit Deny is told as one, as ever.
    shut = raw.send(public, "GET", "/bucket/shut")
    spy.refuses(shut, "AccessDenied", statuses=(403,))
    assert (spy.event(shut)["decision"], spy.event(shut)["sid"]) == ("explicit_deny", "NotThis")
    # A signature that fails makes nobody an account's own.
    spy.refuses(raw.request(public, "GET", "/bucket/key", key=ALICE, secret="forged"), "SignatureDoesNotMatch", statuses=(403,))
    spy.refuses(raw.request(public, "GET", "/bucket/key", key="AKIANOBODYNOBODY0000", secret="forged"), "InvalidAccessKeyId", statuses=(403,))


def members_pass(public, spy):
    """Whoever is of the account has what the policy grants, and no other policy does; and its Deny binds."""
    spy.passes(raw.request(public, "GET", "/bucket/key", key=ALICE, secret=ALICE_SECRET))
    spy.passes(raw.request(public, "PUT", "/bucket/key", body=b"x", key=ALICE, secret=ALICE_SECRET))
    for key, secret in ((ALICE, ALICE_SECRET), (raw.ROOT_KEY, raw.ROOT_SECRET)):
        answer = raw.request(public, "GET", "/bucket/shut", key=key, secret=secret)
        spy.refuses(answer, "AccessDenied", statuses=(403,))
        assert spy.event(answer)["decision"] == "explicit_deny"


def test_t45_a_public_bucket_is(public, spy):
    """The positive twin of the rest."""
    for name in ("GetObject", "HeadObject", "PutObject", "ListObjectsV2", "DeleteObjects", "GetBucketPolicy"):
        method, path, query, headers, body = OPERATIONS[name]
        spy.passes(raw.send(public, method, path, query, headers, body))
    spy.refuses(raw.send(public, "GET", "/bucket/shut"), "AccessDenied", statuses=(403,))
    members_pass(public, spy)


def test_t45_a_public_object_has_a_link_that_says_which_it_is(public, spy):
    """As pages do so that an old one is not shown: what means nothing to S3 changes nothing."""
    for query in ([("v", "3")], [("v", "")], [("_", "17"), ("utm_source", "a")]):
        spy.passes(raw.send(public, "GET", "/bucket/key", query), "/bucket/key")
        spy.refuses(raw.send(public, "GET", "/bucket/shut", query), "AccessDenied", statuses=(403,))


def test_t45_a_bucket_that_blocks(public, spy):
    configure(public, spy, block(RestrictPublicBuckets="true"))
    nobody_passes(public, spy)
    members_pass(public, spy)
    # Another setting is no reason.
    configure(public, spy, block(BlockPublicPolicy="true", BlockPublicAcls="true", IgnorePublicAcls="true"))
    spy.passes(raw.send(public, "GET", "/bucket/key"))


def test_t44_t45_a_block_that_cannot_be_read(public, spy):
    stored = public.data / "state/public-access-blocks/bucket.json"
    for broken in ("", "{}", "no"):
        stored.write_text(broken)
        spy.wait(lambda: raw.send(public, "GET", "/bucket/key").status == 403)
        spy.recorder.settle()
        spy.recorder.clear()
        nobody_passes(public, spy)
        members_pass(public, spy)
        stored.write_text("null")
        spy.wait(lambda: raw.send(public, "GET", "/bucket/key").status == 200)
        spy.recorder.settle()
        spy.recorder.clear()


def test_t45_a_server_that_blocks(public, spy):
    """Whatever its buckets say, and from the moment that it is told."""
    was = public.config_file.read_text()
    status = lambda: raw.send(public, "GET", "/bucket/key").status
    for settings in ("", "[public_access_block]\nblock_public_policy = false\n"):
        public.config_file.write_text(settings + public.rest)
        public.process.send_signal(1)
        spy.wait(lambda: status() == 403)
        spy.recorder.settle()
        spy.recorder.clear()
        nobody_passes(public, spy)
        members_pass(public, spy)
    public.config_file.write_text(was)
    public.process.send_signal(1)
    spy.wait(lambda: status() == 200)
    spy.recorder.settle()
    spy.recorder.clear()


def test_t45_an_anonymous_list_of_keys_is_not_read(public, spy):
    """T89: where nothing can grant one of them, the document is not even asked for."""
    configure(public, spy, block(RestrictPublicBuckets="true"))
    head = raw.render(public, "POST", "/bucket", [("delete", "")], [("expect", "100-continue"), ("content-length", str(len(DELETE)))])
    with raw.Connection(public) as connection:
        connection.send(head)
        answer = connection.answer()
    spy.refuses(answer, "AccessDenied", statuses=(403,))
    assert answer.interim == [] and spy.event(answer)["bytes_in"] == 0


def test_t45_who_may_put_a_policy_may_not_make_it_public(public, spy):
    """One right is not the other: neither who may write policies nor anyone else turns the block off."""
    spy.passes(raw.request(public, "DELETE", "/bucket", [("policy", "")]))
    configure(public, spy, block(BlockPublicPolicy="true"))
    asks = lambda method, name, body=b"": raw.request(public, method, "/bucket", [(name, "")], body=body, key=MALLORY, secret=ALICE_SECRET)
    for method, body in (("PUT", block()), ("DELETE", b"")):
        spy.refuses(asks(method, "publicAccessBlock", body), "AccessDenied", statuses=(403,))
        spy.refuses(raw.send(public, method, "/bucket", [("publicAccessBlock", "")], body=body), "AccessDenied", statuses=(403,))
    spy.passes(asks("GET", "publicAccessBlock"))
    spy.refuses(asks("GET", "policyStatus"), "AccessDenied", statuses=(403,))
    refused = asks("PUT", "policy", json.dumps(POLICY).encode())
    assert (refused.status, refused.code) == (403, "AccessDenied") and b"BlockPublicPolicy" in refused.body
    spy.recorder.settle()
    spy.recorder.clear()  # Whether there is such a bucket.
    spy.refuses(raw.send(public, "GET", "/bucket/key"), "AccessDenied", statuses=(403,))
    # One that is for members only is no business of the block's.
    members = {"Statement": {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}}
    spy.passes(asks("PUT", "policy", json.dumps(members).encode()))


@pytest.mark.parametrize("header", ["x-amz-acl", "x-amz-grant-read", "x-amz-grant-full-control", "x-amz-grant-write"])
def test_public_acls_reach_nothing(public, spy, header):
    value = "public-read" if header == "x-amz-acl" else 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
    for method, path, query in (("PUT", "/bucket/key", []), ("PUT", "/new", []), ("POST", "/bucket/key", [("uploads", "")])):
        spy.refuses(raw.request(public, method, path, query, [(header, value)]), "NotImplemented", statuses=(501,))


def nets(*networks, operator="IpAddress"):
    return {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*",
            "Condition": {operator: {"aws:SourceIp": list(networks)}}}


EIGHTS = [f"{n}.0.0.0/8" for n in range(256)]
# Public by what is granted in all, and their twins.
TOGETHER = {
    "all of IPv4 in one condition": ([nets(*EIGHTS)], True),
    "every second network": ([nets(*EIGHTS[::2])], True),
    "statement by statement": ([nets(net) for net in EIGHTS[:100]], True),
    "IPv4 as IPv6": ([nets(*(f"::ffff:{n}.0.0.0/104" for n in range(256)))], True),
    "all but one address": ([nets("192.0.2.1", operator="NotIpAddress")], True),
    "a network": ([nets("198.51.100.0/24")], False),
    "private networks and an office": ([nets("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.51.100.0/24"), nets("203.0.113.0/24")], False),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_t105_public_is_what_is_granted_in_all(work, recorder, public, name):
    """With every default on such a policy is refused, and one that is there already grants nothing."""
    statements, is_public = TOGETHER[name]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET)
    with Gateway(work / "together", AUDIT + config, env=env) as gateway:
        spy = Spy(gateway, recorder)
        spy.reply = agree
        put = raw.request(gateway, "PUT", "/bucket", [("policy", "")], body=policy)
        recorder.settle()
        recorder.clear()
        assert (put.status, put.code) == ((403, "AccessDenied") if is_public else (204, None)), put
        if not is_public:
            assert b"<IsPublic>false<" in raw.request(gateway, "GET", "/bucket", [("policyStatus", "")]).body
            recorder.clear()
            assert raw.request(gateway, "DELETE", "/bucket", [("policy", "")]).status == 204
            recorder.clear()


@pytest.mark.parametrize("principal, taken", [({"NotPrincipal": {"AWS": "123456789012"}}, False), ({"Principal": {"AWS": "123456789012"}}, True)])
def test_t42_grants_to_all_but_some_are_refused(public, spy, principal, taken):
    statement = {"Effect": "Allow", **principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}
    put = lambda effect: raw.request(public, "PUT", "/bucket", [("policy", "")], body=json.dumps({"Statement": {**statement, "Effect": effect}}).encode())
    answer = put("Allow")
    spy.recorder.clear()
    assert (answer.status, answer.code) == ((204, None) if taken else (400, "MalformedPolicy")), answer
    assert taken or b"Allow with NotPrincipal" in answer.body
    # A Deny of all but some is as it was.
    assert put("Deny").status == 204
    spy.recorder.clear()


def test_t36_anonymous_callers_have_a_user_id(public, spy):
    """`aws:userid` is `anonymous` and there is no `aws:username`, as IAM's table of principals says."""
    deny = lambda key, value: {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::bucket/{key.split(':')[1]}",
                               "Condition": {"StringEquals": {key: value}}}
    spy.publish("bucket", {"Statement": [*POLICY["Statement"], deny("aws:userid", "anonymous"), deny("aws:username", "anonymous")]})
    spy.refuses(raw.send(public, "GET", "/bucket/userid"), "AccessDenied", statuses=(403,))
    spy.passes(raw.send(public, "GET", "/bucket/username"))
    spy.passes(raw.request(public, "GET", "/bucket/userid", key=ALICE, secret=ALICE_SECRET))


def test_t36_presigned_requests_have_an_unsigned_payload(public, spy):
    """What S3 documents to keep presigned uploads out: their payload is unsigned, which no header says."""
    spy.publish("bucket", {"Statement": [*POLICY["Statement"], {
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"],
        "Condition": {"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}}]})
    how = dict(key=ALICE, secret=ALICE_SECRET)
    for method, body in (("PUT", b"x"), ("GET", b""), ("DELETE", b"")):
        link = raw.presign(public, method, "/bucket/key", **how)
        answer = raw.send(public, method, "/bucket/key", link, body=body)
        spy.refuses(answer, "AccessDenied", statuses=(403,))
        assert spy.event(answer)["decision"] == "explicit_deny"
    spy.refuses(raw.request(public, "PUT", "/bucket/key", body=b"x", payload="UNSIGNED-PAYLOAD", **how), "AccessDenied", statuses=(403,))
    # The copy's source is read by the same request.
    spy.refuses(raw.request(public, "PUT", "/other/key", [], [("x-amz-copy-source", "/bucket/from")], payload="UNSIGNED-PAYLOAD"), "AccessDenied", statuses=(403,))
    # One that says its hash is signed, in a link as well; and who did not sign has no such key.
    spy.passes(raw.request(public, "PUT", "/bucket/key", body=b"x", **how))
    digest = hashlib.sha256(b"x").hexdigest()
    pinned = [("x-amz-content-sha256", digest)]
    link = raw.presign(public, "PUT", "/bucket/key", headers=pinned, payload=digest, **how)
    spy.passes(raw.send(public, "PUT", "/bucket/key", link, pinned, b"x"))
    spy.passes(raw.send(public, "GET", "/bucket/key"))
