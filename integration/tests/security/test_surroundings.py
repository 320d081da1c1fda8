"""Who is behind a connection, and who may look at the process: certificates of clients, proxies' words, the
admin listener's names, core dumps."""

import json
import os
import pathlib
import resource
import shutil
import signal
import ssl
import subprocess
import tempfile

import pytest

from harness import raw
from harness.gateway import BINARY, Gateway, clean_env
from harness.operators import wait
from harness.spying import AUDIT

POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}'
SECRET = "a-users-secret-canary-0123456789"
EVE = dict(key="AKIAEVE0000000000000", secret=SECRET)
USER = f"""
[[users]]
name = "eve"
access_keys = [{{ id = "{EVE['key']}", secret = {{ env = "USERS_SECRET" }} }}]
policies = ["tls"]
[[policies]]
name = "tls"
inline = '''{POLICY}'''
"""
ENV = {"USERS_SECRET": SECRET}


def authority(directory, name):
    """An authority and a client's certificate of it."""
    files = {kind: str(directory / f"{name}-{kind}.pem") for kind in ("ca", "ca-key", "key", "cert")}
    request = str(directory / f"{name}.csr")
    run = lambda *command: subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=60)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", files["ca-key"], "-out", files["ca"], "-days", "2", "-subj", f"/CN={name}")
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", files["key"], "-out", request, "-subj", "/CN=client")
    extensions = directory / "client.ext"
    extensions.write_text("basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\nsubjectAltName=DNS:client\n")
    run("x509", "-req", "-in", request, "-CA", files["ca"], "-CAkey", files["ca-key"], "-CAcreateserial", "-out", files["cert"], "-days", "2", "-extfile", str(extensions))
    return files


def status(gateway, files=None):
    """What is answered to a client with this certificate; `None` where the handshake fails."""
    import socket
    context = ssl.create_default_context(cafile=gateway.ca)
    if files:
        context.load_cert_chain(files["cert"], files["key"])
    try:
        with socket.create_connection(("127.0.0.1", gateway.port), 10) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(raw.signed(gateway, "GET", "/"))
            return int(connection.recv(4096).split(b" ")[1])
    except (ssl.SSLError, ConnectionError, IndexError):
        return None


@pytest.mark.parametrize("mode, without", [(None, None), ("required", None), ("optional", 200)])
def test_t121_certificates_of_clients(work, mode, without):
    directory = work / f"certificates-{mode}"
    directory.mkdir()
    ours, others = authority(directory, "ours"), authority(directory, "others")
    line = f'client_certificates = "{mode}"\n' if mode else ""
    config = f'[listener.tls]\nclient_ca = "{ours["ca"]}"\n{line}'
    with Gateway(directory / "gateway", config) as gateway:
        assert status(gateway, ours) == 200
        assert status(gateway, others) is None
        assert status(gateway) == without


def test_t121_words_about_clients_make_sense(work):
    file = work / "clients.toml"
    for config, key in (('[listener.tls]\nclient_certificates = "required"\n', "client_certificates"), ("[listener]\nforwarded_proto = true\n", "forwarded_proto")):
        file.write_text(config)
        checked = subprocess.run([BINARY, "check-config", str(file)], capture_output=True, text=True, env=clean_env(), timeout=60)
        assert checked.returncode == 1 and key in checked.stderr, checked.stderr


def ask(gateway, *protos, tls=True):
    headers = [("x-forwarded-proto", proto) for proto in protos]
    return raw.request(gateway, "GET", "/", extra=headers, **EVE)


@pytest.mark.parametrize("tls", [False, True])
def test_t121_a_trusted_proxy_s_word_on_tls(work, tls):
    """aws:SecureTransport is what the proxy says, and no client's word makes it more."""
    config = AUDIT + '[listener]\ntrusted_proxies = ["127.0.0.1"]\nforwarded_proto = true\n' + USER
    with Gateway(work / f"proto-{tls}", config, env=ENV, tls=tls) as gateway:
        assert ask(gateway, "https").status == 200
        assert ask(gateway).status == (200 if tls else 403)
        for said in (["http"], ["https, http"], ["https", "http"], ["http, https"]):
            assert ask(gateway, *said).status == 403, said
        for said in (["junk"], [""], ["https,"], ["on"]):
            answer = ask(gateway, *said)
            assert (answer.status, answer.code) == (400, "BadRequest"), answer


@pytest.mark.parametrize("config", ["", '[listener]\ntrusted_proxies = ["127.0.0.1"]\n', '[listener]\ntrusted_proxies = ["192.0.2.0/24"]\nforwarded_proto = true\n'])
def test_t121_nobody_else_s_word_is_taken(work, config):
    with Gateway(work / "nobodys", AUDIT + config + USER, env=ENV, tls=False) as gateway:
        for said in ([], ["https"], ["https", "https"]):
            assert ask(gateway, *said).status == 403, said
    with Gateway(work / "nobodys-tls", AUDIT + config + USER, env=ENV) as gateway:
        for said in ([], ["http"], ["junk"]):
            assert ask(gateway, *said).status == 200, said


@pytest.mark.parametrize("config", ["", '[listener]\ntrusted_proxies = ["127.0.0.1"]\nforwarded_proto = true\n'])
def test_t121_no_header_says_who_asks(work, config):
    """Not even a trusted proxy's: whoever asks has signed, or is nobody."""
    words = [("x-forwarded-client-cert", f"By=spiffe://gateway;Hash=00;URI=spiffe://{who};Subject=\"CN={who}\"") for who in ("eve", "root")]
    words += [("x-forwarded-user", "eve"), ("x-remote-user", "root"), ("x-amzn-oidc-identity", "eve"), ("x-auth-request-user", "eve"), ("x-ssl-client-verify", "SUCCESS"), ("x-forwarded-proto", "https")]
    def events():
        return [json.loads(line) for line in (gateway.directory / "audit.jsonl").read_text().splitlines()]
    with Gateway(work / f"names-{bool(config)}", AUDIT + config + USER, env=ENV) as gateway:
        for said in (words[:1] + words[-1:], words):
            answer = raw.raw(gateway, raw.render(gateway, "GET", "/", headers=said))
            assert (answer.status, answer.code) == (403, "AccessDenied"), answer
            assert raw.request(gateway, "GET", "/", extra=said, key=EVE["key"], secret="forged").status == 403
            assert raw.request(gateway, "GET", "/", extra=said, **EVE).status == 200
        wait(lambda: len(events()) == 6)
        anonymous, forged, signed = events()[:3]
        assert anonymous["caller"] == "anonymous" and "caller" not in forged and signed["caller"].endswith(":user/eve")


def test_t121_the_admin_listener_knows_its_names(work):
    import http.client
    with Gateway(work / "admin-names", '[admin]\nhosts = ["metrics.internal"]\n') as gateway:
        def get(host, path="/metrics"):
            connection = http.client.HTTPConnection("127.0.0.1", gateway.admin_port, timeout=10)
            connection.putrequest("GET", path, skip_host=True)
            if host:
                connection.putheader("Host", host)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read()
        for host in (None, f"127.0.0.1:{gateway.admin_port}", "127.0.0.1", "[::1]:9001", "localhost:1", "LOCALHOST", "metrics.internal:9001", "Metrics.Internal"):
            assert get(host)[0] == 200, host
        for host in ("evil.example", "evil.example:9001", "127.0.0.1.evil.example", "localhost.evil.example", "metrics.internal.evil", "", "a b"):
            for path in ("/metrics", "/healthz", "/readyz"):
                status, body = get(host or " ", path)
                assert status in (400, 421) and b"portcullis_" not in body, (host, status)


def test_t121_a_crash_leaves_no_core(work):
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    gateway = Gateway(work / "cores")
    gateway.launcher = ["prlimit", f"--core={'unlimited' if hard == resource.RLIM_INFINITY else hard}"]
    gateway.start()
    limits = open(f"/proc/{gateway.process.pid}/limits").read()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"], line
    os.kill(gateway.process.pid, signal.SIGABRT)
    _, status = os.waitpid(gateway.process.pid, 0)
    gateway.process.returncode = -signal.SIGABRT
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status)


def test_t121_nobody_of_the_same_user_reads_its_memory():
    """The system lets only itself: what shows a process belongs to root, and not to who runs it."""
    with tempfile.TemporaryDirectory() as directory:
        gateway, user = Gateway(pathlib.Path(directory) / "memory"), os.getuid()
        if user == 0:
            # As somebody else, who finds the program in a place that is theirs.
            user, binary = 65534, pathlib.Path(directory) / "portcullis"
            shutil.copy(BINARY, binary)
            for path in (directory, binary, gateway.directory, gateway.config_file):
                os.chown(path, user, user)
            gateway.launcher = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "sh", "-c", f'shift; exec {binary} "$@"', "sh"]
        with gateway:
            process = f"/proc/{gateway.process.pid}"
            (line,) = [line for line in open(f"{process}/status") if line.startswith("Uid:")]
            assert line.split()[1:3] == [str(user)] * 2
            # Its twin: the one beside it that nobody has asked to hide.
            with subprocess.Popen(["setpriv", f"--reuid={user}", "--clear-groups", "sleep", "60"] if os.getuid() == 0 else ["sleep", "60"]) as twin:
                wait(lambda: os.stat(f"/proc/{twin.pid}/mem").st_uid == user)
                twin.kill()
            assert os.stat(f"{process}/mem").st_uid == 0 and os.stat(f"{process}/environ").st_uid == 0


def test_t45_browsers_do_not_guess(disk):
    """An object is what its type says: for whoever writes one must not decide more."""
    put = lambda headers: raw.request(disk, "PUT", "/nosniff/page", [], headers, b"<script>alert(1)</script>")
    raw.request(disk, "PUT", "/nosniff")
    for headers in ([], [("content-type", "text/plain")], [("content-type", "image/png")]):
        assert put(headers).status == 200
        for method, query in (("GET", []), ("HEAD", []), ("GET", [("response-content-type", "text/plain")])):
            assert raw.request(disk, method, "/nosniff/page", query).headers["x-content-type-options"] == "nosniff"
