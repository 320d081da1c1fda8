"""T32, T36, T38, T40, T41: what the attributes of users, keys, objects and documents decide, and that nothing
but the question for an object's tags reaches the store before it is decided."""

import json
import signal
import threading
import time

import pytest

from harness import raw
from harness.gateway import Gateway, upstream
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import AUDIT, Spy, agree

ARN = "arn:aws:s3:::"
allow = lambda actions, resources, **more: {"Effect": "Allow", "Action": actions, "Resource": resources, **more}
deny = lambda actions, resources, **more: {"Effect": "Deny", "Action": actions, "Resource": resources, **more}
SAME_TEAM = {"StringEquals": {"s3:ExistingObjectTag/team": "${aws:PrincipalTag/team}"}}
EVERYTHING = [allow("s3:*", "*")]

POLICIES = {
    "everything": EVERYTHING,
    "team": [{"Sid": "SameTeam", **allow(["s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObjectTagging"], f"{ARN}bucket/*", Condition=SAME_TEAM)}],
    "nosecrets": [*EVERYTHING, deny("s3:GetObject", "*", Condition={"StringEquals": {"s3:ExistingObjectTag/class": "secret"}})],
    "labels": [allow(["s3:PutObject", "s3:PutObjectTagging"], f"{ARN}bucket/*", Condition={
        "StringEquals": {"s3:RequestObjectTag/team": "${aws:PrincipalTag/team}"},
        "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["team", "note"]}, "Null": {"s3:RequestObjectTagKeys": "false"}})],
    "places": [allow("s3:CreateBucket", "*", Condition={"StringEquals": {"s3:LocationConstraint": "us-east-1"}})],
    "reads": [allow("s3:GetObject", f"{ARN}bucket/*")],
    "makes": [allow("s3:PutObject", f"{ARN}bucket/*", Condition={"Null": {"s3:if-none-match": "false"}, "Bool": {"s3:ObjectCreationOperation": "true"}}),
              allow("s3:PutObject", f"{ARN}bucket/*", Condition={"Bool": {"s3:ObjectCreationOperation": "false"}})],
    "compares": [allow(["s3:PutObject", "s3:DeleteObject"], f"{ARN}bucket/*"), allow("s3:GetObject", f"{ARN}bucket/known")],
    "near": [{"Sid": "OnlyMine", **allow("s3:GetObject", f"{ARN}bucket/*", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}})}, allow("s3:PutObject", f"{ARN}bucket/x")],
}
# Name, policies, boundary, tags, a service account's policy.
USERS = {
    "blue": (["team"], None, {"team": "blue"}), "none": (["team"], None, {}), "starred": (["team"], None, {"team": "b@ue"}),
    "careful": (["nosecrets"], None, {}), "labeller": (["labels"], None, {"team": "blue"}), "founder": (["places"], None, {}),
    "bounded": (["everything"], "reads", {}), "powerful": (["everything"], None, {}), "weak": (["reads"], None, {}),
    "maker": (["makes"], None, {}), "comparer": (["compares"], None, {}), "close": (["near"], None, {"team": "blue"}),
}
SECRET = "a-users-secret-canary-0123456789"
key = lambda name: f"AKIA{name.upper():0<16}"[:20]
TAGS = lambda **tags: b"<Tagging><TagSet>" + b"".join(f"<Tag><Key>{k}</Key><Value>{v}</Value></Tag>".encode() for k, v in tags.items()) + b"</TagSet></Tagging>"


# What is asked of the store when a policy asks for tags: what is there, and its tags.
LOOKED = ("/bucket/key", "/bucket/key?tagging=")


def configuration(recorder, explains):
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET)
    for name, statements in POLICIES.items():
        config += f"[[policies]]\nname = \"{name}\"\ninline = '''{json.dumps({'Version': '2012-10-17', 'Statement': statements})}'''\n"
    for name, (policies, boundary, tags) in USERS.items():
        secret = 'secret = { env = "USERS_SECRET" }'
        config += f"""
[[users]]
name = "{name}"
access_keys = [{{ id = "{key(name)}", {secret} }}, {{ id = "{key('sa' + name)}", {secret}, policy = "reads" }}, {{ id = "{key('wide' + name)}", {secret}, policy = "everything" }}]
policies = {json.dumps(policies)}
tags = {{ {', '.join(f'{k} = "{v}"' for k, v in tags.items())} }}
""" + (f'boundary = "{boundary}"\n' if boundary else "")
    return config + f"[authorization]\nexplain_denials = {str(explains).lower()}\n", {**env, "USERS_SECRET": SECRET}


@pytest.fixture(scope="module")
def guarded(work, recorder):
    config, env = configuration(recorder, explains=False)
    with Gateway(work / "attributes", AUDIT + config, env=env) as gateway:
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
def ask(guarded):
    return lambda user, method, path, query=(), headers=(), body=b"", **how: raw.request(guarded, method, path, query, headers, body, key=key(user), secret=SECRET, **how)


def tagged(**tags):
    """A store whose objects have these tags."""
    return lambda head, body: Recorder.answer(TAGS(**tags)) if b"?tagging" in head.split(b" ")[1] and head.startswith(b"GET") else agree(head, body)


def refused(spy, answer, *asked):
    """Refused, after the store was asked for these tags at most."""
    spy.answers(answer, ["AccessDenied"], (403,))
    event = spy.event(answer)
    spy.recorder.settle()
    targets = [a.target for a in spy.arrived]
    spy.recorder.clear()
    assert targets == list(asked), targets
    return event


def test_t40_tags_are_asked_for_only_when_a_policy_asks(spy, ask):
    spy.reply = tagged(team="blue", Class="public")
    # Nobody's policy asks: the store is not asked.
    spy.passes(ask("weak", "GET", "/bucket/key"), "/bucket/key")
    spy.passes(ask("powerful", "GET", "/bucket/key"), "/bucket/key")
    # Another action or resource than the statement's does not ask either.
    spy.passes(ask("careful", "PUT", "/bucket/key", body=b"x"), "/bucket/key")
    refused(spy, ask("blue", "GET", "/other/key"))
    refused(spy, ask("blue", "PUT", "/bucket/key", body=b"x"))
    # One's does, once.
    spy.passes(ask("blue", "GET", "/bucket/key"), *LOOKED, "/bucket/key")
    spy.passes(ask("careful", "GET", "/bucket/key"), *LOOKED, "/bucket/key")


def test_t38_objects_of_another_team_are_not_read(spy, ask):
    for tags in ({"team": "red"}, {}, {"team": "blu"}, {"team": "blue "}, {"other": "blue"}, {"team": "BLUE"}):
        spy.reply = tagged(**tags)
        event = refused(spy, ask("blue", "GET", "/bucket/key"), *LOOKED)
        assert event["decision"] == "implicit_deny" and event["closest"] == [{"policy": "team", "statement": 1, "sid": "SameTeam"}]
        assert "s3:ExistingObjectTag/team" in event["reason"]
    spy.reply = tagged(team="blue")
    refused(spy, ask("starred", "GET", "/bucket/key"), *LOOKED)
    # Who has no tag has no team: null is like nothing, not even like nothing.
    for tags in ({}, {"team": ""}, {"team": "none"}):
        spy.reply = tagged(**tags)
        refused(spy, ask("none", "GET", "/bucket/key"), *LOOKED)
    # Names of keys are the same in any case.
    spy.reply = tagged(Team="blue")
    spy.passes(ask("blue", "HEAD", "/bucket/key"))


def test_t44_tags_that_cannot_be_known_are_refused(spy, ask):
    untold = lambda status, code: lambda head, body: Recorder.answer(f"<Error><Code>{code}</Code></Error>".encode(), status) if b"tagging" in head else agree(head, body)
    for status, code in (("501 Not Implemented", "NotImplemented"), ("403 Forbidden", "AccessDenied")):
        spy.reply = untold(status, code)
        for user in ("blue", "careful"):
            event = refused(spy, ask(user, "GET", "/bucket/key"), *LOOKED)
            assert "tags" in event["reason"], event
    spy.reply = untold("500 Internal Server Error", "InternalError")
    spy.answers(ask("careful", "GET", "/bucket/key"), ["ServiceUnavailable"], (503,))
    spy.recorder.settle()
    assert {a.target for a in spy.arrived} == set(LOOKED)
    spy.recorder.clear()
    spy.reply = tagged(team="*")
    refused(spy, ask("careful", "GET", "/bucket/key"), *LOOKED)
    # A missing object has none: nothing denies it, and who must have one has not.
    missing = lambda head, body: Recorder.answer(b"" if head.startswith(b"HEAD") else b"<Error><Code>NoSuchKey</Code></Error>", "404 Not Found")
    spy.reply = missing
    refused(spy, ask("blue", "GET", "/bucket/key"), "/bucket/key")
    answer = ask("careful", "GET", "/bucket/key")
    assert answer.status == 404 and answer.code == "NoSuchKey"
    spy.recorder.settle()
    spy.recorder.clear()
    spy.reply = tagged(**{"class": "secret"})
    event = refused(spy, ask("careful", "GET", "/bucket/key"), *LOOKED)
    assert (event["decision"], event["policy"], event["statement"]) == ("explicit_deny", "nosecrets", 2)


def test_t44_what_was_decided_is_what_is_retagged(spy, ask):
    """Changes of tags that tags decide: the very version is named, and a store that has none is not asked."""
    blue, version = tagged(team="blue"), []

    def store(head, body):
        answer = blue(head, body)
        return answer.replace(b"\r\n", b"\r\n" + b"".join(version), 1) if head.startswith((b"HEAD", b"GET")) else answer

    spy.reply = store
    delete = lambda user="blue", query=(): ask(user, "DELETE", "/bucket/key", [("tagging", ""), *query])
    answer = delete()
    assert (answer.status, answer.code) == (501, "NotImplemented") and b"versions" in answer.body, answer
    spy.recorder.settle()
    assert {a.target for a in spy.arrived} == set(LOOKED) and not [a for a in spy.arrived if a.head.startswith((b"PUT", b"DELETE"))]
    spy.recorder.clear()
    version.append(b"x-amz-version-id: v1\r\n")
    assert delete().status == 204
    spy.recorder.settle()
    assert spy.arrived[-1].head.startswith(b"DELETE /bucket/key?tagging=&versionId=v1 "), spy.arrived
    spy.recorder.clear()
    # Who needs no tags for it does as ever.
    spy.passes(delete("powerful"), "/bucket/key?tagging=")
    # One that is replaced in between keeps its own.
    replaced = [False]

    def swap(head, body):
        answer = store(head, body)
        if b"tagging" in head:
            replaced[0] = True
            return answer
        return answer.replace(b'"e"', b'"other"') if replaced[0] else answer

    spy.reply = swap
    answer = delete()
    assert answer.status == 503, answer
    spy.recorder.settle()
    assert not [a for a in spy.arrived if a.head.startswith((b"PUT", b"DELETE"))]
    spy.recorder.clear()


def test_t44_what_was_decided_is_what_is_read(spy, ask):
    """An object that is replaced while its tags decide is not read under the tags of the other."""
    blue, replaced = tagged(team="blue"), [False]

    def swap(head, body):
        if b"tagging" in head:
            replaced[0] = True
            return blue(head, body)
        etag = b"other" if replaced[0] else b"e"
        return Recorder.answer(b"" if head.startswith(b"HEAD") else b"red secret", headers=[f'etag: "{etag.decode()}"', "last-modified: Tue, 24 Nov 2026 00:00:00 GMT"])
    spy.reply = swap
    answer = ask("blue", "GET", "/bucket/key")
    assert answer.status == 503 and b"red" not in answer.body, answer
    spy.recorder.settle()
    spy.recorder.clear()
    # A copy is of that object or of none.
    spy.reply = tagged(**{"class": "plain"})
    asked = spy.passes(ask("careful", "PUT", "/bucket/to", [], [("x-amz-copy-source", "/bucket/from")]))
    assert any(line.startswith('x-amz-copy-source-if-match: "e"') for line in asked.lines), asked.lines


def test_t40_copies_ask_for_the_sources_tags(spy, ask):
    source = [("x-amz-copy-source", "/bucket/from")]
    spy.reply = tagged(**{"class": "secret"})
    refused(spy, ask("careful", "PUT", "/bucket/to", [], source), "/bucket/from", "/bucket/from?tagging=")
    spy.reply = tagged(**{"class": "plain"})
    spy.passes(ask("careful", "PUT", "/bucket/to", [], source))


def test_t40_tags_that_are_asked_for(spy, ask):
    header = lambda text: [("x-amz-tagging", text)]
    for text in ("team=blue", "team=blue&note=x%20y"):
        spy.passes(ask("labeller", "PUT", "/bucket/key", [], header(text), b"x"))
        spy.passes(ask("labeller", "POST", "/bucket/key", [("uploads", "")], header(text)))
    for text in ("team=red", "note=x", "team=blue&other=1", "TEAM=red", ""):
        refused(spy, ask("labeller", "PUT", "/bucket/key", [], header(text), b"x"))
    refused(spy, ask("labeller", "PUT", "/bucket/key", body=b"x"))
    # The document of a PutObjectTagging is read before it is decided, and decides.
    tagging = lambda body: ask("labeller", "PUT", "/bucket/key", [("tagging", "")], body=body)
    spy.passes(tagging(TAGS(team="blue", note="n")), "/bucket/key?tagging=")
    for tags in ({"team": "red"}, {}, {"team": "blue", "other": "1"}):
        event = refused(spy, tagging(TAGS(**tags)))
        assert event["operation"] == "PutObjectTagging" and event["decision"] == "implicit_deny"
    answer = tagging(b"<Tagging>")
    assert answer.status == 400 and answer.code == "MalformedXML" and spy.event(answer)["decision"] != "allow"
    # Who may without tags is not asked for them.
    spy.passes(ask("powerful", "PUT", "/bucket/key", [("tagging", "")], body=TAGS(team="red")), "/bucket/key?tagging=")


def test_t40_where_a_bucket_is_to_be(spy, ask):
    place = lambda name: f"<CreateBucketConfiguration><LocationConstraint>{name}</LocationConstraint></CreateBucketConfiguration>".encode()
    # Allowed: the store is asked, and has it already.
    answer = ask("founder", "PUT", "/bucket", body=place("us-east-1"))
    assert answer.code == "BucketAlreadyOwnedByYou" and spy.event(answer)["decision"] == "allow"
    spy.recorder.settle()
    spy.recorder.clear()
    refused(spy, ask("founder", "PUT", "/bucket", body=place("eu-west-1")))
    refused(spy, ask("founder", "PUT", "/bucket"))


def test_t40_conditional_writes(spy, ask):
    once = [("if-none-match", "*")]
    spy.passes(ask("maker", "PUT", "/bucket/key", [], once, b"x"))
    refused(spy, ask("maker", "PUT", "/bucket/key", body=b"x"))
    spy.passes(ask("maker", "POST", "/bucket/key", [("uploads", "")]))
    spy.passes(ask("maker", "PUT", "/bucket/key", [("partNumber", "1"), ("uploadId", "u")], body=b"x"))
    # What compares an entity tag reads.
    match = [("if-match", '"e"')]
    for method, body in (("PUT", b"x"), ("DELETE", b"")):
        spy.passes(ask("comparer", method, "/bucket/known", [], match, body))
        refused(spy, ask("comparer", method, "/bucket/unknown", [], match, body))
        spy.passes(ask("comparer", method, "/bucket/unknown", body=body))
    delete = lambda name, tag: f"<Delete><Object><Key>{name}</Key>{tag}</Object></Delete>".encode()
    tag = "<ETag>e</ETag>"
    for name, text, expected in (("known", tag, b"<Deleted>"), ("unknown", "", b"<Deleted>"), ("unknown", tag, b"<Code>AccessDenied</Code>")):
        answer = ask("comparer", "POST", "/bucket", [("delete", "")], body=delete(name, text))
        assert answer.status == 200 and expected in answer.body, answer
        spy.recorder.settle()
        assert bool(spy.arrived) == (expected == b"<Deleted>")
        spy.recorder.clear()


def test_t41_a_service_account_is_within_its_user_and_its_policy(spy, ask):
    for user, reads, writes in (("powerful", True, True), ("sapowerful", True, False), ("weak", True, False), ("saweak", True, False),
                                ("widepowerful", True, True), ("wideweak", True, False), ("widenone", False, False), ("sanone", False, False)):
        spy.reply = tagged(team="red")
        for allowed, method, body in ((reads, "GET", b""), (writes, "PUT", b"x")):
            answer = ask(user, method, "/bucket/key", body=body)
            assert answer.status == (200 if allowed else 403), (user, method, answer)
            event = spy.event(answer)
            assert event["decision"] == ("allow" if allowed else "implicit_deny")
            spy.recorder.settle()
            assert allowed or not [a for a in spy.arrived if a.head.startswith((b"PUT", b"GET")) and not a.target.endswith("?tagging=")]
            spy.recorder.clear()
    event = refused(spy, ask("sapowerful", "PUT", "/bucket/key", body=b"x"))
    assert "the service account's policy does not allow it" in event["reason"] and event["caller"].endswith(":user/powerful")


def test_t32_a_boundary_bounds_and_gives_nothing(spy, ask):
    spy.passes(ask("bounded", "GET", "/bucket/key"))
    event = refused(spy, ask("bounded", "PUT", "/bucket/key", body=b"x"))
    assert "the permission boundary does not allow it" in event["reason"]
    refused(spy, ask("sabounded", "PUT", "/bucket/key", body=b"x"))


def test_denials_are_explained_in_the_audit(spy, ask):
    answer = ask("close", "GET", "/bucket/key")
    event = refused(spy, answer)
    assert event["closest"] == [{"policy": "near", "statement": 1, "sid": "OnlyMine"}]
    assert 'StringEquals aws:PrincipalTag/team ["red"]: the request has ["blue"]' in event["reason"]
    for word in ("near", "OnlyMine", "PrincipalTag", "close", "bucket/key\""):
        assert word.encode() not in answer.body, answer


def test_denials_are_explained_to_clients_where_configuration_says_so(work, recorder):
    config, env = configuration(recorder, explains=True)
    with Gateway(work / "explaining", AUDIT + config, env=env) as gateway:
        answer = lambda user: raw.request(gateway, "GET", "/bucket/key", key=key(user), secret=SECRET).body.decode()
        told = answer("close")
        assert "User: arn:aws:iam::123456789012:user/close is not authorized to perform: s3:GetObject on resource: &quot;arn:aws:s3:::bucket/key&quot; because no policy" in told, told
        assert "red" not in told
        recorder.reply = tagged(**{"class": "secret"})
        assert "with an explicit deny in statement 2 of nosecrets" in answer("careful")
        recorder.clear()
        recorder.reply = recorder.empty


def test_t43_what_is_taken_away_is_gone_within_a_second(work, recorder):
    """Requests go on while a bucket policy denies, a policy shrinks and a user goes; what has been refused once
    never comes back, not with a restart either."""
    config, env = configuration(recorder, explains=False)
    recorder.reply = agree
    with Gateway(work / "taking", AUDIT + config, env=env) as gateway:
        ask = lambda user: raw.request(gateway, "GET", "/bucket/key", key=key(user), secret=SECRET).status
        root = lambda method, body=b"": raw.request(gateway, method, "/bucket", [("policy", "")], body=body).status

        def until_refused(user, change, allowed_seconds):
            """When the last request that was allowed had begun, after the change was made."""
            stop, answers = threading.Event(), []

            def go():
                while not stop.is_set():
                    at = time.monotonic()
                    answers.append((at, ask(user)))
            threads = [threading.Thread(target=go) for _ in range(2)]
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            change()
            changed = time.monotonic()
            time.sleep(1.5)
            stop.set()
            for thread in threads:
                thread.join()
            assert {status for _, status in answers} == {200, 403}, answers[-5:]
            late = [at - changed for at, status in answers if status == 200 and at > changed + allowed_seconds]
            assert not late, late
            assert ask(user) == 403

        deny = json.dumps({"Statement": {"Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::123456789012:user/weak"}, "Action": "s3:*", "Resource": f"{ARN}bucket/*"}})
        until_refused("weak", lambda: root("PUT", deny.encode()), 0)
        assert root("DELETE") == 204 and ask("weak") == 200

        def rewrite(old, new):
            text = gateway.config_file.read_text()
            assert old in text
            gateway.config_file.write_text(text.replace(old, new))
            gateway.process.send_signal(signal.SIGHUP)
        until_refused("powerful", lambda: rewrite('policies = ["everything"]\ntags = {  }\n\n', 'policies = []\ntags = {  }\n\n'), 1)
        until_refused("weak", lambda: rewrite(f'id = "{key("weak")}", ', f'id = "{key("weak")}", enabled = false, '), 1)
        gateway.stop()
        gateway.start()
        assert ask("weak") == 403 and ask("powerful") == 403 and ask("maker") == 403 and ask("careful") == 200
    recorder.settle()
    recorder.clear()
    recorder.reply = recorder.empty
