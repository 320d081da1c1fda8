"""Clients as their users start them, from a clean environment."""

import json
import subprocess
import sys
import pathlib

import boto3
import botocore.config

from .gateway import BINARY, ROOT_KEY, ROOT_SECRET, clean_env

VENV_AWS = str(pathlib.Path(sys.executable).parent / "aws")
DEBIAN_AWS = "/usr/bin/aws"
AWS_SDK = str(pathlib.Path(BINARY).parent / "aws-sdk-client")


def s3(gateway, key=ROOT_KEY, secret=ROOT_SECRET, **config):
    config.setdefault("s3", {"addressing_style": "path"})
    return boto3.session.Session().client(
        "s3", endpoint_url=gateway.url, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret,
        verify=gateway.ca if gateway.tls else None,
        config=botocore.config.Config(signature_version=config.pop("signature_version", "s3v4"), retries={"total_max_attempts": 1}, **config))


def publish(client, bucket, policy):
    """Gives a bucket a policy that may be public, where the server lets it."""
    settings = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=settings)
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def run(command, env, check=True, cwd=None):
    """To its end."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, cwd=cwd)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done


def start(command, env):
    """Only started, for a test that kills it."""
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def aws(gateway, *args, binary=VENV_AWS, config="/dev/null", how=run, **kw):
    env = clean_env(AWS_ACCESS_KEY_ID=ROOT_KEY, AWS_SECRET_ACCESS_KEY=ROOT_SECRET, AWS_DEFAULT_REGION="us-east-1",
                    AWS_CA_BUNDLE=gateway.ca, AWS_CONFIG_FILE=str(config))
    return how([binary, "--endpoint-url", gateway.url, *args], env, **kw)


def rclone(gateway, *args, how=run):
    env = clean_env(
        RCLONE_CONFIG_GATE_TYPE="s3", RCLONE_CONFIG_GATE_PROVIDER="Other", RCLONE_CONFIG_GATE_ENDPOINT=gateway.url,
        RCLONE_CONFIG_GATE_REGION="us-east-1", RCLONE_CONFIG_GATE_ACCESS_KEY_ID=ROOT_KEY,
        RCLONE_CONFIG_GATE_SECRET_ACCESS_KEY=ROOT_SECRET, RCLONE_CONFIG="/dev/null")
    return how(["rclone", "--ca-cert", gateway.ca, *args], env)


def s3cmd(gateway, *args, config="/dev/null", how=run):
    host = f"127.0.0.1:{gateway.port}"
    command = ["s3cmd", f"--config={config}", f"--access_key={ROOT_KEY}", f"--secret_key={ROOT_SECRET}", f"--host={host}",
               f"--host-bucket={host}", f"--ca-certs={gateway.ca}", "--region=us-east-1", *args]
    return how(command, clean_env())


def curl(url, ca):
    """Status and body of a link, followed by a program that knows nothing of AWS."""
    command = ["curl", "--silent", "--show-error", "--max-time", "60", "--cacert", ca, "--write-out", "%{stderr}%{http_code}", url]
    done = subprocess.run(command, env=clean_env(), capture_output=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return int(done.stderr), done.stdout


def aws_sdk(gateway):
    """The program in integration/aws-sdk, which says itself what differs."""
    env = clean_env(AWS_ACCESS_KEY_ID=ROOT_KEY, AWS_SECRET_ACCESS_KEY=ROOT_SECRET, AWS_REGION="us-east-1", AWS_ENDPOINT_URL=gateway.url)
    if gateway.tls:
        env["AWS_CA_BUNDLE"] = gateway.ca
    done = subprocess.run([AWS_SDK], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
