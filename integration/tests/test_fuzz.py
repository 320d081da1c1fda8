"""A short run of every fuzz target: all seeds, then what mutation finds in a few seconds. `fuzz/README.md`
says how to run one for longer."""

import base64
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

FUZZ = pathlib.Path(__file__).parents[2] / "fuzz"
TARGETS = sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))
SECONDS = 5


@pytest.mark.parametrize("target", TARGETS)
def test_fuzz_short(target):
    binary = pathlib.Path(os.environ.get("PORTCULLIS_FUZZ", "nowhere")) / target
    assert binary.exists(), f"`{binary}` is not there: ./integration/run builds it and sets PORTCULLIS_FUZZ"
    seeds = FUZZ / "seeds" / target
    # Not pytest's own directory, whose path may be too long for a socket's.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="fuzz"))
    (directory / "corpus").mkdir()
    # The same start each time: a red run is about the change that it runs on.
    command = [binary, "-seed=1", f"-max_total_time={SECONDS}", "-timeout=60", "-rss_limit_mb=1024",
               f"-artifact_prefix={directory}/", directory / "corpus", seeds]
    env = {**os.environ, "TMPDIR": str(directory), "RUST_BACKTRACE": "0"}
    run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env, timeout=180)
    said = run.stderr.decode(errors="replace")
    reproducers = [path for path in directory.iterdir() if re.match("(crash|timeout|oom|leak)-", path.name)]
    for path in reproducers:
        said += f"\nreproduce with: echo {base64.b64encode(path.read_bytes()).decode()} | base64 -d > input; {binary} input\n"
    assert run.returncode == 0 and not reproducers, said[-6000:]
    replayed = re.search(r"seed corpus: files: (\d+)", said)
    assert replayed and int(replayed[1]) == len(list(seeds.iterdir())) > 0, said[-2000:]
    shutil.rmtree(directory)
