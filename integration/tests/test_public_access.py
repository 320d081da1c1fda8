"""Public access: blocked by the server, by the bucket, by both or by neither, with real clients over every store."""

import json

import botocore.exceptions
import pytest

from harness import raw
from harness.clients import aws, publish, s3
from harness.gateway import OPEN, Gateway

ALICE, ALICE_SECRET = "AKIAALICEALICEALICE0", "alice-secret-canary-0123456789"
SETTINGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
OFF, ON = dict.fromkeys(SETTINGS, False), dict.fromkeys(SETTINGS, True)
USERS = f"""
[[users]]
name = "alice"
access_keys = [{{ id = "{ALICE}", secret = {{ env = "ALICE_SECRET" }} }}]
"""


def public(bucket, *more):
    read = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return {"Version": "2012-10-17", "Statement": [read, *more]}


def refused(call, code, status):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call()
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), answer
    return answer["Error"]["Message"]


def told(client, bucket):
    return client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]


def test_a_buckets_configuration(client, bucket):
    """Over every store: it is the gateway's own state."""
    assert told(client, bucket) == ON
    for name in SETTINGS:
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={name: True})
        assert told(client, bucket) == {**OFF, name: True}
    client.delete_public_access_block(Bucket=bucket)
    refused(lambda: told(client, bucket), "NoSuchPublicAccessBlockConfiguration", 404)
    client.delete_public_access_block(Bucket=bucket)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OFF)
    assert told(client, bucket) == OFF
    # A bucket that is made anew is a new one.
    client.delete_bucket(Bucket=bucket)
    refused(lambda: told(client, bucket), "NoSuchBucket", 404)
    refused(lambda: client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OFF), "NoSuchBucket", 404)
    refused(lambda: client.delete_public_access_block(Bucket=bucket), "NoSuchBucket", 404)
    client.create_bucket(Bucket=bucket)
    assert told(client, bucket) == ON
    refused(lambda: client.get_bucket_policy(Bucket=bucket), "NoSuchBucketPolicy", 404)


def test_the_status_of_a_policy(client, bucket):
    status = lambda: client.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    refused(status, "NoSuchBucketPolicy", 404)
    publish(client, bucket, public(bucket))
    assert status() is True
    # What it says, whatever is blocked.
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=ON)
    assert status() is True
    for statement in ({"Principal": {"AWS": "123456789012"}}, {"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}):
        policy = public(bucket)
        policy["Statement"][0].update(statement)
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        assert status() is False
    client.delete_bucket_policy(Bucket=bucket)
    refused(status, "NoSuchBucketPolicy", 404)


def test_a_public_policy_is_refused_where_it_is_blocked(client, bucket):
    put = lambda: client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(public(bucket)))
    assert "BlockPublicPolicy" in refused(put, "AccessDenied", 403)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    assert "BlockPublicPolicy" in refused(put, "AccessDenied", 403)
    refused(lambda: client.get_bucket_policy(Bucket=bucket), "NoSuchBucketPolicy", 404)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={**ON, "BlockPublicPolicy": False})
    put()
    # What is there stays there.
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=ON)
    assert json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"]) == public(bucket)
    refused(put, "AccessDenied", 403)
    # One that is none is told so first.
    refused(lambda: client.put_bucket_policy(Bucket=bucket, Policy="{}"), "MalformedPolicy", 400)


@pytest.mark.parametrize("block,reads", [(OFF, True), *(({**OFF, name: True}, name != "RestrictPublicBuckets") for name in SETTINGS), (ON, False)])
def test_who_reads_a_public_bucket(gateway, client, bucket, block, reads):
    """Each setting alone; and an upload is never anybody's."""
    client.put_object(Bucket=bucket, Key="k", Body=b"open")
    client.put_object(Bucket=bucket, Key="secret/k", Body=b"shut")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/secret/*"}
    publish(client, bucket, public(bucket, deny))
    anonymous = lambda path: raw.send(gateway, "GET", f"/{bucket}/{path}")
    assert anonymous("k").body == b"open"
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert (anonymous("k").status, anonymous("k").code) == ((200, None) if reads else (403, "AccessDenied"))
    assert anonymous("secret/k").status == 403 and raw.request(gateway, "GET", f"/{bucket}/secret/k").status == 403
    assert raw.send(gateway, "PUT", f"/{bucket}/new", body=b"x").status == 403
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"open"


ONE = "[public_access_block]\n{} = false\n"


@pytest.mark.parametrize("config,puts,reads", [
    ("", False, False), (OPEN, True, True), (ONE.format("block_public_policy"), True, False), (ONE.format("restrict_public_buckets"), False, True),
    ("[public_access_block]\nblock_public_policy = false\nrestrict_public_buckets = false\n", True, True),
])
def test_the_server_outweighs_its_buckets(work, config, puts, reads):
    """Server off and bucket off: anyone reads. A user of the account reads in any case, and a Deny binds."""
    directory = work / f"public-{abs(hash(config))}"
    with Gateway(directory, config + USERS, env={"ALICE_SECRET": ALICE_SECRET}) as gateway:
        root, alice = s3(gateway), s3(gateway, ALICE, ALICE_SECRET)
        root.create_bucket(Bucket="blocked")
        root.put_object(Bucket="blocked", Key="k", Body=b"open")
        root.put_public_access_block(Bucket="blocked", PublicAccessBlockConfiguration=OFF)
        put = lambda: root.put_bucket_policy(Bucket="blocked", Policy=json.dumps(public("blocked")))
        if not puts:
            refused(put, "AccessDenied", 403)
            # As one was put before the server blocked it.
            gateway.config_file.write_text(OPEN + USERS)
            gateway.process.send_signal(1)
            wait(put)
            gateway.config_file.write_text(config + USERS)
            gateway.process.send_signal(1)
            wait(lambda: refused(put, "AccessDenied", 403))
        else:
            put()
        anonymous = lambda: raw.send(gateway, "GET", "/blocked/k").status
        assert anonymous() == (200 if reads else 403)
        assert alice.get_object(Bucket="blocked", Key="k")["Body"].read() == b"open"
        gateway.stop()
        gateway.start()
        assert anonymous() == (200 if reads else 403) and told(root, "blocked") == OFF
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::blocked/k"}
        if puts:
            root.put_bucket_policy(Bucket="blocked", Policy=json.dumps(public("blocked", deny)))
            assert anonymous() == 403
            refused(lambda: alice.get_object(Bucket="blocked", Key="k"), "AccessDenied", 403)


def wait(check, seconds=15):
    import time
    deadline = time.time() + seconds
    while True:
        try:
            return check()
        except (AssertionError, botocore.exceptions.ClientError, pytest.fail.Exception):
            assert time.time() < deadline, "did not happen in time"
            time.sleep(0.05)


def test_another_gateways_change_is_seen(work):
    """What is on disk is in force: whole, changed, broken, gone."""
    with Gateway(work / "shared-state", OPEN) as gateway:
        root = s3(gateway)
        root.create_bucket(Bucket="shared")
        root.put_object(Bucket="shared", Key="k", Body=b"open")
        publish(root, "shared", public("shared"))
        stored = gateway.data / "state/public-access-blocks/shared.json"
        opened = json.loads(stored.read_text())
        assert opened == dict.fromkeys(("block_public_acls", "ignore_public_acls", "block_public_policy", "restrict_public_buckets"), False)

        def seen(text, status):
            stored.unlink() if text is None else stored.write_text(text)
            check = lambda: raw.send(gateway, "GET", "/shared/k").status
            wait(lambda: check() == status or pytest.fail())

        for text in (json.dumps({**opened, "restrict_public_buckets": True}), "{", "", json.dumps({**opened, "restrict_public_buckets": 0}), None):
            seen("null", 200)
            seen(text, 403)
        seen(json.dumps(opened), 200)
        seen("{", 403)
        refused(lambda: told(root, "shared"), "AccessDenied", 403)
        root.put_public_access_block(Bucket="shared", PublicAccessBlockConfiguration=OFF)
        assert raw.send(gateway, "GET", "/shared/k").status == 200
        assert [p for p in stored.parent.iterdir() if p != stored] == []


def test_the_command_line(disk):
    run = lambda name, *args, **how: aws(disk, "s3api", name, "--bucket", "aws-blocks", *args, **how)
    run("create-bucket")
    answer = lambda name: json.loads(run(name).stdout)
    assert answer("get-public-access-block") == {"PublicAccessBlockConfiguration": ON}
    policy = json.dumps(public("aws-blocks"))
    failed = run("put-bucket-policy", "--policy", policy, check=False)
    assert failed.returncode != 0 and "AccessDenied" in failed.stderr and "BlockPublicPolicy" in failed.stderr
    run("put-public-access-block", "--public-access-block-configuration", "BlockPublicPolicy=false,RestrictPublicBuckets=true")
    run("put-bucket-policy", "--policy", policy, "--confirm-remove-self-bucket-access")
    assert answer("get-bucket-policy-status") == {"PolicyStatus": {"IsPublic": True}}
    assert answer("get-public-access-block") == {"PublicAccessBlockConfiguration": {**OFF, "RestrictPublicBuckets": True}}
    run("delete-public-access-block")
    failed = run("get-public-access-block", check=False)
    assert "NoSuchPublicAccessBlockConfiguration" in failed.stderr
    run("delete-bucket")


def test_documents_that_are_none(client, gateway, bucket):
    put = lambda body: raw.request(gateway, "PUT", f"/{bucket}", [("publicAccessBlock", "")], body=body)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OFF)
    for inner in (b"<BlockPublicPolicy>perhaps</BlockPublicPolicy>", b"<Other>true</Other>", b"<BlockPublicPolicy>true</BlockPublicPolicy>" * 2, b"<BlockPublicPolicy/>"):
        answer = put(b"<PublicAccessBlockConfiguration>" + inner + b"</PublicAccessBlockConfiguration>")
        assert (answer.status, answer.code) == (400, "MalformedXML"), inner
    for body in (b"", b"{}", b"<Other/>", b"<PublicAccessBlockConfiguration>"):
        assert put(body).code == "MalformedXML"
    assert put(b"x" * 70_000).code == "MaxMessageLengthExceeded"
    assert told(client, bucket) == OFF


@pytest.mark.parametrize("acl", ["public-read", "public-read-write", "authenticated-read"])
def test_public_acls_are_there_for_nobody(gateway, client, bucket, acl):
    """Not implemented, whatever is blocked."""
    for block in (ON, OFF):
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
        refused(lambda: client.put_object(Bucket=bucket, Key="k", ACL=acl), "NotImplemented", 501)
        refused(lambda: client.put_object_acl(Bucket=bucket, Key="k", ACL=acl), "NotImplemented", 501)
