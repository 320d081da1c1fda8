"""T102, T106, T111, T112, T119 and T120: what others were found to do in autumn 2026, asked of every operation."""

import json
import subprocess

import pytest

from harness import h2, raw
from harness.gateway import BINARY, Gateway, clean_env, upstream
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import AUDIT, OPERATIONS, PART, Spy, agree

SECRET = "a-users-secret-canary-0123456789"
EVE = dict(key="AKIAEVE0000000000000", secret=SECRET)
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::bucket/*"}]}


@pytest.fixture(scope="module")
def gateway(work, recorder):
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET)
    config += f"""
[[users]]
name = "eve"
access_keys = [{{ id = "{EVE['key']}", secret = {{ env = "USERS_SECRET" }} }}]
policies = ["objects"]
[[policies]]
name = "objects"
inline = '''{json.dumps(POLICY)}'''
"""
    with Gateway(work / "autumn", AUDIT + config, env={**env, "USERS_SECRET": SECRET}) as gateway:
        yield gateway
        assert "panicked" not in gateway.log()


@pytest.fixture
def spy(gateway, recorder):
    watching = Spy(gateway, recorder)
    watching.reply = agree
    yield watching
    recorder.settle()
    assert recorder.arrived == [], "something arrived that the test did not ask for"


def forget(recorder):
    recorder.settle()
    recorder.clear()


@pytest.mark.parametrize("count, taken", [(100, True), (1_000, False), (15_000, False)])
def test_t102_queries_of_many_names(gateway, spy, recorder, count, taken):
    """Also repeated, and over either version of HTTP."""
    for names in ([f"x{n}" for n in range(count)], ["x"] * count):
        query = "&".join(f"{name}=" for name in names)
        first = raw.send(gateway, "GET", "/bucket/key", target=f"/bucket/key?{query}")
        # Names that mean nothing are passed over where an object is read, repeated or not.
        assert (first.status == 400) == (not taken), first
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{gateway.port}"), (":path", f"/bucket/key?{query}")]
        second = h2.request(gateway, pseudo)
        assert second is None or second.status == first.status or second.status == 431, (first, second)
    # What means something is refused where it comes twice.
    for query in ("versionId=a&versionId=b", "x-id=a&versionId=a&versionId=a"):
        assert raw.send(gateway, "GET", "/bucket/key", target=f"/bucket/key?{query}").status == 400
    forget(recorder)


@pytest.mark.parametrize("service", ["s3tables", "s3express", "s3-object-lambda", "s3-outposts", "iam", "sts", "S3", "", "s3 ", "unknown"])
def test_t111_a_signature_is_for_this_service(gateway, spy, recorder, service):
    for name, (method, path, query, headers, body) in OPERATIONS.items():
        answer = raw.request(gateway, method, path, query, headers, body, service=service)
        spy.refuses(answer, *([] if method == "HEAD" else ["AuthorizationHeaderMalformed", "SignatureDoesNotMatch"]))
        event = spy.event(answer)
        assert event.get("caller") is None and event["decision"] == "unauthenticated", (name, event)
        if method == "GET":
            link = raw.presign(gateway, method, path, query, service=service)
            spy.refuses(raw.send(gateway, method, path, link), "AuthorizationQueryParametersError", "SignatureDoesNotMatch")
    method, path, query, headers, body = OPERATIONS["GetObject"]
    spy.passes(raw.request(gateway, method, path, query, headers, body, service="s3"))


@pytest.mark.parametrize("query", [[], PART])
def test_t112_sources_of_copies_are_the_very_key(gateway, spy, recorder, query):
    ask = lambda source, **how: raw.request(gateway, "PUT", "/bucket/key", query, [("x-amz-copy-source", source)], **how)
    for source in ("bucket/../other/key", "/bucket/../other/key", "bucket/a/../../other/key", "bucket/%2e%2e/other/key", "bucket/a%2F..%2Fb", "bucket/./key", "bucket//key",
                   "//bucket/key", "bucket/a//b", "bucket/..", "../bucket/key", "bucket%2F..%2Fother/key", "bucket/a\\..\\b"):
        spy.refuses(ask(source), "InvalidArgument", "InvalidBucketName", "InvalidRequest", "AccessDenied", "NoSuchBucket", statuses=(400, 403, 404))
    # Another bucket than the one that is granted, however it is written.
    for source in ("other/key", "/other/key", "%6fther/key", "other%2Fkey"):
        spy.refuses(ask(source, **EVE), "AccessDenied", statuses=(403,))
    for source, key in (("bucket/a..b", "a..b"), ("/bucket/%2e%2e%2e", "..."), ("bucket%2Ffrom", "from")):
        assert ask(source, **EVE).status == 200
        recorder.settle()
        sources = [line for a in recorder.arrived for line in a.lines if line.startswith("x-amz-copy-source:")]
        assert sources == [f"x-amz-copy-source: bucket/{key}"], sources
        recorder.clear()


def test_t119_what_is_in_a_bucket_is_not_the_bucket(gateway, spy, recorder):
    """Everything on `bucket/*` is nothing on the bucket: by an identity's policy, and by the bucket's own."""
    def asked():
        for name, (method, path, query, headers, body) in OPERATIONS.items():
            answer = raw.request(gateway, method, path, query, headers, body, **EVE)
            # The keys of a DeleteObjects are in the bucket.
            if path == "/bucket" and name != "DeleteObjects" or path == "/":
                spy.refuses(answer, *([] if method == "HEAD" else ["AccessDenied"]), statuses=(403,))
            else:
                assert answer.status < 300, (name, answer)
                forget(recorder)

    asked()
    grant = {"Statement": {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:user/eve"}, "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}}
    assert raw.request(gateway, "PUT", "/bucket", [("policy", "")], body=json.dumps(grant).encode()).status == 204
    forget(recorder)
    asked()
    assert raw.request(gateway, "DELETE", "/bucket", [("policy", "")]).status == 204
    forget(recorder)


PARTS = ["bucket/*", "bucket", "/bucket/*", "arn", "arn:aws:s3", "arn:aws:s3:::", "arn:aws:s3::bucket/*", "arn:s3:::bucket/*", "s3:::bucket/*", "arn:aws:s3:::/*", "arn:aws:s3:::bucke*/*", ""]


@pytest.mark.parametrize("element", ["Resource", "NotResource"])
def test_t120_parts_of_arns_are_refused_when_written(gateway, spy, recorder, work, element):
    statement = {"Effect": "Deny", "Principal": {"AWS": "123456789012"}, "Action": "s3:GetObject"}
    put = lambda value: raw.request(gateway, "PUT", "/bucket", [("policy", "")], body=json.dumps({"Statement": {**statement, element: value}}).encode())
    for part in PARTS:
        for value in (part, ["arn:aws:s3:::bucket/x", part]):
            answer = put(value)
            assert (answer.status, answer.code) == (400, "MalformedPolicy"), (value, answer)
    assert put("arn:aws:s3:::bucket/x").status == 204
    assert raw.request(gateway, "DELETE", "/bucket", [("policy", "")]).status == 204
    forget(recorder)
    # In an identity's policy AWS completes what begins as an ARN; what does not is none.
    file = work / "arns.toml"
    for part, sound in (("bucket/*", False), ("/bucket/*", False), ("s3:::bucket/*", False), ("", False), ("arn:aws:s3:::bucket/*", True)):
        document = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:GetObject", element: part}})
        file.write_text(f"[[policies]]\nname = \"p\"\ninline = '''{document}'''\n")
        checked = subprocess.run([BINARY, "check-config", str(file)], capture_output=True, text=True, env=clean_env(), timeout=60)
        assert (checked.returncode == 0) == sound, (part, checked.stderr)


@pytest.mark.parametrize("by_us", [True, False])
def test_t106_a_bucket_that_is_made_again_has_no_policy(gateway, spy, recorder, by_us):
    """Removed by us, or behind our back."""
    gone = lambda head, body: Recorder.answer(b"" if head.startswith(b"HEAD") else b"", "404 Not Found") if head.startswith(b"HEAD") else agree(head, body)
    grant = {"Statement": {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:user/eve"}, "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket"}}
    lists = lambda: raw.request(gateway, "GET", "/bucket", **EVE).status
    assert lists() == 403
    assert raw.request(gateway, "PUT", "/bucket", [("policy", "")], body=json.dumps(grant).encode()).status == 204
    assert lists() == 200
    if by_us:
        assert raw.request(gateway, "DELETE", "/bucket").status == 204
    recorder.reply = gone
    assert raw.request(gateway, "PUT", "/bucket").status == 200
    recorder.reply = agree
    assert lists() == 403
    assert raw.request(gateway, "GET", "/bucket", [("policy", "")]).code == "NoSuchBucketPolicy"
    forget(recorder)
