"""T103 and T104: one decision for each object at a store, whatever the store makes of its key, and whatever
routes lead to it."""

import base64
import hashlib
import json
import subprocess

import pytest

from harness import raw
from harness.gateway import BINARY, Gateway, clean_env, upstream
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import AUDIT, COMPLETE, OBJECT, OPERATIONS, PART, Spy, agree

SECRET = "a-users-secret-canary-0123456789"
EVE = dict(key="AKIAEVE0000000000000", secret=SECRET)
POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
    {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/secret/*"},
    {"Effect": "Deny", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket", "Condition": {"StringLike": {"s3:prefix": "secret/*"}}}]}
USER = f"""
[[users]]
name = "eve"
access_keys = [{{ id = "{EVE['key']}", secret = {{ env = "USERS_SECRET" }} }}]
policies = ["all-but"]
[[policies]]
name = "all-but"
inline = '''{json.dumps(POLICY)}'''
"""
# The same keys as `secret/x` and `a/secret/x` where empty segments are nothing.
ALIASES = ["/secret/x", "//secret/x", "open//x", "a//secret/x", "a/b//", "\\secret/x", "//"]
ON_OBJECTS = {name: asked for name, asked in OPERATIONS.items() if asked[1] == "/bucket/key"}


def gateway_over(work, recorder, name, extra=""):
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET, extra)
    return Gateway(work / name, AUDIT + config + USER, env={**env, "USERS_SECRET": SECRET})


@pytest.fixture(scope="module")
def normalized(work, recorder):
    with gateway_over(work, recorder, "normalized") as gateway:
        yield gateway
        assert "panicked" not in gateway.log()


@pytest.fixture(scope="module")
def trimmed(work, recorder):
    with gateway_over(work, recorder, "trimmed", 'keys = "trimmed"') as gateway:
        yield gateway


@pytest.fixture(scope="module")
def exact(work, recorder):
    with gateway_over(work, recorder, "exact", 'keys = "exact"') as gateway:
        yield gateway


def watched(gateway, recorder):
    spy = Spy(gateway, recorder)
    spy.reply = agree
    return spy


@pytest.mark.parametrize("name", ON_OBJECTS)
@pytest.mark.parametrize("key", ALIASES)
def test_t103_keys_that_a_store_may_shorten_do_not_go_there(normalized, exact, recorder, name, key):
    method, _, query, headers, body = ON_OBJECTS[name]
    ask = lambda gateway, key: raw.request(gateway, method, f"/bucket/{key}", query, headers, body, **EVE)
    spy = watched(normalized, recorder)
    spy.refuses(ask(normalized, key), *([] if method == "HEAD" else ["InvalidArgument"]), statuses=(400,))
    # What is not shortened goes, a folder's name among it; and what is denied is denied.
    assert ask(normalized, "a/secret/x/").status < 300
    assert recorder.arrived
    recorder.clear()
    spy.refuses(ask(normalized, "secret/x"), *([] if method == "HEAD" else ["AccessDenied"]), statuses=(403,))
    # A store that keeps keys is asked for the very key.
    watched(exact, recorder)
    assert ask(exact, key).status < 300
    assert any(a.target.split("?")[0] == f"/bucket/{raw.quote(key, '/-_.~')}" for a in recorder.arrived), recorder.arrived
    recorder.clear()


@pytest.mark.parametrize("name", ON_OBJECTS)
def test_t103_keys_that_lose_their_last_slash_do_not_go_there(trimmed, recorder, name):
    method, _, query, headers, body = ON_OBJECTS[name]
    ask = lambda key: raw.request(trimmed, method, f"/bucket/{key}", query, headers, body, **EVE)
    spy = watched(trimmed, recorder)
    for key in ("secret/x/", "folder/", "folder\\", "a//b"):
        spy.refuses(ask(key), *([] if method == "HEAD" else ["InvalidArgument", "AccessDenied"]), statuses=(400, 403))
    assert ask("folder/x").status < 300 and recorder.arrived
    recorder.clear()


@pytest.mark.parametrize("query", [[], PART])
def test_t103_sources_of_copies(normalized, exact, recorder, query):
    for source in ("/bucket//secret/x", "bucket/a//secret/x", "bucket/secret//x", "/bucket/%2Fsecret/x"):
        ask = lambda gateway: raw.request(gateway, "PUT", "/bucket/key", query, [("x-amz-copy-source", source)], **EVE)
        watched(normalized, recorder).refuses(ask(normalized), "InvalidArgument", "AccessDenied")
        watched(exact, recorder)
        answer = ask(exact)
        assert answer.status == (403 if source == "bucket/secret//x" else 200)
        recorder.clear()


def test_t103_deletions_of_many(normalized, recorder):
    spy = watched(normalized, recorder)
    keys = "".join(f"<Object><Key>{key}</Key></Object>" for key in [*ALIASES, "secret/x", "other"])
    body = f"<Delete>{keys}</Delete>".encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = raw.request(normalized, "POST", "/bucket", [("delete", "")], [("content-md5", md5)], body, **EVE)
    assert answer.status == 200 and answer.body.count(b"<Error>") == len(ALIASES) + 1 and answer.body.count(b"<Deleted>") == 1, answer
    assert answer.body.count(b"InvalidArgument") == len(ALIASES) and answer.body.count(b"AccessDenied") == 1, answer
    recorder.settle()
    (arrived,), recorder.arrived = recorder.arrived, []
    assert arrived.body.count(b"<Key>") == 1 and b"<Key>other</Key>" in arrived.body


def test_t103_listings_tell_nothing_under_another_name(normalized, recorder):
    """A store may take the prefix for another: what it then tells is not what was asked for."""
    watched(normalized, recorder)
    keys = ("secret/x", "a/secret/y", "other")
    stamp = "<LastModified>2026-11-24T00:00:00.000Z</LastModified>"
    entries = "".join(f"<Contents><Key>{k}</Key><Size>1</Size><ETag>e</ETag>{stamp}</Contents>" for k in keys)
    groups = "<CommonPrefixes><Prefix>secret/</Prefix></CommonPrefixes>"
    uploads = "".join(f"<Upload><Key>{k}</Key><UploadId>u</UploadId><Initiated>2026-11-24T00:00:00.000Z</Initiated></Upload>" for k in keys)

    def lists(head, _):
        root = "ListMultipartUploadsResult" if b"uploads=" in head else "ListBucketResult"
        told = (uploads if b"uploads=" in head else entries) + groups
        return Recorder.answer(f"<{root}>{told}<IsTruncated>false</IsTruncated></{root}>".encode())

    recorder.reply = lists
    for kind in ([("list-type", "2")], [], [("uploads", "")]):
        ask = lambda prefix: raw.request(normalized, "GET", "/bucket", [*kind, ("prefix", prefix)], **EVE)
        for prefix in ("/secret/", "//secret/", "secret//", "a//secret/", "./secret/", "b/../secret/", "Secret/"):
            answer = ask(prefix)
            # `secret//` begins with what is denied.
            told = answer.body.replace(f"<Prefix>{prefix}</Prefix>".encode(), b"")
            assert answer.status in (200, 403) and b"secret/" not in told, (prefix, answer)
        assert ask("secret/").status == (200 if kind == [("uploads", "")] else 403)
        assert b"<Key>other</Key>" in ask("oth").body
    recorder.clear()


def test_t103_prefixes_of_uploads_and_deep_calls(normalized, recorder):
    """Every step of an upload names its key again."""
    spy = watched(normalized, recorder)
    for method, query, body in (("POST", [("uploads", "")], b""), ("PUT", PART, b"x"), ("POST", PART[1:], COMPLETE), ("DELETE", PART[1:], b""), ("GET", PART[1:], b"")):
        spy.refuses(raw.request(normalized, method, "/bucket/a//b", query, body=body, **EVE), "InvalidArgument", statuses=(400,))
        spy.refuses(raw.request(normalized, method, "/bucket/a/../b", query, body=body, **EVE), "InvalidArgument", statuses=(400,))


ROUTES = """
[[upstreams]]
name = "one"
endpoint = "http://127.0.0.1:9"
credentials = {{ access_key = {{ env = "UP_KEY" }}, secret_key = {{ env = "UP_SECRET" }} }}
[[upstreams]]
name = "two"
endpoint = "http://127.0.0.1:9/"
credentials = {{ access_key = {{ env = "UP_KEY" }}, secret_key = {{ env = "UP_SECRET" }} }}
{routes}
"""


def route(bucket, backend="one", **more):
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"bucket": bucket, "backend": backend, **more}.items()]
    return "\n".join(["[[routes]]", *lines]) + "\n"


@pytest.mark.parametrize("routes, sound", [
    ([dict(bucket="alias", rename="real"), dict(bucket="*")], False),
    ([dict(bucket="alias", rename="real"), dict(bucket="real", backend="disk"), dict(bucket="*")], True),
    ([dict(bucket="alias", rename="real"), dict(bucket="*", backend="two")], False),
    ([dict(bucket="alias", rename="real"), dict(bucket="re*")], False),
    ([dict(bucket="alias", rename="real", key_prefix="a/"), dict(bucket="other", rename="real", key_prefix="b/")], True),
    ([dict(bucket="alias", rename="real", key_prefix="a/"), dict(bucket="other", rename="real", key_prefix="a/b/")], False),
    ([dict(bucket="alias", rename="real"), dict(bucket="other", rename="real")], False),
])
def test_t104_routes_to_the_same_keys(work, routes, sound):
    directory = work / "overlaps"
    directory.mkdir(exist_ok=True)
    file = directory / "routes.toml"
    env = clean_env(UP_KEY="AKIAUPSTREAM", UP_SECRET="secret-of-the-upstream")

    def check(routes, *command):
        file.write_text(ROUTES.format(routes="".join(route(**one) for one in routes)))
        return subprocess.run([BINARY, *(command or ("check-config", str(file)))], env=env, capture_output=True, text=True, timeout=60)

    checked = check(routes)
    assert (checked.returncode == 0) == sound, checked.stderr
    if sound:
        return
    assert "`alias`" in checked.stderr and "`real`" in checked.stderr and "shared = true" in checked.stderr
    # Nor does it start.
    started = check(routes, "serve", "--config", str(file), "--data", str(directory / "data"), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    assert started.returncode != 0 and "shared = true" in started.stderr
    # Meant so: both say it.
    meant = [dict(one, shared=True) for one in routes]
    assert check(meant).returncode == 0
    assert check([dict(meant[0], shared=False), *meant[1:]]).returncode != 0


def test_t104_a_part_of_a_bucket_is_neither_made_nor_removed(work, recorder):
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET)
    config = route("part", "spy", rename="shared-by-many", key_prefix="part/") + route("shared-by-many", "disk") + config
    with Gateway(work / "parts", AUDIT + config, env=env) as gateway:
        spy = watched(gateway, recorder)
        policy = json.dumps({"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::part/no"}}).encode()
        assert raw.request(gateway, "PUT", "/part", [("policy", "")], body=policy).status == 204
        recorder.clear()
        for method, operation in (("PUT", "CreateBucket"), ("DELETE", "DeleteBucket")):
            answer = raw.request(gateway, method, "/part")
            spy.refuses(answer, "NotImplemented", statuses=(501,))
            assert operation.encode() in answer.body and b"shared" not in answer.body, answer
            # What is kept of the bucket here stays.
            assert raw.request(gateway, "GET", "/part", [("policy", "")]).status == 200
            recorder.clear()
            # A whole one is.
            recorder.reply = lambda head, body: Recorder.answer(status="404 Not Found") if head.startswith(b"HEAD") else agree(head, body)
            assert raw.request(gateway, method, "/whole").status < 300
            recorder.settle()
            assert any(a.target == "/whole" and a.head.startswith(method.encode()) for a in recorder.arrived), recorder.arrived
            spy = watched(gateway, recorder)
            recorder.clear()
