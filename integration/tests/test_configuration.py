"""What is wrong with a configuration is told: all of it at once, each with its line, its key and what is right, before anything is made."""

import json
import os
import pathlib
import subprocess

import pytest

from harness.clients import s3
from harness.gateway import BINARY, Gateway, clean_env

ROOT = pathlib.Path(__file__).parents[2]

# No type of the program's, of its language's or of its libraries'.
WORDS = ("struct", "variant", "expected", "invalid type", "invalid length", "sequence", "usize", "u64", "untagged", "level filter", "stream did not contain", "socket address", "Os {", "panicked")


def check(tmp_path, text, *more, env=None):
    """The status, and of each mistake the line and key, and the rest."""
    file = tmp_path / "c.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = subprocess.run([BINARY, "check-config", *more, "c.toml"], cwd=tmp_path, env=clean_env(**(env or {})), capture_output=True, text=True, timeout=60)
    said = done.stderr.removeprefix("portcullis: ").splitlines()
    if said and said[0].endswith(" mistakes:"):
        assert int(said[0].split()[0]) == len(said) - 1, said
        said = said[1:]
    assert done.returncode == (1 if said else 0), done
    for line in said:
        assert line.startswith("`c.toml`") and not any(word in line for word in WORDS), line
    return said


def upstream(name="u", **keys):
    keys = {"endpoint": '"http://127.0.0.1:1"', "credentials": '"chain"'} | keys
    return f'[[upstreams]]\nname = "{name}"\n' + "".join(f"{key} = {value}\n" for key, value in keys.items())


POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Alow", "Action": "s3:GetObject", "Resource": "*"},
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "x"},
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"StringEqulas": {"aws:username": "a"}}},
    {"Effect": "Deny", "Action": "s3:DeleteObjetc", "Resource": "*"}]})
UNKNOWN = json.dumps({"Statement": [{"Effect": "Deny", "Action": ["s3:DeleteObjetc", "s3:GetObjekt"], "Resource": "*"}]})


@pytest.mark.parametrize("text,told", [
    ('[listener]\ntrusted_proxies = ["x", "10.0.0.0/8", "y", "0.0.0.0/0", "::/0"]\n', [(2, "`x`"), (2, "`y`"), (2, "`0.0.0.0/0`"), (2, "`::/0`")]),
    ('[listener]\nvirtual_host_domains = ["x y", "*.a", "good.example.com", "a..b"]\n', [(2, "`x y`"), (2, "`*.a`"), (2, "`a..b`")]),
    (f"[[policies]]\nname = 'p'\ninline = '{POLICY}'\n", [(3, "statement 1, Effect"), (3, "statement 2, Resource"), (3, "statement 3, Condition"), (3, "statement 4, Action")]),
    (f"[[policies]]\nname = 'p'\ninline = '{UNKNOWN}'\n", [(3, "`s3:DeleteObject`"), (3, "`s3:GetObject`")]),
    ('[[users]]\nname = "a"\ngroups = ["g1", "g2"]\npolicies = ["p1", "p2"]\nboundary = "b"\naccess_keys = [{ id = "AKA1", secret = { env = "X" }, policy = "kp" }, { id = "A", secret = { env = "" } }]\n',
     [(3, "`g1`"), (3, "`g2`"), (5, "`b`"), (4, "`p1`"), (4, "`p2`"), (6, "`kp`"), (6, "access key id"), (6, "`users.a.access_keys.A.secret`")]),
    ('[[users]]\nname = "a"\ntags = { "a!" = "x", "b?" = "x" }\n', [(3, "`a!`"), (3, "`b?`")]),
    (upstream(endpoint='"nope"', ca='"no.pem"', keys='"exat"', payload='"x"', max_connections="0", credentials="{ access_key = { env = '' }, secret_key = { file = '' } }", timeouts='{ read = "x", write = "y" }'),
     [(3, "`upstreams.u.endpoint`"), (4, "access_key"), (4, "secret_key"), (5, "`upstreams.u.ca`"), (6, "`upstreams.u.keys`"), (7, "`upstreams.u.payload`"), (8, "`upstreams.u.max_connections`"), (9, "timeouts.read"), (9, "timeouts.write")]),
    (upstream(endpoint='"https://127.0.0.1:1"', ca='"no.pem"', max_connections_per_caller="9000"), [(5, "`upstreams.u.ca`"), (6, "`upstreams.u.max_connections_per_caller`")]),
    (upstream() + upstream(), [(5, "two backends are called `u`")]),
    (upstream("") + upstream("disk"), [(1, "the name is empty"), (5, "`disk`")]),
    (upstream() + '[[routes]]\nbucket = "abc"\nbackend = "u"\nkey_prefix = "/a/"\nrename = "!"\n[[routes]]\nbucket = "def"\nbackend = "disk"\nkey_prefix = "x/"\n[[routes]]\nbucket = "ghi*"\nbackend = "u"\nrename = "one"\n[[routes]]\nbucket = "A_"\nbackend = "no"\n',
     [(8, "`routes.abc.key_prefix`"), (9, "`routes.abc.rename`"), (12, "`routes.def.backend`"), (17, "`routes.ghi*.rename`"), (19, "`A_`"), (20, "`no`")]),
    ('regoin = "x"\n' + upstream() + '[[routes]]\nbucket = "abc"\nbackend = "u"\nrename = "xyz"\n[[routes]]\nbucket = "xyz"\nbackend = "u"\n', [(1, "`region`"), (6, "`shared = true`")]),
    ('[listener.tls]\ncertificate = "x.pem"\nkey = "y.pem"\nclient_ca = "z.pem"\n', [(2, "x.pem"), (3, "y.pem"), (4, "z.pem")]),
    ('[listener.tls]\ncertificate = "c.toml"\nkey = "c.toml"\nclient_ca = "c.toml"\n', [(2, "`listener.tls.certificate`"), (4, "`listener.tls.client_ca`")]),
    ('[listener]\naddress = "127.0.0.1:9001"\n', [(2, "`listener.address`")]),
    ('[limits]\nthreads = 100000\nrequests = 0\nstreams = 0\nbody_timeout = "x"\nidle_timeout = "y"\n', [(2, "1024"), (3, "room"), (4, "room"), (5, "`x`"), (6, "`y`")]),
    # What is not there because all of it is wrong is told once.
    ('[[groups]]\nname = "g"\nplicies = []\n[[users]]\nname = "a"\ngroups = ["g", "h"]\n[[upstreams]]\nname = "u"\n[[routes]]\nbucket = "abc"\nbackend = "u"\n', [(3, "`policies`"), (6, "`h`"), (7, "`endpoint` is missing")]),
    # What is wrong of a table hides nothing else of it, and what is meant by another name is not missing.
    ('[[routes]]\nbucket = "UPPER"\nbackend = "nope"\nrename = "x y"\nkey_prefix = "/../"\n', [(2, "`routes.UPPER.bucket`"), (3, "`nope`"), (4, "`x y`"), (5, "`/../`")]),
    ('[[routes]]\nbacknd = "u"\n', [(2, "did you mean `backend`?"), (1, "`bucket` is missing")]),
    ('[[users]]\nname = "a"\naccess_keys = [{ id = "x", secret = { env = "X" }, polcy = "x" }, { id = "AKA" }, { secret = { env = "" }, policy = "p" }, { id = "AKB", secret = "plain", policy = "ghost" }]\n',
     [(3, "`polcy`"), (3, "`users.a.access_keys.x`"), (3, "`users.a.access_keys.AKA`: `secret` is missing"), (3, "`id` is missing"), (3, "access_keys.#3.secret"), (3, "`p`"), (3, "a secret is given as"), (3, "`ghost`")]),
    (upstream("disk", endpoint='"https://u:p@h/path?q"', ca='"no.pem"', credentials='{ access_key = "plain", session_tokn = { env = "X" } }') + upstream("v", credentials="5", endpoint='"unix:relative"'),
     [(1, "bundled"), (3, "`upstreams.disk.endpoint`"), (5, "`upstreams.disk.ca`"), (4, "a secret is given as"), (4, "`secret_key` is missing"), (4, "did you mean `session_token`?"), (8, "`upstreams.v.endpoint`"), (9, "it is \"chain\" or")]),
    ('[[users]]\nname = "a"\n[[users]]\nname = "a"\npolicies = ["p"]\naccess_keys = [{ id = "AKA", secret = { env = "X" } },\n  { id = "AKA", secret = { env = "X" } }]\n[[groups]]\nname = "g"\n[[groups]]\nname = "g"\n',
     [(3, "two users are called `a`"), (5, "`p`"), (7, "is given twice"), (10, "two groups are called `g`")]),
    ('[disk]\n[listener]\n[disk]\n', [(3, "`disk`: duplicate key")]),
    ('[limits]\nthreads = 1\nthreads = 2\n', [(3, "`threads`: duplicate key")]),
    ('region = ""\n' + upstream(), [(1, "`region`")]),
    ('data = ""\n', [(1, "empty")]),
    ('data = "c.toml"\n', [(1, "not a directory")]),
    ('[disk]\npath = "/etc/passwd"\n', [(2, "`/etc/passwd`")]),
    ('[disk]\npath = "c.toml/objects"\n', [(2, "c.toml/objects")]),
    # Nothing can be made there, which is known without trying.
    ('[disk]\npath = "/proc/x"\n', [(2, "keeps no files")]),
    ('data = "/sys/portcullis/data"\n', [(1, "keeps no files")]),
    ('[audit]\noutput = { file = "" }\n', [(2, "empty")]),
    ('[audit]\noutput = { file = "nowhere/audit.jsonl" }\n', [(2, "`nowhere` is not there")]),
    ('[audit]\noutput = { file = "/etc" }\n', [(2, "directory")]),
    ('[root]\naccess_key = { env = "" }\nsecret_key = { file = "" }\n', [(2, "environment variable"), (3, "empty")]),
    ('[listener]\naddress = "127.0.0.1:9000"\nhttp_address = "127.0.0.2:9000"\nhttp_signature_v2 = true\n', [(4, "one port")]),
    ('[listener]\nexternal_url = "https://x/path?x=1"\n', [(2, "a scheme, a host and a port")]),
    ('[listener]\nexternal_url = "https://x:99999"\n', [(2, "65535")]),
    ('[listener]\nexternal_url = "https://me@x"\n', [(2, "user")]),
    ('[listener]\ntrusted_proxies = ["0.0.0.0/1", "128.0.0.0/1"]\n', [(2, "together")]),
    ('[listener]\ntrusted_proxies = ["::/1", "8000::/2", "c000::/2"]\n', [(2, "together")]),
    ('[logging]\nlevel = "debgu=info, portcullsi::x=debug"\n', [(2, "`debgu`"), (2, "`portcullis")]),
    ('[[policies]]\nname = ""\ninline = "{"\n', [(1, "the name is empty"), (3, "JSON")]),
    (b"region = 'x'\n# \xff\n", [(None, "line 2 is no text")]),
])
def test_all_mistakes_are_told(tmp_path, text, told):
    said = check(tmp_path, text)
    assert len(said) == len(told), said
    left = list(said)
    for line, word in told:
        found = [one for one in left if word in one and (line is None or one.startswith(f"`c.toml` line {line}: "))]
        assert found, (line, word, said)
        left.remove(found[0])
    # Whoever starts it is told the same, and nothing is made.
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run([BINARY, "serve", "--config", "c.toml"], cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and all(one in done.stderr for one in said), done
    assert sorted(tmp_path.rglob("*")) == before


def test_every_secret_that_is_not_there_is_told(tmp_path):
    text = (ROOT / "examples" / "full.toml").read_text()
    (tmp_path / "read-archive.json").write_bytes((ROOT / "examples" / "read-archive.json").read_bytes())
    assert not check(tmp_path, text)
    said = "\n".join(check(tmp_path, text, "--resolve"))
    for name in ("ROOT_ACCESS_KEY", "ROOT_SECRET_KEY", "LEGACY_ACCESS_KEY", "LEGACY_SECRET_KEY", "ALICE_SECRET_KEY", "BATCH_SECRET_KEY"):
        assert f"`{name}` is not set" in said, (name, said)
    (tmp_path / "bad").write_bytes(b"\xff\xfe")
    said = check(tmp_path, '[root]\naccess_key = { file = "bad" }\nsecret_key = { env = "ROOT" }\n', "--resolve", env={"ROOT": "a-secret-for-the-check"})
    assert len(said) == 1 and "line 1 is no text" in said[0], said


def test_what_is_right_stays_right(tmp_path):
    """The same kinds, as they should be; an audit file may be where a first start makes the directory."""
    for text in ('[audit]\noutput = { file = "portcullis-data/audit.jsonl" }\n', '[audit]\noutput = { file = "audit.jsonl" }\n', 'data = "not/there/yet"\n',
                 '[listener]\nexternal_url = "https://s3.example.com:8443/"\n', '[listener]\nexternal_url = "http://[::1]:9000"\n',
                 '[listener]\ntrusted_proxies = ["0.0.0.0/1", "::1"]\n', '[logging]\nlevel = "warn, portcullis::backend::disk=debug,rustls=info"\n', "[limits]\nthreads = 1024\n",
                 upstream() + '[[routes]]\nbucket = "abc"\nbackend = "u"\nrename = "xyz"\nshared = true\n[[routes]]\nbucket = "xyz"\nbackend = "u"\nshared = true\n'):
        assert check(tmp_path, text) == [], text


def test_directives_may_have_spaces_between_them(tmp_path):
    """They are taken as they are meant, and not for nothing."""
    for level, raised in (("info, portcullis::backend=error", True), ("error, portcullis::backend=info", False)):
        with Gateway(tmp_path / level[:4], f'[logging]\nlevel = "{level}"\n') as gateway:
            assert s3(gateway).list_buckets()["Buckets"] == []
            assert ("file descriptors is raised" in gateway.log()) == raised, gateway.log()


def test_who_explains_a_policy_needs_no_key_of_the_gateways(tmp_path):
    """Its certificate, directories and addresses are not theirs to open."""
    (tmp_path / "c.toml").write_text('[listener]\nhttp_address = "0.0.0.0:9080"\n[listener.tls]\ncertificate = "no.pem"\nkey = "no.pem"\n[audit]\noutput = { file = "no/x" }\n[[users]]\nname = "a"\n')
    done = subprocess.run([BINARY, "policy", "explain", "--config", "c.toml", "--principal", "arn:aws:iam::123456789012:user/a", "--action", "s3:GetObject", "--resource", "arn:aws:s3:::demo/k"],
                          cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "implicit_deny" in done.stdout, done


def test_addresses_of_the_command_line_say_what_they_look_like(tmp_path):
    for flag in ("--listen", "--admin-listen"):
        for value in (":9000", "localhost", "9000", "127.0.0.1:99999"):
            done = subprocess.run([BINARY, "serve", flag, value], cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=60)
            assert done.returncode == 2 and "127.0.0.1:9000" in done.stderr and "0.0.0.0:9000" in done.stderr and "syntax" not in done.stderr, done
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("data, path, breaks", [
    ("d", "d", "`data`"), ("d", "d/../d/", "`data`"), ("d", "link", "`data`"), ("d", "d/state", "files of its own"), ("d", "d/tls/x", "files of its own"),
    ("o/buckets", "o", "keeps objects"), ("o/staging/x", "o", "keeps objects"), ("d", "d/objects", None), ("d", "o", None), ("o/d", "o", None)])
def test_the_store_is_apart_from_the_gateways_own_files(tmp_path, data, path, breaks):
    """Where one would be in the other's way a start would fail, or lose what is emptied: it is told before."""
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d")
    said = check(tmp_path, f'data = "{data}"\n[disk]\npath = "{path}"\n')
    if breaks is None:
        assert said == [], said
        return
    assert len(said) == 1 and said[0].startswith("`c.toml` line 3") and "`disk.path`" in said[0] and breaks in said[0] and path.rstrip("/") in said[0], said


def test_what_is_wrong_with_a_key_or_a_certificate_is_said(tmp_path):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    for name in ("one", "two"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout", f"{name}-key.pem", "-out", f"{name}.pem")
    openssl("pkey", "-in", "one-key.pem", "-aes256", "-passout", "pass:secret", "-out", "sealed.pem")
    openssl("ec", "-in", "one-key.pem", "-aes256", "-passout", "pass:secret", "-out", "sealed-old.pem")
    openssl("genpkey", "-algorithm", "ED448", "-out", "other.pem")
    openssl("req", "-x509", "-key", "other.pem", "-subj", "/CN=x", "-out", "other-certificate.pem")
    tls = lambda certificate, key: check(tmp_path, f'[listener.tls]\ncertificate = "{certificate}"\nkey = "{key}"\n')
    assert tls("one.pem", "one-key.pem") == []
    for certificate, key, line, *words in (
            ("one.pem", "sealed.pem", 3, "`listener.tls.key`", "is encrypted", "openssl pkey -in sealed.pem -out"),
            ("one.pem", "sealed-old.pem", 3, "`listener.tls.key`", "is encrypted", "openssl pkey -in sealed-old.pem -out"),
            ("one.pem", "two-key.pem", 3, "`listener.tls.key`", "does not belong to the certificate"),
            ("one.pem", "one.pem", 3, "`listener.tls.key`", "no private key in it"),
            ("other-certificate.pem", "other.pem", 3, "`listener.tls.key`", "Ed25519"),
            ("one-key.pem", "one-key.pem", 2, "`listener.tls.certificate`", "no certificate in it")):
        said = tls(certificate, key)
        assert len(said) == 1 and said[0].startswith(f"`c.toml` line {line}: ") and all(word in said[0] for word in words), said
        assert "no items" not in said[0] and "KeyMismatch" not in said[0], said


def test_a_route_that_no_request_takes_is_told(tmp_path):
    """The first that matches decides: one that stands behind it is a mistake, though a configuration with it runs."""
    def warned(*buckets):
        text = upstream() + "".join(f'[[routes]]\nbucket = "{bucket}"\nbackend = "{"u" if at else "disk"}"\n' for at, bucket in enumerate(buckets))
        assert check(tmp_path, text) == []
        done = subprocess.run([BINARY, "check-config", "c.toml"], cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=60)
        return [line for line in done.stdout.splitlines() if "no request takes this route" in line]
    for buckets, never in ((("abc", "abc"), "abc"), (("*", "abc"), "abc"), (("a*", "abc"), "abc"), (("*", "a*"), "a*"), (("a*", "ab*"), "ab*"), (("*c", "a*bc"), "a*bc"), (("a*c", "ab*c"), "ab*c"),
                           (("abc", "a*"), None), (("ab*", "a*"), None), (("abc", "*"), None), (("abc", "abd"), None), (("a*c", "a*"), None)):
        said = warned(*buckets)
        assert len(said) == (1 if never else 0) and (not never or f"`routes.{never}`" in said[0]), (buckets, said)


def test_what_a_policy_says_in_vain_is_warned_of(tmp_path):
    """AWS takes them, and so does a gateway; a Deny that denies nothing is told of where it is looked for."""
    deny = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}
    for more, word in (({"Resource": "arn:aws:s3:us-east-1::bucket/*"}, "has no region"), ({"Resource": "arn:aws:s3::123456789012:bucket/*"}, "has no account"),
                       ({"Resource": "arn:aws:s4:::bucket/*"}, "there is no service `s4`"), ({"Action": "s3:ListBucket"}, "no resource of the statement"),
                       ({"Condition": {"StringEquals": {"s3:prefix": "a"}}}, "no action of the statement has the key"), ({}, None)):
        (tmp_path / "p.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [deny | more]}))
        (tmp_path / "c.toml").write_text('[[policies]]\nname = "p"\ndocument = "p.json"\n')
        done = subprocess.run([BINARY, "check-config", "c.toml"], cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=60)
        warned = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
        assert done.returncode == 0 and "is valid" in done.stdout, done
        assert not word or any(word in line and "`policies.p.document`" in line and "Statement[1]" in line for line in warned), (more, done.stdout)
        assert word or not warned, warned
        found = subprocess.run([BINARY, "policy", "validate", "p.json"], cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=60).stdout
        assert not word or word in found, found
