"""Audit tells everything: each key that is decided on its own, what is asked beside the operation, whose key a
request claims to be signed with, and requests that never came to be one. Where there is no audit, the log tells
refusals at a glance."""

import base64
import hashlib
import json
import re
import signal
import socket
import threading
import time
import uuid

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from harness import h2, raw
from harness.clients import s3
from harness.gateway import OPEN, ROOT_KEY, ROOT_SECRET, Gateway, upstream
from harness.operators import metric, wait
from harness.recorder import Recorder

AUDIT = '[audit]\noutput = { file = "audit.jsonl" }\n'
SECRET = "a-users-secret-canary-0123456789"
EVE = dict(key="AKIAEVE0000000000000", secret=SECRET)
POLICY = {"Version": "2012-10-17", "Statement": [
    {"Sid": "Mine", "Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/mine/*", "arn:aws:s3:::bucket/kept/*"]},
    {"Sid": "Keep", "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::bucket/kept/*"}]}
USERS = f"""
[[users]]
name = "eve"
access_keys = [{{ id = "{EVE['key']}", secret = {{ env = "USERS_SECRET" }} }}]
policies = ["eve"]
[[policies]]
name = "eve"
inline = '''{json.dumps(POLICY)}'''
"""
LIMITS = '[limits]\nheader_timeout = "1s"\nidle_timeout = "2s"\nbody_timeout = "20s"\nshutdown_delay = "0s"\ndrain_timeout = "1s"\n'


def events(gateway):
    text = (gateway.directory / "audit.jsonl").read_text()
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


def event(gateway, answer):
    wanted = answer.headers["x-amz-request-id"]
    found = wait(lambda: [e for e in events(gateway) if e.get("request_id") == wanted])
    assert len(found) == 1, found
    return found[0]


def reasons(gateway, since=0):
    return [e.get("reason", "") for e in events(gateway)[since:]]


@pytest.fixture(scope="module", params=["disk", "upstream"])
def told(request, work, disk):
    """The same of both backends."""
    config, env = AUDIT + LIMITS + USERS, {"USERS_SECRET": SECRET}
    if request.param == "upstream":
        more, keys = upstream("inner", disk.url, ROOT_KEY, ROOT_SECRET, f'ca = "{disk.ca}"\nkeys = "exact"')
        config, env = config + more, {**env, **keys}
    with Gateway(work / f"told-{request.param}", config, env=env) as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status in (200, 409)
        yield gateway
        assert "panicked" not in gateway.log()


def deletion(*keys):
    items = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    return f"<Delete>{items}</Delete>".encode()


def digest(body):
    return [("content-md5", base64.b64encode(hashlib.md5(body).digest()).decode())]


def test_every_key_of_a_deletion_is_told(told):
    for key in ("mine/a", "mine/b", "kept/a"):
        assert raw.request(told, "PUT", f"/bucket/{key}", body=b"x").status == 200
    body = deletion("mine/a", "kept/a", "other", "mine/b")
    answer = raw.request(told, "POST", "/bucket", [("delete", "")], digest(body), body, **EVE)
    assert answer.status == 200 and answer.body.count(b"<Error>") == 2, answer
    found = event(told, answer)
    assert (found["operation"], found["decision"]) == ("DeleteObjects", "allow")
    short = [(k["key"], k["decision"], k.get("sid"), k["done"], k.get("code")) for k in found["keys"]]
    assert short == [
        ("mine/a", "allow", "Mine", True, None),
        ("kept/a", "explicit_deny", "Keep", False, "AccessDenied"),
        ("other", "implicit_deny", None, False, "AccessDenied"),
        ("mine/b", "allow", "Mine", True, None)]
    assert all(k["policy"] == "eve" and k["statement"] for k in found["keys"] if k["decision"] != "implicit_deny"), found
    assert "s3:DeleteObject on arn:aws:s3:::bucket/kept/a" in found["keys"][1]["reason"]
    # Others have one decision and no list.
    assert "keys" not in event(told, raw.request(told, "DELETE", "/bucket/mine/a", **EVE))


def test_keys_of_a_deletion_that_comes_to_nothing_are_told(told):
    body = deletion("mine/a", "kept/a")
    answer = raw.request(told, "POST", "/missing-bucket", [("delete", "")], digest(body), body)
    assert answer.status == 404, answer
    assert [(k["key"], k["decision"], k["done"]) for k in event(told, answer)["keys"]] == [("mine/a", "allow", False), ("kept/a", "allow", False)]


def test_a_version_and_the_clients_own_parameters_are_told(told):
    answer = raw.request(told, "GET", "/bucket/mine/a", [("versionId", "canary-version")])
    assert event(told, answer)["version_id"] == "canary-version"
    answer = raw.request(told, "GET", "/bucket/mine/a", [("x-user", "johndoe"), ("x-id", "GetObject")])
    found = event(told, answer)
    assert found["parameters"] == ["x-user=johndoe"], found
    # What is passed over is told, too, and an operation's name that is another's.
    answer = raw.request(told, "GET", "/bucket/mine/a", [("x-id", "DeleteObject")])
    assert event(told, answer)["parameters"] == ["x-id=DeleteObject"]
    link = raw.presign(told, "PUT", "/bucket/mine/d", [("x-amz-checksum-crc32", "AAAAAA==")])
    assert event(told, raw.send(told, "PUT", "/bucket/mine/d", link, body=b"x"))["parameters"] == ["x-amz-checksum-crc32=AAAAAA=="]
    plain = event(told, raw.request(told, "GET", "/bucket/mine/a"))
    assert "version_id" not in plain and "parameters" not in plain and "path" not in plain
    source = [("x-amz-copy-source", "/bucket/mine/b?versionId=canary-version")]
    copied = event(told, raw.request(told, "PUT", "/bucket/mine/c", headers=source))
    assert copied["resources"] == ["arn:aws:s3:::bucket/mine/b?versionId=canary-version"], copied


def test_a_links_signature_in_a_key_is_not_told(told):
    """As where a client has encoded the `?`."""
    link = "&".join(f"{name}={value}" for name, value in raw.presign(told, "GET", "/bucket/mine/a"))
    assert "X-Amz-Signature=" in link
    for send in (raw.request, lambda gateway, method, path: raw.send(gateway, method, path.replace("?", "%3F"))):
        found = event(told, send(told, "GET", f"/bucket/mine/a?{link}"))
        text = found.get("key") or found["path"]
        assert text.endswith("[a link's signature]") and "Signature=" not in str(found), found
    # Of the second version, encoded once or twice, and wherever a key can stand.
    second = "AWSAccessKeyId=AKIAEVE0000000000000&Expires=1&Signature=canary"
    for link in (second, "Signature=canary&AWSAccessKeyId=AKIAEVE0000000000000", link):
        once = raw.quote(f"/bucket/mine/a?{link}", "/")
        for target in (once, once.replace("%", "%25")):
            # Where nothing is decided, the path is told as it came.
            answer = raw.send(told, "PATCH", None, target=target)
            found = event(told, answer)
            assert "[a link's signature]" in (found.get("path") or found["key"]) and "canary" not in str(found), found
        key = f"mine/a?{link}"
        body = deletion(key.replace("&", "&amp;"), f"other?{link}".replace("&", "&amp;"))
        for answer in (raw.request(told, "POST", "/bucket", [("delete", "")], digest(body), body, **EVE),
                       raw.request(told, "PUT", "/bucket/mine/copy", headers=[("x-amz-copy-source", raw.quote(f"/bucket/{key}", "/"))], **EVE),
                       raw.request(told, "GET", "/bucket/mine/a", [("versionId", f"1?{link}")], **EVE),
                       raw.request(told, "GET", "/bucket/mine/a", [("x-link", f"a?{link}")], **EVE),
                       raw.request(told, "GET", "/bucket/mine/a", extra=[("user-agent", f"a?{link}")], **EVE)):
            found = event(told, answer)
            text = str(found)
            assert "[a link's signature]" in text and "Signature=" not in text and "Signature%" not in text, found


@pytest.mark.parametrize("how", ["header", "link", "version 2", "version 2 link", "unknown"])
def test_a_signature_that_fails_tells_whose_key_it_claims(told, how):
    key, secret = EVE["key"], "wrong-canary-secret"
    if how == "header":
        answer = raw.request(told, "GET", "/bucket/mine/a", key=key, secret=secret)
    elif how == "link":
        answer = raw.send(told, "GET", "/bucket/mine/a", raw.presign(told, "GET", "/bucket/mine/a", key=key, secret=secret))
    elif how == "version 2":
        answer = raw.send(told, "GET", "/bucket/mine/a", headers=[("authorization", f"AWS {key}:c2lnbmF0dXJlLWNhbmFyeQ==")])
    elif how == "version 2 link":
        answer = raw.send(told, "GET", "/bucket/mine/a", [("AWSAccessKeyId", key), ("Signature", "c2lnbmF0dXJlLWNhbmFyeQ=="), ("Expires", "2000000000")])
    else:
        key = "AKIAUNKNOWN000000000"
        answer = raw.request(told, "GET", "/bucket/mine/a", key=key, secret=secret)
    assert answer.status in (400, 403), answer
    found = event(told, answer)
    assert found["claimed_access_key_id"] == key and found["decision"] == "unauthenticated", found
    assert "caller" not in found and "access_key_id" not in found
    assert "c2lnbmF0dXJl" not in json.dumps(found)
    # A twin that proves it is a caller, and claims nothing.
    proved = event(told, raw.request(told, "GET", "/bucket/mine/none", **EVE))
    assert proved["access_key_id"] == EVE["key"] and "claimed_access_key_id" not in proved


def test_a_secret_in_the_place_of_a_key_is_not_told(told):
    secret = "0123456789abcdef0123456789abcdef01234567"
    found = event(told, raw.request(told, "GET", "/bucket", key=secret, secret=EVE["key"]))
    assert found["claimed_access_key_id"] == "0123... (40 bytes)" and secret not in json.dumps(found)


def test_a_path_is_told_where_there_is_no_operation(told):
    answer = raw.request(told, "GET", "/bucket/mine/a", [("acl", ""), ("torrent", "")])
    found = event(told, answer)
    assert answer.status == 501 and found["path"] == "/bucket/mine/a" and "torrent" not in json.dumps(found), found


def test_a_head_that_does_not_end_is_told(told):
    with raw.Connection(told) as connection:
        connection.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n")
        answer = connection.answer()
        assert connection.is_closed()
    assert (answer.status, answer.code) == (400, "RequestTimeout"), answer
    found = event(told, answer)
    assert (found["decision"], found["status"], found["reason"]) == ("invalid", 400, "the head did not end in time")
    assert found["source"] == "127.0.0.1" and found["secure"] == told.tls


def test_a_client_that_leaves_within_its_head_is_told(told):
    since = len(events(told))
    with raw.Connection(told) as connection:
        connection.send(b"GET /left HTTP/1.1\r\nhost: x\r\n")
        connection.sock.shutdown(socket.SHUT_WR)
        with pytest.raises((ConnectionError, OSError)):
            connection.answer()
    wait(lambda: "the connection ended before the head did" in reasons(told, since))


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", b"HELO mail\r\n\r\n", b"GET /x HTTP/1.1\r\nno colon\r\n\r\n"])
def test_a_head_that_is_no_http_is_told(told, said):
    answer = raw.raw(told, said)
    assert answer.status == 400 and event(told, answer)["decision"] == "invalid", answer


PSEUDO = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/bucket")]


@pytest.mark.parametrize("headers, why", [
    (PSEUDO + [("Upper", "x")], "PROTOCOL_ERROR"),
    (PSEUDO + [("connection", "close")], "PROTOCOL_ERROR"),
    ([*PSEUDO[1:]], "PROTOCOL_ERROR"),
    (PSEUDO + [("x-a", "y" * 18_000)], "too large"),
    ([pair for pair in PSEUDO if pair[0] != ":authority"], "no request's"),
    (PSEUDO[:3] + [(":path", "/bucket/a#b")], "fragment"),
])
def test_what_http_2_itself_refuses_is_told(told, headers, why):
    since = len(events(told))
    answer = h2.request(told, headers)
    assert answer is None or answer.status in (400, 431), answer
    if answer is None or "x-amz-request-id" not in answer.headers:
        found = wait(lambda: [e for e in events(told)[since:] if why in e.get("reason", "")])
        assert len(found) == 1 and found[0]["request_id"] and found[0]["status"] == 0 and found[0]["decision"] == "invalid", found
        assert found[0]["source"] == "127.0.0.1" and found[0]["secure"]
    else:
        assert event(told, answer)["decision"] == "invalid"
    # A twin that is answered leaves one event, its own.
    since = len(events(told))
    good = h2.signed(told, "GET", "/bucket")
    assert good.status == 200 and event(told, good)["decision"] == "allow"
    assert len(events(told)) == since + 1


def test_an_http_2_head_that_does_not_end_is_told(told):
    since = len(events(told))
    with raw.Connection(told, alpn="h2") as connection:
        client = H2Connection(H2Configuration(client_side=True))
        client.initiate_connection()
        connection.send(client.data_to_send())
        connection.send(b"\0\0\x01\x01\x00\0\0\0\x01\x82")
        time.sleep(0.2)
    wait(lambda: "HTTP/2: the connection ended before a head did" in reasons(told, since))


@pytest.mark.parametrize("enabled", [True, False])
def test_t109_a_key_that_is_disabled_within_its_head_is_told(work, enabled):
    """As a claim, since it proved nothing any more; its twin that stays is a caller."""
    config = AUDIT + USERS.replace('"USERS_SECRET" }', '"USERS_SECRET" }, enabled = true')
    with Gateway(work / f"t109-{uuid.uuid4().hex[:8]}", config, env={"USERS_SECRET": SECRET}) as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        request = raw.signed(gateway, "GET", "/bucket", **EVE)
        with raw.Connection(gateway) as connection:
            connection.send(request[:-2])
            if not enabled:
                gateway.config_file.write_text(config.replace("enabled = true", "enabled = false"))
                gateway.process.send_signal(signal.SIGHUP)
                wait(lambda: "reloaded" in gateway.log())
            connection.send(request[-2:])
            answer = connection.answer()
        found = event(gateway, answer)
        if enabled:
            assert answer.status == 200 and found["access_key_id"] == EVE["key"] and found["decision"] == "allow", found
        else:
            assert answer.code == "InvalidAccessKeyId" and found["claimed_access_key_id"] == EVE["key"], found
            assert found["decision"] == "unauthenticated" and "caller" not in found


def test_what_a_drain_cuts_off_is_told(work):
    """An upload and a head that have not ended when the process must, and their twin that has."""
    with Gateway(work / f"cut-{uuid.uuid4().hex[:8]}", AUDIT + LIMITS.replace('header_timeout = "1s"', 'header_timeout = "30s"')) as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        request = raw.signed(gateway, "PUT", "/bucket/cut", body=b"x" * 100_000)
        other = raw.signed(gateway, "PUT", "/bucket/whole", body=b"x" * 100_000)
        with raw.Connection(gateway) as upload, raw.Connection(gateway) as head, raw.Connection(gateway) as whole:
            upload.send(request[:-50_000])
            head.send(b"GET /half-a-head HTTP/1.1\r\n")
            whole.send(other[:-50_000])
            time.sleep(0.5)
            gateway.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            whole.send(other[-50_000:])
            answer = whole.answer()
            cut = upload.answer()
            # Whose head has not ended is there to the end: who leaves before is not cut off.
            assert gateway.process.wait(30) == 0
        assert answer.status == 200 and (cut.status, cut.code) == (503, "ServiceUnavailable"), (answer, cut)
        found = event(gateway, cut)
        assert (found["operation"], found["key"], found["decision"], found["status"]) == ("PutObject", "cut", "allow", 503)
        assert found["bytes_in"] >= 10_000 and found["reason"] == "cut off: the drain timeout is over", found
        assert event(gateway, answer)["status"] == 200
        heads = [e for e in events(gateway) if "operation" not in e and "cut off" in e.get("reason", "")]
        assert len(heads) == 1 and heads[0]["request_id"]
        with gateway:
            pass
    with Gateway(gateway.directory) as again:
        assert raw.request(again, "GET", "/bucket/cut").status == 404
        assert raw.request(again, "GET", "/bucket/whole").body == b"x" * 100_000


def test_what_a_drain_cuts_off_and_may_be_done_is_told_as_that(work):
    """A store that has been asked goes on without us. A twin that changes nothing came to nothing."""
    waits, recorder = threading.Event(), Recorder()
    recorder.reply = lambda head, body: waits.wait(30) and Recorder.answer(status="204 No Content")
    more, keys = upstream("slow", recorder.url, ROOT_KEY, ROOT_SECRET)
    try:
        with Gateway(work / f"unknown-{uuid.uuid4().hex[:8]}", AUDIT + LIMITS + more, env=keys) as gateway:
            with raw.Connection(gateway) as deletes, raw.Connection(gateway) as reads:
                deletes.send(raw.signed(gateway, "DELETE", "/bucket/key"))
                reads.send(raw.signed(gateway, "GET", "/bucket/key"))
                time.sleep(1)
                gateway.process.send_signal(signal.SIGTERM)
                answers = deletes.answer(), reads.answer()
            assert gateway.process.wait(30) == 0
            assert [answer.status for answer in answers] == [503, 503]
            reasons = [event(gateway, answer)["reason"] for answer in answers]
            assert reasons == ["cut off: the drain timeout is over; whether it was carried out is not known", "cut off: the drain timeout is over"]
    finally:
        waits.set()
        recorder.close()


def test_a_download_that_a_drain_cuts_off_is_told(work):
    with Gateway(work / f"cut-{uuid.uuid4().hex[:8]}", AUDIT + LIMITS) as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        assert raw.request(gateway, "PUT", "/bucket/large", body=b"x" * 30_000_000).status == 200
        with raw.Connection(gateway) as download:
            download.send(raw.signed(gateway, "GET", "/bucket/large"))
            download.more()
            gateway.process.send_signal(signal.SIGTERM)
            assert gateway.process.wait(30) == 0
        found = [e for e in events(gateway) if e.get("operation") == "GetObject"]
        assert len(found) == 1 and found[0]["cut"] and found[0]["status"] == 200 and found[0]["bytes_out"] < 30_000_000, found


def test_connections_that_are_turned_away_are_told(work):
    config = AUDIT + "[limits]\nconnections = 16\nheader_timeout = \"20s\"\n"
    with Gateway(work / f"full-{uuid.uuid4().hex[:8]}", config) as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        busy = [raw.Connection(gateway) for _ in range(16)]
        for connection in busy:
            connection.send(raw.signed(gateway, "PUT", "/bucket/x", body=b"x" * 1000)[:-1])
        wait(lambda: metric(gateway, 'portcullis_connections{listener="main"}') >= 16)
        time.sleep(1)
        for _ in range(60):
            busy.append(socket.create_connection(("127.0.0.1", gateway.port)))
        kinds = lambda: {e.get("event"): e for e in events(gateway) if "event" in e}
        told = wait(lambda: kinds().get("connections_closed_unheard") or kinds().get("connections_gave_way"))
        assert told["count"] > 0 and told["reason"], told
        for connection in busy:
            getattr(connection, "sock", connection).close()


def lines(gateway, text="a request is refused"):
    return [line for line in gateway.log().splitlines() if text in line]


def test_refusals_are_in_the_log_where_there_is_no_audit(work):
    """At a glance: the id, who, what, on what, and why. Beside audit there is no second list."""
    env = {"USERS_SECRET": SECRET}
    with Gateway(work / f"glance-{uuid.uuid4().hex[:8]}", USERS, env=env) as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        assert raw.request(gateway, "PUT", "/bucket/mine/a", body=b"x", **EVE).status == 200
        assert not lines(gateway)
        denied = raw.request(gateway, "GET", "/bucket/other\n2026-01-01 ERROR forged", **EVE)
        assert denied.status == 403
        (line,) = wait(lambda: lines(gateway))
        for part in (denied.headers["x-amz-request-id"], "user/eve", "GetObject", "bucket/other", "s3:GetObject on", "WARN"):
            assert part in line, (part, line)
        assert r"bucket/other\n2026" in line and not lines(gateway, "\n2026-01-01 ERROR forged")
        failed = raw.request(gateway, "GET", "/bucket/mine/a", key=EVE["key"], secret="wrong-canary")
        line = wait(lambda: lines(gateway)[1:])[0]
        for part in (failed.headers["x-amz-request-id"], f"unproved {EVE['key']}", "signature_mismatch", "GetObject"):
            assert part in line, (part, line)
        body = deletion("mine/a", "kept/a", "other")
        some = raw.request(gateway, "POST", "/bucket", [("delete", "")], digest(body), body, **EVE)
        line = wait(lambda: lines(gateway)[2:])[0]
        assert some.headers["x-amz-request-id"] in line and "2 of 3 keys" in line and "kept/a" in line, line
    with Gateway(work / f"glance-{uuid.uuid4().hex[:8]}", AUDIT) as gateway:
        answer = raw.send(gateway, "GET", "/bucket")
        assert answer.status == 403 and event(gateway, answer)
        assert not lines(gateway)


def test_t86_a_links_signature_is_in_no_reason_of_the_log(work):
    """What a client is told repeats what it sent, and the log what the client is told."""
    with Gateway(work / "reasons", tls=False) as gateway:
        s3(gateway).create_bucket(Bucket="bkt")
        link = "a?X-Amz-Signature=CANARY0123456789"
        policy = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": link, "Resource": "arn:aws:s3:::bkt/*"}})
        answers = [raw.request(gateway, "PUT", "/bkt/d", [(link, "1")]), raw.request(gateway, "PUT", "/bkt", [("policy", "")], body=policy.encode())]
        for answer in answers:
            assert answer.status in (400, 501), answer
            line = wait(lambda: [l for l in gateway.log().splitlines() if answer.headers["x-amz-request-id"] in l])
            assert "a link's signature" in line[0]
        assert "CANARY" not in gateway.log()


def test_t86_nobody_floods_the_log_or_hides_a_refusal_in_it(work):
    env = {"USERS_SECRET": SECRET}
    with Gateway(work / f"flood-{uuid.uuid4().hex[:8]}", USERS, env=env) as gateway:
        with raw.Connection(gateway) as connection:
            for _ in range(500):
                connection.send(b"GET /bucket HTTP/1.1\r\nhost: x\r\n\r\n")
                assert connection.answer().status == 403
        assert 1 <= len(lines(gateway)) < 200
        assert raw.request(gateway, "GET", "/hidden", **EVE).status == 403
        assert wait(lambda: [line for line in lines(gateway) if "user/eve" in line])
        left = wait(lambda: re.search(r"left out.*count=(\d+)", gateway.log()))
        assert int(left.group(1)) > 0
