"""T87: limits on connections, on requests and on what is held of them; one caller leaves room for others."""

import contextlib
import threading
import time
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import pytest

from harness import h2, raw
from harness.gateway import Gateway, upstream
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
unverified_bytes = 200000
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


def test_t87_connections_that_are_too_many_are_told(narrow, spy):
    """Those in use are none that give way."""
    busy = [raw.Connection(narrow) for _ in range(12)]
    for connection in busy:
        connection.send(b"GET /bucket/key HTTP/1.1\r\n")
    time.sleep(1.5)
    for _ in range(3):
        with raw.Connection(narrow) as connection:
            connection.send(raw.signed(narrow, "PUT", "/bucket/more", body=BODY))
            slowed(spy, connection.answer(), "/bucket/more")
            assert connection.is_closed()
    slowed(spy, h2.signed(narrow, "GET", "/bucket/more"), "/bucket/more")
    # Those who began are served.
    busy[0].send(b"host: x\r\n\r\n")
    assert busy[0].answer().status == 403
    for connection in busy:
        connection.sock.close()
    assert limited(narrow, "connections") >= 4
    spy.wait(lambda: raw.request(narrow, "PUT", "/bucket/more", body=BODY).status == 200)


def test_t87_connections_beyond_all_are_closed(narrow, spy):
    with contextlib.ExitStack() as held:
        for _ in range(12):
            held.enter_context(raw.Connection(narrow)).send(b"GET /bucket/key HTTP/1.1\r\n")
        told, closed = 0, 0
        for _ in range(20):
            try:
                held.enter_context(raw.Connection(narrow))
                told += 1
            except OSError:
                closed += 1
        # How many are told depends on how long those before them take to be.
        assert told >= 3 and closed > 0, (told, closed)
        assert limited(narrow, "connections_unheard") >= closed
    spy.wait(lambda: serves(narrow))


def serves(gateway):
    try:
        return raw.request(gateway, "GET", "/bucket/key").status == 200
    except OSError:
        return False


def test_t93_unverified_chunks_are_bounded(narrow, spy):
    """Large ones of all uploads together; small ones are nobody's business."""
    chunks = [b"a" * 300_000, b"b" * 300_000]
    put = lambda path, chunks: raw.chunked(narrow, path, chunks)
    assert put("/bucket/one", chunks).status == 200
    spy.recorder.settle()
    spy.recorder.clear()
    query, head, pieces, lines = raw.chunked_parts(narrow, "/bucket/held", chunks)
    body = raw.chunked_body(pieces, lines)
    with raw.Connection(narrow) as connection:
        message = raw.render(narrow, "PUT", "/bucket/held", query, head, body)
        connection.send(message[:-350_000])
        time.sleep(0.5)
        answer = put("/bucket/more", chunks)
        spy.refuses_upload(answer, "SlowDown", statuses=(503,))
        assert answer.headers["retry-after"] == "1"
        assert put("/bucket/small", [b"c" * 100_000] * 10).status == 200
        connection.send(message[-350_000:])
        assert connection.answer().status == 200
    assert put("/bucket/more", chunks).status == 200


def test_t87_streams_of_a_connection(work):
    """So many as are configured, and one that is opened beyond is refused alone."""
    with Gateway(work / "streams", "[limits]\nstreams = 3\n") as gateway:
        with raw.Connection(gateway, alpn="h2") as connection:
            from h2.config import H2Configuration
            from h2.connection import H2Connection
            from h2.events import RemoteSettingsChanged
            from h2.settings import SettingCodes
            client = H2Connection(H2Configuration(client_side=True))
            client.initiate_connection()
            connection.send(client.data_to_send())
            connection.more()
            events = client.receive_data(connection.take(len(connection.data)))
            settings = next(event for event in events if isinstance(event, RemoteSettingsChanged)).changed_settings
            assert settings[SettingCodes.MAX_CONCURRENT_STREAMS].new_value == 3
            assert settings[SettingCodes.MAX_HEADER_LIST_SIZE].new_value == 8192 * 2
