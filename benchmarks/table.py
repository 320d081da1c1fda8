"""Measures the gateway against its neighbours and prints one table of ratios.

`benchmarks/table.py [decide|policies|upstream|disk|durable|memory|crowd|health|refused|listing|million]`. Every pair is measured in turns in one
run, because absolute times depend on the machine. A rate is per second of the server's CPU, which on
a saturated core is the rate itself, and does not count what the load generator costs.

ROUNDS (default 5) and SECONDS (default 3) say how often and how long.
"""

import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import crowd
import many
import report
import servers
import signing
from report import BINARY, HERE, MIB, ROUNDS, SECONDS, TARGET, row, signer

NEIGHBOUR = TARGET / "release" / "examples" / "neighbour"
GIB = 1 << 30


def on_client_core(command, **more):
    return subprocess.run(
        ["taskset", "-c", str(servers.CLIENT_CORE), *map(str, command)], check=True, capture_output=True, text=True, **more
    ).stdout


def small(server, path, signed=None):
    """4 KiB GETs over 32 kept connections: requests per second of server CPU."""
    command = ["wrk", "-t1", "-c32", f"-d{SECONDS}s", f"https://{server.host}{path}"]
    for name, value in (signed.headers("GET", server.host, path) if signed else {}).items():
        command += ["-H", f"{name}: {value}"]
    before = server.cpu()
    report = on_client_core(command)
    used = server.cpu() - before
    if "Non-2xx" in report or "Socket errors" in report:
        raise SystemExit(f"{server.host}: {report}")
    requests = int(report.split(" requests in ")[0].split()[-1])
    return requests / used


def large(server, arguments, headers, size):
    """One transfer with curl: bytes per second of server CPU."""
    command = ["curl", "-sS", "-k", "--fail", "--http1.1", "-o", "/dev/null", *arguments]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    before = server.cpu()
    on_client_core(command)
    return size / (server.cpu() - before)


def ratio(measure, ours, *others):
    """The medians of ours over each of the others, in turns."""
    ours_first = [ours, *others]
    for each in ours_first:
        measure(each)
    rates = [[measure(each) for each in ours_first] for _ in range(ROUNDS)]
    print("  per second of CPU:", *(f"{statistics.median(column):,.0f}" for column in zip(*rates)), flush=True)
    return [statistics.median(r[0] / r[n] for r in rates) for n in range(1, len(ours_first))]


def certificate(gateway_directory):
    tls = gateway_directory / "data" / "tls"
    return str(tls / "server.pem"), str(tls / "server-key.pem")


def decide(_):
    command = ["cargo", "bench", "--locked", "--bench", "decide", "--", "--noplot", "--quiet"]
    subprocess.run(command, check=True, cwd=HERE.parent, stdout=subprocess.DEVNULL)
    for name in ("parse", "verify", "decide", "verify and decide"):
        estimates = json.loads((TARGET / "criterion" / name / "new" / "estimates.json").read_text())
        microseconds = estimates["median"]["point_estimate"] / 1000
        if name == "verify and decide":
            row("verify a header-signed request and decide it under 50 statements", microseconds, 8, " µs", most=True)
        else:
            print(f"  {name}: {microseconds:.2f} µs")


def policies(directory):
    command = ["taskset", "-c", str(servers.CLIENT_CORE), "cargo", "bench", "--locked", "--bench", "policies"]
    lines = subprocess.run(command, check=True, cwd=HERE.parent, capture_output=True, text=True).stdout.splitlines()
    told = {name: value for line in lines if line.startswith("{") for name, value in json.loads(line).items()}
    print("  " + ", ".join(f"{name}: {value}" for name, value in told.items()))
    row("a decision under 10 policies of 5 statements, half with conditions: median", told["decision"] / 1000, 1, " µs", most=True)
    row("the same: 99th percentile", told["decision p99"] / 1000, 5, " µs", most=True)
    row("the same, in HMAC-SHA-256s of a string to sign", told["decision"] / told["hmac"], 4, "", most=True)
    row("a decision under 1,000 statements", told["thousand"] / 1000, 20, " µs", most=True)
    row("a pattern of 256 stars against a key of 1 KiB", told["stars"] / 1000, 1000, " µs", most=True)
    row("growth when 100,000 other users and policies exist", abs(told["growth"]), 5, " %", most=True)
    row("allocations of a decision", told["allocations"], 3, "", most=True)
    row("allocations of one that resolves no variable", told["allocations without variables"], 0, "", most=True)
    row("`policy decide`, small cases a second on one core", piped(directory) / 1000, 100, " k")


def piped(directory):
    """100,000 small cases through the command line, documents compiled anew for each: cases per second of its CPU."""
    directory.mkdir(parents=True)
    statement = lambda n: {"Effect": "Allow", "Action": ["s3:Get*", "s3:PutObject"], "Resource": f"arn:aws:s3:::bucket/{n}/*",
                           "Condition": {"StringEquals": {"s3:prefix": [f"{n}/", "all/"]}}}
    case = lambda n: {"principal": "arn:aws:iam::123456789012:user/alice", "identity": [{"Version": "2012-10-17", "Statement": [statement(n)]}],
                      "groups": [], "boundary": None, "session": None, "service_account": None, "resource": None, "action": "s3:GetObject",
                      "target": f"arn:aws:s3:::bucket/{n}/key", "context": {"aws:SourceIp": ["192.0.2.1"], "s3:prefix": [f"{n}/"]}}
    (directory / "cases").write_text("".join(json.dumps(case(n)) + "\n" for n in range(100_000)))
    rates = []
    for _ in range(ROUNDS):
        before = os.times()
        with open(directory / "cases") as cases, open(directory / "decisions", "w") as decisions:
            subprocess.run(["taskset", "-c", str(servers.CLIENT_CORE), BINARY, "policy", "decide"], stdin=cases, stdout=decisions, check=True)
        after = os.times()
        rates.append(100_000 / (after.children_user + after.children_system - before.children_user - before.children_system))
    text = (directory / "decisions").read_text()
    if text.count('"decision":"allow"') != 100_000:
        raise SystemExit("not every case is allowed")
    return statistics.median(rates)


def upstream(directory):
    files = directory / "files"
    (files / "bench").mkdir(parents=True)
    (files / "bench" / "small").write_bytes(os.urandom(4096))
    with open(files / "bench" / "large", "wb") as f:
        for _ in range(256):
            f.write(os.urandom(4 * MIB))
    running = []
    try:
        running.append(store := servers.store(directory / "store", files))
        running.append(ours := servers.gateway(BINARY, directory / "gateway", upstream=store.port))
        pair = certificate(directory / "gateway")
        running.append(nginx := servers.passing(directory / "nginx", pair, store.port))
        running.append(bare := servers.bare(NEIGHBOUR, directory / "bare", pair, store.port))
        signed = signer()
        get = lambda s: small(s, "/bench/small", signed if s is ours else None)
        against_bare, against_nginx = ratio(get, ours, bare, nginx)
        row("4 KiB GET to an upstream, against a bare Pingora pass-through", against_bare, 0.85)
        row("4 KiB GET to an upstream, against nginx proxy_pass", against_nginx, 0.8)
        path = "/bench/large"
        url = lambda s, path=path: f"https://{s.host}{path}"
        headers = lambda s, method, path=path: signer().headers(method, s.host, path, signing.UNSIGNED) if s is ours else {}
        get = lambda s: large(s, [url(s)], headers(s, "GET"), GIB)
        row("1 GiB GET from an upstream, against nginx", ratio(get, ours, nginx)[0], 1.2)
        source, target = files / "bench" / "large", "/bench/upload"
        put = lambda s: large(s, ["-T", source, url(s, target)], headers(s, "PUT", target), GIB)
        row("1 GiB PUT to an upstream, against nginx", ratio(put, ours, nginx)[0], 1.2)
        framed = directory / "framed"
        rates = []
        for _ in range(max(2, ROUNDS // 2)):
            signed_chunks = signer().chunked(ours.host, target, source, framed)
            rates.append(large(ours, ["-T", framed, url(ours, target)], signed_chunks, GIB))
        row("1 GiB PUT with signed chunks, a core", statistics.median(rates) / 1e9, 0.7, " GB/s")
    finally:
        for server in reversed(running):
            server.stop()


def disk(directory):
    files = directory / "files"
    (files / "bench").mkdir(parents=True)
    (files / "bench" / "small").write_bytes(os.urandom(4096))
    (files / "bench" / "large").write_bytes(os.urandom(256 * MIB))
    running = []
    try:
        running.append(ours := servers.gateway(BINARY, directory / "gateway"))
        running.append(nginx := servers.serving(directory / "nginx", certificate(directory / "gateway"), files))
        put(ours, "/bench")
        for name in ("small", "large"):
            put(ours, f"/bench/{name}", files / "bench" / name)
        signed = signer()
        get = lambda s: small(s, "/bench/small", signed if s is ours else None)
        row("4 KiB GET from disk, against nginx serving the file", ratio(get, ours, nginx)[0], 0.5)
        path = "/bench/large"
        headers = lambda s: signer().headers("GET", s.host, path) if s is ours else {}
        get = lambda s: large(s, [f"https://{s.host}{path}"], headers(s), 256 * MIB)
        row("256 MiB GET from disk, against nginx serving the file", ratio(get, ours, nginx)[0], 0.9)
    finally:
        for server in reversed(running):
            server.stop()


def put(server, path, source=None):
    """Creates a bucket, or an object from a file."""
    headers = signer().headers("PUT", server.host, path, signing.UNSIGNED)
    fields = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    body = ["-T", source] if source else ["-X", "PUT"]
    on_client_core(["curl", "-sS", "-k", "--fail", "-o", "/dev/null", *body, *fields, f"https://{server.host}{path}"])


def durable(directory):
    """Small writes that survive a power cut, from 64 clients, against one fdatasync after another."""
    directory.mkdir(parents=True)
    ours = servers.gateway(BINARY, directory / "gateway")
    # Waiting for the disk is what is measured, so the server may use every core.
    for task in os.listdir(f"/proc/{ours.process.pid}/task"):
        os.sched_setaffinity(int(task), {servers.SERVER_CORE, servers.CLIENT_CORE})
    try:
        put(ours, "/bench")
        ratios = []
        for round_ in range(ROUNDS):
            synced = one_after_another(directory / "synced")
            script = directory / "put.lua"
            script.write_text(lua(ours, round_))
            report = subprocess.run(
                ["wrk", "-t1", "-c64", f"-d{SECONDS}s", "-s", script, f"https://{ours.host}"],
                check=True, capture_output=True, text=True,
            ).stdout
            if "Non-2xx" in report:
                raise SystemExit(report)
            ratios.append(float(report.split("Requests/sec:")[1].split()[0]) / synced)
        row("durable 4 KiB PUTs, 64 clients, against one fdatasync after another", statistics.median(ratios), 13)
    finally:
        ours.stop()


def one_after_another(path):
    page, count, start = os.urandom(4096), 0, time.monotonic()
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    while time.monotonic() - start < SECONDS:
        os.write(descriptor, page)
        os.fdatasync(descriptor)
        count += 1
    os.close(descriptor)
    return count / (time.monotonic() - start)


def lua(server, round_):
    """A script for wrk: PUTs of 4 KiB under keys of their own, signed in advance."""
    signed, requests = signer(), []
    for n in range(4000):
        path = f"/bench/{round_}/{n % 64}/{n}"
        headers = signed.headers("PUT", server.host, path, signing.UNSIGNED)
        lines = "".join(f"{name}: {value}\\r\\n" for name, value in headers.items())
        requests.append(f'"PUT {path} HTTP/1.1\\r\\nHost: {server.host}\\r\\n{lines}Content-Length: 4096\\r\\n\\r\\n"')
    return "\n".join([
        "local heads = {" + ",\n".join(requests) + "}",
        'local body = string.rep("x", 4096)',
        "local n = 0",
        "request = function() n = n % #heads + 1; return heads[n] .. body end",
    ])


def memory(directory):
    ours = servers.gateway(BINARY, directory / "gateway", idle='idle_timeout = "10m"')
    try:
        time.sleep(1)
        row("idle resident memory", ours.memory(), 30, " MiB", most=True)
        context = servers.trusting(directory / "gateway" / "data" / "tls" / "ca.pem")
        held, lock = [], threading.Lock()

        def connect():
            for _ in range(2500):
                plain = socket.create_connection(("127.0.0.1", ours.port))
                tls = context.wrap_socket(plain, server_hostname="127.0.0.1")
                tls.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                tls.recv(4096)
                with lock:
                    held.append(tls)

        threads = [threading.Thread(target=connect) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(1)
        if len(held) != 10_000:
            raise SystemExit(f"only {len(held)} connections")
        row("10,000 idle connections", ours.memory(), 150, " MiB", most=True)
    finally:
        ours.stop()


def main():
    every = {"decide": decide, "policies": policies, "upstream": upstream, "disk": disk, "durable": durable, "memory": memory,
             "crowd": crowd.slow, "health": crowd.saturated, "refused": crowd.refused, "listing": many.listing, "million": many.million}
    chosen = sys.argv[1:] or list(every)
    for name in chosen:
        directory = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-benchmark-", dir=os.environ.get("BENCH_DIR")))
        try:
            every[name](directory / name)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    report.table()


main()
