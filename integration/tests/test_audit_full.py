"""T110: audit events that nobody takes: a pipe that is not read, a device that is full."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest
from h2.events import ResponseReceived, StreamReset

from harness import h2, raw
from harness.clients import s3
from harness.gateway import BINARY, ROOT_KEY, ROOT_SECRET, Gateway, clean_env, free_port
from harness.operators import admin, metric, wait

LOST = "portcullis_audit_events_lost_total"
REFUSED = "portcullis_audit_refused_requests_total"

# Long events, so that few requests fill the queue.
HEAD = ("GET /noise/" + "%22" * 1000 + " HTTP/1.1\r\nhost: x\r\nuser-agent: " + '"' * 2500 + "\r\n\r\n").encode()


def config(file, when_full):
    return f'[audit]\noutput = {{ file = "{file}" }}\nwhen_full = "{when_full}"\n[limits]\nshutdown_delay = "0ms"\n'


def ask(gateway, count, until=None):
    """Unauthenticated requests on one connection after another; their statuses."""
    statuses = []
    while len(statuses) < count:
        with raw.Connection(gateway) as connection:
            for _ in range(50):
                try:
                    connection.send(HEAD)
                    answer = connection.answer()
                except (ConnectionError, OSError):
                    break
                statuses.append((answer.status, dict(answer.headers).get("x-amz-request-id")))
                if until and answer.status == until:
                    return statuses
    return statuses


class Pipe:
    """A FIFO that is read only when the test says so."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path, self.text = path, b""
        self.end = os.open(path, os.O_RDWR)

    def read(self):
        """Goes on reading, aside, to the end of the test."""
        def drain():
            while piece := os.read(self.end, 65536):
                self.text += piece
        threading.Thread(target=drain, daemon=True).start()

    def events(self):
        """Of the lines that have come whole."""
        return [json.loads(line) for line in self.text.rpartition(b"\n")[0].splitlines()]


def test_t110_events_that_nobody_takes_are_dropped_and_counted(tmp_path):
    pipe = Pipe(tmp_path / "pipe")
    with Gateway(tmp_path / "g", config(pipe.path, "drop"), tls=False) as gateway:
        asked = ask(gateway, 5000)
        assert {status for status, _ in asked} <= {400, 403}
        s3(gateway).create_bucket(Bucket="goes-on")
        lost = metric(gateway, LOST)
        assert lost > 0 and admin(gateway, "/readyz")[0] == 200
        assert "audit events are lost" in gateway.log() and gateway.log().count("audit events are lost") < 10
        pipe.read()
        told = lambda: sum(e.get("lost", 0) for e in pipe.events() if e.get("event") == "audit_events_lost")
        wait(lambda: told() == lost)
        wait(lambda: len([e for e in pipe.events() if "request_id" in e]) + lost == len(asked) + 1)
        s3(gateway).head_bucket(Bucket="goes-on")
        wait(lambda: any(e.get("operation") == "HeadBucket" for e in pipe.events()))
        assert metric(gateway, LOST) == lost and metric(gateway, REFUSED) == 0


def test_t110_refusals_without_a_place_for_their_events_are_bounded(tmp_path):
    """Also those that wait for clients who never read them: so many of a network, and the others are cut off."""
    pipe = Pipe(tmp_path / "pipe")
    with Gateway(tmp_path / "g", config(pipe.path, "block") + "requests_per_caller = 3\n") as gateway:
        assert ask(gateway, 20000, until=503)[-1][0] == 503
        with raw.Connection(gateway, alpn="h2") as connection:
            client = h2.unread()
            for stream in range(1, 41, 2):
                client.send_headers(stream, [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{gateway.port}"), (":path", "/bucket/unread")], end_stream=True)
            connection.send(client.data_to_send())
            answered, cut = [], []
            while len(cut) < 17 and connection.more():
                for event in client.receive_data(connection.take(len(connection.data))):
                    if isinstance(event, ResponseReceived):
                        answered.append(dict(event.headers)[":status"])
                    elif isinstance(event, StreamReset):
                        cut.append(event.stream_id)
                connection.send(client.data_to_send())
            assert answered == ["503"] * 3, (answered, cut)
        pipe.read()


def test_t110_where_nothing_may_go_unaudited_requests_wait_and_are_refused(tmp_path):
    pipe = Pipe(tmp_path / "pipe")
    with Gateway(tmp_path / "g", config(pipe.path, "block"), tls=False) as gateway:
        asked = ask(gateway, 20000, until=503)
        assert asked[-1][0] == 503
        status, why = admin(gateway, "/readyz")
        assert status == 503 and "audit" in why and why.count("\n") == 1, why
        assert admin(gateway, "/healthz") == (200, "ok\n")
        # What has no place is not carried out.
        refused = raw.request(gateway, "PUT", "/not-made")
        assert (refused.status, refused.code) == (503, "ServiceUnavailable")
        assert raw.request(gateway, "HEAD", "/").status == 503
        assert metric(gateway, REFUSED) == 3
        pipe.read()
        wait(lambda: admin(gateway, "/readyz")[0] == 200)
        assert raw.request(gateway, "GET", "/not-made").code == "NoSuchBucket"
        wait(lambda: any(e.get("bucket") == "not-made" for e in pipe.events()))
        found = {e["request_id"] for e in pipe.events()}
        assert {id for status, id in asked if status != 503} <= found
        assert metric(gateway, LOST) == 0 and len(found) == len(asked)


def test_t110_standard_output_that_nobody_reads(tmp_path):
    port, admin_port = free_port(), free_port()
    (tmp_path / "c.toml").write_text('[audit]\noutput = "stdout"\n')
    env = clean_env(PORTCULLIS_ROOT_ACCESS_KEY=ROOT_KEY, PORTCULLIS_ROOT_SECRET_KEY=ROOT_SECRET)
    command = [BINARY, "serve", "--config", str(tmp_path / "c.toml"), "--data", str(tmp_path / "data"), "--insecure-http",
               "--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin_port}"]
    gateway = Gateway(tmp_path / "g", tls=False)
    gateway.port, gateway.admin_port = port, admin_port
    with open(tmp_path / "stderr", "wb") as err, subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=err) as process:
        try:
            for line in process.stdout:
                if line.strip() == b"ready":
                    break
            asked = ask(gateway, 5000)
            assert {status for status, _ in asked} <= {400, 403}
            assert metric(gateway, LOST) > 0
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("when_full", ["drop", "block"])
def test_t110_a_device_that_is_full(tmp_path, when_full):
    log = tmp_path / "audit.jsonl"
    log.symlink_to("/dev/full")
    with Gateway(tmp_path / "g", config(log, when_full), tls=False) as gateway:
        first = raw.request(gateway, "GET", "/")
        assert first.status == 200
        if when_full == "drop":
            wait(lambda: metric(gateway, LOST) == 1)
            assert raw.request(gateway, "GET", "/").status == 200
            wait(lambda: metric(gateway, LOST) == 2)
            assert admin(gateway, "/readyz")[0] == 200
        else:
            wait(lambda: admin(gateway, "/readyz")[0] == 503)
            assert "audit" in admin(gateway, "/readyz")[1]
            assert raw.request(gateway, "GET", "/").status == 503
            assert metric(gateway, LOST) == 0
        assert "audit events cannot be written" in gateway.log()
        # Room again, by rotation.
        log.unlink()
        gateway.process.send_signal(signal.SIGHUP)
        # Before that what is asked is lost as well, where events may be.
        wait(log.exists)
        wait(lambda: admin(gateway, "/readyz")[0] == 200)
        wait(lambda: raw.request(gateway, "GET", "/").status == 200 and log.read_text().endswith("\n"))
        events = [json.loads(line) for line in log.read_text().splitlines()]
        if when_full == "block":
            assert events[0]["request_id"] == dict(first.headers)["x-amz-request-id"]
        else:
            wait(lambda: '"audit_events_lost","lost":2' in log.read_text())


def test_t110_a_device_that_is_full_does_not_hold_up_the_end(tmp_path):
    with Gateway(tmp_path / "g", config("/dev/full", "block") + 'drain_timeout = "1s"\n', tls=False) as gateway:
        raw.request(gateway, "GET", "/")
        # Nothing may go unaudited, and this did.
        assert gateway.stop() == 1
        assert "could not be written before the end" in gateway.log()
        assert "1 audit events are lost" in gateway.log()
    with Gateway(tmp_path / "d", config("/dev/full", "drop") + 'drain_timeout = "1s"\n', tls=False) as gateway:
        raw.request(gateway, "GET", "/")
        assert gateway.stop() == 0


@pytest.mark.parametrize("when_full", ["drop", "block"])
def test_t110_a_file_that_cannot_be_opened_again(tmp_path, when_full):
    """What would go to a file that nobody can find is lost, and says so; it is tried again until it can be."""
    log = tmp_path / "log" / "audit.jsonl"
    log.parent.mkdir()
    with Gateway(tmp_path / "g", config(log, when_full), tls=False) as gateway:
        ask_once = lambda: raw.request(gateway, "GET", "/").status
        assert ask_once() == 200
        wait(lambda: log.read_text().count("ListBuckets") == 1)
        shutil.rmtree(log.parent)
        gateway.process.send_signal(signal.SIGHUP)
        wait(lambda: "the audit file cannot be opened again" in gateway.log())
        if when_full == "block":
            wait(lambda: admin(gateway, "/readyz")[0] == 503)
            assert "opened again" in admin(gateway, "/readyz")[1]
            assert ask_once() == 503 and metric(gateway, REFUSED) == 1 and metric(gateway, LOST) == 0
        else:
            assert ask_once() == 200
            wait(lambda: metric(gateway, LOST) == 1)
            assert admin(gateway, "/readyz")[0] == 200
        # Nobody has to say that it can be.
        log.parent.mkdir()
        wait(lambda: log.exists() and admin(gateway, "/readyz")[0] == 200)
        assert ask_once() == 200
        wait(lambda: "ListBuckets" in log.read_text())
        if when_full == "drop":
            wait(lambda: '"audit_events_lost","lost":1' in log.read_text())
        assert metric(gateway, LOST) == (when_full == "drop")


def test_t110_the_end_waits_for_who_takes_events_late(tmp_path):
    pipe = Pipe(tmp_path / "pipe")
    with Gateway(tmp_path / "g", config(pipe.path, "block"), tls=False) as gateway:
        asked = ask(gateway, 300)
        gateway.process.send_signal(signal.SIGTERM)
        wait(lambda: "draining" in gateway.log())
        time.sleep(7)
        assert gateway.process.poll() is None
        pipe.read()
        assert gateway.process.wait(40) == 0
        wait(lambda: {id for _, id in asked} <= {e.get("request_id") for e in pipe.events()})


@pytest.mark.parametrize("when_full", ["drop", "block"])
def test_t110_below_the_line_nothing_waits_for_who_reads_events(tmp_path, when_full):
    """What the protocol refuses, heads that do not end and a drain come to their end although nobody takes their
    events; those that are lost are counted."""
    pipe = Pipe(tmp_path / "pipe")
    more = 'header_timeout = "1s"\ndrain_timeout = "1s"\n'
    with Gateway(tmp_path / "g", config(pipe.path, when_full) + more) as gateway:
        asked = ask(gateway, 5000 if when_full == "drop" else 20000, until=503)
        assert metric(gateway, LOST) > 0 if when_full == "drop" else asked[-1][0] == 503
        lost, refused = metric(gateway, LOST), metric(gateway, REFUSED)
        malformed = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/"), ("connection", "close")]
        assert h2.request(gateway, malformed) is None
        with raw.Connection(gateway) as slow, raw.Connection(gateway) as cut:
            slow.send(b"GET /slow HTTP/1.1\r\n")
            assert slow.answer().code == "RequestTimeout"
            if when_full == "drop":
                # Short ones may still have had room.
                pipe.read()
                whys = ("HTTP/2: stream 1 is reset: PROTOCOL_ERROR", "the head did not end in time")
                told = lambda: sum(e.get("reason") in whys for e in pipe.events())
                wait(lambda: metric(gateway, LOST) - lost + told() == 2)
            else:
                wait(lambda: metric(gateway, REFUSED) == refused + 1)
            cut.send(b"GET /cut HTTP/1.1\r\n")
            assert gateway.stop() == (when_full == "block")
