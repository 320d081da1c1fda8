"""Readiness is red when requests cannot be served, and is told whatever happens to them."""

import os
import resource
import socket

from harness.clients import s3
from harness.gateway import Gateway, free_port, upstream
from harness.operators import admin, metric, wait


def test_a_disk_that_cannot_be_used(tmp_path):
    with Gateway(tmp_path / "g") as gateway:
        wait(lambda: metric(gateway, 'portcullis_backend_up{backend="disk"}') == 1)
        buckets = gateway.data / "objects/buckets"
        buckets.rename(tmp_path / "aside")
        status, why = wait(lambda: (found := admin(gateway, "/readyz"))[0] == 503 and found)
        assert "disk" in why and why.count("\n") == 1, why
        wait(lambda: metric(gateway, 'portcullis_backend_up{backend="disk"}') == 0)
        assert admin(gateway, "/healthz") == (200, "ok\n")
        (tmp_path / "aside").rename(buckets)
        wait(lambda: admin(gateway, "/readyz")[0] == 200)


def test_upstreams_count_when_none_is_left(tmp_path):
    dead = f"http://127.0.0.1:{free_port()}"
    config, env = upstream("far", dead, "AKIDUPSTREAM", "secret-of-the-upstream")
    with Gateway(tmp_path / "all", config, env=env) as gateway:
        _, why = wait(lambda: (found := admin(gateway, "/readyz"))[0] == 503 and found)
        assert "`far`" in why
        wait(lambda: metric(gateway, 'portcullis_backend_up{backend="far"}') == 0)
    config = config.replace('bucket = "*"', 'bucket = "far-*"')
    with Gateway(tmp_path / "some", config, env=env) as gateway:
        wait(lambda: metric(gateway, 'portcullis_backend_up{backend="far"}') == 0)
        assert admin(gateway, "/readyz") == (200, "ready\n")


def test_health_is_told_when_no_descriptor_is_left(tmp_path):
    with Gateway(tmp_path / "g") as gateway:
        assert "the limit of file descriptors" in gateway.log()
        pid = gateway.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        assert soft == hard
        open_now = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + 20, hard))
        clients = []
        try:
            for _ in range(100):
                clients.append(socket.create_connection(("127.0.0.1", gateway.port), 10))
            wait(lambda: "cannot be accepted" in gateway.log())
            for _ in range(40):
                assert admin(gateway, "/healthz") == (200, "ok\n")
                assert admin(gateway, "/readyz")[0] in (200, 503)
        finally:
            for client in clients:
                client.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        wait(lambda: works(gateway))


def works(gateway):
    try:
        s3(gateway).list_buckets()
        return True
    except Exception:
        return False
