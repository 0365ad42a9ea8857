"""A sync to a server over a slow line, beside ``rsync -az`` and ``rclone copy`` over the same line.

    python benchmarks/sync.py [--json]

1,000 short runs, each as one of 100 rows is on disk; a line of 100 Mbit/s with round trips of 0 to
300 ms, the same for all. Everyone begins with nothing there, then is called again with nothing new.
After that 10,000 finished runs with nothing new, without a line between. rsync compares times and
sizes, and so does rclone; runfmt has every byte proved, and durable before it says so. With ``--fsync``
rsync makes durable what it wrote, too.

rsync asks its own daemon, rclone its own WebDAV server (of its servers that take a hash or a time with
a file, SFTP is slower) with 64 transfers at once, its default of 4 being hopeless on such a line, and is
ended after half a minute. Eight minutes; needs rsync and rclone. ``RUNFMT_BENCH_SMALL=1`` tries it small.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from lines import Line, main, scratch
from link import Link, free_port, program, runfmt_server, started

import runfmt
from runfmt.layout import new_uid

SMALL = bool(os.environ.get("RUNFMT_BENCH_SMALL"))
RUNS, FINISHED = (100, 500) if SMALL else (1000, 10_000)
ROWS, METRICS = 100, ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "lr")
ROUND_TRIPS = (0, 20, 100, 300)
"""In milliseconds."""
BITS = 100e6
"""Of the line, each second and direction."""
PATIENCE = 30.0
"""Seconds after which a peer is ended."""
TIMES = 1 if SMALL else 3
AGAIN = 3
"""Calls with nothing new."""


def make_runs(folder: Path, count: int, rows: int = ROWS) -> None:
    """Finished runs, as one short training leaves them: made once, then with other ids and other numbers."""
    source = random.Random(1)
    with runfmt.init(
        id="run", dir=folder.with_name(f"{folder.name}-first"), project="bench", config={"lr": 1e-3}
    ) as run:
        for step in range(rows):
            print(f"epoch {step}: {source.random()}", file=sys.stderr)
            run.log(dict.fromkeys(METRICS, 0.5))
    first = run.directory
    about = orjson.loads((first / "run.json").read_bytes())
    lines = [orjson.loads(line) for line in (first / "metrics.jsonl").read_bytes().splitlines()]
    for number in range(count):
        made = folder / f"run{number:05}"
        shutil.copytree(first, made, ignore=shutil.ignore_patterns(".lock"))
        (made / "run.json").write_bytes(
            orjson.dumps({**about, "uid": new_uid(), "id": made.name}, option=orjson.OPT_INDENT_2)
        )
        stream = b"".join(
            orjson.dumps({**line, **{key: source.random() for key in METRICS}}) + b"\n" for line in lines
        )
        (made / "metrics.jsonl").write_bytes(stream)


@dataclass(frozen=True)
class Way:
    """How a tool is called: its server of a folder at a port, its command for the port of the line."""

    serve: Callable[[Path, int], AbstractContextManager[Any]]
    command: Callable[[Path, int], list[str]]


def serve_rsync(data: Path, port: int) -> AbstractContextManager[Any]:
    """An rsync daemon."""
    settings = data.with_name(f"{data.name}.conf")
    settings.write_text(
        f"use chroot = no\n[runs]\npath = {data}\nread only = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n"
    )
    daemon = ["rsync", "--daemon", "--no-detach", f"--config={settings}", f"--port={port}"]
    return started([*daemon, "--address=127.0.0.1"], port)


def serve_webdav(data: Path, port: int) -> AbstractContextManager[Any]:
    """rclone's WebDAV server, with times as Nextcloud takes them."""
    return started(["rclone", "serve", "webdav", str(data), "--addr", f"127.0.0.1:{port}"], port)


DURABLE = "rsync --fsync"
WAYS = {
    "runfmt": Way(
        runfmt_server,
        lambda runs, port: [program(), "sync", str(runs), "--remote", f"http://127.0.0.1:{port}"],
    ),
    "rsync": Way(serve_rsync, lambda runs, port: ["rsync", "-az", f"{runs}/", f"rsync://127.0.0.1:{port}/runs/"]),
    DURABLE: Way(serve_rsync, lambda runs, port: ["rsync", "-az", "--fsync", f"{runs}/", f"rsync://127.0.0.1:{port}/runs/"]),
    "rclone": Way(
        serve_webdav,
        lambda runs, port: [
            "rclone", "copy", str(runs), ":webdav:", "--webdav-url", f"http://127.0.0.1:{port}",
            "--transfers", "64", "--checkers", "64", "--size-only",
        ],
    ),
}  # fmt: skip


def seconds(command: list[str], env: dict[str, str]) -> float:
    """How long a command takes, ``PATIENCE`` if it would take longer."""
    began = time.perf_counter()
    try:
        subprocess.run(command, check=True, capture_output=True, env=env, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return PATIENCE
    return time.perf_counter() - began


def transfer(name: str, runs: Path, place: Path, round_trip: float, again: int) -> list[float]:
    """Seconds of the first call and of those with nothing new; what was brought stays there."""
    data = Path(tempfile.mkdtemp(dir=place, prefix=name))
    env = os.environ | {"RUNFMT_STATE": f"{data}.state", "RUNFMT_CONFIG": f"{data}.none"}
    port = free_port()
    with WAYS[name].serve(data, port):
        link = Link(port, round_trip / 1000, BITS)
        found = [seconds(WAYS[name].command(runs, link.port), env)]
        while len(found) <= again and max(found) < PATIENCE:
            found.append(seconds(WAYS[name].command(runs, link.port), env))
    return found


def transfers(runs: Path, place: Path, round_trip: float) -> dict[str, list[list[float]]]:
    """What :func:`transfer` gives of each way, in turns; who was ended once is not called again."""
    found: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    for _ in range(TIMES):
        for name, taken in found.items():
            if not taken or max(taken[-1]) < PATIENCE:
                taken.append(transfer(name, runs, place, round_trip, AGAIN))
    return found


def measure() -> Iterator[Line]:
    """First and repeated transfers at each round trip, then of many finished runs."""
    with scratch() as place:
        make_runs(place / "runs", RUNS)
        for round_trip in ROUND_TRIPS:
            found = transfers(place / "runs", place, round_trip)
            what = f"sync of {RUNS:,} small runs, {round_trip} ms"
            first = {name: [taken[0] for taken in all_taken] for name, all_taken in found.items()}
            later = {
                name: [one for taken in all_taken for one in taken[1:]] or [PATIENCE]
                for name, all_taken in found.items()
                if name != DURABLE  # with nothing new it does as without
            }
            yield Line(what, "s", first, at_most=1, note=_note(first))
            yield Line(f"{what}, nothing new", "s", later, at_most=1)
        make_runs(place / "many", FINISHED, 10)
        ours, theirs = (
            transfer(name, place / "many", place, 0, AGAIN + 2)[1:] for name in ("runfmt", "rsync")
        )
        what = f"sync of {FINISHED:,} finished runs, nothing new"
        yield Line(what, "s", {"runfmt": ours}, at_most=1, note=f"rsync {statistics.median(theirs):.2f} s")


def _note(samples: dict[str, list[float]]) -> str:
    ended = [name for name, values in samples.items() if max(values) >= PATIENCE]
    return f"{', '.join(ended)}: ended after {PATIENCE:.0f} s, not done" if ended else ""


if __name__ == "__main__":
    main(measure, __doc__ or "")
