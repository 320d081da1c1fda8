"""T87: limits on connections, on requests and on what is held of them; one caller leaves room for others."""

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from xml.etree import ElementTree

import boto3
import botocore.config
import botocore.exceptions
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RemoteSettingsChanged, ResponseReceived, StreamReset
from h2.settings import SettingCodes

from harness import h2, raw
from harness.gateway import Gateway, upstream
from harness.operators import wait
from harness.recorder import Recorder
from harness.servers import UPSTREAM_KEY, UPSTREAM_SECRET
from harness.spying import AUDIT, Spy, agree

ADA, ADA_SECRET = "AKIAADAADAADAADA0000", "ada-secret-for-these-tests-only-012345"
USERS = f"""
[[users]]
name = "ada"
policies = ["all"]
access_keys = [{{ id = "{ADA}", secret = {{ env = "ADA_SECRET" }} }}]
[[policies]]
name = "all"
inline = '''{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"*"}}}}'''
"""
LIMITS = """
[limits]
connections = 12
requests = 6
requests_per_caller = 4
unverified_bytes = 500000
body_timeout = "20s"
"""
BODY = b"some bytes of an object"


@pytest.fixture(scope="module")
def narrow(work, recorder):
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET)
    with Gateway(work / "narrow", LIMITS + AUDIT + USERS + config, env={**env, "ADA_SECRET": ADA_SECRET}) as gateway:
        yield gateway
        assert "panicked" not in gateway.log()


@pytest.fixture
def spy(narrow, recorder):
    spy = Spy(narrow, recorder)
    spy.reply = agree
    yield spy
    recorder.settle()


def ada(gateway, method, path, **how):
    return raw.request(gateway, method, path, key=ADA, secret=ADA_SECRET, **how)


@contextlib.contextmanager
def uploads(gateway, count, **who):
    """So many of them, which have begun and end well when this ends."""
    held = [raw.Connection(gateway) for _ in range(count)]
    try:
        for n, connection in enumerate(held):
            headers = raw.signed_headers(gateway, "PUT", f"/bucket/held-{n}", payload="UNSIGNED-PAYLOAD", **who)
            connection.send(raw.render(gateway, "PUT", f"/bucket/held-{n}", headers=[*headers, ("content-length", "2")]) + b"x")
        time.sleep(0.5)
        yield
        for connection in held:
            connection.send(b"y")
            assert connection.answer().status == 200
    finally:
        for connection in held:
            connection.sock.close()
        time.sleep(0.3)


def limited(gateway, limit):
    text = urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/metrics", timeout=10).read().decode()
    found = [line.split()[1] for line in text.splitlines() if line.startswith(f'portcullis_limited_total{{limit="{limit}"}}')]
    return int(found[0]) if found else 0


def slowed(spy, answer, target):
    """Told to come later, counted by audit, and never seen by the store."""
    spy.answers(answer, ("SlowDown",), (503,))
    assert answer.headers["retry-after"] == "1" and spy.event(answer)["decision"] == "limited"
    spy.recorder.settle()
    assert not any(target in arrived.target for arrived in spy.arrived)


def test_t87_one_caller_has_its_share(narrow, spy):
    before = limited(narrow, "requests_per_caller")
    with uploads(narrow, 4, key=ADA, secret=ADA_SECRET):
        slowed(spy, ada(narrow, "PUT", "/bucket/more", body=BODY), "/bucket/more")
        slowed(spy, ada(narrow, "GET", "/bucket/more"), "/bucket/more")
        answer = h2.signed(narrow, "GET", "/bucket/more", key=ADA, secret=ADA_SECRET)
        slowed(spy, answer, "/bucket/more")
        assert spy.event(answer)["caller"].endswith(":user/ada")
        # Others are as free as before, and so is one who only says to be her.
        assert raw.request(narrow, "PUT", "/bucket/other", body=BODY).status == 200
        spy.answers(raw.request(narrow, "GET", "/bucket/key", key=ADA, secret="forged"), ("SignatureDoesNotMatch",), (403,))
    assert limited(narrow, "requests_per_caller") == before + 3
    assert ada(narrow, "PUT", "/bucket/more", body=BODY).status == 200


def test_t87_so_many_requests_at_a_time(narrow, spy):
    with uploads(narrow, 4), uploads(narrow, 2, key=ADA, secret=ADA_SECRET):
        for answer in (raw.request(narrow, "PUT", "/bucket/more", body=BODY), ada(narrow, "GET", "/bucket/more"), raw.request(narrow, "GET", "/bucket/more", secret="forged")):
            slowed(spy, answer, "/bucket/more")
        head = raw.request(narrow, "HEAD", "/bucket/more")
        assert (head.status, head.headers["retry-after"], head.body) == (503, "1", b"")
        # One that only asked keeps its connection, and may ask again on it.
        with raw.Connection(narrow) as connection:
            for _ in range(3):
                connection.send(raw.signed(narrow, "GET", "/bucket/more"))
                slowed(spy, connection.answer(), "/bucket/more")
    assert limited(narrow, "requests") > 0
    assert raw.request(narrow, "PUT", "/bucket/more", body=BODY).status == 200


def test_t87_a_backend_that_does_not_answer_leaves_room_to_others(work):
    """Whoever asks it, directly or for all buckets; and it has its places again when it answers."""
    ends, store = threading.Event(), Recorder()
    config, env = upstream("hung", store.url, UPSTREAM_KEY, UPSTREAM_SECRET)
    config = config.replace('bucket = "*"', 'bucket = "hung"')
    limits = '[limits]\nrequests = 8\nrequests_per_caller = 8\n'
    with Gateway(work / "beside", limits + AUDIT + USERS + config, env={**env, "ADA_SECRET": ADA_SECRET}) as gateway:
        spy = Spy(gateway, store)
        spy.reply = lambda head, body: ends.wait(60) and agree(head, body)
        assert raw.request(gateway, "PUT", "/good").status == 200
        # As many as it gets, and one that asks all backends.
        waiting = [raw.Connection(gateway) for _ in range(5)]
        try:
            for n, connection in enumerate(waiting[:4]):
                connection.send(raw.signed(gateway, "GET", f"/hung/held-{n}"))
            spy.wait(lambda: len(store.arrived) == 4)
            waiting[4].send(raw.signed(gateway, "GET", "/"))
            spy.wait(lambda: len(store.arrived) == 5)
            for _ in range(3):
                for answer in (ada(gateway, "GET", "/hung/more"), h2.signed(gateway, "GET", "/hung/more")):
                    spy.answers(answer, ("SlowDown",), (503,))
                    assert answer.headers["retry-after"] == "1" and spy.event(answer)["decision"] == "limited"
                assert ada(gateway, "PUT", "/good/x", body=BODY).status == 200
                assert ada(gateway, "GET", "/good/x").body == BODY
            assert limited(gateway, "requests_per_backend") == 6 and limited(gateway, "requests") == 0
            assert len(store.arrived) == 5
            ends.set()
            assert [connection.answer().status for connection in waiting[:4]] == [200] * 4
        finally:
            ends.set()
            for connection in waiting:
                connection.sock.close()
        assert ada(gateway, "GET", "/hung/more").status == 200
    store.close()


@pytest.mark.parametrize("source,target", [("/hung/key", "/good/copy"), ("/good/x", "/hung/copy")])
def test_t87_copies_that_wait_leave_both_their_backends_to_others(work, source, target):
    ends, store = threading.Event(), Recorder()
    config, env = upstream("hung", store.url, UPSTREAM_KEY, UPSTREAM_SECRET)
    config = config.replace('bucket = "*"', 'bucket = "hung"')
    limits = '[limits]\nrequests = 8\nrequests_per_caller = 8\n'
    with Gateway(work / f"copies-{target[1:5]}", limits + AUDIT + USERS + config, env={**env, "ADA_SECRET": ADA_SECRET}) as gateway:
        spy = Spy(gateway, store)
        assert raw.request(gateway, "PUT", "/good").status == 200
        assert raw.request(gateway, "PUT", "/good/x", body=BODY).status == 200
        spy.reply = lambda head, body: ends.wait(60) and agree(head, body)
        waiting = [raw.Connection(gateway) for _ in range(4)]
        try:
            for connection in waiting:
                connection.send(raw.signed(gateway, "PUT", target, headers=[("x-amz-copy-source", source)]))
            spy.wait(lambda: len(store.arrived) == 4)
            spy.answers(ada(gateway, "PUT", target, headers=[("x-amz-copy-source", source)]), ("SlowDown",), (503,))
            for _ in range(3):
                assert ada(gateway, "PUT", "/good/y", body=BODY).status == 200
                assert ada(gateway, "GET", "/good/y").body == BODY
            assert limited(gateway, "requests_per_backend") == 1 and len(store.arrived) == 4
        finally:
            ends.set()
            for connection in waiting:
                connection.sock.close()
    store.close()


@pytest.mark.parametrize("who", [{"secret": "forged"}, {"key": ADA, "secret": ADA_SECRET}])
def test_t87_refusals_that_nobody_reads_take_no_place(narrow, spy, who):
    """Their streams have no window: the answers wait for clients who never read them."""
    spy.reply = lambda head, body: Recorder.answer(b"<Error><Code>NoSuchKey</Code></Error>", "404 Not Found")
    with raw.Connection(narrow, alpn="h2") as connection:
        unread = h2.unread()
        headers = raw.signed_headers(narrow, "GET", "/bucket/unread", **who)
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{narrow.port}"), (":path", "/bucket/unread")]
        for stream in range(1, 25, 2):
            unread.send_headers(stream, [*pseudo, *((k, v) for k, v in headers if k != "host")], end_stream=True)
        connection.send(unread.data_to_send())
        time.sleep(0.3)
        spy.reply = agree
        for _ in range(10):
            assert raw.request(narrow, "GET", "/bucket/read").status == 200
    spy.recorder.settle()


def test_t93_documents_that_do_not_end_are_bounded(narrow, spy):
    """What one holds of them is given back with its connection, and leaves room to others."""
    document = b"<Delete>" + b" " * 199_992
    query, digest = [("delete", "")], [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")]
    signed = lambda: raw.signed_headers(narrow, "POST", "/bucket", query, digest, payload="UNSIGNED-PAYLOAD", key=ADA, secret=ADA_SECRET)
    asked = lambda: raw.render(narrow, "POST", "/bucket", query, [*signed(), ("content-length", "240000")])
    with raw.Connection(narrow) as first, raw.Connection(narrow) as second:
        first.send(asked() + document[:150_000])
        time.sleep(0.5)
        second.send(asked() + document)
        spy.answers(second.answer(), ("SlowDown",), (503,))
        assert raw.request(narrow, "PUT", "/bucket/other", body=BODY).status == 200
    time.sleep(0.5)
    assert limited(narrow, "unverified_bytes") > 0
    with raw.Connection(narrow) as again:
        again.send(asked() + document + b" " * 40_000)
        assert again.answer().status == 400
    spy.recorder.settle()


def test_t87_what_nobody_waits_for_ends(narrow, spy):
    """A client of HTTP/1.1 that leaves takes its request with it, and whoever stays has an answer."""
    waits = threading.Event()
    spy.reply = lambda head, body: waits.wait(20) and agree(head, body) or agree(head, body)
    try:
        with raw.Connection(narrow) as leaves:
            leaves.send(raw.signed(narrow, "GET", "/bucket/left"))
            time.sleep(0.5)
        left = lambda: [event for event in spy.events.values() if "the client left" in (event.get("reason") or "")]
        spy.wait(lambda: spy.read_audit() or left())
        assert [event["key"] for event in left()] == ["left"]
        assert "not known" not in left()[0]["reason"]
        # What would have changed something may have: nobody says that it did not.
        with raw.Connection(narrow) as leaves:
            leaves.send(raw.signed(narrow, "PUT", "/bucket/copy", headers=[("x-amz-copy-source", "/bucket/key")]))
            time.sleep(0.5)
        spy.wait(lambda: spy.read_audit() or len(left()) == 2)
        (copy,) = [event for event in left() if event["operation"] == "CopyObject"]
        assert copy["reason"].endswith("whether it was carried out is not known"), copy
    finally:
        waits.set()
    # The next request may be on its way while the first waits for its answer.
    with raw.Connection(narrow) as stays:
        stays.send(raw.signed(narrow, "GET", "/bucket/one") + raw.signed(narrow, "GET", "/bucket/two"))
        assert [stays.answer().status for _ in range(2)] == [200, 200]
    spy.recorder.settle()


def test_t87_a_client_that_is_told_to_wait_gets_through(narrow, spy):
    client = boto3.session.Session().client("s3", endpoint_url=narrow.url, region_name="us-east-1", aws_access_key_id=ADA, aws_secret_access_key=ADA_SECRET, verify=narrow.ca,
                                            config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 8}))
    statuses, ended = [], threading.Event()
    client.meta.events.register("response-received.s3", lambda response_dict, **_: statuses.append(response_dict["status_code"]))

    def put():
        client.put_object(Bucket="bucket", Key="late", Body=BODY)
        ended.set()

    putting = threading.Thread(target=put)
    with uploads(narrow, 4, key=ADA, secret=ADA_SECRET):
        putting.start()
        spy.wait(lambda: 503 in statuses)
        assert not ended.is_set()
    putting.join(60)
    assert ended.is_set() and statuses[-1] == 200, statuses


def test_t87_idle_connections_give_way(narrow, spy):
    idle = [raw.Connection(narrow) for _ in range(12)]
    idle[0].send(raw.signed(narrow, "GET", "/bucket/key"))
    assert idle[0].answer().status == 200
    time.sleep(1.5)
    # The one that was idle longest goes, whether it has asked before or not, and no other.
    assert raw.request(narrow, "GET", "/bucket/key").status == 200
    gone = [connection for connection in idle if connection.is_closed(0.2)]
    assert len(gone) == 1 and gone[0] is not idle[0], idle.index(gone[0])
    for connection in idle:
        connection.sock.close()
    assert limited(narrow, "idle_connections") > 0


@contextlib.contextmanager
def crowd(gateway, opened):
    """As many connections as there is room for, which ask for nothing that can be answered."""
    held = [opened(gateway) for _ in range(12)]
    time.sleep(1.5)
    yield held
    for sock in held:
        sock.close()
    time.sleep(0.3)


def unfinished_handshake(gateway):
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=15)


def unfinished_head(gateway):
    connection = raw.Connection(gateway)
    connection.send(b"GET /bucket/key HTTP/1.1\r\n")
    return connection.sock


def unfinished_preface(gateway):
    connection = raw.Connection(gateway, alpn="h2")
    connection.send(b"PRI * HTTP/2.0")
    return connection.sock


def idle_streams(gateway):
    connection = raw.Connection(gateway, alpn="h2")
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    connection.send(client.data_to_send())
    return connection.sock


def unfinished_headers(gateway):
    """A block of headers that does not end: no request has begun."""
    sock = idle_streams(gateway)
    sock.sendall(b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82")
    return sock


@pytest.mark.parametrize("opened", [unfinished_handshake, unfinished_head, unfinished_preface, idle_streams, unfinished_headers])
def test_t87_who_asks_for_nothing_gives_way(narrow, spy, opened):
    before = limited(narrow, "idle_connections")
    with crowd(narrow, opened):
        for _ in range(8):
            assert raw.request(narrow, "GET", "/bucket/key").status == 200
            assert h2.signed(narrow, "GET", "/bucket/key").status == 200
    # Those who come again and again need one place.
    assert 0 < limited(narrow, "idle_connections") - before <= 16


def test_t87_a_stream_that_is_answered_keeps_its_connection(narrow, spy):
    """Its connection asks for nothing else meanwhile."""
    with raw.Connection(narrow, alpn="h2") as connection:
        client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        client.initiate_connection()
        head = raw.signed_headers(narrow, "PUT", "/bucket/slow", payload="UNSIGNED-PAYLOAD", host=f"127.0.0.1:{narrow.port}")
        pairs = [(name, value) for name, value in head if name != "host"]
        pseudo = [(":method", "PUT"), (":scheme", "https"), (":authority", f"127.0.0.1:{narrow.port}"), (":path", "/bucket/slow")]
        client.send_headers(1, [*pseudo, *pairs, ("content-length", "2")])
        client.send_data(1, b"x")
        connection.send(client.data_to_send())
        time.sleep(1)
        with crowd(narrow, unfinished_handshake):
            for _ in range(4):
                assert raw.request(narrow, "GET", "/bucket/key").status == 200
        client.send_data(1, b"y", end_stream=True)
        connection.send(client.data_to_send())
        status = None
        while status is None and connection.more():
            for event in client.receive_data(connection.take(len(connection.data))):
                if isinstance(event, ResponseReceived):
                    status = dict(event.headers)[":status"]
        assert status == "200"


def test_t87_no_address_has_every_connection(narrow, spy):
    """However busy it is: its requests are refused, and asked again and again on connections that stay."""
    busy, ended = [], threading.Event()

    def again():
        while not ended.is_set():
            try:
                with raw.Connection(narrow, source="127.0.0.2") as connection:
                    while not ended.is_set():
                        connection.send(raw.render(narrow, "GET", "/bucket/key"))
                        if connection.answer().status != 403:
                            break
                        time.sleep(0.2)
            except OSError:
                time.sleep(0.1)

    busy = [threading.Thread(target=again) for _ in range(20)]
    for thread in busy:
        thread.start()
    try:
        time.sleep(2)
        for _ in range(20):
            assert raw.request(narrow, "GET", "/bucket/key").status == 200
    finally:
        ended.set()
        for thread in busy:
            thread.join()


@pytest.fixture(scope="module")
def tight(work, recorder):
    config, env = upstream("spy", recorder.url, UPSTREAM_KEY, UPSTREAM_SECRET)
    with Gateway(work / "tight", "[limits]\nconnections = 5\nrequests = 100\n" + AUDIT + USERS + config, env={**env, "ADA_SECRET": ADA_SECRET}) as gateway:
        yield gateway
        assert "panicked" not in gateway.log()


def ready(gateway):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/readyz", timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_t87_connections_that_are_too_many_are_told(tight, recorder):
    """Those in use are none that give way; and when nobody is let in, that is said."""
    spy = Spy(tight, recorder)
    spy.reply = agree
    with uploads(tight, 4):
        time.sleep(1.5)
        for _ in range(3):
            with raw.Connection(tight) as connection:
                connection.send(raw.signed(tight, "PUT", "/bucket/more", body=BODY))
                slowed(spy, connection.answer(), "/bucket/more")
                assert connection.is_closed()
        slowed(spy, h2.signed(tight, "GET", "/bucket/more"), "/bucket/more")
        assert ready(tight).strip() == "ready"
        # One address gets no more, which is no reason to say that nobody does; then others take the rest.
        assert ready(tight).strip() == "ready"
        with raw.Connection(tight, source="127.0.0.2") as other:
            other.send(raw.render(tight, "PUT", "/bucket/other", headers=[*raw.signed_headers(tight, "PUT", "/bucket/other", payload="UNSIGNED-PAYLOAD"), ("content-length", "2")]) + b"x")
            spy.wait(lambda: not serves(tight, source="127.0.0.3") and "all 5 connections" in ready(tight))
    assert limited(tight, "connections") >= 4
    spy.wait(lambda: raw.request(tight, "PUT", "/bucket/more", body=BODY).status == 200)
    assert ready(tight).strip() == "ready"


def test_t87_connections_beyond_all_are_closed(tight, recorder):
    spy = Spy(tight, recorder)
    spy.reply = agree
    with uploads(tight, 4), contextlib.ExitStack() as held:
        told, closed = 0, 0
        for _ in range(20):
            try:
                held.enter_context(raw.Connection(tight))
                told += 1
            except OSError:
                closed += 1
        # How many are told depends on how long those before them take to be.
        assert told >= 1 and closed > 0, (told, closed)
        assert limited(tight, "connections_unheard") >= closed
    spy.wait(lambda: serves(tight))


def test_t87_few_descriptors_are_shared_out(work):
    """One caller's stalled uploads, as many as it can have, leave room for others' objects."""
    few = Gateway(work / "few", USERS, env={"ADA_SECRET": ADA_SECRET})
    few.launcher = ["prlimit", "--nofile=256:256"]
    with few as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        stalled = [raw.Connection(gateway) for _ in range(90)]
        for n, connection in enumerate(stalled):
            headers = raw.signed_headers(gateway, "PUT", f"/bucket/stalled-{n}", payload="UNSIGNED-PAYLOAD", key=ADA, secret=ADA_SECRET)
            connection.send(raw.render(gateway, "PUT", f"/bucket/stalled-{n}", headers=[*headers, ("content-length", "1000000")]) + b"x" * 200_000)
        time.sleep(1.5)
        for n in range(20):
            assert raw.request(gateway, "PUT", f"/bucket/{n}", body=BODY).status == 200
            assert raw.request(gateway, "GET", f"/bucket/{n}").body == BODY
        assert ready(gateway).strip() == "ready"
        for connection in stalled:
            connection.sock.close()


def serves(gateway, source=None):
    try:
        with raw.Connection(gateway, source=source) as connection:
            connection.send(raw.signed(gateway, "GET", "/bucket/key"))
            return connection.answer().status == 200
    except OSError:
        return False


def test_t93_unverified_chunks_are_bounded(narrow, spy):
    """Large ones of all uploads together, of which nobody has all; small ones are nobody's business."""
    chunks = [b"a" * 300_000, b"b" * 300_000]
    put = lambda path, chunks, **who: raw.chunked(narrow, path, chunks, **who)
    assert put("/bucket/one", chunks).status == 200
    before = limited(narrow, "unverified_bytes")
    spy.recorder.settle()
    spy.recorder.clear()
    query, head, pieces, lines = raw.chunked_parts(narrow, "/bucket/held", chunks)
    body = raw.chunked_body(pieces, lines)
    with raw.Connection(narrow) as connection:
        message = raw.render(narrow, "PUT", "/bucket/held", query, head, body)
        connection.send(message[:-50_000])
        time.sleep(0.5)
        answer = put("/bucket/more", chunks)
        spy.refuses_upload(answer, "SlowDown", statuses=(503,))
        assert answer.headers["retry-after"] == "1"
        assert limited(narrow, "unverified_bytes") == before + 1
        assert put("/bucket/small", [b"c" * 100_000] * 10).status == 200
        assert put("/bucket/hers", chunks, key=ADA, secret=ADA_SECRET).status == 200
        connection.send(message[-50_000:])
        assert connection.answer().status == 200
    assert put("/bucket/more", chunks).status == 200


def test_t90_answers_that_nobody_reads_are_bounded(work):
    """Pages of keys that are all markup, which is five times as long in a document."""
    limits = "[limits]\nanswer_bytes = 6000000\nbody_timeout = \"20s\"\n"
    with Gateway(work / "unread", limits + USERS, env={"ADA_SECRET": ADA_SECRET}) as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        keys = [f"{n:03}{'&' * 900}" for n in range(300)]
        with raw.Connection(gateway) as connection:
            for key in keys:
                connection.send(raw.signed(gateway, "PUT", f"/bucket/{key}", body=b""))
                assert connection.answer().status == 200
        list_ = [("list-type", "2")]
        whole = raw.request(gateway, "GET", "/bucket", list_)
        assert whole.status == 200 and len(whole.body) > 1_300_000
        assert [item.text for item in ElementTree.fromstring(whole.body).findall(".//{*}Key")] == keys
        with raw.Connection(gateway, alpn="h2") as connection:
            client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
            client.initiate_connection()
            for stream in range(1, 41, 2):
                pairs = raw.signed_headers(gateway, "GET", "/bucket", list_, host=f"127.0.0.1:{gateway.port}")
                pairs = [(name, value) for name, value in pairs if name != "host"]
                pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{gateway.port}"), (":path", "/bucket?list-type=2")]
                client.send_headers(stream, [*pseudo, *pairs], end_stream=True)
            connection.send(client.data_to_send())
            statuses = []
            while len(statuses) < 20 and connection.more():
                events = client.receive_data(connection.take(len(connection.data)))
                statuses += [dict(event.headers)[":status"] for event in events if isinstance(event, ResponseReceived)]
            # None of the answers is read: some wait, and what would be too much is told to come later.
            assert "200" in statuses and "503" in statuses and set(statuses) == {"200", "503"}
            # Another has its page meanwhile, and short pages are for everybody.
            assert ada(gateway, "GET", "/bucket", query=list_).body == whole.body
            assert raw.request(gateway, "GET", "/bucket", [*list_, ("max-keys", "5")]).status == 200
        is_free = lambda: raw.request(gateway, "GET", "/bucket", list_).body == whole.body
        for _ in range(100):
            if is_free():
                break
            time.sleep(0.1)
        assert is_free() and limited(gateway, "answer_bytes") > 0
        assert "panicked" not in gateway.log()


def test_t90_short_answers_are_for_everybody(work):
    """Only what is held beyond 64 KiB of an answer is counted: who has nothing left has short pages all the same."""
    with Gateway(work / "short-pages", "[limits]\nanswer_bytes = 10000\n") as gateway:
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        with raw.Connection(gateway) as connection:
            for n in range(200):
                connection.send(raw.signed(gateway, "PUT", f"/bucket/{n:03}{'k' * 900}", body=b""))
                assert connection.answer().status == 200
        for query in ([("list-type", "2")], [], [("versions", "")]):
            short, long = (raw.request(gateway, "GET", "/bucket", [*query, ("max-keys", count)]) for count in ("1", "200"))
            assert short.status == 200 and b"000k" in short.body, (query, short)
            assert (long.status, long.code) == (503, "SlowDown"), (query, long)
        assert raw.request(gateway, "GET", "/bucket", [("uploads", "")]).status == 200
        assert limited(gateway, "answer_bytes") == 3


def test_t87_streams_of_a_connection(work):
    """So many as are configured, and one that is opened beyond is refused alone."""
    with Gateway(work / "streams", AUDIT + "[limits]\nstreams = 3\n") as gateway:
        with raw.Connection(gateway, alpn="h2") as connection:
            client = H2Connection(H2Configuration(client_side=True))
            client.initiate_connection()
            connection.send(client.data_to_send())
            connection.more()
            events = client.receive_data(connection.take(len(connection.data)))
            settings = next(event for event in events if isinstance(event, RemoteSettingsChanged)).changed_settings
            assert settings[SettingCodes.MAX_CONCURRENT_STREAMS].new_value == 3
            assert settings[SettingCodes.MAX_HEADER_LIST_SIZE].new_value == 8192 * 2
        assert raw.request(gateway, "PUT", "/bucket").status == 200
        with raw.Connection(gateway, alpn="h2") as connection:
            client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
            client.initiate_connection()
            for stream in (1, 3, 5, 7, 9):
                head = raw.signed_headers(gateway, "PUT", f"/bucket/{stream}", payload="UNSIGNED-PAYLOAD", host=f"127.0.0.1:{gateway.port}")
                pseudo = [(":method", "PUT"), (":scheme", "https"), (":authority", f"127.0.0.1:{gateway.port}"), (":path", f"/bucket/{stream}")]
                client.send_headers(stream, [*pseudo, *((k, v) for k, v in head if k != "host"), ("content-length", "2")])
                client.send_data(stream, b"x")
            connection.send(client.data_to_send())
            answered, reset = {}, {}

            def listen(enough):
                while not enough() and connection.more():
                    for event in client.receive_data(connection.take(len(connection.data))):
                        if isinstance(event, ResponseReceived):
                            answered[event.stream_id] = dict(event.headers)[":status"]
                        elif isinstance(event, StreamReset):
                            reset[event.stream_id] = event.error_code

            listen(lambda: len(reset) == 2)
            assert reset == {7: ErrorCodes.REFUSED_STREAM, 9: ErrorCodes.REFUSED_STREAM} and not answered
            for stream in (1, 3, 5):
                client.send_data(stream, b"y", end_stream=True)
            connection.send(client.data_to_send())
            listen(lambda: len(answered) == 3)
            assert answered == dict.fromkeys((1, 3, 5), "200")
            # Each has its event, and so has what ends the connection after them.
            connection.send(b"\0\0\4\1\5\0\0\0\x0b\x04\x02/#")
            while connection.more():
                pass
        told = lambda: [line["reason"] for line in map(json.loads, (gateway.directory / "audit.jsonl").read_text().splitlines()) if "HTTP/2" in line.get("reason", "")]
        expected = ["HTTP/2: stream 7 is reset: REFUSED_STREAM", "HTTP/2: stream 9 is reset: REFUSED_STREAM", "HTTP/2: a request target holds a fragment; the connection ends"]
        wait(lambda: len(told()) >= 3)
        assert told() == expected
