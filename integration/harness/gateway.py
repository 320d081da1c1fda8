"""The binary under test, on free ports in a directory of its own."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

BINARY = os.path.abspath(os.environ.get("PORTCULLIS_BINARY", "target/debug/portcullis"))
ROOT_KEY, ROOT_SECRET = "ROOTROOTROOTROOTROOT", "root-secret-for-these-tests-only-0123456"


# Lets buckets be public that say so themselves: see `publish` of clients and of spies.
OPEN = """
[public_access_block]
block_public_acls = false
ignore_public_acls = false
block_public_policy = false
restrict_public_buckets = false
"""


GIVEN = set()


def free_port():
    """A port below those that the kernel gives to clients, free now, and not given before: what is not started yet has it to itself."""
    for port in random.SystemRandom().sample(range(10_000, 32_000), 1_000):
        if port in GIVEN:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            GIVEN.add(port)
            return port
    raise OSError("no port is free")


def clean_env(**extra):
    """What a client or server needs of the environment, and nothing of the machine's AWS settings."""
    keep = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR") if k in os.environ}
    keep["AWS_EC2_METADATA_DISABLED"] = "true"
    keep.update(extra)
    return keep


class Gateway:
    def __init__(self, directory, config="", args=(), env=None, root=True, tls=True):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port, self.admin_port = free_port(), free_port()
        self.config_file = self.directory / "portcullis.toml"
        self.config_file.write_text(config)
        self.args, self.tls = list(args), tls
        self.env = clean_env(**(env or {}))
        if root:
            self.env.update(PORTCULLIS_ROOT_ACCESS_KEY=ROOT_KEY, PORTCULLIS_ROOT_SECRET_KEY=ROOT_SECRET)
        self.process = None
        # A program that starts it, and what that needs of our descriptors.
        self.launcher, self.inherited = [], ()

    @property
    def data(self):
        return self.directory / "data"

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def ca(self):
        return str(self.data / "tls" / "ca.pem")

    def start(self, wait=True):
        command = [*self.launcher, BINARY, "serve", "--config", str(self.config_file), "--data", str(self.data)]
        command += ["--listen", f"127.0.0.1:{self.port}", "--admin-listen", f"127.0.0.1:{self.admin_port}"]
        command += ([] if self.tls else ["--insecure-http"]) + self.args
        self.out = open(self.directory / "stdout", "ab")
        self.err = open(self.directory / "stderr", "ab")
        mark = (self.directory / "stdout").stat().st_size
        self.process = subprocess.Popen(
            command, stdout=self.out, stderr=self.err, stdin=subprocess.DEVNULL, env=self.env, pass_fds=self.inherited)
        deadline = time.time() + 30
        while wait:
            text = (self.directory / "stdout").read_bytes()[mark:].decode()
            if re.search(r"^ready$", text, re.M):
                break
            assert self.process.poll() is None and time.time() < deadline, f"did not start:\n{text}\n{self.log()}"
            time.sleep(0.02)
        return self

    def log(self):
        return (self.directory / "stderr").read_text(errors="replace")

    def stop(self, sig=signal.SIGTERM, timeout=40):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(timeout)
            self.keeps_secrets()
        return self.process.returncode if self.process else None

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        self.keeps_secrets()

    def keeps_secrets(self):
        """No secret that it was given, or made, is in anything that it said. Asked of every gateway of every test."""
        secrets = {value for name, value in self.env.items() if "SECRET" in name and len(value) > 15}
        if (root := self.data / "root.json").is_file():
            secrets.add(json.loads(root.read_text())["secret_key"])
        told = [self.directory / "stdout", self.directory / "stderr", *self.directory.glob("audit*.jsonl")]
        for file in filter(pathlib.Path.is_file, told):
            text = file.read_bytes()
            assert not [s for s in secrets if s.encode() in text], f"{file} tells a secret"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        try:
            self.stop(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()


def upstream(name, url, key, secret, extra=""):
    """A configuration whose every bucket is at one upstream."""
    env = {"UP_KEY": key, "UP_SECRET": secret}
    return f"""
[[upstreams]]
name = "{name}"
endpoint = "{url}"
credentials = {{ access_key = {{ env = "UP_KEY" }}, secret_key = {{ env = "UP_SECRET" }} }}
{extra}
[[routes]]
bucket = "*"
backend = "{name}"
""", env
