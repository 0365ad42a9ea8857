"""Measure everything and write the table of results: half an hour on a machine that does nothing else.

    python benchmarks [PART ...]      # of some parts the lines are only printed

Needs rsync, rclone, and the environments of `make peers`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from lines import SCRATCH, Line

HERE = Path(__file__).parent
PARTS = {
    "recording": "Recording",
    "training": "In a training",
    "reading": "Reading",
    "sync": "Bringing runs away",
    "large": "A run of 20 GB",
    "wire": "Bytes on the wire",
    "server": "A server under load",
}
"""What is measured, each by a script of that name, and its title."""
HEAD = ["what", "goal", "runfmt", "beside", "ratio", "met", "remarks"]


def lines_of(part: str) -> list[Line]:
    """Run a script. Raises ``SystemExit`` if it fails, with what it said."""
    print(f"{part} ...", file=sys.stderr, flush=True)
    command = [sys.executable, HERE / f"{part}.py", "--json"]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{part} failed: nothing was written")
    found = map(json.loads, done.stdout.splitlines())
    return [Line(**{key: value for key, value in one.items() if key != "medians"}) for one in found]


def table(lines: list[Line]) -> str:
    """Lines in Markdown."""
    cells = [HEAD, ["---"] * len(HEAD), *(line.cells() for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def about() -> str:
    """The machine, and what was measured with what."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    packages = ("orjson", "polars", "torch")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    programs = ", ".join(map(first_line, ("rsync", "rclone")))
    return (
        f"{processor}, {os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}, "
        f"runfmt {importlib.metadata.version('runfmt')}, {versions}, {programs}; "
        f"{datetime.now(timezone.utc):%d %B %Y}, load before {os.getloadavg()[0]:.1f}."
    )


def first_line(program: str) -> str:
    """What a program says of its version."""
    done = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[0].strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}")
    parts = parser.parse_args().parts
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"there is no part {min(unknown)}: name some of {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[SCRATCH] = folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        measure(parts)


def measure(parts: list[str]) -> None:
    """Measure some parts and print them, or all of them and write the page."""
    begun, machine = time.monotonic(), about()
    sections = [f"## {PARTS[part]}\n\n{table(lines_of(part))}" for part in parts or PARTS]
    if parts:
        print("\n\n".join(sections))
        return
    print("peers ...", file=sys.stderr, flush=True)
    peers = subprocess.run([sys.executable, HERE / "peers"], check=True, stdout=subprocess.PIPE, text=True)
    said = {"machine": machine, "minutes": (time.monotonic() - begun) / 60, "peers": peers.stdout}
    (HERE / "RESULTS.md").write_text(HEADING.format(sections="\n\n".join(sections), **said))


HEADING = """# Results

As observed, in one run of `make bench`, which took {minutes:.0f} minutes; run it again, and trust the ratios.
A figure is the median, with the least and the largest beside it; *beside* was measured in turns with it.

{machine}

{sections}

## Goals that are missed

What keeps a goal from being met, where one is:

- `log` beside the floor: a row of ours has a step and a time, is looked through for NaN, and two locks are
  taken, of which the floor has nothing. Python takes 2 µs for these, whatever the processor takes for the
  rest.
- The share of a training: between two batches the caches are cold, and the floor itself comes near the
  goal. With and without `log` the training takes as long.
- `read_runs` from a cold disk: `cat` of the same files alone takes longer than the goal.
- A sync to a machine that is near: rsync neither reads again nor proves what it wrote, nor makes it
  durable; where it does only the last (`--fsync`), it takes longer than runfmt. With nothing new, half of
  the time is the start of Python. rclone proves and makes durable nothing either.
- 10,000 runs with nothing new: each side asks the system about 80,000 files, as rsync does, which in C takes
  nearly as long as the goal; Python, and keeping what was proved of each file, takes the rest.
- A large run: the same, and each byte is hashed when the run is looked at, when it is sent, and when it
  arrives. Over a line of 100 Mbit/s the first byte goes when Python has started and the whole run was
  looked at.

## Recording, beside other tools

`log` of 10 scalars, wide: of 1,000. All but runfmt and the floor keep rows in memory or in another process
when `log` returns, but for MLflow, dvclive, neptune-scale and aim.

{peers}"""


if __name__ == "__main__":
    main()
