"""The tables beside policies: the starter set that users copy, and AWS's documented examples."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BINARY = os.environ["PORTCULLIS_BINARY"]


def policy(*arguments, given=None):
    return subprocess.run([BINARY, "policy", *map(str, arguments)], input=given, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("directory, at_least", [("policies", 100), ("integration/policies", 500)])
def test_tables_decide_as_they_say(directory, at_least):
    run = policy("test", ROOT / directory)
    assert run.returncode == 0, run.stdout + run.stderr
    passed, failed = map(int, re.search(r"(\d+) passed, (\d+) failed", run.stdout).groups())
    assert passed >= at_least and failed == 0


def test_a_table_that_is_wrong_is_told(tmp_path):
    (tmp_path / "p.json").write_text((ROOT / "policies/read-only.json").read_text())
    table = (ROOT / "policies/read-only.test.json").read_text()
    (tmp_path / "p.test.json").write_text(table.replace('"expect": "allow"', '"expect": "explicit_deny"'))
    run = policy("test", tmp_path)
    assert run.returncode == 1 and "expected explicit_deny, decided allow: allowed by statement" in run.stdout
    (tmp_path / "p.test.json").write_text("{}")
    run = policy("test", tmp_path)
    assert run.returncode == 1 and "p.test.json" in run.stderr and "cases" in run.stderr
    assert policy("test", tmp_path / "nothing").returncode == 1


def test_decide_answers_each_line_before_the_next_is_asked():
    with subprocess.Popen([BINARY, "policy", "decide"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as engine:
        for line, decision in [
            ('{"principal":"root","action":"s3:GetObject","target":"arn:aws:s3:::b/k"}', "allow"),
            ('{"principal":"anonymous","action":"s3:GetObject","target":"arn:aws:s3:::b/k"}', "implicit_deny"),
            ("nonsense", "invalid"),
            ('{"principal":"root","action":"s3:GetObject","target":"arn:aws:s3:::b/k","resource":{"Statement":[{"Sid":"No","Effect":"Deny",'
             '"Principal":"*","Action":"s3:*","Resource":"*"}]}}', "explicit_deny"),
        ]:
            engine.stdin.write(line + "\n")
            engine.stdin.flush()
            answer = engine.stdout.readline()
            assert f'"decision":"{decision}"' in answer
        assert '"by":[{"policy":"resource","statement":1,"sid":"No"}]' in answer
        engine.stdin.close()
        assert engine.wait(10) == 2, "a case was invalid"
