"""Two opinions on signatures: botocore signs, the gateway's own code verifies. See integration/oracle."""

import json
import os
import pathlib
import re
import subprocess
import sys

from harness.gateway import BINARY

SIGN = pathlib.Path(__file__).parents[1] / "oracle" / "sign.py"
VERIFY = pathlib.Path(BINARY).parent / "examples" / "verify_lines"


def test_botocore_signs_and_every_change_is_refused():
    """ORACLE_REQUESTS for more than fit in a test, ORACLE_SEED for others."""
    requests = int(os.environ.get("ORACLE_REQUESTS", "100000"))
    command = [sys.executable, str(SIGN), str(requests), "--seed", os.environ.get("ORACLE_SEED", "0")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as signer:
        done = subprocess.run([VERIFY], stdin=signer.stdout, capture_output=True, text=True)
        signer.stdout.close()
        if done.returncode:
            # It has more to say, and nobody listens.
            signer.kill()
    assert done.returncode == 0, done.stderr
    assert signer.returncode == 0
    verified, mutations = re.fullmatch(r"verified (\d+), mutations (\d+)\n", done.stdout).groups()
    assert int(verified) == requests and int(mutations) > 10 * requests


def test_a_disagreement_is_shown():
    setting, line = subprocess.run([sys.executable, str(SIGN), "1"], check=True, capture_output=True, text=True).stdout.splitlines()
    verify = lambda line: subprocess.run([VERIFY], input=f"{setting}\n{line}\n", capture_output=True, text=True)
    assert verify(line).returncode == 0
    changed = json.dumps({**json.loads(line), "method": "OPTIONS", "parses": False})
    done = verify(changed)
    assert done.returncode == 1 and done.stderr == f"line 0: refused: signature_mismatch\n{changed}\n"
