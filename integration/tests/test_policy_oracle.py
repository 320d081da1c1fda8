"""`portcullis policy decide` against the independent evaluator in `integration/oracle/policies`."""

import os
import subprocess
import sys
from pathlib import Path

COMPARE = Path(__file__).resolve().parents[1] / "oracle" / "policies" / "compare.py"
# Long enough for 100,000 cases on a slow machine; more cases get more time.
SECONDS, SECONDS_A_CASE = 300, 0.005


def compare(*arguments: str, timeout: float) -> subprocess.CompletedProcess:
    """Run the comparison."""
    return subprocess.run([sys.executable, str(COMPARE), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=timeout, check=False)


def test_policy_oracle_follows_the_documentation():
    """The evaluator gives the documentation's answers."""
    done = compare("--selftest", timeout=SECONDS)
    assert done.returncode == 0, done.stdout


def test_policy_decisions_are_those_of_the_oracle():
    """No difference on random cases, and the cases cover what they should."""
    cases = os.environ.get("PORTCULLIS_ORACLE_CASES", "100000")
    done = compare("--binary", os.environ["PORTCULLIS_BINARY"], "--cases", cases,
                   timeout=SECONDS + SECONDS_A_CASE * int(cases))
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-20_000:]
