"""A line between two programs on one machine: so many bits a second, a round trip, and bytes counted.

A proxy in front of a port hands each byte on as late as a line would. All connections share it.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Link", "free_port", "program", "runfmt_server", "started"]

CHUNK = 65536
BUFFERED = 0.02
"""Seconds of traffic that wait at the line's entry: who sends is stopped only behind these."""


class Direction:
    """One way of a line, which all connections share; ``size`` are the bytes that went it."""

    def __init__(self, delay: float, rate: float) -> None:
        self.delay, self._rate = delay, rate
        self.size, self._free = 0, 0.0

    def due(self, size: int, now: float) -> float:
        """When so many bytes have left, behind all that others sent."""
        self.size += size
        self._free = max(self._free, now) + size * 8 / self._rate
        return self._free


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
    """Hand bytes on, each as late as the line would."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=4096)
    loop = asyncio.get_running_loop()

    async def deliver() -> None:
        while True:
            due, chunk = await queue.get()
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
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
        if (early := left - loop.time() - BUFFERED) > 0:
            await asyncio.sleep(early)
    await delivering


class Link:
    """A proxy to a port, in a thread of its own. ``round_trip`` in seconds, ``rate`` in bits a second."""

    def __init__(self, target: int, round_trip: float = 0.0, rate: float = float("inf")) -> None:
        self._target, self._round_trip = target, round_trip
        self.there, self.back = Direction(round_trip / 2, rate), Direction(round_trip / 2, rate)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        start = asyncio.start_server(self._connected, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        self.port: int = server.sockets[0].getsockname()[1]

    @property
    def size(self) -> int:
        """Bytes that went either way."""
        return self.there.size + self.back.size

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.sleep(self._round_trip)  # the handshake
            await asyncio.gather(
                _pass(reader, there_writer, self.there), _pass(there_reader, writer, self.back)
            )
            there_writer.close()
        except OSError:
            pass  # who hangs up is the one who sees to it
        finally:
            writer.close()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def program() -> str:
    """The command ``runfmt`` of this Python."""
    return str(Path(sys.executable).parent / "runfmt")


@contextmanager
def started(
    command: list[str], port: int, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process of its own, once it answers."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if server.poll() is not None:
                raise SystemExit(f"{' '.join(command)}: does not start")
            time.sleep(0.05)
        yield server
    finally:
        server.terminate()
        server.wait()


@contextmanager
def runfmt_server(data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """``runfmt serve`` of a folder."""
    with started([program(), "serve", "--data", str(data), "--port", str(port)], port) as server:
        yield server
