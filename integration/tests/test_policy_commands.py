"""`portcullis policy …` as its users call it."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import botocore.exceptions
import pytest

from harness.clients import s3
from harness.gateway import Gateway
from harness.operators import wait

ROOT = Path(__file__).parents[2]
BINARY = os.environ["PORTCULLIS_BINARY"]
ALICE = "arn:aws:iam::123456789012:user/alice"


def policy(*arguments, given=None, code=0):
    run = subprocess.run([BINARY, "policy", *map(str, arguments)], input=given, capture_output=True, text=True, timeout=120, cwd=ROOT,
                         env={"PATH": os.environ["PATH"]})
    assert run.returncode == code, run
    return run.stdout + run.stderr


def explain(*arguments, principal=ALICE, action="s3:GetObject", resource="arn:aws:s3:::example-home/home/alice/x", config=None, **how):
    arguments += ("--config", config) if config else ()
    return policy("explain", "--principal", principal, "--action", action, "--resource", resource, *arguments, **how)


def test_explain_says_what_decided_and_what_came_close():
    home = ("--identity", "policies/home-prefixes.json")
    allowed = explain(*home)
    assert allowed.startswith("allow: allowed by statement 3 (`UseTheOwnHome`) of policies/home-prefixes.json\n"), allowed
    assert "aws:username = alice" in allowed and "aws:PrincipalArn = " + ALICE in allowed
    denied = explain(*home, "--context", "s3:prefix=home/bob/", action="s3:ListBucket", resource="arn:aws:s3:::example-home", code=1)
    assert denied.startswith("implicit_deny:") and "came closest:" in denied, denied
    assert 'the request has ["home/bob/"]' in denied and "${aws:username} is \"alice\"" in denied, denied
    # What is given outweighs what is filled in, and several values are several.
    other = explain(*home, "--context", "aws:username=bob", code=1)
    assert other.startswith("implicit_deny") and "it is not of this resource" in other
    assert "note: `aws:username` is taken as it is given, and who asks has `alice`" in other, other
    assert "note: `aws:username` is taken as it is given, and who asks has none" in explain("--context", "aws:username=bob", principal="root")
    # A write with tags needs a right of its own.
    several = explain(*home, "--context", "s3:RequestObjectTagKeys=a", "--context", "S3:requestobjecttagkeys=b", action="s3:PutObject", code=1)
    assert "s3:RequestObjectTagKeys = a, b" in several and "such a request also needs `s3:PutObjectTagging`" in several.splitlines()[0], several
    assert "s3:RequestObjectTagKeys = team" in explain(*home, "--context", "s3:RequestObjectTag/team=a", action="s3:PutObject", code=1)
    closed = explain("--bucket-policy", "policies/tls-only.json", resource="arn:aws:s3:::example-data/x",
                     principal="anonymous", code=1, *("--context", "aws:SecureTransport=false"))
    assert closed.startswith("explicit_deny: denied by statement 1") and "resource policy" in closed, closed


def test_explain_knows_the_configuration(tmp_path):
    (tmp_path / "portcullis.toml").write_text((ROOT / "examples/full.toml").read_text())
    (tmp_path / "read-archive.json").write_text((ROOT / "examples/read-archive.json").read_text())
    config = ("--config", tmp_path / "portcullis.toml")
    allowed = explain(*config, "--context", "s3:prefix=alice/", action="s3:ListBucket", resource="arn:aws:s3:::homes")
    assert allowed.startswith("allow: allowed by statement 1 of home") and "aws:PrincipalTag/team = blue" in allowed, allowed
    assert explain(*config, action="s3:PutObject", resource="arn:aws:s3:::homes/bob/x", code=1).startswith("implicit_deny")
    assert "no user" in explain(*config, principal=ALICE.replace("alice", "nobody"), code=2)
    assert "no access key" in policy("explain", *config, "--access-key", "AKNONE", "--action", "s3:GetObject", "--resource", "arn:aws:s3:::homes/x", code=2)
    assert not (tmp_path / "portcullis-data").exists(), "asking has made a state"


def test_explain_refuses_what_it_cannot_read(tmp_path):
    (tmp_path / "bad.json").write_text('{"Statement":{"Effect":"allow"}}')
    said = explain("--identity", tmp_path / "bad.json", code=2)
    assert "bad.json: statement 1, Effect" in said
    assert "nothing.json" in explain("--identity", tmp_path / "nothing.json", code=2)
    assert "KEY=VALUE" in explain("--context", "nonsense", code=2)
    assert "principal" in explain(principal="alice", code=2)


def test_explain_names_what_there_is_not(tmp_path):
    """A decision of what could never be asked would be nobody's: exit code 2, and the name of it."""
    everything = tmp_path / "all.json"
    everything.write_text(json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}))
    admin = ("--identity", everything)
    for arguments, how, *words in (
            ((), {"action": "s3:GetObjekt"}, "there is no action `s3:GetObjekt`", "did you mean `s3:GetObject`?"),
            ((), {"action": "s3:HeadObject"}, "did you mean `s3:GetObject`?"),
            ((), {"action": "ec2:RunInstances"}, "`ec2`"),
            ((), {"resource": "arn:aws:s3:::bucket"}, "`s3:GetObject` is never asked on `arn:aws:s3:::bucket`", "an object"),
            ((), {"action": "s3:ListBucket", "resource": "arn:aws:s3:::bucket/x"}, "is never asked on", "a bucket"),
            ((), {"action": "s3:ListBucket", "resource": "arn:aws:s3:::Bad_Name"}, "`Bad_Name` is not the name of a bucket"),
            ((), {"resource": "bucket/x"}, "is never asked on"),
            (("--context", "aws:SourcIp=192.0.2.7"), {}, "`aws:SourcIp` is not known", "did you mean `aws:SourceIp`?"),
            (("--context", "aws:SourceIp=here"), {}, "is not an address"),
            (("--context", "aws:SecureTransport=yes"), {}, "`true` or `false`"),
            (("--context", "aws:CurrentTime=later"), {}, "is not a moment"),
            (("--context", "aws:SourceIp=192.0.2.7", "--context", "aws:SourceIp=192.0.2.8"), {}, "has one value")):
        said = explain(*admin, *arguments, **how, code=2)
        assert all(word in said for word in words), (arguments, how, said)
        assert json.loads(explain(*admin, *arguments, "--json", **how, code=2).splitlines()[0])["decision"] == "invalid"
    # Policies that the gateway would not take decide nothing here.
    typo = tmp_path / "typo.json"
    typo.write_text(json.dumps({"Statement": {"Effect": "Deny", "Action": "s3:DeleteObjetc", "Resource": "*"}}))
    assert "did you mean `s3:DeleteObject`?" in explain(*admin, "--identity", typo, code=2)
    typo.write_text(json.dumps({"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObjetc", "Resource": "arn:aws:s3:::example-home/*"}}))
    assert "Policy has invalid action" in explain(*admin, "--bucket-policy", typo, code=2)
    # Keys that the action does not have are left out, as for requests; what policies ask for and is not given is named.
    said = explain(*admin, "--context", "s3:prefix=x", "--context", "aws:MultiFactorAuthPresent=true")
    assert "note: `s3:prefix` is left out" in said and "`aws:MultiFactorAuthPresent` is left out" in said and "s3:prefix =" not in said, said
    network = tmp_path / "network.json"
    network.write_text(json.dumps({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}}))
    assert "`aws:SourceIp`, which every such request has" in explain(*admin, "--identity", network, code=2)
    explain(*admin, "--identity", network, "--context", "aws:SourceIp=192.0.2.7", code=0)
    explain(*admin, "--identity", network, "--context", "aws:SourceIp=::ffff:198.51.100.1", code=1)
    network.write_text(json.dumps({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringLike": {"aws:UserAgent": "evil*"}}}}))
    assert "note: policies ask for `aws:UserAgent`, which is not given" in explain(*admin, "--identity", network)


def test_explain_follows_what_a_request_implies(tmp_path):
    """One part of a request goes with others, and a header may ask for a right of its own."""
    document = tmp_path / "p.json"
    def deny(action, condition):
        document.write_text(json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, {"Effect": "Deny", "Action": action, "Resource": "*", **({"Condition": condition} if condition else {})}]}))
    context = lambda *pairs: [word for pair in pairs for word in ("--context", pair)]
    (tmp_path / "two.toml").write_text('[listener]\nhttp_address = "127.0.0.1:9123"\nsignature_v2 = true\n[[users]]\nname = "alice"\n')
    asked = lambda code, *pairs, **how: explain("--identity", document, *context(*pairs), code=code, **how)
    two = lambda code, *pairs: asked(code, *pairs, "s3:signatureversion=AWS", config=tmp_path / "two.toml")
    deny("s3:GetObject", {"Null": {"s3:TlsVersion": "true"}})
    asked(0)
    asked(1, "aws:SecureTransport=false")
    asked(1, "s3:TlsVersion=")
    assert "plain HTTP" in asked(2, "aws:SecureTransport=false", "s3:TlsVersion=1.3")
    deny("s3:GetObject", {"NumericGreaterThan": {"s3:signatureAge": "600000"}})
    two(0)
    two(1, "s3:authType=REST-QUERY-STRING")
    assert "does not say" in two(2, "s3:authType=REST-QUERY-STRING", "s3:signatureAge=0")
    # Where nobody takes it, nothing that is signed so is decided: each listener for itself.
    assert "answered 400 InvalidRequest, whoever asks" in two(2, "aws:SecureTransport=false")
    assert "listener.signature_v2" in asked(2, "s3:signatureversion=AWS")
    assert "`REST-HEADER`" in asked(2, "s3:authType=POST") and "`AWS`" in asked(2, "s3:signatureversion=2")
    deny("s3:GetObject", {"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}})
    asked(2)
    asked(1, "s3:authType=REST-QUERY-STRING")
    for denied, action, pair in (
            ("s3:GetObject", "s3:DeleteObject", 's3:if-match="abc"'), ("s3:GetObject", "s3:PutObject", 's3:if-match="abc"'),
            ("s3:PutObjectAcl", "s3:PutObject", "s3:x-amz-acl=private"), ("s3:PutObjectTagging", "s3:PutObject", "s3:RequestObjectTag/team=blue"),
            ("s3:GetObject", "s3:PutObject", "s3:x-amz-copy-source=/other/source"), ("s3:GetObjectVersion", "s3:PutObject", "s3:x-amz-copy-source=other/source?versionId=null")):
        deny(denied, None)
        asked(0, action=action)
        said = asked(1, pair, action=action)
        assert said.startswith(f"explicit_deny: such a request also needs `{denied}`") and pair.split("=")[0] in said.splitlines()[0], said
        document.write_text(json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}))
        assert f"also needs {denied} on " in asked(0, pair, action=action)
    asked(0, "s3:if-match=*", action="s3:DeleteObject")
    # What the gateway does not answer is no decision, and neither is what it keeps elsewhere.
    for action, resource, *words in (("iam:GetUser", "arn:aws:iam::123456789012:user/a", "only S3's requests"), ("s3:RestoreObject", "arn:aws:s3:::b-1/x", "RestoreObject", "501"),
                                     ("s3:PutBucketCORS", "arn:aws:s3:::bucket", "PutBucketCors", "501"), ("s3:CreateJob", "*", "no operation")):
        said = asked(2, action=action, resource=resource)
        assert all(word in said for word in words), said
    assert "no data directory" in explain("--identity", document, "--data", tmp_path / "typo", code=2)
    assert "no data directory" in explain("--identity", document, "--data", tmp_path, code=2)


NEVER = [
    # What is answered 501, whoever asks: by the table of operations, and by headers.
    *(("501 NotImplemented", action, resource, ()) for action, resource in (
        ("s3:PutBucketVersioning", "bucket"), ("s3:PutBucketObjectLockConfiguration", "bucket"), ("s3:PutObjectRetention", "bucket/x"), ("s3:PutObjectLegalHold", "bucket/x"),
        ("s3:PutBucketCORS", "bucket"), ("s3:GetObjectRetention", "bucket/x"))),
    *(("501 NotImplemented", "s3:PutObject", "bucket/x", (pair,)) for pair in (
        "s3:object-lock-mode=GOVERNANCE", "s3:object-lock-legal-hold=ON", "s3:object-lock-remaining-retention-days=3", "s3:x-amz-acl=public-read",
        "s3:x-amz-server-side-encryption=aws:kms", "s3:x-amz-server-side-encryption-aws-kms-key-id=alias/k", "s3:x-amz-grant-read=id=x")),
    ("501 NotImplemented", "s3:PutObjectAcl", "bucket/x", ("s3:x-amz-acl=public-read",)), ("501 NotImplemented", "s3:CreateBucket", "bucket", ("s3:x-amz-acl=public-read",)),
    ("501 NotImplemented", "s3:CreateBucket", "bucket", ("s3:x-amz-object-ownership=ObjectWriter",)),
    # What is answered 400, whoever asks.
    ("400 KeyTooLongError", "s3:GetObject", "bucket/" + "k" * 1025, ()), ("400 InvalidArgument", "s3:ListBucket", "bucket", ("s3:max-keys=many",)),
    ("400 InvalidStorageClass", "s3:PutObject", "bucket/x", ("s3:x-amz-storage-class=GLACIER",)), ("400 InvalidArgument", "s3:PutObject", "bucket/x", ("s3:x-amz-copy-source=none",)),
    ("400 InvalidTag", "s3:PutObject", "bucket/x", ("s3:RequestObjectTag/" + "k" * 129 + "=v",)), ("400 InvalidArgument", "s3:GetObject", "bucket/x", ("s3:x-amz-content-sha256=nonsense",)),
    ("`1.2` or `1.3`", "s3:GetObject", "bucket/x", ("s3:TlsVersion=2",)), ("milliseconds", "s3:GetObject", "bucket/x", ("s3:signatureAge=young",)),
    ("at most 900000 ms", "s3:GetObject", "bucket/x", ("s3:signatureAge=900001",))]


@pytest.mark.parametrize("word, action, place, pairs", NEVER)
def test_explain_allows_nothing_that_is_never_answered(tmp_path, word, action, place, pairs):
    """What the gateway refuses whoever asks is no decision of a policy: exit code 2, whatever policies say."""
    for effect in ("Allow", "Deny"):
        (tmp_path / "p.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": "*", "Resource": "*"}}))
        said = explain("--identity", tmp_path / "p.json", *[word for pair in pairs for word in ("--context", pair)], action=action, resource=f"arn:aws:s3:::{place}", code=2)
        assert word in said, said


def test_explain_knows_what_stores_do_not_take(tmp_path):
    """Beyond what is decided: keys that an upstream could take for others, and buckets that are a part of one."""
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::*/denied*"}]}
    (tmp_path / "c.toml").write_text("""
[[upstreams]]
name = "far"
endpoint = "http://127.0.0.1:9"
credentials = { access_key = { env = "NONE" }, secret_key = { env = "NONE" } }
KEYS
[[routes]]
bucket = "part"
backend = "far"
rename = "whole"
key_prefix = "part/"
[[routes]]
bucket = "far-*"
backend = "far"
[[users]]
name = "alice"
policies = ["all"]
[[policies]]
name = "all"
inline = '''""" + json.dumps(everything) + "'''\n")
    written = (tmp_path / "c.toml").read_text()
    asked = lambda code, action, place, *pairs: explain(*[word for pair in pairs for word in ("--context", pair)], action=action, resource=f"arn:aws:s3:::{place}", config=tmp_path / "c.toml", code=code)
    for keys, refused in (("", ("a//x", "a/../x", "/x")), ('keys = "exact"', ("a/../x",)), ('keys = "trimmed"', ("a//x", "a/"))):
        (tmp_path / "c.toml").write_text(written.replace("KEYS", keys))
        for key in ("a//x", "a/../x", "/x", "a/", "a/x"):
            code = 2 if key in refused or "a/../" in key else 0 if not (keys == 'keys = "trimmed"' and key == "/x") else 2
            said = asked(code, "s3:GetObject", f"far-away/{key}")
            assert code == 0 or "policies allow it, and it is answered 400 InvalidArgument" in said, said
            asked(0, "s3:GetObject", f"near/{key}")
            asked(code, "s3:PutObject", "near/x", f"s3:x-amz-copy-source=far-away/{key}")
        asked(1, "s3:GetObject", "far-away/denied//x")
        assert "answered 400 KeyTooLongError" in asked(2, "s3:GetObject", "part/" + "k" * 1020)
        for action in ("s3:CreateBucket", "s3:DeleteBucket"):
            assert "answered 501 NotImplemented" in asked(2, action, "part") and asked(0, action, "far-away")
    assert "`mars` is no region" in asked(2, "s3:CreateBucket", "near", "s3:LocationConstraint=mars")


def test_explain_has_public_access_in_its_first_line():
    site = ("--bucket-policy", "policies/public-read.json")
    how = {"principal": "anonymous", "resource": "arn:aws:s3:::example-site/public/x"}
    said = explain(*site, **how, code=1)
    assert said.startswith("implicit_deny: public access is blocked: statement 1") and "restrict_public_buckets" in said.splitlines()[0], said
    assert explain(*site, "--allow-public-access", **how).startswith("allow: ")
    told = json.loads(explain(*site, "--json", **how, code=1))
    assert told["decision"] == "implicit_deny" and told["public_access_blocked"] and told["by"]["statement"] == 1, told
    told = json.loads(explain(*site, "--allow-public-access", "--json", **how))
    assert told["decision"] == "allow" and not told["public_access_blocked"] and told["context"]["aws:PrincipalAccount"] == ["anonymous"], told


def test_decide_says_that_cases_were_invalid():
    good = json.dumps({"principal": "root", "action": "s3:GetObject", "target": "arn:aws:s3:::bucket/x"})
    assert '"allow"' in policy("decide", given=f"{good}\n{good}\n")
    said = policy("decide", given=f"{good}\n{{}}\nnonsense\n{good}\n", code=2)
    assert said.count('"allow"') == 2 and said.count('"invalid"') == 2 and "2 cases are invalid" in said, said


def test_explain_says_what_a_copy_of_tags_needs(tmp_path):
    """Who may not read or write tags copies what has none, as the gateway has it."""
    document = tmp_path / "p.json"
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    asked = lambda code, *pairs: explain("--identity", document, *[word for pair in pairs for word in ("--context", pair)], action="s3:PutObject", resource="arn:aws:s3:::bucket/x", code=code)
    copy = ("s3:ObjectCreationOperation=true", "s3:x-amz-copy-source=bucket/from%20here")
    for denied, place in (("s3:GetObjectTagging", "arn:aws:s3:::bucket/from here"), ("s3:PutObjectTagging", "arn:aws:s3:::bucket/x")):
        document.write_text(json.dumps({"Version": "2012-10-17", "Statement": [allow, {"Effect": "Deny", "Action": denied, "Resource": "*"}]}))
        said = asked(0, *copy)
        assert said.startswith("allow: if the source has no tags; ") and f"`{denied}` on `{place}`: explicit_deny" in said.splitlines()[0], said
        said = asked(1, *copy, "s3:ExistingObjectTag/team=blue")
        assert said.startswith(f"explicit_deny: such a request also needs `{denied}` on `{place}`") and "left out" not in said, said
        # With tags of its own it takes none along.
        assert asked(0 if denied == "s3:GetObjectTagging" else 1, *copy, "s3:RequestObjectTag/team=red").startswith(("allow: allowed", "explicit_deny: such a request also needs `s3:PutObjectTagging`"))
    document.write_text(json.dumps({"Version": "2012-10-17", "Statement": [allow, {
        "Effect": "Deny", "Action": "s3:GetObjectTagging", "Resource": "*", "Condition": {"StringEquals": {"s3:ExistingObjectTag/team": "blue"}}}]}))
    assert asked(0, *copy).startswith("allow: allowed")
    asked(1, *copy, "s3:ExistingObjectTag/team=blue")
    asked(0, *copy, "s3:ExistingObjectTag/team=red")
    # Tags of two cases are two, each asked for by its own name.
    for name, code in (("team", 1), ("Team", 0), ("TEAM", 1)):
        document.write_text(json.dumps({"Version": "2012-10-17", "Statement": [allow, {
            "Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": {"StringEquals": {f"s3:RequestObjectTag/{name}": "blue"}}}]}))
        said = asked(code, "s3:RequestObjectTag/team=blue", "s3:RequestObjectTag/Team=red")
        assert "s3:RequestObjectTagKeys = team, Team" in said and "s3:RequestObjectTag/team = blue" in said and "s3:RequestObjectTag/Team = red" in said, said


def test_explain_refuses_what_no_request_to_this_gateway_says(tmp_path):
    document = tmp_path / "p.json"
    document.write_text(json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, {
        "Effect": "Deny", "Action": "s3:GetObjectVersion", "Resource": "*", "Condition": {"Null": {"s3:VersionId": "true"}}}]}))
    for pair, word in (("aws:RequestedRegion=eu-west-1", "us-east-1"), ("aws:ResourceAccount=999999999999", "123456789012"), ("s3:ResourceAccount=999999999999", "123456789012"),
                       ("aws:ResourceAccount=12", "12 digits"), ("aws:EpochTime=0", "aws:CurrentTime"), ("aws:EpochTime=abc", "since 1970"), ("aws:ViaAWSService=true", "`false`"),
                       ("aws:PrincipalType=Alien", "`AssumedRole`")):
        said = explain("--identity", document, "--context", pair, code=2)
        assert word in said and pair.split("=")[0] in said, said
    for pair in ("aws:RequestedRegion=us-east-1", "aws:ResourceAccount=123456789012", "aws:ViaAWSService=false"):
        explain("--identity", document, "--context", pair)
    (tmp_path / "c.toml").write_text('region = "eu-west-1"\n[[users]]\nname = "alice"\n')
    explain("--identity", document, "--context", "aws:RequestedRegion=eu-west-1", config=tmp_path / "c.toml")
    # A version is asked for by its id.
    said = explain("--identity", document, action="s3:GetObjectVersion", code=2)
    assert "`s3:VersionId`, which every such request has" in said, said
    explain("--identity", document, "--context", "s3:VersionId=null", action="s3:GetObjectVersion")


def test_validate_tells_what_other_errors_hid(tmp_path):
    statements = [{"Effect": "Alow", "Action": ["s3:GetObjetc", "s3:GetObject"], "Resource": "bkt"},
                  {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"StringEqual": {"s3:prefx": "a", "aws:username": "b", "nonsense": "c"}}}]
    (tmp_path / "p.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    (tmp_path / "c.toml").write_text('[[policies]]\nname = "p"\ndocument = "p.json"\n')
    told = lambda given: sorted((f["code"], f["path"]) for f in map(json.loads, (line for line in given.splitlines() if line.startswith("{"))))
    assert told(policy("validate", "--format", "json", tmp_path / "p.json", code=1)) == sorted([
        ("INVALID_EFFECT", "Statement[1].Effect"), ("INVALID_ACTION", "Statement[1].Action[1]"), ("INVALID_ARN_PREFIX", "Statement[1].Resource"),
        ("INVALID_CONDITION_OPERATOR", "Statement[2].Condition.StringEqual"), ("INVALID_SERVICE_CONDITION_KEY", "Statement[2].Condition.StringEqual.s3:prefx"),
        ("INVALID_CONDITION_KEY_FORMAT", "Statement[2].Condition.StringEqual.nonsense")])
    check = subprocess.run([BINARY, "check-config", tmp_path / "c.toml"], capture_output=True, text=True, timeout=60)
    assert all(word in check.stderr for word in ("6 mistakes", "`Allow` or `Deny`", "did you mean `s3:GetObject`?", "`bkt` is not an ARN", "`StringEqual`", "did you mean `s3:prefix`?", "`nonsense`")), check


def test_a_key_that_an_action_lacks_is_an_error_as_aws_has_it(tmp_path):
    """And the gateway takes the policy, as CreatePolicy does: it says so."""
    for action, path in ((["s3:ListBucket", "s3:ListBucketMultipartUploads"], "Statement[1].Action[2]"), ("s3:ListBucketMultipartUploads", "Statement[1].Condition.StringEquals.s3:prefix")):
        (tmp_path / "p.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Action": action, "Resource": "arn:aws:s3:::bucket", "Condition": {"StringEquals": {"s3:prefix": "a/"}}}]}))
        said = policy("validate", tmp_path / "p.json", code=1)
        assert f" error UNSUPPORTED_ACTION_FOR_CONDITION_KEY: {path}: " in said and "1 error," in said, said
        (tmp_path / "c.toml").write_text('[[policies]]\nname = "p"\ndocument = "p.json"\n')
        check = subprocess.run([BINARY, "check-config", tmp_path / "c.toml"], capture_output=True, text=True, timeout=60)
        assert check.returncode == 0 and "warning: " in check.stdout and "has the key `s3:prefix`" in check.stdout or "does not have the key `s3:prefix`" in check.stdout, check


def test_a_space_in_a_variable_is_refused_when_it_is_put(tmp_path):
    """AWS does not support it, and does not say what it does; a file's is read without it, and warned of."""
    resource = {"Resource": "arn:aws:s3:::bucket/${ aws:username}/*"}
    condition = {"Resource": "arn:aws:s3:::bucket/*", "Condition": {"StringEquals": {"aws:UserAgent": ["a", "${aws:username }"]}}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject"}
    with Gateway(tmp_path / "g") as gateway:
        client = s3(gateway)
        client.create_bucket(Bucket="bucket")
        for number, more in enumerate((resource, condition)):
            document = json.dumps({"Version": "2012-10-17", "Statement": [deny | more]})
            with pytest.raises(botocore.exceptions.ClientError, match="MalformedPolicy.* has a space"):
                client.put_bucket_policy(Bucket="bucket", Policy=document)
            said = policy("validate", "--bucket", "bucket", "-", given=document, code=1)
            assert "has a space" in said and " error " in said, said
            client.put_bucket_policy(Bucket="bucket", Policy=document.replace("${ ", "${").replace(" }\"", "}\""))
            # Without variables, and in a default, it is text.
            client.put_bucket_policy(Bucket="bucket", Policy=document.replace("2012-10-17", "2008-10-17"))
            client.put_bucket_policy(Bucket="bucket", Policy=document.replace("${ aws:username}", "${aws:username, 'a b '}").replace("${aws:username }", "${aws:username, 'a b '}"))
            (tmp_path / "p.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [{k: v for k, v in (deny | more).items() if k != "Principal"}]}))
            (tmp_path / "c.toml").write_text('[[policies]]\nname = "p"\ndocument = "p.json"\n')
            check = subprocess.run([BINARY, "check-config", tmp_path / "c.toml"], capture_output=True, text=True, timeout=60)
            assert check.returncode == 0 and "warning: " in check.stdout and "has a space" in check.stdout, (number, check)


def test_validate_finds_what_is_hardly_meant(tmp_path):
    starters = sorted(str(path) for path in (ROOT / "policies").glob("*.json"))
    assert " 0 warnings" in policy("validate", *starters) and any(name.endswith(".test.json") for name in starters)
    document = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObjekt", "Resource": "arn:aws:s3:::bucket/*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket", "Condition": {"StringEquals": {"s3:prefix": "a/*"}}},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::bucket/*",
         "Condition": {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["team"]}}}]}
    (tmp_path / "odd.json").write_text(json.dumps(document, indent=1))
    said = policy("validate", tmp_path / "odd.json", code=1)
    for word in ("s3:GetObject", "Statement[1]", "Statement[2].Condition", "ForAllValues", "fix:", "Null"):
        assert word in said, (word, said)
    findings = [json.loads(line) for line in policy("validate", "--format", "json", tmp_path / "odd.json", code=1).splitlines() if line.startswith("{")]
    assert len(findings) >= 4 and all(finding["line"] for finding in findings), findings
    policy("validate", "--strict", tmp_path / "odd.json", code=1)
    document["Statement"][0]["Principal"] = "*"
    said = policy("validate", "--kind", "identity", "-", given=json.dumps(document), code=1)
    assert "error" in said and "Principal" in said
    said = policy("validate", "-", given=json.dumps({"Version": "2012-10-17", "Statement": document["Statement"][:1]}), code=1)
    assert "security-warning" in said


def test_validate_tells_every_error_and_what_a_bucket_refuses(tmp_path):
    """All of a document at once, of every document of a directory; with `--bucket`, what PutBucketPolicy would say."""
    statement = lambda **more: {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"} | more
    documents = {"canonical.json": statement(Principal={"CanonicalUser": "abc"}), "minio.json": statement(ID="x"),
        "good.json": statement(), "typo.json": statement(Action=["s3:GetObjekt", "s3:Foo"]), "other.json": statement(Resource="arn:aws:s3:::other/*"),
        "apart.json": statement(Action="s3:ListBucket"), "keys.json": statement(Condition={"StringLike": {"s3:prefix": "a/*"}}),
        "nobody.json": statement(Principal={"AWS": "arn:aws:iam::123456789012:user/${aws:username}"}), "service.json": statement(Action="iam:GetUser", Resource="*")}
    (tmp_path / "deep").mkdir()
    for name, one in documents.items():
        (tmp_path / "deep" / name).write_text(json.dumps({"Version": "2012-10-17", "Statement": one}, indent=1))
    (tmp_path / "deep" / "table.test.json").write_text("{}")
    (tmp_path / "deep" / "notes.txt").write_text("none")
    said = policy("validate", tmp_path, code=1)
    assert "table.test.json" not in said and "notes.txt" not in said
    assert said.count("INVALID_ACTION") == 2 and "did you mean `s3:GetObject`?" in said and "RestoreObject" not in said, said
    assert " warning INVALID_ACTION" in policy("validate", "--unknown-actions", "warn", tmp_path / "deep/typo.json")
    assert "no document" in policy("validate", tmp_path / "deep" / "table.test.json", code=1)
    for name in documents:
        said = policy("validate", "--bucket", "bucket", tmp_path / "deep" / name, code=0 if name == "good.json" else 1)
        assert name == "good.json" or " error " in said, (name, said)
    assert "Policy has invalid resource" in policy("validate", "--bucket", "bucket", tmp_path / "deep/other.json", code=1)
    assert "Action does not apply to any resource" in policy("validate", "--bucket", "bucket", tmp_path / "deep/apart.json", code=1)
    assert "is not the name of a bucket" in policy("validate", "--bucket", "No", tmp_path / "deep/good.json", code=1)
    # Every statement that is refused is told, by its own number.
    many = {"Version": "2012-10-17", "ID": "minio", "Statement": [documents["good.json"], documents["other.json"], {"Effect": "allow", "Action": "s3", "Resource": "b", "Principal": "*"}, documents["apart.json"]]}
    found = [json.loads(line) for line in policy("validate", "--format", "json", "--bucket", "bucket", "-", given=json.dumps(many), code=1).splitlines() if line.startswith("{")]
    told = [(f["code"], f["path"]) for f in found if f["severity"] == "error"]
    assert sorted(told) == sorted([("INVALID_POLICY_ELEMENT", "ID"), ("MALFORMED_POLICY", "Statement[2].Resource"), ("INVALID_EFFECT", "Statement[3].Effect"),
                                   ("INVALID_ACTION", "Statement[3].Action"), ("INVALID_ARN_PREFIX", "Statement[3].Resource"), ("MALFORMED_POLICY", "Statement[4]")]), told
    assert "MinIO" in next(f["fix"] for f in found if f["path"] == "ID")
    # All of a statement, too.
    both = statement(Action=["iam:GetUser", "s3:GetObject"], Resource=["arn:aws:s3:::other/*", "arn:aws:s3:::bucket/*"], Condition={"StringEquals": {"iam:PassedToService": "x"}})
    said = policy("validate", "--format", "json", "--bucket", "bucket", "-", given=json.dumps({"Version": "2012-10-17", "Statement": both}), code=1)
    told = {json.loads(line)["path"] for line in said.splitlines() if line.startswith("{") and json.loads(line)["severity"] == "error"}
    assert {"Statement[1].Action[1]", "Statement[1].Resource[1]", "Statement[1].Condition.StringEquals.iam:PassedToService"} <= told, said
    # The gateway says the same of each.
    with Gateway(tmp_path / "g") as gateway:
        client = s3(gateway)
        client.create_bucket(Bucket="bucket")
        for name, one in documents.items():
            put = lambda: client.put_bucket_policy(Bucket="bucket", Policy=json.dumps({"Version": "2012-10-17", "Statement": one}))
            if name == "good.json":
                put()
                continue
            with pytest.raises(botocore.exceptions.ClientError, match="MalformedPolicy") as refused:
                put()
            assert name != "minio.json" or "MinIO" in str(refused.value), refused


def test_a_table_that_names_what_there_is_not_is_refused(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}))
    case = {"name": "x", "principal": ALICE, "action": "s3:PutObject", "target": "arn:aws:s3:::bucket/x", "expect": "implicit_deny"}
    for more, word in (({}, None), ({"action": "s3:PutObjetc"}, "did you mean `s3:PutObject`?"), ({"expect": "deny"}, "`deny` is none of"),
                       ({"context": {"aws:SourcIp": "192.0.2.7"}}, "did you mean `aws:SourceIp`?"), ("none", "no `cases`"),
                       ({"target": "bkt/x"}, "is not an ARN"), ({"target": "arn:aws:s3:::b_X/x"}, "no bucket that there can be"),
                       ({"target": "arn:aws:ec2:us-east-1:123456789012:instance/i"}, "no resource of `ec2`"), ({"target": "*"}, "is never asked on"), ({"target": "arn:aws:s3:::*"}, "is never asked on"),
                       ({"target": "arn:aws:s3:::*/x"}, "no bucket that there can be"), ({"target": "arn:aws:s3:::bucket/" + "k" * 1025}, "1,024 bytes"), ({"target": "*", "action": "s3:ListAllMyBuckets"}, None),
                       ({"context": {"aws:CurrentTime": "yesterday"}}, "is not a moment"), ({"context": {"s3:authType": "POST"}}, "`REST-HEADER`"), ({"context": {"s3:signatureversion": "V9"}}, "`AWS`"),
                       ({"context": {"aws:SecureTransport": "false", "s3:TlsVersion": "1.3"}}, "over plain HTTP has no"), ({"context": {"aws:EpochTime": "abc"}}, "since 1970"),
                       ({"context": {"aws:PrincipalType": "Alien"}}, "`AssumedRole`"), ({"context": {"aws:PrincipalAccount": "12"}}, "12 digits"), ({"context": {"s3:max-keys": "many"}}, "is not a number"),
                       ({"context": {"s3:object-lock-retain-until-date": "x"}}, "is not a moment"), ({"context": {"s3:signatureAge": "900001"}}, "at most 900000 ms"), ({"context": {"aws:SourceIp": ["foo"]}}, "is not an address"),
                       ({"context": {"aws:SecureTransport": "yes"}}, "`true` or `false`"), ({"context": {"aws:username": ["a", "b"]}}, "has one value"),
                       ({"principal": 5}, "a text is needed"), ({"expected": "allow"}, "`expected` is not known"), ({"context": []}, "an object is needed")):
        cases = [] if more == "none" else [case | more]
        (tmp_path / "p.test.json").write_text(json.dumps({"cases": cases}))
        said = policy("test", tmp_path, code=1 if word else 0)
        assert not word or word in said and "p.test.json" in said, said


def test_cases_are_held_to_what_there_can_be(tmp_path):
    """A document that the gateway refuses decides nothing, and no key decides that no request has."""
    typo = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "s3:DeleteObjetc", "Resource": "*"}]}
    case = {"principal": ALICE, "action": "s3:DeleteObject", "target": "arn:aws:s3:::bucket/x"}
    (tmp_path / "p.json").write_text(json.dumps(typo))
    (tmp_path / "p.test.json").write_text(json.dumps({"cases": [case | {"name": "x", "expect": "allow"}]}))
    assert "did you mean `s3:DeleteObject`?" in policy("test", tmp_path, code=1)
    assert "1 passed" in policy("test", "--unknown-actions", "warn", tmp_path)
    given = json.dumps(case | {"identity": [typo]})
    assert "did you mean `s3:DeleteObject`?" in policy("decide", given=given, code=2)
    assert '"allow"' in policy("decide", "--unknown-actions", "warn", given=given)
    everything = [{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]
    for more, word in (({"action": "s3:GetObjekt"}, "did you mean"), ({"action": "GetObject"}, "is not an action"), ({"target": "bkt"}, "is not an ARN"),
                       ({"context": {"aws:foo": ["x"]}}, "`aws:foo` is not known"), ({"context": {"s3:prefx": ["x"]}}, "did you mean `s3:prefix`?"),
                       ({"context": []}, "an object is needed"), ({"groups": {}}, "a list is needed")):
        said = policy("decide", given=json.dumps(case | {"identity": everything} | more), code=2)
        assert word in said and '"invalid"' in said and "expected" not in said, (more, said)
    # What other services are asked is decided.
    for more in ({"action": "ec2:RunInstances", "target": "arn:aws:ec2:us-east-1:123456789012:instance/i"}, {"context": {"ec2:Vpc": ["x"]}}):
        assert '"allow"' in policy("decide", given=json.dumps(case | {"identity": everything} | more))
    for command in ("decide", "test"):
        assert "12 digits" in policy(command, "--account", "12", *([tmp_path] if command == "test" else []), given="", code=2)
    document = {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"StringEquals": {"s3:prefix": "a"}}}}
    (tmp_path / "p.json").write_text(json.dumps(document))
    row = case | {"name": "x", "action": "s3:GetObject", "context": {"s3:prefix": "a"}}
    (tmp_path / "p.test.json").write_text(json.dumps({"cases": [row | {"expect": "implicit_deny"}]}))
    said = policy("test", tmp_path)
    assert "note: `x`: `s3:prefix` is left out: no request here has it for this action" in said, said


def test_tables_are_held_to_what_a_gateway_takes(tmp_path):
    """What check-config and PutBucketPolicy refuse makes no case pass, and public access is blocked as in a gateway."""
    def table(document, more=(), code=0, **how):
        (tmp_path / "p.json").write_text(json.dumps(document))
        case = {"name": "x", "principal": "anonymous", "action": "s3:GetObject", "target": "arn:aws:s3:::bucket/x", "expect": how.pop("expect")}
        (tmp_path / "p.test.json").write_text(json.dumps({"cases": [case | how]} | dict(more)))
        return policy("test", tmp_path / "p.test.json", code=code)
    (tmp_path / "c.toml").write_text('[[policies]]\nname = "p"\ndocument = "p.json"\n')
    other = {"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "ec2:RunInstances"], "Resource": "*"}]}
    assert "no action of `ec2` is answered here" in table(other, principal=ALICE, expect="allow", code=1)
    check = subprocess.run([BINARY, "check-config", tmp_path / "c.toml"], capture_output=True, text=True, timeout=60)
    assert check.returncode == 1 and "no action of `ec2` is answered here" in check.stderr, check
    table(other, principal=ALICE, expect="invalid")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}
    document, bucket = lambda **more: {"Version": "2012-10-17", "Statement": statement | more}, {"kind": "resource"}
    for wrong in ({"Resource": "*"}, {"Resource": ["arn:aws:s3:::bucket/*", "arn:aws:s3:::other/*"]}, {"Action": "s3:ListBucket"},
                  {"Condition": {"StringEquals": {"s3:prefix": "a"}}}, {"Principal": {"AWS": "arn:aws:iam::123456789012:user/${aws:username}"}}):
        table(document(**wrong), bucket, expect="invalid")
    but = {"Version": "2012-10-17", "Statement": {key: value for key, value in statement.items() if key != "Principal"} | {"NotPrincipal": {"AWS": "123456789012"}}}
    assert "NotPrincipal is not allowed" in table(but, bucket, expect="allow", code=1)
    # What `explain` says of the same.
    assert "public access is blocked" in table(document(), bucket, expect="allow", code=1)
    table(document(), bucket | {"public_access_block": {"restrict_public_buckets": False}}, expect="allow")
    table(document(), bucket | {"public_access_block": {"restrict_public_buckets": False}}, expect="implicit_deny", public_access_block={"restrict_public_buckets": True})
    (tmp_path / "open.toml").write_text("[public_access_block]\nrestrict_public_buckets = false\n")
    table(document(), bucket, expect="implicit_deny")
    assert "decided allow" in policy("test", "--config", tmp_path / "open.toml", tmp_path / "p.test.json", code=1)
    table(document(Effect="Deny", Action="s3:*", Resource=["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]), bucket, principal="root", action="s3:PutBucketPolicy", target="arn:aws:s3:::bucket", expect="allow")


def test_what_aws_only_warns_of_is_refused(tmp_path):
    """An empty list or object, and `Null` with a qualifier, say nothing or always the same: nobody means them."""
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    for more, code in (({"Condition": {"StringEquals": {}}}, "EMPTY_OBJECT_CONDITION"), ({"Condition": {"StringEquals": {"aws:username": []}}}, "EMPTY_ARRAY_CONDITION"),
                       ({"Action": []}, "EMPTY_ARRAY_ACTION"), ({"Resource": []}, "EMPTY_ARRAY_RESOURCE"),
                       ({"Condition": {"ForAllValues:Null": {"aws:username": "true"}}}, "NULL_WITH_QUALIFIER"), ({"Condition": {}}, None)):
        (tmp_path / "p.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": statement | more}))
        (tmp_path / "c.toml").write_text('[[policies]]\nname = "p"\ndocument = "p.json"\n')
        check = subprocess.run([BINARY, "check-config", tmp_path / "c.toml"], capture_output=True, text=True, timeout=60)
        assert (check.returncode == 1) == bool(code), check
        said = policy("validate", tmp_path / "p.json", code=1 if code else 0)
        assert not code or f" error {code}" in said, said


def test_the_length_of_policies_is_configured(tmp_path):
    document = {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::bucket/{n:0100}"} for n in range(60)]}
    check = lambda extra: subprocess.run([BINARY, "check-config", tmp_path / "c.toml"], capture_output=True, text=True, timeout=60) if (
        tmp_path / "c.toml").write_text(f"{extra}\n[[policies]]\nname = \"long\"\ninline = '''{json.dumps(document)}'''\n") else None
    refused = check("")
    assert refused.returncode == 1 and "policies.long" in refused.stderr and "of at most 6144" in refused.stderr, refused
    assert check("[authorization]\nidentity_policy_characters = 20000").returncode == 0
    # The commands that know no configuration are told it.
    (tmp_path / "long.json").write_text(json.dumps(document))
    case = {"principal": ALICE, "action": "s3:GetObject", "target": f"arn:aws:s3:::bucket/{1:0100}"}
    (tmp_path / "long.test.json").write_text(json.dumps({"cases": [case | {"name": "x", "expect": "allow"}]}))
    config = ("--config", tmp_path / "c.toml")
    assert "POLICY_SIZE_EXCEEDED" in policy("validate", tmp_path / "long.json", code=1) and "POLICY_SIZE" not in policy("validate", *config, tmp_path / "long.json")
    assert "of at most 6144" in policy("test", tmp_path / "long.test.json", code=1) and "1 passed" in policy("test", *config, tmp_path / "long.test.json")
    for flags, code in (((), 2), (config, 0)):
        policy("decide", *flags, given=json.dumps(case | {"identity": [document]}), code=code)
    for wrong in ('[authorization]\nexplain_denials = "yes"', "[authorization]\nexplain = true", '[[users]]\nname = "a"\nboundary = "none"',
                  '[[users]]\nname = "a"\ntags = { "" = "x" }', '[[users]]\nname = "a"\ntags = { a = "1", A = "2" }'):
        said = check("[authorization]\nidentity_policy_characters = 20000\n" + wrong if not wrong.startswith("[auth") else wrong)
        assert said.returncode == 1 and said.stderr.strip(), (wrong, said)


def test_an_action_that_there_is_not_is_refused(tmp_path):
    """A Deny of it would deny nothing: at start, at reload and by `check-config`, with what was meant, as PutBucketPolicy does."""
    deny = lambda action: json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Sid": "Keep", "Effect": "Deny", "Action": action, "Resource": "*"}]})
    document, config = tmp_path / "work.json", tmp_path / "c.toml"
    opened = '[authorization]\nunknown_actions = "warn"\n'
    config.write_text(written := '[[policies]]\nname = "work"\ndocument = "work.json"\n')
    check = lambda: subprocess.run([BINARY, "check-config", config], capture_output=True, text=True, timeout=60)
    for action, meant in (("s3:DeleteObjetc", "s3:DeleteObject"), ("s3:ListBuckets", "s3:ListAllMyBuckets"), ("s4:GetObject", "s3:GetObject"),
                          ("s3:Foo", None), ("s3:Fetch*", None), ("ec2:*", None)):
        document.write_text(deny(action))
        config.write_text(written)
        said = check()
        assert said.returncode == 1 and "c.toml" in said.stderr and "policies.work" in said.stderr and "work.json" in said.stderr, said
        assert "statement 2 (`Keep`), Action" in said.stderr and action in said.stderr, said
        assert ("did you mean" in said.stderr) == bool(meant) and (not meant or f"`{meant}`" in said.stderr), said
        config.write_text(opened + written)
        said = check()
        assert said.returncode == 0 and "warning:" in said.stdout and action in said.stdout, said
    config.write_text(opened.replace("warn", "ignore") + written)
    assert check().returncode == 1
    # Twins: names in any case, patterns that take something in, and everything.
    for action in ("s3:deleteobject", "s3:Delete*", "S3:*", "*", "iam:PassRole"):
        document.write_text(deny(action))
        config.write_text(written)
        assert check().returncode == 0, action
    # Running: the last good one stays, and the log says why.
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "work.json").write_text(deny("s3:DeleteObject"))
    with Gateway(tmp_path / "g", written) as gateway:
        (gateway.directory / "work.json").write_text(deny("s3:DeleteObjetc"))
        gateway.process.send_signal(signal.SIGHUP)
        wait(lambda: "is not reloaded" in gateway.log() and "did you mean `s3:DeleteObject`" in gateway.log())
        (gateway.directory / "portcullis.toml").write_text(opened + written)
        gateway.process.send_signal(signal.SIGHUP)
        wait(lambda: "the configuration is reloaded" in gateway.log())
        assert "WARN" in gateway.log() and gateway.log().count("s3:DeleteObjetc") >= 2, gateway.log()
        client = s3(gateway)
        client.create_bucket(Bucket="bucket")
        client.put_bucket_policy(Bucket="bucket", Policy=json.dumps({"Statement": {
            "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::bucket/*"}}))
        with pytest.raises(botocore.exceptions.ClientError, match="did you mean `s3:DeleteObject`"):
            client.put_bucket_policy(Bucket="bucket", Policy=json.dumps({"Statement": {
                "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObjetc", "Resource": "arn:aws:s3:::bucket/*"}}))
    run = subprocess.run([BINARY, "serve", "--config", "portcullis.toml"], cwd=gateway.directory, capture_output=True, text=True, timeout=60) if (
        gateway.directory / "portcullis.toml").write_text(written) else None
    assert run.returncode == 1 and "did you mean `s3:DeleteObject`" in run.stderr, run


def test_a_configuration_is_checked_without_its_secrets(tmp_path):
    """What is wrong is said with its line, its key and what is right, in the words of who writes the file."""
    def check(text=None, *more, path=None):
        if text is not None:
            (tmp_path / "c.toml").write_text(text)
        return subprocess.run([BINARY, "check-config", *more, path or tmp_path / "c.toml"], capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]})
    for example in ["examples/full.toml", *sorted((ROOT / "examples").glob("*/*.toml"))]:
        said = check(path=ROOT / example)
        assert said.returncode == 0 and "is valid" in said.stdout, said
    secret = '[[users]]\nname = "alice"\naccess_keys = [{ id = "AKALICE", secret = { env = "NOT_SET_HERE" } }]\n'
    assert check(secret).returncode == 0 and "--resolve" in check(secret).stdout
    said = check(secret, "--resolve")
    assert said.returncode == 1 and "NOT_SET_HERE" in said.stderr
    upstream = '[[upstreams]]\nname = "u"\nendpoint = "https://s3.example.com"\ncredentials = 5\n'
    for text, *words in (
            ('[listener]\naddress = ":9000"\n', "line 2", "`listener.address`", "127.0.0.1:9000"),
            ('[limits]\nrequests = "many"\n', "line 2", "`limits.requests`", "a whole number"),
            ('[listener]\nforwarded_proto = "yes"\n', "line 2", "`listener.forwarded_proto`", "`true` or `false`"),
            ('region = 5\n', "line 1", "`region`", "a text in quotes"),
            ('[audit]\noutput = 5\n', "line 2", "`audit.output`", "stdout"),
            (upstream, "line 4", "`upstreams.u.credentials`", "chain"),
            ('[logging]\nlevel = "inof"\n', "logging.level", "`inof`", "`info`"),
            ('[listener]\naddress = "127.0.0.1:9001"\n', "admin.address", "listener.address"),
            ('[listener]\nhttp_address = "127.0.0.1:9000"\n', "listener.http_address", "listener.address"),
            ('[listener]\naddress = "0.0.0.0:9001"\n', "admin.address"),
            ('[[routes]]\nbucket = "abc"\nbackend = "nowhere"\n', "nowhere")):
        said = check(text)
        assert said.returncode == 1 and all(word in said.stderr for word in words), (text, said)
        assert not any(word in said.stderr for word in ("untagged", "usize", "u64", "variant", "expected a bool")), said
    many = 'regoin = "x"\naccount_id = "12"\n[limits]\nthreads = "two"\nrequests = 0\n[[users]]\nname = "a"\npolicies = ["p", "nope"]\n[[policies]]\nname = "p"\ninline = "{"\n[[users]]\nname = "b"\ngroups = ["none"]\n[[routes]]\nbucket = "logs.*"\nbackend = "nowhere"\n'
    said = check(many)
    lines = [line.split("c.toml` ")[1].split(":")[0] for line in said.stderr.splitlines()[1:]]
    assert said.returncode == 1 and lines == [f"line {n}" for n in (1, 2, 4, 5, 8, 11, 14, 17)], said.stderr
    for text in ('[logging]\nlevel = "warn,portcullis::proxy=debug"\n', '[listener]\naddress = "127.0.0.1:0"\n[admin]\naddress = "127.0.0.1:0"\n'):
        assert check(text).returncode == 0, text


def test_every_finding_is_tested_and_documented():
    """Of each name in the source: a test that names it, and the list of findings. The list has no others."""
    source, tests = ROOT / "src/iam/validate", ROOT / "src/iam/validate/tests"
    code = re.compile(r'"([A-Z]{2,}(?:_[A-Z]+)+)"')
    # Beginnings of others.
    emitted = {name for file in source.rglob("*.rs") if tests not in file.parents for name in code.findall(file.read_text())} - {"PASS_ROLE", "ASSUME_ROLE"}
    tested = "".join(file.read_text() for file in [*tests.rglob("*.rs"), *(ROOT / "integration/tests").rglob("*.py")])
    assert len(emitted) > 80 and not [name for name in emitted if not re.search(rf"\b{name}\b", tested)]
    findings = (ROOT / "policies/README.md").read_text().split("## Findings")[1]
    there, absent = findings.split("are not there, though")
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", there)) == emitted
    assert not emitted & set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", absent.split("Empty principals")[0]))
