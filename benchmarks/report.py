"""The table that is printed, and what every measurement knows."""

import os
import pathlib
import platform

import servers
import signing

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
# PORTCULLIS measures another build than the one that was just made.
BINARY = pathlib.Path(os.environ.get("PORTCULLIS", TARGET / "release" / "portcullis"))
ROUNDS, SECONDS = int(os.environ.get("ROUNDS", 5)), int(os.environ.get("SECONDS", 3))
MIB = 1 << 20
ROWS = []


def row(what, value, least, unit="", most=False):
    good = value <= least if most else value >= least
    ROWS.append((what, f"{value:.2f}{unit}", f"{'≤' if most else '≥'} {least}{unit}", "yes" if good else "NO"))
    print(*ROWS[-1], sep="  |  ", flush=True)


def processor():
    """Ratios differ by machine, so its name stands above them."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "CPU part")):
            return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores, Linux {platform.release()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"


def table():
    widths = [max(len(r[n]) for r in ROWS) for n in range(4)]
    print(f"\non {processor()}\n")
    for cells in [("what", "measured", "asked", "met"), *ROWS]:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)))


def signer():
    return signing.Signer(servers.ACCESS_KEY, servers.SECRET)
