"""A name server that does not answer: it stops its upstream, and nothing else."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import threading

import pytest

from harness import raw
from harness.gateway import Gateway, upstream
from harness.operators import wait
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET

# In a mount namespace of its own, where names are asked of whom the file says.
INSIDE = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


def can_mount():
    return os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@pytest.fixture
def silent(tmp_path):
    """A name server that takes questions and says nothing; the file that names it."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        address = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.53"
        server.bind((address, 53))
        file = tmp_path / "resolv.conf"
        file.write_text(f"nameserver {address}\noptions timeout:5 attempts:2\n")
        yield file


def threads(gateway):
    names = []
    tasks = f"/proc/{gateway.process.pid}/task"
    for task in os.listdir(tasks):
        with contextlib.suppress(OSError), open(f"{tasks}/{task}/comm") as file:
            names.append(file.read().strip())
    return names


@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace of its own")
def test_a_name_server_that_does_not_answer_takes_no_thread_of_the_disk(tmp_path, silent):
    patience = 'timeouts = { connect = "2s", read = "5s", write = "5s", total = "9s", idle = "15s" }'
    config, env = upstream("far", "http://s3.hanging.example.net:8000", UPSTREAM_KEY, UPSTREAM_SECRET, patience)
    gateway = Gateway(tmp_path / "g", config.replace('bucket = "*"', 'bucket = "far"'), env=env, tls=False)
    gateway.launcher = ["unshare", "-m", "--", "sh", "-c", INSIDE, str(silent)]
    with gateway:
        assert raw.request(gateway, "PUT", "/near").status == 200
        statuses, ends = [], threading.Event()

        def ask(n):
            while not ends.is_set():
                statuses.append(raw.request(gateway, "GET", f"/far/key-{n}").status)

        asking = [threading.Thread(target=ask, args=(n,)) for n in range(100)]
        for thread in asking:
            thread.start()
        try:
            wait(lambda: "names" in threads(gateway))
            for n in range(40):
                assert raw.request(gateway, "PUT", f"/near/{n}", body=b"x" * 300_000).status == 200
                assert raw.request(gateway, "GET", f"/near/{n}").body == b"x" * 300_000
                now = threads(gateway)
                # What the disk needs is fewer than those who ask.
                assert now.count("names") <= 2 and len(now) < 80, now
            wait(lambda: len(statuses) > 300)
        finally:
            ends.set()
            for thread in asking:
                thread.join(60)
        assert set(statuses) == {503}
