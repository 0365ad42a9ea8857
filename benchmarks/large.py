"""One run of 20 GB brought to a directory and to ``runfmt serve``, beside rsync and rclone: eight minutes.

    python benchmarks/large.py [--json]

A checkpoint of random bytes and a stream. Memory is the peak of each process; it has to be the same for a
run of 1 GB. Beside it stand the disk's own speed, ``dd`` with an fsync, and that of SHA-256 in Python: every
byte is hashed when the run is looked at, again when it is sent, and where it arrives. rsync makes durable
what it wrote and proves nothing here; rclone does neither. Needs rsync, rclone, and 40 GB of disk.
``RUNFMT_BENCH_SMALL=1`` tries it with a twentieth.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lines import Line, main
from link import free_port, program, runfmt_server

import runfmt

SMALL = bool(os.environ.get("RUNFMT_BENCH_SMALL"))
LITTLE, SIZE = (10**8, 10**9) if SMALL else (10**9, 2 * 10**10)
"""Bytes of the two checkpoints."""
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


WAYS = {
    "runfmt to a directory": to_directory,
    "runfmt to a server": to_server,
    "rsync -a --fsync": by_rsync,
    "rclone copy": by_rclone,
    "dd and fsync": by_dd,
}


def measure() -> Iterator[Line]:
    """The little run by runfmt alone, for its memory; then the large one by all."""
    peaks: dict[int, list[float]] = {}
    speeds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for size in (LITTLE, SIZE):
            runs, scratch = Path(temporary) / "runs", Path(temporary) / "scratch"
            make_run(runs, size)
            for name, way in WAYS.items():
                if size == LITTLE and not name.startswith("runfmt"):
                    continue
                scratch.mkdir()
                seconds, *memory = way(runs, scratch)
                speeds[name] = size / seconds / 1e6
                if name.startswith("runfmt"):
                    peaks.setdefault(size, []).extend(memory)
                shutil.rmtree(scratch)
            shutil.rmtree(runs)
    yield from _lines(speeds, peaks)


def _lines(speeds: dict[str, float], peaks: dict[int, list[float]]) -> Iterator[Line]:
    peers = {
        name: [SIZE / 1e6 / speeds[name]] for name in ("rsync -a --fsync", "rclone copy", "dd and fsync")
    }
    note = f"SHA-256: {sha256() / 1e6:,.0f} MB/s"
    for name in ("runfmt to a directory", "runfmt to a server"):
        samples = {"runfmt": [SIZE / 1e6 / speeds[name]], **peers}
        yield Line(f"{name}, {SIZE / 1e9:.0f} GB", "s", samples, at_most=1, note=note)
    for index, who in (
        (0, "of the client to a directory"),
        (2, "of the client to a server"),
        (3, "of the server"),
    ):
        samples = {"runfmt": [peaks[SIZE][index]], f"{LITTLE / 1e9:g} GB": [peaks[LITTLE][index]]}
        yield Line(f"most memory {who}, {SIZE / 1e9:.0f} GB", "MiB", samples, at_most=1.15)


if __name__ == "__main__":
    main(measure, __doc__ or "")
