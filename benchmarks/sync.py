"""Measure a sync to a server over a slow line, beside ``rsync -az`` of the same tree over the same line.

    python benchmarks/sync.py [--runs 1000] [--round-trips 0 20 100 300] [--finished 10000] [--json]

A proxy in front of both servers delays each byte by half a round trip each way and lets
through so many bits a second in each direction. Both begin with nothing there, then are
called again with nothing new. rsync compares times and sizes; runfmt has every byte proved.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import runfmt

BITS = 100e6
"""Of the line, each second and direction."""
CHUNK = 16384
BUFFERED = 0.02
"""Seconds of traffic that wait at the line's entry: who sends is stopped only behind these."""


def make_runs(folder: Path, count: int, rows: int, images: int) -> None:
    """Finished runs with rows of two metrics, and pictures of 5 kB."""
    source = random.Random(1)
    for number in range(count):
        with runfmt.init(id=f"run{number:05}", dir=folder, project="bench", console="off") as run:
            for _ in range(rows):
                run.log({"loss": source.random(), "accuracy": source.random()})
            for _ in range(images):
                path = run.directory / "media" / "image" / f"x_{source.randbytes(10).hex()}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(source.randbytes(5000))


class Direction:
    """One way of a line, which all connections share."""

    def __init__(self, delay: float, rate: float) -> None:
        self.delay, self._rate = delay, rate
        self._free = 0.0

    def due(self, size: int, now: float) -> float:
        """When so many bytes have left, behind all that others sent."""
        self._free = max(self._free, now) + size * 8 / self._rate
        return self._free


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
    """Hand bytes on, each as late as the line would."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=4096)
    loop = asyncio.get_running_loop()

    async def deliver() -> None:
        while True:
            due, chunk = await queue.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    delivering = asyncio.create_task(deliver())
    while True:
        chunk = await reader.read(CHUNK)
        left = way.due(len(chunk), loop.time())
        await queue.put((left + way.delay, chunk))
        if not chunk:
            break
        await asyncio.sleep(max(0.0, left - loop.time() - BUFFERED))
    await delivering


class Line:
    """A proxy to a port, in a thread of its own."""

    def __init__(self, target: int, round_trip: float, rate: float) -> None:
        self._target, self._round_trip = target, round_trip
        self._there, self._back = Direction(round_trip / 2, rate), Direction(round_trip / 2, rate)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        start = asyncio.start_server(self._connected, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        self.port: int = server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.sleep(self._round_trip)  # the handshake
            await asyncio.gather(
                _pass(reader, there_writer, self._there), _pass(there_reader, writer, self._back)
            )
        except OSError:
            writer.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def started(command: list[str], port: int) -> Iterator[None]:
    """A server in a process of its own, once it answers."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait()


@contextmanager
def runfmt_server(data: Path) -> Iterator[int]:
    port = free_port()
    program = Path(sys.executable).parent / "runfmt"
    with started([str(program), "serve", "--data", str(data), "--port", str(port)], port):
        yield port


@contextmanager
def rsync_server(data: Path) -> Iterator[int]:
    port = free_port()
    settings = data.with_name("rsyncd.conf")
    settings.write_text(
        f"use chroot = no\n[runs]\npath = {data}\nread only = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n"
    )
    command = [
        "rsync",
        "--daemon",
        "--no-detach",
        f"--config={settings}",
        f"--port={port}",
        "--address=127.0.0.1",
    ]
    with started(command, port):
        yield port


def seconds(command: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=env)
    return time.perf_counter() - began


def measure(runs: Path, scratch: Path, round_trip: float, repeats: int) -> dict[str, list[float]]:
    """Seconds of the first and of the repeated transfers, for each of the two.

    What was brought stays until the end: for half a minute after many files were removed, ext4 makes
    new ones up to ten times slower.
    """
    found: dict[str, list[float]] = {}
    program = str(Path(sys.executable).parent / "runfmt")
    serving: dict[str, tuple[Any, Callable[[int], list[str]]]] = {
        "runfmt": (
            runfmt_server,
            lambda port: [program, "sync", str(runs), "--remote", f"http://127.0.0.1:{port}"],
        ),
        "rsync": (rsync_server, lambda port: ["rsync", "-az", f"{runs}/", f"rsync://127.0.0.1:{port}/runs/"]),
    }
    for name, (serve, command) in serving.items():
        data = scratch / f"{name}-{round_trip}"
        data.mkdir()
        env = os.environ | {
            "RUNFMT_STATE": str(scratch / f"state-{round_trip}"),
            "RUNFMT_CONFIG": str(scratch / "none.json"),
        }
        with serve(data) as port:
            line = Line(port, round_trip, BITS)
            found[name] = [seconds(command(line.port), env) for _ in range(1 + repeats)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument(
        "--round-trips", type=float, nargs="*", default=[0, 20, 100, 300], help="in milliseconds"
    )
    parser.add_argument(
        "--finished", type=int, default=10_000, help="runs of the sync with nothing new; 0 for none"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        make_runs(scratch / "runs", options.runs, options.rows, options.images)
        for milliseconds in options.round_trips:
            found = measure(scratch / "runs", scratch, milliseconds / 1000, 1)
            results.append({"runs": options.runs, "round_trip_ms": milliseconds, **found})
        if options.finished:
            make_runs(scratch / "many", options.finished, 10, 0)
            found = measure(scratch / "many", scratch, 0, 2)
            results.append({"runs": options.finished, "round_trip_ms": 0, **found})
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'runs':>7} {'round trip':>11} {'':>8} {'runfmt':>9} {'rsync -az':>9} {'ratio':>7}")
    for one in results:
        for what, index in (("first", 0), ("again", -1)):
            ours, theirs = one["runfmt"][index], one["rsync"][index]
            head = f"{one['runs']:>7,} {one['round_trip_ms']:>8.0f} ms {what:>8}"
            print(f"{head} {ours:>7.2f} s {theirs:>7.2f} s {ours / theirs:>7.2f}")


if __name__ == "__main__":
    main()
