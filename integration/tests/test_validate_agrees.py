"""`policy validate --bucket` and PutBucketPolicy agree about random documents: an error is what is refused, and nothing else."""

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

from harness import raw
from harness.clients import s3
from harness.gateway import BINARY, OPEN, Gateway, clean_env

ORACLE = Path(__file__).resolve().parents[1] / "oracle" / "policies"
DOCUMENTS = int(os.environ.get("PORTCULLIS_VALIDATE_DOCUMENTS", "300"))
ACCOUNT = {"AWS": "123456789012"}
PLAIN = {"Effect": "Allow", "Principal": ACCOUNT, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}
# What Access Analyzer calls an error and S3 takes, and some that S3 refuses: the statement is what matters.
ODD = [
    {"Condition": {"StringEquals": {"s3:prefix": "${ aws:username}"}}, "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket"},
    {"Resource": "arn:aws:s3:::bucket/${aws:username }/*"}, {"Condition": {"StringEquals": {"aws:username": ["a", 1, True]}}},
    {"Condition": {"StringEquals": {"aws:username": "a", "AWS:UserName": "b"}}}, {"Condition": {"StringEquals": {"aws:RequestedRegion": "us-est-1"}}},
    {"Condition": {"StringEquals": {"aws:RequestedRegion": "mars"}}}, {"Condition": {"StringEquals": {"aws:PrincipalAccount": "12"}}},
    {"Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::12:user/a"}}}, {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc"}}},
    {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}, {"Condition": {"Bool": {"aws:SecureTransport": ["true", "false"]}}},
    {"Principal": {"Service": "logs"}}, {"Principal": {"AWS": "AIDAJQABLZS4A3QDU576Q"}}, {"Principal": {"CanonicalUser": "abc"}}, {"Principal": {"AWS": "arn:aws:iam::12:user/a"}},
    {"Action": "s4:GetObject"}, {"Action": "iam:GetUser"}, {"Action": ["s3:GetObject", "s3:Foo"]}, {"Resource": "arn:aws:s4:::bucket/*"},
    {"Resource": "arn:aws:s3:us-east-1::bucket/*"}, {"Resource": "arn:aws:s3::123456789012:bucket/*"}, {"Resource": "arn:aws:s3:::other/*"}, {"Resource": "*"},
    {"Effect": "Deny", "Resource": "arn:aws:s3:us-east-1::bucket/*"}, {"Effect": "Deny", "Condition": {"StringEquals": {"s3:prefix": "a"}}}, {"Sid": ""}, {"Sid": "not plain"},
    {"Condition": {"StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "alias/k"}}, "Action": "s3:PutObject"}]


def generator():
    """The oracle's, which stands beside its evaluator."""
    sys.path.insert(0, str(ORACLE))
    try:
        spec = importlib.util.spec_from_file_location("policy_generator", ORACLE / "generator.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(ORACLE))


def documents(rng):
    """Each as text: those that are odd in one way, and random ones, most of whose resources are the bucket's."""
    for odd in ODD:
        yield json.dumps({"Version": "2012-10-17", "Statement": [PLAIN, PLAIN | odd]})
    yield from ('{"Version":"2012-10-17","Statement":[]}', "", "null", "[]", "{", json.dumps({"Statement": PLAIN, "ID": "x"}),
                json.dumps({"Statement": PLAIN})[:-1] + ',"Statement":[]}', json.dumps({"Version": "2012-10-17", "Statement": PLAIN, "Id": "x" * 21_000}))
    made, index = generator(), 0
    while index < DOCUMENTS:
        index += 1
        case, _ = made.candidate(rng)
        document = case["resource"]
        if not document:
            continue
        if rng.random() < 0.1:
            made.break_document(rng, document, True)
        text = json.dumps(document)
        if rng.random() < 0.9:
            text = re.sub(r"arn:aws:s3:::(photos-eu|photos|logs|data\.lake)", "arn:aws:s3:::bucket", text)
        yield text


def test_validate_and_put_bucket_policy_agree(tmp_path):
    rng, seen = random.Random(10), {True: 0, False: 0}
    with Gateway(tmp_path, OPEN) as gateway:
        client = s3(gateway)
        client.create_bucket(Bucket="bucket")
        client.delete_public_access_block(Bucket="bucket")
        for document in documents(rng):
            put = raw.request(gateway, "PUT", "/bucket", [("policy", "")], body=document.encode())
            assert put.status == 204 or put.code in ("MalformedPolicy", "MissingRequestBodyError"), (document, put)
            told = subprocess.run([BINARY, "policy", "validate", "--bucket", "bucket", "--format", "json", "-"], input=document, capture_output=True, text=True,
                                  timeout=60, env=clean_env())
            errors = [json.loads(line) for line in told.stdout.splitlines() if json.loads(line)["severity"] == "error"]
            assert told.returncode == (0 if put.status == 204 else 1) and bool(errors) == (put.status != 204), (document, put, told)
            seen[put.status == 204] += 1
    assert min(seen.values()) > 20, seen
