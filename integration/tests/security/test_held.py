"""T87: what clients can make the process hold who are slow, or who read nothing: memory and threads, for as long as
they like."""

import contextlib
import os
import pathlib
import resource

import pytest
from h2.events import ResponseReceived

from harness import h2, raw
from harness.gateway import Gateway
from harness.operators import metric, wait

ADA, ADA_SECRET = "AKIAADAADAADAADA0000", "ada-secret-for-these-tests-only-012345"
CONFIG = f"""
[[users]]
name = "ada"
policies = ["all"]
access_keys = [{{ id = "{ADA}", secret = {{ env = "ADA_SECRET" }} }}]
[[policies]]
name = "all"
inline = '''{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"*"}}}}'''
[limits]
streams = 250
body_timeout = "120s"
idle_timeout = "120s"
"""
MIB = 1 << 20
LARGE = 8 * MIB


@pytest.fixture(scope="module")
def held(work):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY and hard < 4096 else max(soft, 4096), hard))
    with Gateway(work / "held", CONFIG, env={"ADA_SECRET": ADA_SECRET}) as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        assert raw.request(gateway, "PUT", "/bucket/large", body=b"x" * LARGE).status == 200
        assert raw.request(gateway, "GET", "/bucket/large").body == b"x" * LARGE
        yield gateway
        assert "panicked" not in gateway.log()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(gateway):
    """Bytes in memory."""
    status = pathlib.Path(f"/proc/{gateway.process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def head(gateway, method, path, **who):
    pairs = raw.signed_headers(gateway, method, path, payload="UNSIGNED-PAYLOAD", **who)
    pseudo = [(":method", method), (":scheme", "https"), (":authority", f"127.0.0.1:{gateway.port}"), (":path", path)]
    return [*pseudo, *((name, value) for name, value in pairs if name != "host")]


def serves(gateway):
    """A caller who has nothing to do with it."""
    who = dict(key=ADA, secret=ADA_SECRET)
    return raw.request(gateway, "PUT", "/bucket/hers", body=b"hers", **who).status == 200 and raw.request(gateway, "GET", "/bucket/hers", **who).body == b"hers"


def test_t87_downloads_that_nobody_reads_hold_little(held):
    """250 of 8 MiB each, on one connection."""
    connection, client = raw.Connection(held, alpn="h2"), h2.unread()
    idle = resident(held)
    with connection:
        pairs = head(held, "GET", "/bucket/large")
        for stream in range(1, 501, 2):
            client.send_headers(stream, pairs, end_stream=True)
        connection.send(client.data_to_send())
        statuses = []
        while len(statuses) < 250 and connection.more():
            events = client.receive_data(connection.take(len(connection.data)))
            statuses += [dict(event.headers)[":status"] for event in events if isinstance(event, ResponseReceived)]
            connection.send(client.data_to_send())
        assert statuses == ["200"] * 250
        assert serves(held)
        grown = resident(held) - idle
        # A third of it are the blocks that all downloads share, another third what the allocator keeps for each
        # thread that opened one.
        assert grown < 160 * MIB, grown
    wait(lambda: resident(held) - idle < 60 * MIB)


def test_t87_bodies_that_nobody_reads_hold_little(held):
    """100 connections of 2 MiB each, of requests that are refused by answers that nobody reads either."""
    with contextlib.ExitStack() as stack:
        connections = [(raw.Connection(held, alpn="h2"), h2.unread()) for _ in range(100)]
        for connection, client in connections:
            stack.enter_context(connection)
            connection.send(client.data_to_send())
            connection.more()
            client.receive_data(connection.take(len(connection.data)))
        idle, most = resident(held), 0
        for connection, client in connections:
            client.send_headers(1, [*head(held, "PUT", "/bucket/refused", secret="forged"), ("content-length", str(2 * MIB))])
            left = 2 * MIB
            while left and (room := min(left, client.local_flow_control_window(1), client.max_outbound_frame_size)):
                client.send_data(1, bytes(room), end_stream=room == left)
                left -= room
            with contextlib.suppress(OSError):
                connection.send(client.data_to_send())
            # As much as it may before somebody reads it, which nobody does.
            assert left > 0
            most = max(most, resident(held))
        assert serves(held)
        assert most - idle < 60 * MIB, most - idle


def test_t87_slow_clients_hold_no_threads(held):
    """700 uploads that stall behind what once took a thread each."""
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(raw.Connection(held)) for _ in range(700)]
        for n, connection in enumerate(stalled):
            headers = raw.signed_headers(held, "PUT", f"/bucket/stalled-{n}", payload="UNSIGNED-PAYLOAD")
            connection.send(raw.render(held, "PUT", f"/bucket/stalled-{n}", headers=[*headers, ("content-length", 1_000_000)]) + b"x" * 200_000)
        wait(lambda: metric(held, "portcullis_requests_in_flight") >= 700)
        assert serves(held)
        # Those that wrote what has come end once they have had nothing to do for a while.
        wait(lambda: len(os.listdir(f"/proc/{held.process.pid}/task")) < 100)
        assert serves(held)
        # They were under way all the while: one goes on, and is kept.
        stalled[0].send(b"x" * 800_000)
        assert stalled[0].answer().status == 200
    assert serves(held)
