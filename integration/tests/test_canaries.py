"""T86: no secret of any kind is in an answer, a log line, an event, a metric or what is printed, over a whole run of
every operation in every way to sign it, right and wrong, with the log as talkative as it gets."""

import base64
import hashlib
import hmac
import json
import re
import uuid

import pytest

from harness import h2, raw
from harness.clients import s3
from harness.gateway import ROOT_KEY, ROOT_SECRET, Gateway, upstream
from harness.operators import admin, wait
from harness.recorder import Recorder
from harness.spying import OPERATIONS, agree

USER, USER_SECRET = "AKIACANARY0000000000", "users-secret-CANARY-0123456789abcdef"
FILE_USER, FILE_SECRET = "AKIAFILE000000000000", "secret-in-a-file-CANARY-0123456789ab"
UP_KEY, UP_SECRET, UP_TOKEN = "UPSTREAMKEY0CANARY01", "upstream-secret-CANARY-0123456789abc", "upstream-session-token-CANARY-0123456789"
CLIENT_TOKEN = "clients-session-token-CANARY-0123456789"
PASSWORD = base64.b64encode(b"somebody:password-CANARY-0123").decode()
BEARER = "bearer-token-CANARY-0123456789"
WRONG = "wrong-secret-CANARY-0123456789"

CONFIG = f"""
[logging]
level = "trace"
[audit]
output = {{ file = "audit.jsonl" }}
[authorization]
explain_denials = true
[limits]
shutdown_delay = "0s"
[[users]]
name = "carol"
access_keys = [
  {{ id = "{USER}", secret = {{ env = "CAROLS_SECRET" }} }},
  {{ id = "{FILE_USER}", secret = {{ file = "carol.key" }} }},
]
policies = ["p"]
[[policies]]
name = "p"
inline = '''{json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
    {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"}]})}'''
"""


def derived(secret, region="us-east-1"):
    """Every key on the way to a signature of today, as it may be written down."""
    date, found = raw.amz_now()[:8], []
    key = ("AWS4" + secret).encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        found += [key.hex(), base64.b64encode(key).decode(), str(list(key))]
    return found


class Run:
    """Sends, and keeps what is answered."""

    def __init__(self, gateway):
        self.gateway, self.answers, self.sent = gateway, b"", []

    def take(self, answer):
        if answer is not None:
            self.answers += repr(sorted(answer.headers.items())).encode() + answer.body + b"\n"
        return answer

    def send(self, data, head_only=False):
        # What a client has put into Authorization or a link is its own; nobody else has it from here.
        self.sent += [found.decode() for found in re.findall(rb"Signature=([0-9a-f]{64})", data)]
        try:
            return self.take(raw.raw(self.gateway, data, head_only))
        except (ConnectionError, OSError):
            return None

    def operation(self, name, key, secret, **how):
        method, path, query, headers, body = OPERATIONS[name]
        return self.send(raw.signed(self.gateway, method, path, query, headers, body, key=key, secret=secret, **how), method == "HEAD")

    def everything(self):
        """Of every operation: signed by each key, by a wrong secret, as a link, with a token, with others' schemes."""
        for name, (method, path, query, headers, body) in OPERATIONS.items():
            head_only = method == "HEAD"
            for key, secret in ((ROOT_KEY, ROOT_SECRET), (USER, USER_SECRET), (FILE_USER, FILE_SECRET), (USER, WRONG), (USER_SECRET, USER)):
                if name != "DeleteBucket" or key != ROOT_KEY:
                    self.operation(name, key, secret)
            for secret in (USER_SECRET, WRONG):
                link = raw.presign(self.gateway, method, path, query, headers, key=USER, secret=secret)
                self.send(raw.render(self.gateway, method, path, link, headers, body), head_only)
            token = [("x-amz-security-token", CLIENT_TOKEN)]
            self.send(raw.signed(self.gateway, method, path, query, [*headers, *token], body, key=USER, secret=USER_SECRET), head_only)
            for scheme in (f"Basic {PASSWORD}", f"Bearer {BEARER}", f"AWS {USER}:{PASSWORD}", f"AWS4-HMAC-SHA256 Credential={USER_SECRET}"):
                self.send(raw.render(self.gateway, method, path, query, [*headers, ("authorization", scheme)], body), head_only)
        for signed in (True, False):
            self.take(raw.chunked(self.gateway, "/bucket/chunked", [b"x" * 9000, b"y"], key=USER, secret=USER_SECRET, signed=signed))
            self.take(raw.chunked(self.gateway, "/bucket/chunked", [b"x" * 9000, b"y"], key=USER, secret=WRONG, signed=signed))
        if self.gateway.tls:
            for secret in (USER_SECRET, WRONG):
                self.take(h2.signed(self.gateway, "GET", "/bucket/key", key=USER, secret=secret))
            self.take(h2.signed(self.gateway, "GET", "/bucket/key", extra=[("Upper", BEARER)], key=USER, secret=USER_SECRET))
        self.send(f"GET /{BEARER} HTTP/1.1\r\nauthorization {BEARER}\r\n\r\n".encode())


def told(gateway):
    """All that a gateway told others than its clients."""
    files = [gateway.directory / name for name in ("stdout", "stderr", "audit.jsonl")]
    return {file.name: file.read_text(errors="replace") for file in files} | {"metrics": gateway.metrics}


@pytest.mark.parametrize("backend", ["disk", "upstream", "upstream that tells back"])
def test_t86_no_secret_is_told(work, backend):
    directory = work / f"canaries-{uuid.uuid4().hex[:8]}"
    directory.mkdir()
    (directory / "carol.key").write_text(FILE_SECRET + "\n")
    config, env, recorder = CONFIG, {"CAROLS_SECRET": USER_SECRET}, None
    if backend != "disk":
        recorder = Recorder(agree)
        if "back" in backend:
            # It answers with the very head that it was sent, where an error's message stands and in a header.
            def back(head, _body):
                text = head.decode("latin-1").replace("&", "&amp;").replace("<", "&lt;")
                error = f"<Error><Code>AccessDenied</Code><Message>{text}</Message><Resource>{text}</Resource></Error>"
                line = re.search(r"(?i)\r\nauthorization: ([^\r]*)", head.decode("latin-1"))
                return Recorder.answer(error.encode(), "403 Forbidden", [f"x-told: {line.group(1) if line else ''}"])
            recorder.reply = back
        more, keys = upstream("spy", recorder.url, UP_KEY, UP_SECRET, 'keys = "exact"')
        more = more.replace('{ env = "UP_SECRET" }', '{ env = "UP_SECRET" }, session_token = { env = "UP_TOKEN" }')
        config, env = config + more, {**env, **keys, "UP_TOKEN": UP_TOKEN}
    gateway = Gateway(directory, config, env=env)
    with gateway:
        run = Run(gateway)
        run.everything()
        gateway.metrics = admin(gateway, "/metrics")[1]
        # A reload that fails and one that works read all secrets again.
        for text in (config + "\n[nonsense]\n", config.replace('"carol.key"', '"missing.key"'), config):
            mark = gateway.log().count("reloaded")
            gateway.config_file.write_text(text)
            wait(lambda: gateway.log().count("reloaded") > mark, 20)
        assert gateway.stop() == 0
    texts = told(gateway)
    assert "panicked" not in texts["stderr"]
    # The run was one: something was granted, and everything was told.
    events = [json.loads(line) for line in texts["audit.jsonl"].splitlines()]
    assert {"allow", "explicit_deny", "unauthenticated"} <= {e.get("decision") for e in events} and len(events) > 300
    assert len(run.answers) > 100_000 and "TRACE" in texts["stderr"]

    ours = [ROOT_SECRET, USER_SECRET, FILE_SECRET, UP_SECRET, UP_TOKEN]
    keys = [key for secret in ours[:4] for key in derived(secret)]
    theirs = [CLIENT_TOKEN, PASSWORD, "password-CANARY", WRONG, BEARER, *run.sent]
    upstreams = re.findall(r"Signature=([0-9a-f]{64})", "".join(str(a.head) for a in recorder.arrived)) if recorder else []
    assert not recorder or upstreams
    for secret in [*ours, *keys, *theirs, *upstreams]:
        if secret == BEARER:
            continue  # It stood in a path as well, which is told.
        for name, text in texts.items():
            assert secret not in text, f"{secret} is in {name}: {context(text, secret)}"
    assert not any(BEARER in line and f"/{BEARER}" not in line for text in texts.values() for line in text.splitlines())
    # A client may be told again what it said itself, as AWS does of a signature that fails; of ours it is told nothing.
    answers = run.answers.decode("latin-1")
    for secret in [*(s for s in ours if s != USER_SECRET), *keys, *upstreams, PASSWORD, "password-CANARY", WRONG]:
        assert secret not in answers, f"{secret} is answered: {context(answers, secret)}"
    # Where it named a secret as its key, it is told that there is no such key.
    said = [m.start() for m in re.finditer(re.escape(USER_SECRET), answers)]
    assert all("<AWSAccessKeyId>" in answers[at - 16:at] for at in said), answers[said[0] - 200:said[0] + 100]
    if recorder:
        recorder.close()


def context(text, secret):
    at = text.index(secret)
    return text[max(0, at - 300):at + 100]


def test_t86_the_right_signature_is_never_told(work):
    """Who signs wrongly is told what was to be signed, and not how it would have been signed."""
    directory = work / f"canaries-{uuid.uuid4().hex[:8]}"
    directory.mkdir()
    (directory / "carol.key").write_text(FILE_SECRET)
    with Gateway(directory, CONFIG, env={"CAROLS_SECRET": USER_SECRET}) as gateway:
        date = raw.amz_now()
        right = raw.signed_headers(gateway, "GET", "/bucket/key", key=USER, secret=USER_SECRET, date=date)
        wrong = raw.signed_headers(gateway, "GET", "/bucket/key", key=USER, secret=WRONG, date=date)
        signature = dict(right)["authorization"].rpartition("=")[2]
        answer = raw.send(gateway, "GET", "/bucket/key", headers=wrong)
        assert answer.code == "SignatureDoesNotMatch" and b"<StringToSign>" in answer.body
        assert signature.encode() not in answer.body and signature not in gateway.log() + (directory / "audit.jsonl").read_text()
        # It would have been right.
        assert raw.send(gateway, "GET", "/bucket/key", headers=right).status == 404
        assert s3(gateway, USER, USER_SECRET).list_buckets()
