"""Stores that are not ours: moto, and a real Ceph RGW, started once for the whole run."""

import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

from .gateway import clean_env, free_port

UPSTREAM_KEY, UPSTREAM_SECRET = "UPSTREAMKEY0CANARY01", "upstream-secret-canary-0123456789abcdef"


def wait_http(url, process, log, seconds=60):
    deadline = time.time() + seconds
    while time.time() < deadline:
        assert process.poll() is None, f"ended early:\n{pathlib.Path(log).read_text(errors='replace')[-3000:]}"
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer:\n{pathlib.Path(log).read_text(errors='replace')[-3000:]}")


class Server:
    """Processes that end with the test run, by their own ids."""

    def __init__(self):
        self.processes = []

    def spawn(self, command, log, **kw):
        with open(log, "ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=clean_env(**kw.pop("env", {})), **kw)
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


class Moto(Server):
    def __init__(self, directory):
        super().__init__()
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        log = directory / "moto.log"
        binary = str(pathlib.Path(sys.executable).parent / "moto_server")
        wait_http(self.url, self.spawn([binary, "-H", "127.0.0.1", "-p", str(port)], log), log)


class Ceph(Server):
    """A monitor, one OSD in memory, and the gateway."""

    def __init__(self, directory):
        super().__init__()
        d = self.directory = directory / "ceph"
        for name in ("mon", "osd", "rgw", "run"):
            (d / name).mkdir(parents=True)
        mon, port, fsid, osd = free_port(), free_port(), str(uuid.uuid4()), str(uuid.uuid4())
        self.url = f"http://127.0.0.1:{port}"
        (d / "ceph.conf").write_text(f"""
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon}]
keyring = {d}/keyring
mon_data = {d}/mon
osd_data = {d}/osd
rgw_data = {d}/rgw
run_dir = {d}/run
log_file = {d}/$name.log
pid_file = {d}/run/$name.pid
admin_socket = {d}/run/$name.asok
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
ms_bind_msgr1 = false
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{port}
""")
        run = lambda *c: subprocess.run(c, check=True, capture_output=True, env=clean_env(), timeout=90)
        conf = ("-c", f"{d}/ceph.conf")
        run("ceph-authtool", "-C", f"{d}/keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for name, caps in (("client.admin", ("mon", "osd", "mgr", "mds")), ("client.rgw", ("mon", "osd", "mgr")), ("osd.0", ("mon", "osd", "mgr"))):
            allow = [x for cap in caps for x in ("--cap", cap, "allow *")]
            run("ceph-authtool", f"{d}/keyring", "--gen-key", "-n", name, *allow)
        run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon}]", f"{d}/monmap")
        run("ceph-mon", *conf, "--mkfs", "-i", "a", "--monmap", f"{d}/monmap", "--keyring", f"{d}/keyring")
        log = d / "spawn.log"
        self.spawn(["ceph-mon", *conf, "-i", "a", "-f"], log)
        run("ceph", *conf, "--connect-timeout", "60", "osd", "new", osd)
        run("ceph-osd", *conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.spawn(["ceph-osd", *conf, "-i", "0", "-f"], log)
        gateway = self.spawn(["radosgw", *conf, "-n", "client.rgw", "-f"], log)
        wait_http(self.url, gateway, log, 120)
        run("radosgw-admin", *conf, "user", "create", "--uid", "gate", "--display-name", "gate", "--access-key", UPSTREAM_KEY, "--secret-key", UPSTREAM_SECRET)
