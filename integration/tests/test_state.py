"""The gateway's own state: one process to a directory, what is kept of buckets, and starts that say what is wrong."""

import hashlib
import http.server
import json
import os
import signal
import subprocess
import threading
import time

import botocore.exceptions
import pytest

from harness.clients import s3
from harness.gateway import BINARY, Gateway, clean_env, free_port, upstream
from harness.operators import wait


def policy(bucket):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}]})


def code(call):
    try:
        call()
        return None
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


def fingerprint(directory):
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in sorted(directory.rglob("*")) if path.is_file()}


def second(gateway, *args, config=""):
    """Another `serve` on the same data, to its end."""
    file = gateway.directory / "second.toml"
    file.write_text(config)
    command = [BINARY, "serve", "--config", str(file), "--data", str(gateway.data), "--listen", f"127.0.0.1:{free_port()}",
               "--admin-listen", f"127.0.0.1:{free_port()}", *args]
    return subprocess.run(command, env=gateway.env, capture_output=True, text=True, timeout=60)


def test_a_directory_is_one_servers(tmp_path):
    gateway = Gateway(tmp_path / "first", root=False).start()
    client_env = (gateway.data / "env.sh").read_text()
    before = fingerprint(gateway.data)
    # The same disk; another disk; another certificate asked for.
    for config in ("", f'[disk]\npath = "{tmp_path}/elsewhere"\n', '[listener]\nexternal_url = "https://other.example.com"\n'):
        refused = second(gateway, config=config)
        assert refused.returncode == 1 and "ready" not in refused.stdout
        assert str(gateway.data) in refused.stderr and "--data" in refused.stderr, refused.stderr
        assert fingerprint(gateway.data) == before
    assert not (tmp_path / "elsewhere").exists()
    # Whoever only asks needs no lock.
    checked = subprocess.run([BINARY, "check-config", str(gateway.config_file)], env=clean_env(), capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    explained = subprocess.run([BINARY, "policy", "explain", "--config", str(gateway.config_file), "--principal", "anonymous",
                                "--action", "s3:GetObject", "--resource", "arn:aws:s3:::a-bucket/x"], cwd=tmp_path, env=clean_env(), capture_output=True, text=True)
    assert "in use" not in explained.stderr
    assert fingerprint(gateway.data) == before
    # It is free when its process is gone, however that ended.
    for end in (signal.SIGKILL, signal.SIGTERM):
        gateway.process.send_signal(end)
        gateway.process.wait(40)
        gateway.start()
    assert (gateway.data / "env.sh").read_text() == client_env
    gateway.stop()


@pytest.mark.parametrize("spoil,names", [
    (lambda data: data.write_bytes(b""), ["data"]),
    (lambda data: (data / "root.json").mkdir(parents=True), ["root.json"]),
    (lambda data: (data / "tls" / "ca.pem").mkdir(parents=True), ["tls/ca.pem"]),
    (lambda data: [(data / "tls").mkdir(parents=True), (data / "tls" / "ca.pem").write_text("x")], ["tls/ca.pem", "ca-key.pem"]),
    (lambda data: [data.mkdir(), (data / "state").write_bytes(b"")], ["state"]),
    (lambda data: [data.mkdir(), (data / "objects").write_bytes(b"")], ["objects"]),
    (lambda data: [(data / "lock").mkdir(parents=True)], ["data/lock"]),
])
def test_a_start_that_fails_says_which_file_and_why(tmp_path, spoil, names):
    gateway = Gateway(tmp_path, root=False)
    spoil(gateway.data)
    failed = second(gateway)
    assert failed.returncode == 1 and "panicked" not in failed.stderr
    for name in names:
        assert name in failed.stderr, failed.stderr
    assert "os error" in failed.stderr or "directory" in failed.stderr or "key" in failed.stderr, failed.stderr


def test_an_audit_file_that_cannot_be_opened_is_named(tmp_path):
    failed = second(Gateway(tmp_path), config='[audit]\noutput = { file = "not/there.jsonl" }\n')
    assert failed.returncode == 1 and "not/there.jsonl" in failed.stderr, failed.stderr


def test_a_new_bucket_starts_with_nothing(work, disk):
    client, one, other = s3(disk), s3(disk), s3(disk)
    name = "starts-with-nothing"
    for _ in range(20):
        client.create_bucket(Bucket=name)
        go = threading.Barrier(3)

        def put():
            go.wait()
            for _ in range(4):
                code(lambda: one.put_bucket_policy(Bucket=name, Policy=policy(name)))

        def block():
            go.wait()
            for _ in range(4):
                code(lambda: other.delete_public_access_block(Bucket=name))

        threads = [threading.Thread(target=put), threading.Thread(target=block)]
        for thread in threads:
            thread.start()
        go.wait()
        assert code(lambda: client.delete_bucket(Bucket=name)) is None
        for thread in threads:
            thread.join(60)
        for kind in ("bucket-policies", "public-access-blocks"):
            assert not (disk.data / "state" / kind / f"{name}.json").exists()
        client.create_bucket(Bucket=name)
        assert code(lambda: client.get_bucket_policy(Bucket=name)) == "NoSuchBucketPolicy"
        assert client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"]
        client.delete_bucket(Bucket=name)


class Buckets(http.server.ThreadingHTTPServer):
    """A store of buckets, whose answers can be held back."""

    def __init__(self):
        self.buckets, self.seen, self.held = set(), [], threading.Event()
        self.hold, self.came = lambda method: None, threading.Condition()
        super().__init__(("127.0.0.1", 0), Buckets.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}"

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            name, store = self.path.split("?")[0].strip("/"), self.server
            if not name:
                return self.say(200)
            there = name in store.buckets
            store.seen.append((self.command, name))
            status = {"HEAD": 200 if there else 404, "PUT": 200, "DELETE": 204 if there else 404}[self.command]
            if self.command == "PUT":
                store.buckets.add(name)
            if self.command == "DELETE":
                store.buckets.discard(name)
            store.hold(self.command)
            self.say(status)

        def say(self, status):
            self.send_response(status)
            said = b"<Error><Code>NoSuchBucket</Code></Error>" if status == 404 and self.command != "HEAD" else b""
            if status != 204:
                self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_HEAD = do_PUT = do_DELETE = answer

        def log_message(self, *_):
            pass


@pytest.fixture
def held(tmp_path):
    store = Buckets()
    config, env = upstream("store", store.url, "AKIDUPSTREAM", "secret-of-the-upstream")
    with Gateway(tmp_path, config, env=env) as gateway:
        yield store, gateway
    store.shutdown()


def test_a_policy_is_not_put_behind_a_deletion(held):
    """The policy's look at the bucket is answered late: a deletion that is asked for meanwhile comes after it."""
    store, gateway = held
    s3(gateway).create_bucket(Bucket="late")
    deleting, looked = threading.Event(), threading.Event()

    def hold(method):
        if method == "HEAD" and not looked.is_set():
            looked.set()
            deadline = time.time() + 3
            # Until the deletion has been all through, where nothing keeps it.
            while ("DELETE", "late") not in store.seen and time.time() < deadline:
                time.sleep(0.02)
            if ("DELETE", "late") in store.seen:
                deleting.wait(5)

    store.hold = hold
    put = threading.Thread(target=lambda: code(lambda: s3(gateway).put_bucket_policy(Bucket="late", Policy=policy("late"))))
    put.start()
    assert looked.wait(30)
    assert code(lambda: s3(gateway).delete_bucket(Bucket="late")) is None
    deleting.set()
    put.join(60)
    assert not (gateway.data / "state/bucket-policies/late.json").exists()
    s3(gateway).create_bucket(Bucket="late")
    assert code(lambda: s3(gateway).get_bucket_policy(Bucket="late")) == "NoSuchBucketPolicy"


def test_a_bucket_that_was_removed_behind_us_and_is_made_anew_starts_with_nothing(held):
    store, gateway = held
    client = s3(gateway)
    client.create_bucket(Bucket="behind")
    client.put_bucket_policy(Bucket="behind", Policy=policy("behind"))
    # One that is there keeps what it has.
    assert code(lambda: client.create_bucket(Bucket="behind")) == "BucketAlreadyOwnedByYou"
    assert code(lambda: client.get_bucket_policy(Bucket="behind")) is None
    store.buckets.clear()
    client.create_bucket(Bucket="behind")
    assert code(lambda: client.get_bucket_policy(Bucket="behind")) == "NoSuchBucketPolicy"


def test_what_cannot_be_forgotten_is_not_lost_sight_of(held):
    store, gateway = held
    client = s3(gateway)
    client.create_bucket(Bucket="stuck")
    client.put_bucket_policy(Bucket="stuck", Policy=policy("stuck"))
    with Faults(gateway, "unlink", "EIO"):
        assert code(lambda: client.delete_bucket(Bucket="stuck")) == "ServiceUnavailable"
        assert "stuck" not in store.buckets
        # Neither the deletion nor a new bucket is acknowledged before it is forgotten.
        assert code(lambda: client.delete_bucket(Bucket="stuck")) == "ServiceUnavailable"
        assert code(lambda: client.create_bucket(Bucket="stuck")) == "ServiceUnavailable"
        assert "stuck" not in store.buckets
    assert code(lambda: client.delete_bucket(Bucket="stuck")) == "NoSuchBucket"
    client.create_bucket(Bucket="stuck")
    assert code(lambda: client.get_bucket_policy(Bucket="stuck")) == "NoSuchBucketPolicy"


def test_a_crash_between_forgetting_and_making_leaves_nothing_old(held):
    store, gateway = held
    client = s3(gateway)
    client.create_bucket(Bucket="cut")
    client.put_bucket_policy(Bucket="cut", Policy=policy("cut"))
    store.buckets.clear()
    made, go = threading.Event(), threading.Event()

    def hold(method):
        if method == "PUT":
            made.set()
            go.wait(30)

    store.hold = hold
    cut = threading.Thread(target=lambda: pytest.raises(Exception, s3(gateway).create_bucket, Bucket="cut"))
    cut.start()
    # It is made at the upstream, and the gateway dies before it hears of it.
    assert made.wait(30)
    gateway.kill()
    go.set()
    cut.join(60)
    store.hold = lambda method: None
    gateway.start()
    assert "cut" in store.buckets
    assert code(lambda: s3(gateway).get_bucket_policy(Bucket="cut")) == "NoSuchBucketPolicy"


def test_a_file_that_hangs_holds_up_no_signal(tmp_path):
    """A secret's file that is a pipe: nobody writes when it is read again."""
    pipe = tmp_path / "secret"
    os.mkfifo(pipe)
    config = f'[[users]]\nname = "a"\naccess_keys = [{{ id = "AKIDOFAUSER", secret = {{ file = "{pipe}" }} }}]\n'
    gateway = Gateway(tmp_path / "hangs", config)
    writer = threading.Thread(target=lambda: pipe.write_text("a-secret-of-a-user-0123456789"))
    writer.start()
    gateway.start()
    writer.join(30)
    gateway.process.send_signal(signal.SIGHUP)
    time.sleep(1)
    s3(gateway).create_bucket(Bucket="goes-on")
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(40) == 0


class Faults:
    """Every call of that name fails, in all threads of a gateway."""

    def __init__(self, gateway, call, error):
        log = gateway.directory / f"strace-{call}-{error}"
        command = ["strace", "-f", "-p", str(gateway.process.pid), "-o", str(log), "-e", f"trace={call}", "-e", f"inject={call}:error={error}"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert "attached" in line, line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.process.stderr.close()


@pytest.mark.parametrize("call,error,status", [
    ("fsync", "ENOSPC", 507), ("fsync", "EDQUOT", 507), ("rename", "ENOSPC", 507),
    ("fsync", "EIO", 503), ("fsync", "ESTALE", 503), ("rename", "EROFS", 503), ("rename", "ENOMEM", 503), ("rename", "EACCES", 500),
])
def test_a_policy_that_cannot_be_kept_says_whether_to_come_again(work, disk, call, error, status):
    client = s3(disk)
    name = f"faults-{call}-{error.lower()}"
    client.create_bucket(Bucket=name)
    client.put_bucket_policy(Bucket=name, Policy=policy(name))
    other = policy(name).replace("GetObject", "PutObject")
    with Faults(disk, call, error):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            client.put_bucket_policy(Bucket=name, Policy=other)
    said = caught.value.response
    assert said["ResponseMetadata"]["HTTPStatusCode"] == status, said
    assert said["Error"]["Code"] == {507: "InsufficientStorage", 503: "ServiceUnavailable", 500: "InternalError"}[status]
    assert ("read-only" in said["Error"]["Message"]) == (error == "EROFS")
    state = disk.data / "state/bucket-policies"
    assert [path.name for path in state.iterdir() if path.name.endswith(".tmp")] == []
    assert client.get_bucket_policy(Bucket=name)["Policy"] == policy(name)
    client.put_bucket_policy(Bucket=name, Policy=other)
    assert client.get_bucket_policy(Bucket=name)["Policy"] == other
    client.delete_bucket(Bucket=name)


def test_a_policy_that_was_edited_to_say_nothing_is_told_of_once(tmp_path):
    """It is in force as it is written: a Deny of an action that there is not denies nothing."""
    with Gateway(tmp_path) as gateway:
        client = s3(gateway)
        client.create_bucket(Bucket="edited")
        client.put_bucket_policy(Bucket="edited", Policy=policy("edited"))
        kept = gateway.data / "state/bucket-policies/edited.json"
        told = lambda: [line for line in gateway.log().splitlines() if "WARN" in line and "edited" in line and "s3:GetObjetc" in line]
        assert told() == []
        kept.write_text(kept.read_text().replace("s3:GetObject", "s3:GetObjetc"))
        wait(told)
        # Another one is read meanwhile, and this one has not changed.
        other = kept.with_name("other.json")
        other.write_text(policy("other").replace("s3:GetObject", "s3:GetObjekt"))
        wait(lambda: "s3:GetObjekt" in gateway.log())
        assert len(told()) == 1, told()
        explained = subprocess.run([BINARY, "policy", "explain", "--data", str(gateway.data), "--principal", "root", "--action", "s3:GetObject", "--resource", "arn:aws:s3:::edited/x"],
                                   env=clean_env(), capture_output=True, text=True, timeout=60)
        assert "note: the policy of bucket `edited`: " in explained.stdout and "s3:GetObjetc" in explained.stdout, explained


def test_a_policy_that_cannot_be_looked_at_closes_its_bucket_for_the_moment(tmp_path):
    gateway = Gateway(tmp_path, """
[[users]]
name = "alice"
access_keys = [{ id = "AKIDOFALICE", secret = { env = "ALICE" } }]
policies = ["all"]
[[policies]]
name = "all"
inline = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
""", env={"ALICE": "a-secret-of-alices-0123456789"})
    with gateway:
        client = s3(gateway)
        client.create_bucket(Bucket="closed")
        client.put_object(Bucket="closed", Key="k", Body=b"x")
        client.put_bucket_policy(Bucket="closed", Policy=policy("closed"))
        alice = s3(gateway, "AKIDOFALICE", "a-secret-of-alices-0123456789")
        read = lambda: code(lambda: alice.get_object(Bucket="closed", Key="k"))
        assert read() == "AccessDenied"
        kept = gateway.data / "state/bucket-policies/closed.json"
        aside = kept.with_name("aside")
        kept.rename(aside)
        kept.symlink_to(tmp_path / "not" / "mounted")
        wait(lambda: read() == "ServiceUnavailable")
        # Root can mend it, and it comes back by itself.
        assert code(lambda: client.list_buckets()) is None
        aside.rename(kept)
        wait(lambda: read() == "AccessDenied")
