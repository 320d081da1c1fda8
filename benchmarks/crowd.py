"""Many clients at once, and some that are slow: what they cost in memory, and what others wait meanwhile."""

import os
import statistics
import subprocess
import threading
import time
import urllib.request

import load
import servers
from load import Connection
from report import BINARY, MIB, ROUNDS, SECONDS, row, signer

LARGE = 8 * MIB


def raised(count):
    """What more clients than a server's default takes need of its configuration."""
    return os.environ.get("CROWD_CONFIG", "").replace("COUNT", str(count))


def prepared(directory, count):
    server = servers.gateway(BINARY, directory, idle='idle_timeout = "10m"', more=raised(count))
    connection = Connection(server.plain)
    for path, body in (("/bench", b""), ("/bench/small", os.urandom(4096)), ("/bench/large", os.urandom(LARGE))):
        if connection.ask(load.signed(signer(), "PUT", server.plain, path, body))[0] != 200:
            raise SystemExit(f"{path} cannot be put")
    return server


def slow(directory):
    for tls in (False, True):
        over = "TLS" if tls else "plain HTTP"
        for upload, most in ((True, 200), (False, 300)):
            server = prepared(directory / f"{upload}-{tls}", 1000)
            try:
                time.sleep(1)
                idle, what = server.memory(), "uploads" if upload else "downloads"
                with load.slowly(server if tls else server.plain, requests(server if tls else server.plain, 1000, upload), upload, tls):
                    memory = []
                    for _ in range(8):
                        time.sleep(1)
                        memory.append(server.memory())
                row(f"1,000 slow {what} over {over}: resident memory more than idle", max(memory) - idle, most, " MiB", most=True)
            finally:
                server.stop()
    others(directory / "others")


def requests(server, count, upload):
    signed = signer()
    if upload:
        # The first pieces come at once, the rest 16 KiB a second.
        return [load.signed(signed, "PUT", server, f"/bench/slow-{n}", length=LARGE) + load.BEHIND * 12 for n in range(count)]
    return [load.signed(signed, "GET", server, "/bench/large")] * count


def others(directory):
    """What another client waits beside 3,000 slow uploads."""
    server = prepared(directory, 3000)
    try:
        signed, times = signer(), {"PUT": [], "GET": []}
        asked = {"PUT": load.signed(signed, "PUT", server.plain, "/bench/other", os.urandom(4096)), "GET": load.signed(signed, "GET", server.plain, "/bench/small")}
        with load.slowly(server.plain, requests(server.plain, 3000, True), True, False):
            time.sleep(1)
            clients = [threading.Thread(target=another, args=(server.plain, request, times[method])) for method, request in asked.items()]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
        for method, found in times.items():
            print(f"  {method}: {len(found)} requests, median {load.percentile(found, 0.5) * 1000:.1f} ms")
            row(f"3,000 slow uploads: p99 of another client's 4 KiB {method}", load.percentile(found, 0.99) * 1000, 50, " ms", most=True)
    finally:
        server.stop()


def another(server, request, times):
    """Asks for 15 seconds; an answer that does not come, or is not a good one, counts as the longest wait there is."""
    with load.on_client_core():
        connection, ended = None, time.monotonic() + 15
        while time.monotonic() < ended:
            began = time.monotonic()
            try:
                connection = connection or Connection(server)
                connection.sock.settimeout(20)
                status = connection.ask(request)[0]
            except OSError:
                status, connection = 0, None
            times.append(time.monotonic() - began if status == 200 else 20)
            time.sleep(0.01)


def saturated(directory):
    """Four times as many clients as saturate a core, and whether health is told meanwhile."""
    server = prepared(directory, 1000)
    try:
        for method in ("GET", "PUT"):
            script = directory / f"{method}.lua"
            script.write_text(wrk_script(server, method))
            goodput(server, script, 64)  # Warm.
            rates, waits = {64: [], 256: []}, []
            for _ in range(ROUNDS):
                rates[64].append(goodput(server, script, 64))
                ended = threading.Event()
                asking = threading.Thread(target=health, args=(server.admin, waits, ended))
                asking.start()
                rates[256].append(goodput(server, script, 256))
                ended.set()
                asking.join()
            told = [f"{statistics.median(rates[count]):,.0f} a second from {count} clients" for count in rates]
            print(f"  4 KiB {method}: {', '.join(told)}; health was asked {len(waits)} times")
            row(f"goodput of 4 KiB {method}s at 4 × saturation", statistics.median(many / few for few, many in zip(*rates.values())), 0.9)
            row(f"health p99 meanwhile, {method}s", load.percentile(waits, 0.99) * 1000, 100, " ms", most=True)
    finally:
        server.stop()


def health(port, waits, ended):
    with load.on_client_core():
        while not ended.is_set():
            began = time.monotonic()
            for path in ("healthz", "readyz"):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10).read()
                    waits.append(time.monotonic() - began)
                except OSError:
                    waits.append(10)
                began = time.monotonic()
            time.sleep(0.02)


def goodput(server, script, clients):
    """Answers of status 200 a second."""
    command = ["taskset", "-c", str(servers.CLIENT_CORE), "wrk", "-t1", f"-c{clients}", f"-d{SECONDS}s", "-s", str(script), f"https://{server.host}"]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    requests, _, rest = report.partition(" requests in ")
    refused = int(report.split("Non-2xx or 3xx responses:")[1].split()[0]) if "Non-2xx" in report else 0
    return (int(requests.split()[-1]) - refused) / float(rest.split("s,")[0])


def wrk_script(server, method):
    signed, requests = signer(), []
    for n in range(512):
        path = f"/bench/{n % 64}/{n}" if method == "PUT" else "/bench/small"
        head = load.signed(signed, method, server, path, length=4096).decode().replace("\r\n", "\\r\\n")
        requests.append(f'"{head}"')
    body = 'string.rep("x", 4096)' if method == "PUT" else '""'
    return f"local heads = {{{','.join(requests)}}}\nlocal body = {body}\nlocal n = 0\nrequest = function() n = n % #heads + 1; return heads[n] .. body end\n"


def refused(directory):
    """The server's CPU for a request that is refused before anyone is known; the worst there is."""
    server = prepared(directory, 1000)
    try:
        with load.on_client_core():
            costs = {}
            client = load.Http2(server)
            # What a connection costs that is made anew is no request's.
            anew = cost(server, client.connect)
            for size in (60_000, 7_700):
                for name, (target, headers) in load.expensive(size).items():
                    client.ended = 0
                    what = f"{name}, {size // 1000} KB over HTTP/2"
                    costs[what] = cost(server, lambda: client.ask(target.encode(), headers))
                    if client.ended > 1:
                        costs[what] -= anew
                        print(f"  not counting {anew:.3f} ms of a new connection after each: {what}")
            for name, (target, headers) in load.expensive(7_700).items():
                request = load.render("GET", server.plain.host, target, [(name.decode(), value.decode()) for name, value in headers])
                costs[f"{name}, 7 KB over HTTP/1.1"] = cost(server, lambda: once(server.plain, request))
        for name, milliseconds in sorted(costs.items(), key=lambda pair: -pair[1]):
            print(f"  {milliseconds:.3f} ms: {name}")
        row("worst refused request before authentication, CPU", max(costs.values()), 0.2, " ms", most=True)
    finally:
        server.stop()


def once(server, request):
    connection = Connection(server)
    try:
        connection.ask(request)
    except OSError:
        pass  # Refused without a word.
    connection.sock.close()


def cost(server, ask):
    """Milliseconds of the server's CPU for one: the clock counts in hundredths of a second, so for many."""
    ask()
    count, before, ended = 0, server.cpu(), time.monotonic() + 20
    while (server.cpu() - before < 1 or count < 3) and count < 3000 and time.monotonic() < ended:
        for _ in range(1 if count < 20 else 50):
            ask()
            count += 1
    return (server.cpu() - before) / count * 1000
