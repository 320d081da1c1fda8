"""A newcomer's hour: what is generated, where it is, who reaches it, and what the README and the examples say."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys

import pytest

from harness import raw
from harness.clients import DEBIAN_AWS, VENV_AWS, curl, s3
from harness.gateway import BINARY, ROOT_KEY, ROOT_SECRET, Gateway, clean_env, free_port
from harness.operators import wait

ROOT = pathlib.Path(__file__).parents[2]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_of_secrets_are_nobody_elses(tmp_path):
    """Those of an earlier version are made so, and an operator is told; what is right stays."""
    gateway = Gateway(tmp_path, root=False)
    with gateway:
        assert [mode(gateway.data / name) for name in ("tls", "state")] == [0o700, 0o700]
        assert "others could enter" not in gateway.log()
    for name in ("tls", "state"):
        (gateway.data / name).chmod(0o755)
    with gateway:
        assert [mode(gateway.data / name) for name in ("tls", "state")] == [0o700, 0o700]
        assert gateway.log().count("others could enter") == 2


def test_roots_secret_has_no_flag(tmp_path):
    told = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, env=clean_env()).stdout
    assert "root" not in told.replace("generated root credentials", "").lower(), told
    for flag in ("--root-secret-key", "--root-access-key"):
        done = subprocess.run([BINARY, "serve", flag, "canary-secret"], cwd=tmp_path, capture_output=True, text=True, env=clean_env())
        assert done.returncode == 2 and flag in done.stderr and not list(tmp_path.iterdir()), done
    done = subprocess.run([BINARY, "serve"], cwd=tmp_path, capture_output=True, text=True, env=clean_env(PORTCULLIS_ROOT_SECRET_KEY="canary-secret"))
    assert done.returncode == 1 and "PORTCULLIS_ROOT_ACCESS_KEY" in done.stderr and "canary" not in done.stderr, done


@pytest.mark.parametrize("written", ["", 'data = "./portcullis-data"\n'])
def test_data_is_beside_the_configuration(tmp_path, written):
    """Written or not, and wherever the process is started; without a configuration, where it is started."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "etc" / "portcullis.toml"
    file.write_text(written)
    for config, expected in ((["--config", str(file)], tmp_path / "etc"), (["--config", "../etc/portcullis.toml"], tmp_path / "etc"), ([], tmp_path / "elsewhere")):
        command = [BINARY, "serve", *config, "--listen", f"127.0.0.1:{free_port()}", "--admin-listen", f"127.0.0.1:{free_port()}"]
        run_until_ready(command, tmp_path / "elsewhere", clean_env()).terminate()
        assert (expected / "portcullis-data" / "env.sh").exists()
        there = {str(p.parent.relative_to(tmp_path)) for p in tmp_path.rglob("env.sh")}
        assert there == {str((expected / "portcullis-data").relative_to(tmp_path))}
        shutil.rmtree(expected / "portcullis-data")


def run_until_ready(command, cwd, env, **how):
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, **how)
    for line in process.stdout:
        if line.strip() == "ready":
            return process
    raise AssertionError(f"{command} does not get ready")


def addresses():
    """Addresses of this machine beside loopback."""
    found = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    return [a for a in found if not a.startswith(("127.", "fe80", "::1"))]


def handshake(port, name, ca, to="127.0.0.1"):
    """Whether a client that verifies is content under that name."""
    context = ssl.create_default_context(cafile=ca)
    try:
        with context.wrap_socket(socket.create_connection((to, port), 10), server_hostname=name):
            return True
    except ssl.SSLCertVerificationError:
        return False


def test_who_listens_everywhere_is_reached_by_every_name(tmp_path):
    everywhere = Gateway(tmp_path / "everywhere")
    launcher = tmp_path / "launcher"
    launcher.write_text(f"""#!{sys.executable}
import os, sys
args = sys.argv[1:]
at = args.index("--listen") + 1
args[at] = args[at].replace("127.0.0.1", "0.0.0.0")
os.execv(args[0], args)
""")
    launcher.chmod(0o755)
    everywhere.launcher = [str(launcher)]
    with everywhere:
        for name in ("localhost", "127.0.0.1", socket.gethostname(), *addresses()):
            assert handshake(everywhere.port, name, everywhere.ca), name
        for address in addresses():
            if ":" not in address:
                assert handshake(everywhere.port, address, everywhere.ca, address)
        assert not handshake(everywhere.port, "other.example.com", everywhere.ca)
        # What to set for another name is said.
        assert "listener.external_url" in everywhere.log() and socket.gethostname() in everywhere.log()
        assert s3(everywhere).list_buckets()["Buckets"] == []


def test_a_domain_that_a_reload_adds_is_in_the_certificate(tmp_path):
    with Gateway(tmp_path, '[listener]\nvirtual_host_domains = ["one.example.com"]\n') as gateway:
        reached = lambda name: handshake(gateway.port, name, gateway.ca)
        assert reached("bucket.one.example.com") and not reached("bucket.two.example.com")
        before = (gateway.data / "tls" / "ca.pem").read_bytes()
        gateway.config_file.write_text('[listener]\nvirtual_host_domains = ["one.example.com", "two.example.com"]\n')
        wait(lambda: reached("bucket.two.example.com"), 20)
        assert reached("two.example.com") and reached("bucket.one.example.com") and reached("127.0.0.1")
        # By the authority that clients trust already.
        assert (gateway.data / "tls" / "ca.pem").read_bytes() == before


@pytest.mark.parametrize("said", [
    b"GET /bucket HTTP/1.1\r\nhost: x\r\nauthorization: canary\r\n\r\n",
    b"PUT /bucket/key HTTP/1.1\r\nhost: x\r\ncontent-length: 30000\r\n\r\n" + b"x" * 30000,
    b"G",
])
def test_plain_http_where_tls_is_spoken_is_told_so(tmp_path, said):
    with Gateway(tmp_path, '[audit]\noutput = { file = "audit.jsonl" }\n') as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), 10) as plain:
            plain.sendall(said)
            text = b""
            plain.settimeout(20)
            while b"</Error>" not in text:
                piece = plain.recv(65536)
                assert piece, text
                text += piece
        assert text.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"https://" in text and b"connection: close" in text
        id = re.search(rb"x-amz-request-id: (\w+)", text).group(1).decode()
        line = wait(lambda: [line for line in (tmp_path / "audit.jsonl").read_text().splitlines() if id in line])[0]
        event = json.loads(line)
        assert event["reason"] == "plain HTTP on a port of TLS" and not event["secure"] and "canary" not in line
        # Whoever speaks TLS is served.
        assert raw.request(gateway, "GET", "/").status == 200


def test_plain_http_where_tls_is_spoken_has_words_in_clients(tmp_path):
    with Gateway(tmp_path) as gateway:
        env = clean_env(AWS_ACCESS_KEY_ID=ROOT_KEY, AWS_SECRET_ACCESS_KEY=ROOT_SECRET, AWS_DEFAULT_REGION="us-east-1", AWS_CONFIG_FILE="/dev/null")
        done = subprocess.run([VENV_AWS, "--endpoint-url", f"http://127.0.0.1:{gateway.port}", "s3", "ls"], env=env, capture_output=True, text=True)
        assert done.returncode != 0 and "use https://" in done.stderr, done


@pytest.mark.parametrize("aws", [VENV_AWS, DEBIAN_AWS])
def test_links_of_the_command_line_work_or_say_what_to_do(tmp_path, aws):
    """With its defaults. Version 2 of the signature is what older ones make in us-east-1."""
    with Gateway(tmp_path) as gateway:
        client = s3(gateway)
        client.create_bucket(Bucket="links")
        client.put_object(Bucket="links", Key="k", Body=b"linked")
        env = clean_env(AWS_ACCESS_KEY_ID=ROOT_KEY, AWS_SECRET_ACCESS_KEY=ROOT_SECRET, AWS_DEFAULT_REGION="us-east-1",
                        AWS_CA_BUNDLE=gateway.ca, AWS_CONFIG_FILE="/dev/null")
        link = subprocess.run([aws, "--endpoint-url", gateway.url, "s3", "presign", "s3://links/k"], env=env, capture_output=True, text=True, check=True)
        status, body = curl(link.stdout.strip(), gateway.ca)
        if "AWSAccessKeyId" in link.stdout:
            assert status == 400 and b"s3v4" in body, body
        else:
            assert (status, body) == (200, b"linked")


def test_the_container_is_reached_from_outside(tmp_path):
    """By the Dockerfile's own command, but for its ports and directory."""
    text = (ROOT / "Dockerfile").read_text()
    command = json.loads(re.search(r"^CMD (.*)$", text, re.M).group(1))
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.M).group(1)) == ["portcullis"]
    port, admin = free_port(), free_port()
    data = tmp_path / "data"
    command = [part.replace("/var/lib/portcullis/data", str(data)).replace(":9000", f":{port}").replace(":9001", f":{admin}") for part in command]
    command += [] if "--admin-listen" in command else ["--admin-listen", f"127.0.0.1:{admin}"]
    process = run_until_ready([BINARY, *command], tmp_path, clean_env())
    try:
        for address in ["127.0.0.1", *addresses()]:
            if ":" not in address:
                assert handshake(port, address, str(data / "tls" / "ca.pem"), address), address
    finally:
        process.terminate()
        process.wait(40)


# --- The README and the examples, as they are printed ---

FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.M | re.S)


def blocks(file):
    """Language, what stands behind it, and text of each block."""
    return [(language, rest.strip(), text) for language, rest, text in FENCE.findall((ROOT / file).read_text())]


class Newcomer:
    """A shell in a directory with what the repository has, on whose PATH is what the README says to install. Ports are
    chosen, since others may have the usual ones, and what installs packages is believed."""

    def __init__(self, directory):
        self.home, self.work = directory / "home", directory / "portcullis"
        for path in (self.home / ".cargo" / "bin", self.work, directory / "bin"):
            path.mkdir(parents=True)
        for name in ("README.md", "examples", "policies", "Cargo.toml"):
            source = ROOT / name
            shutil.copytree(source, self.work / name) if source.is_dir() else shutil.copy(source, self.work / name)
        self.port, self.admin = free_port(), free_port()
        shims = {
            "sudo": 'exec "$@"',
            # What packages bring is here already, and an `awscli` that is too old would be taken for what it is.
            "apt-get": f"""[ "$1" = install ] && [ "$2" = -y ] || exit 1
case " $* " in *" pipx "*) mv "{directory}/pipx" "{directory}/bin/pipx";; esac""",
            "cargo": f"""[ "$*" = "install --locked --path ." ] && [ -f Cargo.toml ] || exit 1
cat > "$HOME/.cargo/bin/portcullis" <<'SHIM'
#!/bin/sh
case "$1" in serve) exec {BINARY} "$@" --listen 127.0.0.1:{self.port} --admin-listen 127.0.0.1:{self.admin};; esac
exec {BINARY} "$@"
SHIM
chmod +x "$HOME/.cargo/bin/portcullis" """,
        }
        pipx = f"""case "$*" in
"install awscli") mkdir -p "$HOME/.local/bin" && ln -s {VENV_AWS} "$HOME/.local/bin/aws";;
ensurepath) ;;
*) exit 1;;
esac"""
        (directory / "pipx").write_text(f"#!/bin/sh\n{pipx}\n")
        (directory / "pipx").chmod(0o755)
        for name, text in shims.items():
            (directory / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (directory / "bin" / name).chmod(0o755)
        # The usual places of programs, with a system's `aws` if it has one, and what `pipx ensurepath` adds.
        path = f"{directory / 'bin'}:{self.home / '.cargo' / 'bin'}:{self.home / '.local' / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        # An old session of another store must not be in the way.
        self.env = {**clean_env(), "HOME": str(self.home), "PATH": path, "AWS_SESSION_TOKEN": "of-another-store", "AWS_PROFILE": "none-such",
                    "LEGACY_ACCESS_KEY": "LEGACYLEGACYLEGACY00", "LEGACY_SECRET_KEY": "legacy-secret-canary-0123456789", "AWS_PAGER": ""}
        self.server, self.log, self.configured = None, directory / "log", False

    def serves(self, text):
        self.stops()
        self.configured = "--config" in text
        self.server = run_until_ready(["bash", "-c", f"set -e\n{text.rstrip()}"], self.work, self.env, stderr=open(self.log, "ab"), start_new_session=True)

    def stops(self):
        if self.server:
            os.killpg(self.server.pid, signal.SIGTERM)
            self.server.wait(60)
            self.server = None

    def runs(self, text):
        """Lines that are said to be denied are, and nothing else fails."""
        lines = ["! " + line if re.search(r"# .*\bdenied\b", line) else line for line in text.splitlines()]
        done = subprocess.run(["bash", "-c", "set -eo pipefail\n" + "\n".join(lines)], cwd=self.work, env=self.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def test_the_readme_runs_as_printed(tmp_path):
    newcomer = Newcomer(tmp_path)
    ran = 0
    try:
        for language, name, text in blocks("README.md"):
            if language == "toml":
                # The first is the file; others go on with it.
                assert name.endswith(".toml"), f"a block of TOML does not say its file: {text}"
                with open(newcomer.work / name, "a") as file:
                    file.write(text)
                if newcomer.configured:
                    mark = newcomer.log.read_text().count("reloaded")
                    wait(lambda: newcomer.log.read_text().count("reloaded") > mark, 20)
            if language != "sh":
                continue
            ran += 1
            if "integration/run" in text:
                # This is what runs here.
                assert text.strip() == "./integration/run" and os.access(ROOT / "integration" / "run", os.X_OK)
            elif re.search(r"^portcullis serve", text, re.M):
                newcomer.serves(text)
            elif "policy explain" in text:
                # Its status says what was decided: 1 is denied.
                said = newcomer.runs("{\n" + text.rstrip() + "\n} && exit 9 || test $? = 1\n")
                assert "read-demo" in said and "implicit_deny" in said, said
            else:
                newcomer.runs(text)
        log = newcomer.log.read_text()
        refused = re.search(r"^.*a request is refused.*user/alice.*DeleteObject.*demo/README.md.*$", log, re.M)
        assert refused, log
        # What the README shows of it is what is there, but for the time and the id.
        shown = next(text for language, _, text in blocks("README.md") if language == "text" and "a request is refused" in text)
        known = lambda line: re.sub(r'request_id="\w{16}"', "ID", re.sub(r"^\d{4}-\S+Z ", "TIME", line.strip()))
        assert known(shown) == known(refused[0])
        assert "panicked" not in log and ran >= 8
    finally:
        newcomer.stops()


def sourced(shell, where, script, ask, **env):
    done = subprocess.run([shell, "-euc", f". {script}; {ask}"], cwd=where, env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout.strip()


def test_what_clients_need_goes_where_they_are(tmp_path):
    """`env.sh` and `ca.pem`, copied out of a container as the Dockerfile says, in bash; sh cannot tell where a script is."""
    with Gateway(tmp_path / "there") as gateway:
        copied = tmp_path / "copied to"
        copied.mkdir()
        for line in re.findall(r"docker cp \S+:/var/lib/portcullis/data/(\S+) \.", (ROOT / "Dockerfile").read_text()):
            shutil.copy(gateway.data / line, copied)
        assert {p.name for p in copied.iterdir()} == {"env.sh", "ca.pem"}
        ask = 'echo "$AWS_CA_BUNDLE"; [ -z "${portcullis_here+x}" ]'
        for where, script in ((copied, "./env.sh"), (copied, f"'{copied}/env.sh'"), (tmp_path, "'copied to/env.sh'"), ("/", f"'{copied}/env.sh'")):
            assert sourced("bash", where, script, ask, CDPATH="/usr") == str(copied / "ca.pem"), script
        (tmp_path / "ca.pem").write_text("another's")
        for shell in ("bash", "sh"):
            assert sourced(shell, tmp_path, f"'{gateway.data}/env.sh'", ask) == str(gateway.data / "tls" / "ca.pem")
            assert sourced(shell, gateway.data.parent, f"./{gateway.data.name}/env.sh", ask) == str(gateway.data / "tls" / "ca.pem")
        assert sourced("sh", copied, "./env.sh", ask) == str(gateway.data / "tls" / "ca.pem")
        if shutil.which("zsh"):
            assert sourced("zsh", copied, "./env.sh", ask) == str(copied / "ca.pem")
        # The client that is installed takes it as it is.
        listed = sourced("bash", copied, "./env.sh", f"{VENV_AWS} s3api list-buckets --query Owner.ID --output text", HOME=str(tmp_path))
        assert listed


def test_what_clients_need_is_what_is_so(tmp_path):
    """A port that the system chose, and a URL that a reload brings, are in `env.sh`."""
    config = tmp_path / "portcullis.toml"
    config.write_text("")
    command = [BINARY, "serve", "--config", config, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    log = tmp_path / "log"
    process = run_until_ready(command, tmp_path, clean_env(), stderr=open(log, "wb"))
    try:
        script = tmp_path / "portcullis-data" / "env.sh"
        url = re.search(r"AWS_ENDPOINT_URL='(.*)'", script.read_text()).group(1)
        port = int(url.rpartition(":")[2])
        assert port and handshake(port, "127.0.0.1", str(tmp_path / "portcullis-data" / "tls" / "ca.pem"))
        config.write_text('[listener]\nexternal_url = "https://s3.example.com"\n')
        wait(lambda: "AWS_ENDPOINT_URL='https://s3.example.com'" in script.read_text(), 20)
        assert stat.S_IMODE(script.stat().st_mode) == 0o600
        assert handshake(port, "s3.example.com", str(tmp_path / "portcullis-data" / "tls" / "ca.pem"))
        # What cannot change while it runs is said, and is not in the file either.
        (tmp_path / "root.key").write_text("another-secret-of-roots")
        config.write_text(
            '[root]\naccess_key = { file = "root.key" }\nsecret_key = { file = "root.key" }\n'
            '[disk]\ndurability = "relaxed"\n[limits]\nconnections = 100\nrequests_per_caller = 7\n')
        wait(lambda: "at the next start only" in log.read_text(), 20)
        assert 'these change at the next start only keys="root, disk, limits.connections"' in log.read_text()
        assert "another-secret" not in script.read_text() + log.read_text()
    finally:
        process.terminate()
        process.wait(40)


def test_plain_http_beside_tls_may_be_anywhere_when_that_is_said(tmp_path):
    """`--insecure-http-anywhere` is of both, and takes no TLS away."""
    config, port, http = tmp_path / "c.toml", free_port(), free_port()
    config.write_text(f'[listener]\nhttp_address = "0.0.0.0:{http}"\n')
    command = [BINARY, "serve", "--config", str(config), "--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{free_port()}"]
    for refused in (command, [BINARY, "check-config", str(config)]):
        done = subprocess.run(refused, cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "line 2" in done.stderr and "--insecure-http-anywhere" in done.stderr, done
    done = subprocess.run([BINARY, "check-config", "--insecure-http-anywhere", str(config)], env=clean_env(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    process = run_until_ready([*command, "--insecure-http-anywhere"], tmp_path, clean_env())
    try:
        assert handshake(port, "127.0.0.1", str(tmp_path / "portcullis-data" / "tls" / "ca.pem"))
        for address in ["127.0.0.1", *[a for a in addresses() if ":" not in a]]:
            with socket.create_connection((address, http), 10) as plain:
                plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                assert plain.recv(12) == b"HTTP/1.1 403"
    finally:
        process.terminate()
        process.wait(40)


def test_what_help_and_readme_claim_is_there():
    """Every flag that the README names belongs to a command; every command and flag that help names is taken."""
    helps = {}
    def read(*command):
        done = subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, env=clean_env())
        assert done.returncode == 0, command
        helps[command] = done.stdout
        listed = re.search(r"^Commands:\n(.*?)\n\n", done.stdout, re.M | re.S)
        for name in re.findall(r"^  ([a-z-]+)", listed.group(1), re.M) if listed else []:
            if name != "help":
                read(*command, name)
    read()
    assert len(helps) >= 8
    # The first sentence is what it is, and nothing here encrypts objects.
    assert "encrypt" not in helps[()] and "identity, access and signatures" in helps[()], helps[()]
    flags = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", "\n".join(helps.values()), re.M))
    ours = re.findall(r"portcullis [^`\n|]*", (ROOT / "README.md").read_text()) + re.findall(r"^\| `(--[^`]*)`", (ROOT / "README.md").read_text(), re.M)
    for text in ours:
        assert set(re.findall(r"--[a-z-]+", text)) <= flags, text
    for command, text in helps.items():
        named = set(re.findall(r"--[a-z-]+", text))
        assert named <= flags | {"--help", "--version"}, (command, named - flags)


def test_what_the_readme_names_is_there():
    for file in ("README.md", "examples/README.md", "policies/README.md", "ARCHITECTURE.md"):
        text = (ROOT / file).read_text()
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if "://" not in target:
                assert ((ROOT / file).parent / target).exists(), (file, target)


@pytest.mark.parametrize("example", sorted(str(p.relative_to(ROOT / "examples")) for p in (ROOT / "examples").rglob("*.toml")))
def test_an_example_serves(tmp_path, disk, example):
    """Each is started as it is printed, but for the places of other stores, and asked for something."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    file = tmp_path / "examples" / example
    text = file.read_text()
    env = {name: f"{name.lower()}-secret-canary-0123" for name in set(re.findall(r'env = "(\w+)"', text))}
    inner = None
    if "legacy" in example:
        inner = Gateway(tmp_path / "legacy", tls=False).start()
        text = text.replace("http://127.0.0.1:7480", inner.url)
        env.update(LEGACY_ACCESS_KEY=ROOT_KEY, LEGACY_SECRET_KEY=ROOT_SECRET)
    gateway = Gateway(tmp_path / "g", env=env, root="root" not in text.split("[disk]")[0].split("[[")[0])
    file.write_text(text)
    gateway.config_file = file
    key, secret = gateway.env.get("ROOT_ACCESS_KEY", ROOT_KEY), gateway.env.get("ROOT_SECRET_KEY", ROOT_SECRET)
    with gateway:
        assert raw.request(gateway, "PUT", "/demo", key=key, secret=secret).status == 200
        assert raw.request(gateway, "PUT", "/demo/k", body=b"x", key=key, secret=secret).status == 200
        if "alice" in text:
            alice = dict(key="AKIAALICE0000EXAMPLE", secret=env["ALICE_SECRET_KEY"])
            allowed = raw.request(gateway, "GET", "/demo/k", **alice).status
            assert allowed == (200 if "minimal" in example else 403)
            assert raw.request(gateway, "DELETE", "/demo/k", **alice).status == 403
        assert "ERROR" not in gateway.log() or "full" in example, gateway.log()
    if inner:
        inner.stop()
