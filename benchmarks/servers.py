"""The servers that are measured, each on one core, with one certificate."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import subprocess
import time

ACCESS_KEY, SECRET = "AKIABENCHMARKEXAMPLE", "benchmark-secret-that-opens-nothing-012345"
SERVER_CORE, CLIENT_CORE = 0, 1

# Fifty statements, of which the last allows: what a policy costs is in every number.
STATEMENTS = ",".join(
    f'{{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::team-{n}/*"}}'
    for n in range(49)
) + ',{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::bench","arn:aws:s3:::bench/*"]}'

CONFIG = """
[limits]
threads = 1
drain_timeout = "1ms"
shutdown_delay = "1ms"
{idle}
[logging]
level = "warn"
[[users]]
name = "bench"
access_keys = [{{ id = "{key}", secret = {{ env = "BENCH_SECRET" }} }}]
policies = ["fifty"]
[[policies]]
name = "fifty"
inline = '''{{"Version":"2012-10-17","Statement":[{statements}]}}'''
"""

UPSTREAM = """
[[upstreams]]
name = "store"
endpoint = "http://127.0.0.1:{port}"
payload = "unsigned"
credentials = {{ access_key = {{ env = "BENCH_SECRET" }}, secret_key = {{ env = "BENCH_SECRET" }} }}
[[routes]]
bucket = "*"
backend = "store"
"""

# What each nginx has in common: one worker, no log, kept connections.
NGINX = """
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 100000000;
  client_max_body_size 0;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  open_file_cache max=100;
  default_type application/octet-stream;
  {http}
}}
"""

TLS = """
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def free_ports(count):
    """Different ones."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def pin(core):
    os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """A process on one core, started once its port answers or it `says` so. Its CPU time is its own
    and its children's."""

    def __init__(self, command, port, core, directory, env=None, says=None, patience=30):
        self.port, self.host = port, f"127.0.0.1:{port}"
        self.err = open(directory / "stderr", "ab")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        self.process = subprocess.Popen(
            command, stdout=self.err, stderr=self.err, stdin=subprocess.DEVNULL, env=environment | (env or {}),
            preexec_fn=lambda: pin(core),
        )
        deadline = time.time() + patience
        while True:
            if says:
                if says in (directory / "stderr").read_text(errors="replace"):
                    return
            else:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    return
            if self.process.poll() is not None or time.time() > deadline:
                raise SystemExit(f"{command[0]} did not start: {(directory / 'stderr').read_text()[-2000:]}")
            time.sleep(0.05)

    def pids(self):
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                found += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def cpu(self):
        """Seconds of CPU since the start, user and system."""
        ticks = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Resident MiB."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def gateway(binary, directory, upstream=None, idle="", more="", patience=30):
    """`plain` of what is answered is the same server over plain HTTP."""
    directory.mkdir(parents=True, exist_ok=True)
    port, admin, plain = free_ports(3)
    text = CONFIG.format(key=ACCESS_KEY, statements=STATEMENTS, idle=idle) + f'[listener]\nhttp_address = "127.0.0.1:{plain}"\n{more}\n'
    (directory / "portcullis.toml").write_text(text + (UPSTREAM.format(port=upstream) if upstream else ""))
    command = [binary, "serve", "--config", str(directory / "portcullis.toml"), "--data", str(directory / "data")]
    command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
    server = Server(command, port, SERVER_CORE, directory, {"BENCH_SECRET": SECRET}, says="\nready\n", patience=patience)
    server.admin, server.plain, server.ca = admin, Plain(server, plain), directory / "data" / "tls" / "ca.pem"
    return server


class Plain:
    """Another port of a server."""

    def __init__(self, server, port):
        self.port, self.host, self.cpu, self.memory = port, f"127.0.0.1:{port}", server.cpu, server.memory


def nginx(directory, http, port, core):
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("body", "proxy"):
        (directory / name).mkdir(exist_ok=True)
    (directory / "nginx.conf").write_text(NGINX.format(directory=directory, http=http).replace("pid ", "user root;\npid ", 1))
    return Server(["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")], port, core, directory)


def store(directory, root):
    """An upstream that answers GETs of files under `root` as S3 does, and takes PUTs."""
    port = free_port()
    http = f"""
  server {{
    listen 127.0.0.1:{port};
    root {root};
    add_header ETag '"0123456789abcdef0123456789abcdef"' always;
    location / {{ dav_methods PUT; }}
  }}"""
    return nginx(directory, http, port, CLIENT_CORE)


def passing(directory, certificate, upstream):
    """nginx with TLS in front of an upstream, streaming both ways."""
    port = free_port()
    http = f"""
  upstream store {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    {TLS.format(port=port, certificate=certificate[0], key=certificate[1])}
    location / {{
      proxy_pass http://store;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
    }}
  }}"""
    return nginx(directory, http, port, SERVER_CORE)


def serving(directory, certificate, root):
    """nginx with TLS that serves files."""
    port = free_port()
    http = f"server {{ {TLS.format(port=port, certificate=certificate[0], key=certificate[1])} root {root}; }}"
    return nginx(directory, http, port, SERVER_CORE)


def bare(binary, directory, certificate, upstream):
    """A Pingora application that passes everything through and looks at nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    return Server([binary, f"127.0.0.1:{port}", f"127.0.0.1:{upstream}", *certificate], port, SERVER_CORE, directory)


def trusting(ca):
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    return context
