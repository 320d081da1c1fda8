"""T33 to T46, as far as there are policies: what was asked and who asked decide, nothing that a client says
of itself. Users whose rights differ, over an upstream that keeps what reaches it."""

import json
import time

import pytest

from harness import raw
from harness.gateway import OPEN, Gateway, upstream
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import AUDIT, OBJECT, OPERATIONS, PART, TAGGING, Spy, agree

ARN = "arn:aws:s3:::"
allow = lambda actions, resources, **more: {"Effect": "Allow", "Action": actions, "Resource": resources, **more}
deny = lambda actions, resources, **more: {"Effect": "Deny", "Action": actions, "Resource": resources, **more}

USERS = {
    "nobody": [allow("s3:ListAllMyBuckets", f"{ARN}nothing")],
    "get": [allow("S3:getobject", f"{ARN}bucket/*")],
    "wild": [allow("s3:Get*", f"{ARN}bucket/*")],
    "question": [allow("s3:?etObject", f"{ARN}bucket/*")],
    "all": [allow("s3:*", "*")],
    "star": [allow("*", "*")],
    "admin": [allow(["admin:*", "iam:*", "sts:*", "s3express:*", "s3-object-lambda:*"], "*")],
    "objects": [allow("s3:*", f"{ARN}bucket/*")],
    "bucket": [allow("s3:*", f"{ARN}bucket")],
    "prefix": [allow("s3:*", f"{ARN}b*/*")],
    "public": [allow("s3:*", f"{ARN}bucket/public/*")],
    "notaction": [{"Effect": "Allow", "NotAction": "s3:Delete*", "Resource": "*"}],
    "notdeny": [allow("s3:*", "*"), {"Effect": "Deny", "NotAction": "s3:GetObject", "Resource": "*"}],
    "notresource": [{"Effect": "Allow", "Action": "s3:*", "NotResource": f"{ARN}bucket/secret*"}],
    "denied": [allow("s3:*", "*"), deny("s3:GetObject", f"{ARN}bucket/secret*"), allow("s3:GetObject", f"{ARN}bucket/secret*")],
    "own": [allow("s3:*", f"{ARN}bucket/home/${{aws:username}}/*")],
    "secure": [allow("s3:*", "*", Condition={"Bool": {"aws:SecureTransport": "true"}})],
    "near": [allow("s3:*", "*", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})],
    "far": [allow("s3:*", "*", Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})],
    "named": [allow("s3:*", "*", Condition={"StringEquals": {"aws:username": "other"}})],
    "agent": [allow("s3:*", "*", Condition={"StringEquals": {"aws:UserAgent": "trusted/1"}})],
    "header": [allow("s3:*", "*", Condition={"StringEquals": {"s3:authType": "REST-HEADER"}})],
    "link": [allow("s3:*", "*", Condition={"StringEquals": {"s3:authType": "REST-QUERY-STRING"}})],
    "young": [allow("s3:*", "*", Condition={"NumericLessThan": {"s3:signatureAge": "60000"}})],
    "versions": [allow("s3:GetObjectVersion", f"{ARN}bucket/*"), allow("s3:*", f"{ARN}bucket/*"), deny("s3:DeleteObjectVersion", "*"), deny("s3:GetObjectVersion", f"{ARN}bucket/current")],
    "copyfrom": [allow("s3:GetObject", f"{ARN}bucket/from"), allow("s3:PutObject", f"{ARN}bucket/elsewhere")],
    "copyto": [allow("s3:PutObject", f"{ARN}bucket/*")],
    "copier": [allow("s3:GetObject", f"{ARN}bucket/from"), allow("s3:PutObject", f"{ARN}bucket/*")],
    "copyonly": [allow("s3:GetObject", f"{ARN}bucket/*"), allow("s3:PutObject", f"{ARN}bucket/*", Condition={"StringLike": {"s3:x-amz-copy-source": "*/public/*"}})],
    "redirects": [allow("s3:PutObject", f"{ARN}bucket/*"), deny("s3:PutObject", "*", Condition={"StringNotLike": {"s3:x-amz-website-redirect-location": "/*"},
                                                                                                "Null": {"s3:x-amz-website-redirect-location": "false"}})],
    "writer": [allow("s3:PutObject", f"{ARN}bucket/*")],
    "aclwriter": [allow(["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"], f"{ARN}bucket/*")],
    "tagreader": [allow(["s3:GetObject", "s3:GetObjectTagging"], f"{ARN}bucket/*")],
    "tagwriter": [allow("s3:PutObjectTagging", f"{ARN}bucket/*")],
    "untagger": [allow("s3:DeleteObjectTagging", f"{ARN}bucket/*")],
    "oldtags": [allow(["s3:GetObjectVersionTagging", "s3:PutObjectVersionTagging", "s3:DeleteObjectVersionTagging"], f"{ARN}bucket/*")],
    "tagcopier": [allow(["s3:GetObject", "s3:GetObjectTagging"], f"{ARN}bucket/from"), allow(["s3:PutObject", "s3:PutObjectTagging"], f"{ARN}bucket/key")],
    "nottofrom": [allow(["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"], f"{ARN}bucket/*")],
    "nottokey": [allow(["s3:GetObject", "s3:GetObjectTagging", "s3:PutObject"], f"{ARN}bucket/*"), allow("s3:PutObjectTagging", f"{ARN}bucket/from")],
    "deleter": [allow("s3:DeleteObject", f"{ARN}bucket/mine/*")],
    "lister": [allow("s3:ListBucket", f"{ARN}bucket", Condition={"StringEquals": {"s3:prefix": ["", "mine/"]}})],
}
SECRET = "a-users-secret-canary-0123456789"
key = lambda name: f"AKIA{name.upper():0<16}"[:20]


@pytest.fixture(scope="module")
def guarded(work, recorder):
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET, 'keys = "exact"')
    for name, statements in USERS.items():
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        config += f"""
[[users]]
name = "{name}"
access_keys = [{{ id = "{key(name)}", secret = {{ env = "USERS_SECRET" }} }}]
policies = ["{name}"]
[[policies]]
name = "{name}"
inline = '''{document}'''
"""
    with Gateway(work / "guarded", AUDIT + OPEN + config, env={**env, "USERS_SECRET": SECRET}) as gateway:
        yield gateway
        assert "panicked" not in gateway.log()


@pytest.fixture
def spy(guarded, recorder):
    watching = Spy(guarded, recorder)
    watching.reply = agree
    yield watching
    recorder.settle()
    assert recorder.arrived == [], "something arrived that the test did not ask for"


@pytest.fixture
def may(guarded, spy):
    """Asks as a user; the answer must be as said, and a refusal must reach nothing."""
    def ask(user, expected, method, path, query=(), headers=(), body=b"", **how):
        answer = raw.request(guarded, method, path, query, headers, body, key=key(user), secret=SECRET, **how)
        if expected:
            spy.passes(answer)
        else:
            spy.refuses(answer, *(["AccessDenied"] if method != "HEAD" else []), statuses=(403,))
            event = spy.event(answer)
            assert event["decision"] in ("implicit_deny", "explicit_deny") and event["caller"].endswith(f":user/{user}"), event
        return answer
    return ask


ACTIONS = {
    "ListBuckets": "s3:ListAllMyBuckets", "CreateBucket": "s3:CreateBucket", "HeadBucket": "s3:ListBucket", "GetBucketLocation": "s3:GetBucketLocation",
    "PutBucketPolicy": "s3:PutBucketPolicy", "GetBucketPolicy": "s3:GetBucketPolicy",
    "DeleteBucketPolicy": "s3:DeleteBucketPolicy", "GetBucketPolicyStatus": "s3:GetBucketPolicyStatus",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock", "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock", "DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock", "ListObjects": "s3:ListBucket", "ListObjectsV2": "s3:ListBucket", "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "GetObject": "s3:GetObject", "HeadObject": "s3:GetObject", "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject", "CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload", "ListParts": "s3:ListMultipartUploadParts", "DeleteBucket": "s3:DeleteBucket",
    "ListObjectVersions": "s3:ListBucketVersions", "GetBucketVersioning": "s3:GetBucketVersioning", "GetBucketAcl": "s3:GetBucketAcl",
    "GetBucketOwnershipControls": "s3:GetBucketOwnershipControls", "GetBucketRequestPayment": "s3:GetBucketRequestPayment",
    "GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration", "GetBucketLogging": "s3:GetBucketLogging",
    "GetBucketNotificationConfiguration": "s3:GetBucketNotification", "ListBucketMetricsConfigurations": "s3:GetMetricsConfiguration", "GetObjectAcl": "s3:GetObjectAcl",
    "GetObjectTagging": "s3:GetObjectTagging", "PutObjectTagging": "s3:PutObjectTagging", "DeleteObjectTagging": "s3:DeleteObjectTagging",
}


def test_t33_no_operation_without_its_right(guarded, spy, may):
    """One who may nothing is refused every operation, and nothing of any reaches the store."""
    for name, (method, path, query, headers, body) in OPERATIONS.items():
        if name == "DeleteObjects":
            answer = raw.request(guarded, method, path, query, headers, body, key=key("nobody"), secret=SECRET)
            assert answer.status == 200 and b"<Code>AccessDenied</Code>" in answer.body and b"<Deleted>" not in answer.body
        else:
            may("nobody", False, method, path, query, headers, body)
            may("admin", False, method, path, query, headers, body)
        if name != "CreateBucket":
            may("all", True, method, path, query, headers, body)
            may("star", True, method, path, query, headers, body)


def test_t33_actions(may):
    for user in ("get", "wild", "question"):
        may(user, True, "GET", "/bucket/key")
        may(user, True, "HEAD", "/bucket/key")
        may(user, False, "PUT", "/bucket/key", body=b"x")
        may(user, False, "DELETE", "/bucket/key")
    may("get", False, "GET", "/bucket/key", PART[1:])
    may("wild", False, "GET", "/bucket", [("policy", "")])
    may("notaction", True, "PUT", "/bucket/key", body=b"x")
    may("notaction", False, "DELETE", "/bucket/key")
    may("notaction", False, "DELETE", "/bucket")
    may("notdeny", True, "GET", "/bucket/key")
    may("notdeny", False, "PUT", "/bucket/key", body=b"x")


def test_t34_resources(may):
    for path in ("/bucket/public/a", "/bucket/public//x", "/bucket/public/a/b", "/bucket/public/ "):
        may("public", True, "GET", path)
    for path in ("/bucket/public", "/bucket/Public/a", "/bucket/public%2Fa", "/bucket/publicity/a", "/bucket//public/a", "/bucket/private/public/a", "/bucket/pub\u200blic/a",
                 "/bucket/PUBLIC/a", "/bucket-evil/public/a"):
        may("public", False, "GET", path)
    # What a later server could read as another key is neither: it is refused behind the decision.
    for user, path in (("objects", "/bucket/key"), ("prefix", "/bucket/key"), ("prefix", "/bucket-evil/key")):
        may(user, True, "GET", path)
    may("objects", False, "GET", "/bucket-evil/key")
    for name, (method, path, query, headers, body) in OPERATIONS.items():
        if path == "/bucket" and name != "DeleteObjects":
            may("objects", False, method, path, query, headers, body)
            if name != "CreateBucket":
                may("bucket", True, method, path, query, headers, body)
        elif path == "/bucket/key":
            may("bucket", False, method, path, query, headers, body)
    may("notresource", True, "GET", "/bucket/key")
    may("notresource", False, "GET", "/bucket/secret")
    may("notresource", False, "GET", "/bucket/secret/x")
    may("denied", True, "GET", "/bucket/key")
    may("denied", False, "GET", "/bucket/secret")
    may("denied", True, "PUT", "/bucket/secret", body=b"x")
    # Composed and decomposed are two keys.
    may("public", False, "GET", "/bucket/pu\u0308blic/a")


def test_t34_dots_are_no_way_out(guarded, spy):
    """Allowed by the pattern, but another key to some server behind: 400, and nothing is asked."""
    for written in ("public/../private", "public/%2e%2e/private", "public/..%2Fprivate", "public/..%5Cprivate", "public/./../private"):
        decoded = raw.urllib.parse.unquote(written)
        headers = raw.signed_headers(guarded, "GET", f"/bucket/{decoded}", key=key("public"), secret=SECRET)
        spy.refuses(raw.send(guarded, "GET", None, headers=headers, target=f"/bucket/{written}"), "InvalidArgument", statuses=(400,))


CLAIMS = [("userid", "root"), ("username", "other"), ("aws:username", "other"), ("x-amz-username", "other"), ("groups", "admins"), ("principaltype", "Account"),
          ("x-amz-principal", "root"), ("jwt:sub", "other"), ("ldap:user", "other"), ("signatureage", "0"),
          ("versionid", "1"), ("sourceip", "203.0.113.9"), ("aws-sourceip", "203.0.113.9"), ("x-forwarded-for", "203.0.113.9"), ("x-real-ip", "203.0.113.9"),
          ("forwarded", "for=203.0.113.9"), ("x-client-ip", "203.0.113.9"), ("true-client-ip", "203.0.113.9"),
          ("x-portcullis-user", "other"), ("x-forwarded-user", "other"), ("remote-user", "other"), ("x-seaweedfs-principal", "other"), ("securetransport", "true")]


def test_t36_t37_a_client_says_nothing_of_itself(guarded, spy, may):
    """Whatever headers and parameters name: the user is the key's, the address the connection's."""
    may("near", True, "GET", "/bucket/key")
    may("secure", True, "GET", "/bucket/key")
    for user in ("named", "far"):
        may(user, False, "GET", "/bucket/key")
        for name, value in CLAIMS:
            if not name.startswith("x-amz-") and ":" not in name:
                may(user, False, "GET", "/bucket/key", extra=[(name, value)])
            for parameter in (name, f"aws:{name}"):
                answer = raw.request(guarded, "GET", "/bucket/key", [(parameter, value)], key=key(user), secret=SECRET)
                spy.refuses(answer, "NotImplemented", "AccessDenied", statuses=(403, 501))
    # Nor does it lose by it what it has.
    may("near", True, "GET", "/bucket/key", extra=[(n, v) for n, v in CLAIMS if ":" not in n and not n.startswith("x-amz-")])
    # The keys that mean what a client says, say that.
    may("agent", False, "GET", "/bucket/key")
    may("agent", True, "GET", "/bucket/key", extra=[("user-agent", "trusted/1")])
    # Said twice, it says nothing that decides.
    spy.refuses(raw.request(guarded, "GET", "/bucket/key", key=key("agent"), secret=SECRET, extra=[("user-agent", "trusted/1"), ("user-agent", "other")]),
                "InvalidArgument", statuses=(400,))
    link = lambda user, **how: raw.send(guarded, "GET", "/bucket/key", raw.presign(guarded, "GET", "/bucket/key", key=key(user), secret=SECRET, **how))
    may("header", True, "GET", "/bucket/key")
    may("link", False, "GET", "/bucket/key")
    spy.passes(link("link"))
    spy.refuses(link("header"), "AccessDenied", statuses=(403,))
    spy.passes(link("young"))
    spy.refuses(link("young", date=raw.amz_now(-120)), "AccessDenied", statuses=(403,))


def test_t38_variables(may):
    may("own", True, "GET", "/bucket/home/own/x")
    for path in ("/bucket/home/owner/x", "/bucket/home/own", "/bucket/home/ow/x", "/bucket/home/other/x", "/bucket/home/*/x", "/bucket/home/${aws:username}/x", "/bucket/home//x",
                 "/bucket/home/OWN/x"):
        may("own", False, "GET", path)


def test_t39_versions(may):
    for method in ("GET", "HEAD"):
        may("get", True, method, "/bucket/key")
        for version in ("v1", "null"):
            may("get", False, method, "/bucket/key", [("versionId", version)])
            may("versions", True, method, "/bucket/key", [("versionId", version)])
            may("versions", False, method, "/bucket/current", [("versionId", version)])
    may("versions", True, "DELETE", "/bucket/key")
    may("versions", False, "DELETE", "/bucket/key", [("versionId", "v1")])
    may("deleter", False, "DELETE", "/bucket/mine/key", [("versionId", "v1")])
    may("deleter", True, "DELETE", "/bucket/mine/key")
    for query in ([], PART):
        may("copier", True, "PUT", "/bucket/to", query, [("x-amz-copy-source", "/bucket/from")])
        may("copier", False, "PUT", "/bucket/to", query, [("x-amz-copy-source", "/bucket/from?versionId=v1")])


def test_t40_copies_need_both_sides(may):
    source = lambda path: [("x-amz-copy-source", path)]
    for query in ([], PART):
        may("copier", True, "PUT", "/bucket/to", query, source("/bucket/from"))
        for user, path in (("copier", "/bucket/secret"), ("copier", "/other/from"), ("copyto", "/bucket/from"), ("copyfrom", "/bucket/from"), ("copier", "bucket%2Fsecret"),
                           ("copier", "/bucket/fro%6D/x"), ("copier", "bucket/from%3FversionId=1")):
            may(user, False, "PUT", "/bucket/to", query, source(path))
        may("copier", True, "PUT", "/bucket/to", query, source("/bucket/fro%6D"))
    # Conditions on the source are asked of the copy, and a plain upload has no source.
    may("copyonly", True, "PUT", "/bucket/to", [], source("/bucket/public/x"))
    may("copyonly", False, "PUT", "/bucket/to", [], source("/bucket/private/x"))
    may("copyonly", False, "PUT", "/bucket/to", body=b"x")


def test_t40_deletions_are_decided_one_by_one(guarded, spy):
    keys = ["mine/1", "theirs/1", "mine", "mine/../theirs", "mine/2", "MINE/1"]
    body = ("<Delete>" + "".join(f"<Object><Key>{k}</Key></Object>" for k in keys) + "</Delete>").encode()
    answer = raw.request(guarded, "POST", "/bucket", [("delete", "")], body=body, key=key("deleter"), secret=SECRET)
    heard = spy.passes(answer).body.decode()
    assert heard.count("<Key>") == 2 and "<Key>mine/1</Key>" in heard and "<Key>mine/2</Key>" in heard
    text = answer.body.decode()
    for name in ("theirs/1", "mine", "MINE/1"):
        assert f"<Error><Key>{name}</Key><Code>AccessDenied</Code>" in text
    assert "<Error><Key>mine/../theirs</Key><Code>InvalidArgument</Code>" in text and text.count("<Deleted>") == 2
    # Where none is allowed, nothing is asked; a version needs its own right.
    for inner in ("<Key>theirs/1</Key>", "<Key>mine/1</Key><VersionId>v1</VersionId>"):
        answer = raw.request(guarded, "POST", "/bucket", [("delete", "")], body=f"<Delete><Object>{inner}</Object></Delete>".encode(), key=key("deleter"), secret=SECRET)
        assert answer.status == 200 and answer.code == "AccessDenied" and b"<Deleted>" not in answer.body
        spy.recorder.settle()
        assert spy.arrived == []


def test_t40_headers_that_ask_for_more(may):
    for name, value in (("x-amz-acl", "private"), ("x-amz-acl", "bucket-owner-full-control"), ("x-amz-tagging", ""), ("x-amz-tagging", "a=b")):
        for method, query, more, body in (("PUT", [], [], b"x"), ("POST", [("uploads", "")], [], b"")):
            may("writer", True, method, "/bucket/key", query, more, body)
            may("writer", False, method, "/bucket/key", query, [*more, (name, value)], body)
            may("aclwriter", True, method, "/bucket/key", query, [*more, (name, value)], body)
    for method, query, body in (("PUT", [], b"x"), ("POST", [("uploads", "")], b"")):
        may("redirects", True, method, "/bucket/key", query, [], body)
        may("redirects", True, method, "/bucket/key", query, [("x-amz-website-redirect-location", "/here")], body)
        may("redirects", False, method, "/bucket/key", query, [("x-amz-website-redirect-location", "https://elsewhere.example/")], body)
    for method, query in (("PUT", [("policy", "")]), ("GET", [("policy", "")]), ("DELETE", [("policy", "")])):
        may("objects", False, method, "/bucket", query, body=b"{}" if method == "PUT" else b"")
        may("writer", False, method, "/bucket", query, body=b"{}" if method == "PUT" else b"")


def test_t40_tags_need_their_own_rights(guarded, spy, may):
    """Neither an object's reader nor its writer may read or write its tags, and a version's are not the current one's."""
    body = {"PUT": TAGGING}
    for user, allowed in (("get", ""), ("writer", ""), ("tagreader", "GET"), ("tagwriter", "PUT"), ("untagger", "DELETE"), ("oldtags", "")):
        for method in ("GET", "PUT", "DELETE"):
            may(user, method == allowed, method, "/bucket/key", [("tagging", "")], body=body.get(method, b""))
            may(user, user == "oldtags", method, "/bucket/key", [("tagging", ""), ("versionId", "v1")], body=body.get(method, b""))
            may(user, False, method, "/other-bucket/key", [("tagging", "")], body=body.get(method, b""))
    # Nor is anyone else told how many there are.
    counting = [*OBJECT, "x-amz-tagging-count: 2"]
    spy.reply = lambda head, body: Recorder.answer(b"some", headers=counting)
    for user, told in (("get", None), ("tagreader", "2"), ("all", "2")):
        for method in ("GET", "HEAD"):
            answer = raw.request(guarded, method, "/bucket/key", key=key(user), secret=SECRET)
            spy.passes(answer)
            assert answer.headers.get("x-amz-tagging-count") == told, (user, answer.headers)


def test_t40_a_copy_takes_tags_along_only_for_one_who_may(guarded, spy):
    copy = lambda user, *headers: raw.request(guarded, "PUT", "/bucket/key", headers=[("x-amz-copy-source", "/bucket/from"), *headers], key=key(user), secret=SECRET)
    asked = lambda: [tuple(a.head.decode().split(" ")[:2]) for a in spy.arrived]

    def tagged(head, body):
        return Recorder.answer(headers=[*OBJECT, "x-amz-tagging-count: 1"]) if head.startswith(b"HEAD") else agree(head, body)

    for user in ("copier", "nottofrom", "nottokey"):
        # The source has tags: nothing but its head is asked for.
        spy.reply = tagged
        answer = copy(user)
        spy.answers(answer, ["AccessDenied"], (403,))
        assert asked() == [("HEAD", "/bucket/from")], asked()
        spy.recorder.clear()
        # It has none, and tags that come to it in between stay there.
        spy.reply = agree
        answer = copy(user)
        assert asked()[:2] == [("HEAD", "/bucket/from"), ("PUT", "/bucket/key")], asked()
        assert "x-amz-tagging-directive: replace" in spy.arrived[1].lines and "x-amz-tagging:" not in spy.arrived[1].head.decode()
        assert not any(method in ("PUT", "DELETE") for method, _ in asked()[2:])
        spy.passes(answer)
    for user in ("tagcopier", "all"):
        spy.reply = tagged
        arrived = spy.passes(copy(user), "/bucket/key")
        assert "tagging" not in arrived.head.decode()
    # New tags need the right to write them, and not that to read the old.
    spy.reply = agree
    directive, tags = ("x-amz-tagging-directive", "REPLACE"), ("x-amz-tagging", "a=1")
    spy.refuses(copy("copier", directive, tags), "AccessDenied", statuses=(403,))
    spy.refuses(copy("nottokey", directive, tags), "AccessDenied", statuses=(403,))
    for user in ("nottofrom", "tagcopier"):
        spy.passes(copy(user, directive, tags))
    spy.passes(copy("copier", directive))


def test_tagging_headers_are_understood_where_they_mean_something(guarded, spy):
    """Elsewhere they are refused, as what nobody would act upon."""
    ask = lambda name, header: raw.request(guarded, *OPERATIONS[name][:3], [*OPERATIONS[name][3], header], OPERATIONS[name][4], key=key("all"), secret=SECRET)
    writes = ("PutObject", "CopyObject", "CreateMultipartUpload")
    for name in OPERATIONS:
        for header, understood in ((("x-amz-tagging", "a=1"), writes), (("x-amz-tagging-directive", "COPY"), ("CopyObject",))):
            if name not in understood:
                spy.refuses(ask(name, header), *([] if name.startswith("Head") else ["NotImplemented"]), statuses=(501,))


def test_t40_listings_are_what_was_asked(may):
    for listing in ([], [("list-type", "2")]):
        may("lister", True, "GET", "/bucket", [*listing, ("prefix", "mine/")])
        may("lister", True, "GET", "/bucket", [*listing, ("prefix", "")])
        for query in ([("prefix", "theirs/")], [("prefix", "mine/x")], [("delimiter", "/")], []):
            may("lister", False, "GET", "/bucket", [*listing, *query])


@pytest.mark.parametrize("document,says", [
    ('{"Statement":[{"Effect":"Allow","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}]}', "twice"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*","policy":"x"}]}', "policy"),
    ('{"Statement":[{"Effect":"allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}]}', "Invalid effect: allow"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::other/*"}]}', "resource"),
    ('{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}]}', "Principal"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*","Condition":{"IpAddress":{"aws:SourceIp":"1.2.3.4/40"}}}]}', "1.2.3.4/40"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*","Condition":{"NumericLessThan":{"s3:max-keys":"ten"}}}]}', "ten"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringEquals":{"s3:Nope":"b"}}}]}', "Policy has an invalid condition key"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringEquals":{"s3:ExistingObjectTag/a":"b"}}}]}',
     "Conditions do not apply to combination of actions and resources in statement"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket"}]}', "Action does not apply to any resource(s) in statement"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket/*"}]}', "Action does not apply to any resource(s) in statement"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:ReadObject","Resource":"arn:aws:s3:::bucket/*"}]}', "Policy has invalid action"),
    ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"iam:*","Resource":"arn:aws:s3:::bucket/*"}]}', "Policy has invalid action"),
    ('{"Statement":[{"Effect":"Allow","Principal":{"AWS":"alice"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}]}', "Invalid principal in policy"),
    ('{"Version":"2013-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}]}', "valid version string"),
    ('{}', "Missing required field Statement"), ('{"Statement":[]}', "Statement is empty"), (' {}', "first byte"),
    ('{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringSimilar":{"aws:username":"b"}}}]}', "StringSimilar"),
    ("[" * 10000, "JSON"), ("\ufeff{}", "JSON"), ("", "JSON"), ("null", "first byte"), ('{"Statement":[]} {}', "JSON"), ('{"Statement":[' + " " * 21000 + "]}", "size"),
])
def test_t35_t42_bucket_policies_that_are_none(guarded, spy, document, says):
    policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}bucket/none"}]}
    good = json.dumps(policy)
    spy.publish("bucket", policy)
    answer = raw.request(guarded, "PUT", "/bucket", [("policy", "")], body=document.encode())
    spy.recorder.clear()  # Whether there is such a bucket.
    assert answer.status == 400 and answer.code == "MalformedPolicy" and says in answer.body.decode(), answer
    assert raw.request(guarded, "GET", "/bucket", [("policy", "")]).body.decode() == good
    spy.passes(raw.request(guarded, "DELETE", "/bucket", [("policy", "")]))


def test_t44_a_policy_that_cannot_be_read_closes_its_bucket(guarded, spy, may):
    """What it would have denied is not known: closed to all but root, who can mend it."""
    policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}closing/*"},
                            {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"{ARN}closing/secret"}]}
    spy.publish("closing", policy)
    anonymous = lambda: raw.send(guarded, "GET", "/closing/key")
    spy.passes(anonymous())
    may("all", True, "GET", "/closing/key")
    may("all", False, "GET", "/closing/secret")
    stored = guarded.data / "state/bucket-policies/closing.json"
    for broken in (b"", b"{", b'{"Statement":[{"Effect":"Allow"}]}', b"\xff", stored.read_bytes().replace(b"Deny", b"deny")):
        before = guarded.log().count("cannot be read")
        stored.write_bytes(broken)
        guarded.process.send_signal(1)
        spy.wait(lambda: guarded.log().count("cannot be read") > before)
        spy.wait(lambda: anonymous().status == 403)
        spy.recorder.settle()
        spy.recorder.clear()
        spy.refuses(anonymous(), "AccessDenied", statuses=(403,))
        for method, path in (("GET", "/closing/key"), ("GET", "/closing/secret"), ("PUT", "/closing/key"), ("DELETE", "/closing")):
            answer = raw.request(guarded, method, path, key=key("all"), secret=SECRET)
            spy.refuses(answer, "AccessDenied", statuses=(403,))
        # Another bucket's requests go on.
        may("all", True, "GET", "/bucket/key")
    spy.passes(raw.request(guarded, "DELETE", "/closing", [("policy", "")]))
    may("all", True, "GET", "/closing/key")


def test_t45_anonymous_learns_nothing(guarded, spy):
    """Every operation, whatever its headers ask: refused before anything is looked at."""
    for name, (method, path, query, headers, body) in OPERATIONS.items():
        for condition in ([], [("if-none-match", "*")], [("if-match", '"e"')], [("if-modified-since", "Tue, 24 Nov 2026 00:00:00 GMT")], [("range", "bytes=0-0")]):
            answer = raw.send(guarded, method, path, query, [*headers, *condition], body)
            spy.refuses(answer, *(["AccessDenied", "NotImplemented"] if method != "HEAD" else []), statuses=(403, 501))
    # A bad signature is refused, and not taken for none, where anonymous reading is allowed.
    policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}opened/*"},
                            {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}opened/shut"}]}
    spy.publish("opened", policy)
    spy.passes(raw.send(guarded, "GET", "/opened/key"))
    spy.refuses(raw.send(guarded, "GET", "/opened/shut"), "AccessDenied", statuses=(403,))
    spy.refuses(raw.request(guarded, "GET", "/opened/shut", key=key("all"), secret=SECRET), "AccessDenied", statuses=(403,))
    spy.refuses(raw.request(guarded, "GET", "/opened/key", secret="forged"), "SignatureDoesNotMatch", statuses=(403,))
    spy.refuses(raw.send(guarded, "GET", "/opened/key", raw.presign(guarded, "GET", "/opened/key", date=raw.amz_now(-100), expires="60")), "AccessDenied", statuses=(403,))
    for name in ("response-content-type", "response-content-disposition", "response-cache-control", "response-expires", "response-content-language", "response-content-encoding"):
        for method in ("GET", "HEAD"):
            spy.refuses(raw.send(guarded, method, "/opened/key", [(name, "text/html")]), *(["InvalidRequest"] if method == "GET" else []), statuses=(400,))
        spy.passes(raw.request(guarded, "GET", "/opened/key", [(name, "text/html")]))
    for method, path, query in (("PUT", "/opened/key", []), ("DELETE", "/opened/key", []), ("GET", "/opened", []), ("GET", "/opened", [("policy", "")]),
                                ("GET", "/opened/key", [("versionId", "1")])):
        spy.refuses(raw.send(guarded, method, path, query), "AccessDenied", statuses=(403,))
    spy.passes(raw.request(guarded, "DELETE", "/opened", [("policy", "")]))


def test_t45_a_missing_object_is_as_forbidden_as_one_that_is_there(guarded, spy):
    """To one who may not list: status, code and headers are the same for both, whatever is asked of it."""
    there, missing = agree, lambda head, body: Recorder.answer(b"<Error><Code>NoSuchKey</Code></Error>" if head.startswith(b"GET") else b"", "404 Not Found")
    for user, code in (("nobody", "AccessDenied"), ("copyto", "AccessDenied")):
        for headers in ([], [("if-none-match", "*")], [("if-match", '"e"')]):
            seen = set()
            for reply in (there, missing):
                spy.reply = reply
                answer = raw.request(guarded, "GET", "/bucket/key", key=key(user), secret=SECRET, extra=headers)
                spy.refuses(answer, code, statuses=(403,))
                seen.add((answer.status, answer.code, tuple(sorted(set(answer.headers) - {"x-amz-request-id", "date"}))))
            assert len(seen) == 1
    # One who may read and not list learns of none that it is missing.
    spy.reply = missing
    for user, code, status in (("get", "AccessDenied", 403), ("all", "NoSuchKey", 404)):
        answer = raw.request(guarded, "GET", "/bucket/key", key=key(user), secret=SECRET)
        assert (answer.status, answer.code) == (status, code)
        spy.recorder.settle()
        spy.recorder.clear()


def test_t46_a_costly_pattern_costs_little(work, recorder):
    """A policy as long as may be, of patterns that a backtracking matcher would never finish."""
    patterns = [f"{ARN}bucket/" + "*a" * 250 + f"*b{n}" for n in range(10)]
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET, 'keys = "exact"')
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:GetObject", patterns), allow("s3:GetObject", f"{ARN}bucket/*")]})
    config += f'[[users]]\nname = "slow"\naccess_keys = [{{ id = "AKIASLOW", secret = {{ env = "USERS_SECRET" }} }}]\npolicies = ["slow"]\n[[policies]]\nname = "slow"\ninline = \'\'\'{document}\'\'\'\n'
    with Gateway(work / "slow", AUDIT + config, env={**env, "USERS_SECRET": SECRET}) as gateway:
        spy = Spy(gateway, recorder)
        path = "/bucket/" + "a" * 1024
        start = time.time()
        for _ in range(20):
            answer = raw.request(gateway, "GET", path, key="AKIASLOW", secret=SECRET)
            spy.passes(answer)
            assert spy.event(answer)["admit_us"] < 100_000
        assert time.time() - start < 10
