"""One run of 20 GB brought to a directory and to ``runfmt serve``, beside rsync and rclone: eight minutes.

    python benchmarks/large.py [--json]

A checkpoint of random bytes and a stream. Memory is the peak of each process; it has to be the same for a
run of 1 GB. Beside it stand the disk's own speed, ``dd`` with an fsync, and that of SHA-256 in Python: every
byte is hashed when the run is looked at, again when it is sent, and where it arrives. rsync makes durable
what it wrote and proves nothing here; rclone does neither. Then a run of 250 MB goes over a line of
100 Mbit/s, as in ``sync.py``. Needs rsync, rclone, and 40 GB of disk.
``RUNFMT_BENCH_SMALL=1`` tries it with a twentieth.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lines import Line, main
from link import free_port, program, runfmt_server

import runfmt
from sync import WAYS as LINES
from sync import transfer

SMALL = bool(os.environ.get("RUNFMT_BENCH_SMALL"))
LITTLE, SIZE = (10**8, 10**9) if SMALL else (10**9, 2 * 10**10)
"""Bytes of the two checkpoints."""
LINED = 10**7 if SMALL else 25 * 10**7
ROWS = 10_000
CHUNK = 2**24
MEASURED = """
import resource, subprocess, sys, time
begun = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def make_run(folder: Path, size: int) -> None:
    """A finished run with a checkpoint, whose bytes nothing can compress."""
    with runfmt.init(id="run", dir=folder, project="bench", console="off") as run:
        for step in range(ROWS):
            run.log({"loss": 1 / (1 + step)})
        chunk = os.urandom(CHUNK)
        (run.directory / "files").mkdir(exist_ok=True)
        with (run.directory / "files" / "last.ckpt").open("wb") as file:
            for number in range(size // CHUNK):
                file.write(number.to_bytes(8, "big") + chunk[8:])
            os.fsync(file.fileno())


def measured(*command: str, state: Path) -> tuple[float, float]:
    """Seconds of a command, and its peak of memory in MiB."""
    env = os.environ | {"RUNFMT_STATE": str(state), "RUNFMT_CONFIG": f"{state}.none"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], check=True, capture_output=True, env=env
    )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def to_directory(runs: Path, scratch: Path) -> tuple[float, float, float]:
    """Seconds, peak of the client, and none of a server."""
    seconds, peak = measured(
        program(), "sync", str(runs), "--remote", str(scratch / "to"), state=scratch / "state"
    )
    return seconds, peak, 0.0


def to_server(runs: Path, scratch: Path) -> tuple[float, float, float]:
    """Seconds, peak of the client, and that of the server."""
    port = free_port()
    (scratch / "to").mkdir()
    with runfmt_server(scratch / "to", port) as server:
        url = f"http://127.0.0.1:{port}"
        seconds, peak = measured(program(), "sync", str(runs), "--remote", url, state=scratch / "state")
        status = Path(f"/proc/{server.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return seconds, peak, int(line.split()[1]) / 1024


def by_rsync(runs: Path, scratch: Path) -> tuple[float, float, float]:
    """``rsync -a`` to a directory, durable as ours."""
    return *measured("rsync", "-a", "--fsync", f"{runs}/", f"{scratch}/to/", state=scratch), 0.0


def by_rclone(runs: Path, scratch: Path) -> tuple[float, float, float]:
    """``rclone copy`` to a directory."""
    return *measured("rclone", "copy", str(runs), f"{scratch}/to", state=scratch), 0.0


def by_dd(runs: Path, scratch: Path) -> tuple[float, float, float]:
    """What the disk takes for as many bytes."""
    (scratch / "to").mkdir()
    source = f"if={runs}/run/files/last.ckpt"
    return *measured(
        "dd", source, f"of={scratch}/to/x", "bs=16M", "conv=fsync", "status=none", state=scratch
    ), 0.0


def sha256() -> float:
    """Bytes a second of SHA-256."""
    data, begun = os.urandom(CHUNK), time.perf_counter()
    for _ in range(20):
        hashlib.sha256(data).digest()
    return 20 * CHUNK / (time.perf_counter() - begun)


OURS = {"a directory": to_directory, "a server": to_server}
PEERS = {"rclone copy": by_rclone, "rsync -a --fsync": by_rsync, "dd and fsync": by_dd}


def taken(way: Callable[[Path, Path], tuple[float, float, float]], runs: Path) -> tuple[float, float, float]:
    """What a way takes to bring the runs to somewhere new."""
    with tempfile.TemporaryDirectory(dir=runs.parent) as scratch:
        return way(runs, Path(scratch))


def measure() -> Iterator[Line]:
    note = f"SHA-256: {sha256() / 1e6:,.0f} MB/s"
    memory: dict[str, dict[str, list[float]]] = {}
    for size in (LITTLE, SIZE):
        with tempfile.TemporaryDirectory() as temporary:
            runs, amount = Path(temporary) / "runs", f"{size / 1e9:g} GB"
            make_run(runs, size)
            samples = {name: [taken(by, runs)[0]] for name, by in PEERS.items()}
            for place, way in OURS.items():
                seconds, client, server = taken(way, runs)
                memory.setdefault(f"of the client to {place}", {})[amount] = [client]
                if server:
                    memory.setdefault("of the server", {})[amount] = [server]
                yield Line(f"one run to {place}, {amount}", "s", {"runfmt": [seconds], **samples}, 1, note)
    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(temporary) / "runs"
        make_run(runs, LINED)
        over = {name: transfer(name, runs, runs.parent, 0, 0) for name in LINES}
        yield Line(f"one run to a server over 100 Mbit/s, {LINED / 1e6:.0f} MB", "s", over, 1)
    for who, peaks in memory.items():
        little, large = peaks
        samples = {"runfmt": peaks[large], little: peaks[little]}
        yield Line(f"most memory {who}, {large}", "MiB", samples, at_most=1.15)


if __name__ == "__main__":
    main(measure, __doc__ or "")
