"""What operators rely on: start, configuration, reload, users and policies, health, drain, audit."""

import contextlib
import socket
import json
import os
import re
import signal
import stat
import subprocess
import threading
import time
import urllib.error
import urllib.request

import botocore.exceptions
import pytest

from harness import raw
from harness.clients import aws, publish, s3
from harness.gateway import BINARY, ROOT_SECRET, Gateway, clean_env, free_port

ALICE, ALICE_SECRET = "AKIAALICEALICEALICE0", "alice-secret-canary-0123456789"


def admin(gateway, path):
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}{path}", timeout=5)
        return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait(check, seconds=15):
    deadline = time.time() + seconds
    while not check():
        assert time.time() < deadline, "did not happen in time"
        time.sleep(0.05)


def denied(call, code="AccessDenied"):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] in (code, "403"), caught.value.response


def users(policy, extra=""):
    return f"""
{extra}
[[users]]
name = "alice"
access_keys = [{{ id = "{ALICE}", secret = {{ env = "ALICE_SECRET" }} }}]
policies = ["p"]
[[policies]]
name = "p"
inline = '''{json.dumps({"Version": "2012-10-17", "Statement": policy})}'''
"""


def test_first_start_without_configuration(tmp_path):
    port, admin_port = free_port(), free_port()
    env = {**clean_env(), "HOME": str(tmp_path)}
    command = [BINARY, "serve", "--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin_port}"]
    blocks = []
    for _ in range(2):
        with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as process:
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip())
                if line.strip() == "ready":
                    break
            process.terminate()
        said = "\n".join(lines)
        script = tmp_path / "portcullis-data" / "env.sh"
        blocks.append(script.read_text())
        secret = json.loads((tmp_path / "portcullis-data" / "root.json").read_text())["secret_key"]
        # The file is named, and what is in it is not said: what is printed often ends in a log.
        assert f"source '{script}'" in said and secret not in said and "AWS_SECRET" not in said
        assert secret in script.read_text()
    assert blocks[0] == blocks[1]
    names = [line.split("=")[0].removeprefix("export ") for line in blocks[0].splitlines()]
    assert {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_CA_BUNDLE"} <= set(names)
    assert stat.S_IMODE(script.stat().st_mode) == 0o600
    for directory in (".", "tls", "state"):
        assert stat.S_IMODE((tmp_path / "portcullis-data" / directory).stat().st_mode) == 0o700
    # What a shell has of another store is not in the way.
    env.update(AWS_SESSION_TOKEN="other", AWS_PROFILE="other", AWS_ENDPOINT_URL_S3="http://other", AWS_ACCESS_KEY_ID="other")
    shell = subprocess.run(["sh", "-c", f". {script}; env"], env=env, capture_output=True, text=True, check=True)
    seen = dict(line.split("=", 1) for line in shell.stdout.splitlines() if line.startswith("AWS_"))
    assert not {"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3"} & set(seen) and seen["AWS_ACCESS_KEY_ID"] != "other"
    for key in ("root.json", "tls/ca-key.pem", "tls/server-key.pem"):
        assert stat.S_IMODE((tmp_path / "portcullis-data" / key).stat().st_mode) == 0o600


def check(tmp_path, text):
    file = tmp_path / "c.toml"
    file.write_text(text)
    done = subprocess.run([BINARY, "check-config", "--resolve", str(file)], env=clean_env(), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("text,names", [
    ("[listner]\n", ["c.toml", "line 1", "listner", "listener"]),
    ("region = 'us-east-1'\n\n[disk]\ndurabilty = 'strict'\n", ["line 4", "durabilty", "durability"]),
    ("[disk]\ndurability = 'fast'\n", ["disk.durability", "fast", "strict"]),
    ("account_id = '12'\n", ["account_id", "12 digits"]),
    ("[listener]\ntrusted_proxies = ['0.0.0.0/0']\n", ["trusted_proxies", "everyone"]),
    ("[listener]\nhttp_address = '0.0.0.0:80'\n", ["http_address", "loopback"]),
    ("[[routes]]\nbucket = 'abc'\nbackend = 'nope'\n", ["nope"]),
    ("[[users]]\nname = 'a'\npolicies = ['nope']\n", ["users.a.policies", "nope"]),
    ("[[users]]\nname = 'a'\naccess_keys = [{ id = 'AKID', secret = 'hunter2-canary' }]\n", ["line 3", "{ file"]),
    ("[[users]]\nname = 'a'\naccess_keys = [{ id = 'AKID', secret = { env = 'NOT_SET_HERE' } }]\n", ["NOT_SET_HERE"]),
    ("[[policies]]\nname = 'p'\ninline = '{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"s3:Nope\":\"x\"}}}]}'\n", ["policies.p", "s3:Nope", "statement 1"]),
    ("[limits]\nbody_timeout = 'soon'\n", ["limits.body_timeout", "soon"]),
    ("[audit]\noutput = 'printer'\n", ["audit.output"]),
])
def test_configuration_errors_say_where_and_what(tmp_path, text, names):
    status, said = check(tmp_path, text)
    assert status != 0 and "hunter2-canary" not in said
    for name in names:
        assert name in said, said


def test_examples_are_valid(tmp_path):
    import pathlib
    examples = pathlib.Path(__file__).parents[2] / "examples"
    found = list(examples.rglob("*.toml"))
    assert found
    for file in found:
        env = clean_env(**{name: "a-secret-for-the-check" for name in set(re.findall(r'env = "(\w+)"', file.read_text()))})
        done = subprocess.run([BINARY, "check-config", str(file)], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_command_line(tmp_path):
    run = lambda *args, **env: subprocess.run([BINARY, *args], env=clean_env(**env), capture_output=True, text=True, cwd=tmp_path, timeout=20)
    assert re.match(r"portcullis \d+\.\d+\.\d+", run("--version").stdout)
    assert "check-config" in run("--help").stdout and "--insecure-http" in run("serve", "--help").stdout
    assert "portcullis" in run("completions", "bash").stdout
    assert run("serve", "--nope").returncode == 2
    refused = run("serve", "--insecure-http", "--listen", "0.0.0.0:0")
    assert refused.returncode != 0 and "loopback" in refused.stderr
    assert run("serve", PORTCULLIS_ROOT_ACCESS_KEY="AKID").returncode != 0
    sample = run("serve", PORTCULLIS_ROOT_ACCESS_KEY="minioadmin", PORTCULLIS_ROOT_SECRET_KEY="minioadmin")
    assert sample.returncode != 0 and "sample" in sample.stderr


def test_users_policies_and_reload(work):
    read_only = [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::shared", "arn:aws:s3:::shared/*"]}]
    with Gateway(work / "users", users(read_only), env={"ALICE_SECRET": ALICE_SECRET}) as gateway:
        root, alice = s3(gateway), s3(gateway, ALICE, ALICE_SECRET)
        root.create_bucket(Bucket="shared")
        root.create_bucket(Bucket="private")
        root.put_object(Bucket="shared", Key="k", Body=b"x")
        assert alice.get_object(Bucket="shared", Key="k")["Body"].read() == b"x"
        denied(lambda: alice.get_object(Bucket="shared", Key="missing"), "NoSuchKey")
        denied(lambda: alice.put_object(Bucket="shared", Key="k", Body=b"y"))
        denied(lambda: alice.get_object(Bucket="private", Key="k"))
        denied(lambda: alice.list_buckets())
        denied(lambda: alice.copy_object(Bucket="shared", Key="c", CopySource="private/k"))
        # Without the right to list, a missing object is as forbidden as any.
        (gateway.directory / "portcullis.toml").write_text(users([{"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::shared/*"},
                                                                 {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::shared/mine/*"}]))
        wait(lambda: put_works(alice))
        denied(lambda: alice.get_object(Bucket="shared", Key="missing"), "AccessDenied")
        root.put_object(Bucket="shared", Key="mine/1", Body=b"")
        answer = alice.delete_objects(Bucket="shared", Delete={"Objects": [{"Key": "mine/1"}, {"Key": "k"}]})
        assert [d["Key"] for d in answer["Deleted"]] == ["mine/1"] and [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("k", "AccessDenied")]
        assert root.head_object(Bucket="shared", Key="k")["ContentLength"] == 1
        # A bad file keeps the last good one, and says why.
        (gateway.directory / "portcullis.toml").write_text("[nonsense]\n")
        gateway.process.send_signal(signal.SIGHUP)
        wait(lambda: "nonsense" in gateway.log())
        assert put_works(alice)
        (gateway.directory / "portcullis.toml").write_text("")
        gateway.process.send_signal(signal.SIGHUP)
        wait(lambda: not put_works(alice))
        assert ALICE_SECRET not in gateway.log()


def put_works(client):
    try:
        client.put_object(Bucket="shared", Key="k", Body=b"1")
        return True
    except botocore.exceptions.ClientError:
        return False


def test_anonymous_gets_what_a_bucket_policy_grants(disk):
    root = s3(disk)
    root.create_bucket(Bucket="public-one")
    root.put_object(Bucket="public-one", Key="open/k", Body=b"open")
    root.put_object(Bucket="public-one", Key="shut/k", Body=b"shut")
    get = lambda path, headers=(): raw.send(disk, "GET", path, headers=headers)
    assert get("/public-one/open/k").status == 403
    policy = {"Version": "2012-10-17", "Statement": [
        {"Sid": "Open", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::public-one/open/*"},
        {"Sid": "NotFromThere", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::public-one/*", "Condition": {"StringLike": {"aws:UserAgent": "evil*"}}}]}
    publish(root, "public-one", policy)
    assert get("/public-one/open/k").body == b"open"
    assert get("/public-one/open/missing").status == 403
    assert get("/public-one/shut/k").status == 403
    assert get("/public-one/open/k", [("user-agent", "evil/1")]).status == 403
    assert raw.request(disk, "GET", "/public-one/open/k", headers=[("user-agent", "evil/1")]).status == 403
    assert raw.send(disk, "GET", "/public-one/open/k", [("response-content-type", "text/html")]).status == 400
    forged = raw.signed_headers(disk, "GET", "/public-one/open/k", secret="forged")
    assert raw.send(disk, "GET", "/public-one/open/k", headers=forged).code == "SignatureDoesNotMatch"
    root.delete_bucket_policy(Bucket="public-one")
    assert get("/public-one/open/k").status == 403


def test_health_readiness_and_metrics(disk):
    assert admin(disk, "/healthz") == (200, "ok\n") and admin(disk, "/readyz")[0] == 200
    raw.request(disk, "GET", "/", secret="wrong")
    text = admin(disk, "/metrics")[1]
    assert 'portcullis_requests_total{operation="ListBuckets",status="403"}' in text
    assert 'portcullis_authentication_failures_total{reason="signature_mismatch"}' in text
    assert admin(disk, "/debug")[0] == 404 and admin(disk, "/")[0] == 404


def test_audit_tells_who_did_what_and_no_secret(work):
    config = users([{"Sid": "ReadOne", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::audited/*"}, {"Sid": "NoDelete", "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}],
                   '[audit]\noutput = { file = "audit.jsonl" }\n[logging]\nformat = "json"\nlevel = "trace"\n')
    with Gateway(work / "audit", config, env={"ALICE_SECRET": ALICE_SECRET}) as gateway:
        root, alice = s3(gateway), s3(gateway, ALICE, ALICE_SECRET)
        root.create_bucket(Bucket="audited")
        root.put_object(Bucket="audited", Key="k\n\x1b[31m", Body=b"12345")
        got = alice.get_object(Bucket="audited", Key="k\n\x1b[31m")
        got["Body"].read()
        denied(lambda: alice.delete_object(Bucket="audited", Key="k"))
        denied(lambda: alice.put_object(Bucket="audited", Key="k", Body=b""))
        url = root.generate_presigned_url("get_object", {"Bucket": "audited", "Key": "k"})
        raw.send(gateway, "GET", None, target=url.split(str(gateway.port), 1)[1])
        raw.request(gateway, "GET", "/audited/k", secret="forged-canary-secret")
        file = gateway.directory / "audit.jsonl"
        wait(lambda: len(file.read_text().splitlines()) >= 7)
        text = file.read_text()
        events = [json.loads(line) for line in text.splitlines()]
        by = {e["request_id"]: e for e in events}
        read = by[got["ResponseMetadata"]["RequestId"]]
        assert read["caller"] == "arn:aws:iam::123456789012:user/alice" and read["authenticated_by"] == "header" and read["source"] == "127.0.0.1"
        assert (read["operation"], read["decision"], read["policy"], read["statement"], read["sid"]) == ("GetObject", "allow", "p", 1, "ReadOne")
        assert read["status"] == 200 and read["bytes_out"] == 5 and read["key"] == "k\n\x1b[31m"
        found = [(e["operation"], e["decision"], e.get("sid"), e.get("code")) for e in events]
        assert ("DeleteObject", "explicit_deny", "NoDelete", "AccessDenied") in found
        assert ("PutObject", "implicit_deny", None, "AccessDenied") in found
        assert any(e["decision"] == "unauthenticated" and e["code"] == "SignatureDoesNotMatch" for e in events)
        assert any(e.get("authenticated_by") == "presigned" for e in events)
        everything = text + gateway.log() + (gateway.directory / "stdout").read_text().replace(ROOT_SECRET, "", 1)
        signature = re.search(r"X-Amz-Signature=(\w+)", url).group(1)
        for secret in (ALICE_SECRET, ROOT_SECRET, "forged-canary-secret", signature):
            assert secret not in everything


def test_drain_lets_a_download_end(work):
    with Gateway(work / "drain", '[limits]\nshutdown_delay = "500ms"\n') as gateway:
        client, body = s3(gateway), os.urandom(40 * 1024 * 1024)
        client.create_bucket(Bucket="drained")
        client.put_object(Bucket="drained", Key="k", Body=body)
        stream = client.get_object(Bucket="drained", Key="k")["Body"]
        first = stream.read(1024)
        gateway.process.send_signal(signal.SIGTERM)
        wait(lambda: admin(gateway, "/readyz")[0] == 503, 5)
        time.sleep(1)
        assert first + stream.read() == body
        assert gateway.process.wait(20) == 0


def test_certificate_reload(work, tmp_path):
    def make(name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{tmp_path}/key.new", "-out", f"{tmp_path}/cert.new"], check=True, capture_output=True)
        os.rename(f"{tmp_path}/key.new", f"{tmp_path}/key.pem")
        os.rename(f"{tmp_path}/cert.new", f"{tmp_path}/cert.pem")
        return (tmp_path / "cert.pem").read_text()

    import ssl
    first = make("first")
    config = f'[listener.tls]\ncertificate = "{tmp_path}/cert.pem"\nkey = "{tmp_path}/key.pem"\n'
    with Gateway(work / "certs", config) as gateway:
        served = lambda: ssl.get_server_certificate(("127.0.0.1", gateway.port))
        assert served() == first
        second = make("second")
        wait(lambda: served() == second)
        (tmp_path / "cert.pem").write_text("not a certificate")
        wait(lambda: "not reloaded" in gateway.log())
        assert served() == second


def test_other_authorities_of_clients_wait_for_the_next_start(work, tmp_path):
    """In the same file too; and a reload that is asked for before the gateway is ready ends nothing."""
    for name in ("one", "two"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-keyout", f"{tmp_path}/{name}.key", "-out", f"{tmp_path}/{name}.pem"], check=True, capture_output=True)
    ca = tmp_path / "ca.pem"
    ca.write_bytes((tmp_path / "one.pem").read_bytes())
    gateway = Gateway(work / "authorities", f'[listener.tls]\nclient_ca = "{ca}"\n').start(wait=False)

    def accepts():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", gateway.port), 1):
            return True

    try:
        wait(accepts)
        gateway.process.send_signal(signal.SIGHUP)
        wait(lambda: "ready" in (gateway.directory / "stdout").read_text())
        ca.write_bytes((tmp_path / "two.pem").read_bytes())
        gateway.process.send_signal(signal.SIGHUP)
        wait(lambda: 'these change at the next start only keys="listener.tls.client_ca"' in gateway.log())
    finally:
        assert gateway.stop() == 0


def test_plain_http_on_loopback(work):
    with Gateway(work / "plain", tls=False) as gateway:
        client = s3(gateway)
        client.create_bucket(Bucket="plain")
        client.put_object(Bucket="plain", Key="k", Body=b"plain")
        assert client.get_object(Bucket="plain", Key="k")["Body"].read() == b"plain"


def test_routes_rename_and_prefix(work, disk):
    s3(disk).create_bucket(Bucket="shared-store")
    config = f"""
[[upstreams]]
name = "inner"
endpoint = "{disk.url}"
ca = "{disk.ca}"
credentials = {{ access_key = {{ env = "UP_KEY" }}, secret_key = {{ env = "UP_SECRET" }} }}
[[routes]]
bucket = "tenant-a"
backend = "inner"
rename = "shared-store"
key_prefix = "a/"
"""
    from harness.gateway import ROOT_KEY
    with Gateway(work / "routes", config, env={"UP_KEY": ROOT_KEY, "UP_SECRET": ROOT_SECRET}) as gateway:
        outer, inner = s3(gateway), s3(disk)
        for key in ("k1", "d/k2", "d/k3"):
            outer.put_object(Bucket="tenant-a", Key=key, Body=key.encode())
        inner.put_object(Bucket="shared-store", Key="b/other", Body=b"not yours")
        assert inner.get_object(Bucket="shared-store", Key="a/d/k2")["Body"].read() == b"d/k2"
        listed = outer.list_objects_v2(Bucket="tenant-a")
        assert [o["Key"] for o in listed["Contents"]] == ["d/k2", "d/k3", "k1"] and listed["Name"] == "tenant-a"
        rolled = outer.list_objects_v2(Bucket="tenant-a", Delimiter="/")
        assert [p["Prefix"] for p in rolled["CommonPrefixes"]] == ["d/"]
        # One bucket on the disk beside it, and copies across the two.
        outer.create_bucket(Bucket="local")
        outer.copy_object(Bucket="local", Key="copied", CopySource="tenant-a/k1")
        assert outer.get_object(Bucket="local", Key="copied")["Body"].read() == b"k1"
        outer.copy_object(Bucket="tenant-a", Key="back", CopySource="local/copied")
        assert outer.get_object(Bucket="tenant-a", Key="back")["Body"].read() == b"k1"
        assert {"tenant-a", "local"} <= {b["Name"] for b in outer.list_buckets()["Buckets"]}


CYCLES = int(os.environ.get("PORTCULLIS_KILL_CYCLES", "100"))


def test_t72_kill_loop_loses_no_acknowledged_write(work):
    """Writers keep a journal of what was acknowledged; the gateway is killed under them again and
    again. What was acknowledged is there, whole; what was not is there whole or not at all."""
    gateway = Gateway(work / "kill", tls=False).start()
    s3(gateway).create_bucket(Bucket="journal")
    journal, pending, stop = {}, {}, threading.Event()

    def writer(lane):
        client, n = s3(gateway), 0
        while not stop.is_set():
            n += 1
            key = f"{lane}/{n % 17}"
            size = 100 if n % 5 else 300_000
            body = f"{lane}-{n}-".encode().ljust(size, b"%d" % (n % 10))
            pending[key] = pending.get(key, []) + [None if n % 11 == 0 else body]
            try:
                if n % 11 == 0:
                    client.delete_object(Bucket="journal", Key=key)
                    journal[key] = None
                else:
                    client.put_object(Bucket="journal", Key=key, Body=body)
                    journal[key] = body
                pending[key] = []
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError):
                time.sleep(0.05)

    threads = [threading.Thread(target=writer, args=(lane,), daemon=True) for lane in range(4)]
    for thread in threads:
        thread.start()
    import random
    for cycle in range(CYCLES):
        time.sleep(random.uniform(0.05, 0.25))
        gateway.kill()
        gateway.start()
    stop.set()
    for thread in threads:
        thread.join(30)
    client = s3(gateway)
    assert len(journal) > 20
    for key in journal:
        allowed = [journal[key], *pending.get(key, [])]
        try:
            found = client.get_object(Bucket="journal", Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:
            found = None
        assert found in allowed, f"{key}: {found and found[:40]} is none of {[a and a[:40] for a in allowed]}"
    gateway.stop()
    gateway.start()
    assert list((gateway.data / "objects/buckets/journal/tmp").iterdir()) == []
    gateway.stop()
