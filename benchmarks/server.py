"""``runfmt serve`` with 64 runs being written at once, as 64 ``sync --watch`` bring them: a minute.

    python benchmarks/server.py [--json]

Each client asks what is there, sends the new rows as a bundle, and has them confirmed by digest, over a
connection of its own, again and again. The clients share the machine with the server, in one process
that is made light: what is sent was made before. At the end the server is killed by SIGKILL, and every
row that it had confirmed has to lie on the disk, once. ``RUNFMT_BENCH_SMALL=1`` tries it small.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from lines import Line, main
from link import free_port, runfmt_server

from runfmt.layout import METRICS, RUN, new_uid
from runfmt_sync import bundle, wire
from runfmt_sync.digests import Proof, prove_bytes
from runfmt_sync.extents import Extent
from runfmt_sync.inventory import run_digest
from runfmt_sync.plan import Ask
from runfmt_sync.server.service import Service

SMALL = bool(os.environ.get("RUNFMT_BENCH_SMALL"))
CLIENTS = 64
SECONDS = 4.0 if SMALL else 25.0
ROWS, SCALARS = 20, 10
"""Of a bundle; of a row."""
ROUNDS = 30 if SMALL else 200
"""Bundles that are made for each client; who has sent all of them stops."""


@dataclass
class Client:
    """A run, the requests that bring it, and what came of them."""

    number: int
    uid: str = field(default_factory=new_uid)
    token: str = ""
    rounds: list[tuple[bytes, bytes]] = field(default_factory=list)
    """The question what is there, which is asked before and after, and the bundle."""
    lengths: list[int] = field(default_factory=list)
    """Bytes of the stream after each round."""
    stream: bytes = b""
    confirmed: int = 0
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def make(self, source: random.Random) -> None:
        """Make all requests."""
        about = {
            "runfmt": 1,
            "requires": [],
            "uid": self.uid,
            "id": f"run{self.number:02}",
            "project": "bench",
            "created_at": "2026-11-26T12:00:00.000000Z",
            "state": "running",
        }
        document = orjson.dumps(about)
        digest, parts, length = hashlib.sha256(), [], 0
        for number in range(ROUNDS):
            rows = b"".join(_row(number * ROWS + i, source) for i in range(ROWS))
            extents = [Extent(self.uid, METRICS, length, len(rows), hashlib.sha256(rows).hexdigest())]
            if not number:
                proof = prove_bytes(document)
                extents.append(Extent(self.uid, RUN, 0, len(document), proof.tail, proof))
            digest.update(rows)
            parts.append(rows)
            length += len(rows)
            stream = Proof(length, (), digest.hexdigest())
            after = run_digest([(RUN, prove_bytes(document)), (METRICS, stream)])
            question = orjson.dumps(
                wire.asks_to_json([Ask(self.uid, after, {METRICS: length})], believe=True)
            )
            self.rounds.append((question, _bundle(extents, rows + (b"" if number else document))))
            self.lengths.append(length)
        self.stream = b"".join(parts)

    async def run(self, port: int, until: float) -> None:
        """Send one round after the other."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for (ask, sent), length in zip(self.rounds, self.lengths, strict=True):
            if time.perf_counter() > until or self.errors:
                break
            await self._ask(reader, writer, "/v1/have", ask)
            begun = time.perf_counter()
            refused = await self._ask(reader, writer, "/v1/bundles", sent)
            self.seconds.append(time.perf_counter() - begun)
            other = await self._ask(reader, writer, "/v1/have", ask)
            if refused != {"refused": {}} or other != {"runs": {}}:
                self.errors.append(f"{refused} {other}")
            else:
                self.confirmed = length
        writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str, body: bytes
    ) -> object:
        kind = "application/x-tar\r\nContent-Encoding: zstd" if "bundles" in where else "application/json"
        head = (
            f"POST {where} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        said = await reader.readexactly(length)
        if b" 200 " not in answer.partition(b"\r\n")[0]:
            self.errors.append(said.decode())
        return orjson.loads(said)


def _row(step: int, source: random.Random) -> bytes:
    row = {"_step": step, "_timestamp": 1.8e9 + step, **{f"m{i}": source.random() for i in range(SCALARS)}}
    return orjson.dumps(row) + b"\n"


def _bundle(extents: list[Extent], data: bytes) -> bytes:
    body = io.BytesIO()
    with bundle.packed(body) as packed:
        bundle.write(packed, {}, [bundle.Group(tuple(extents), io.BytesIO(data))])
    return body.getvalue()


async def _load(clients: list[Client], port: int) -> None:
    until = time.perf_counter() + SECONDS
    await asyncio.gather(*(client.run(port, until) for client in clients))


def _lost(client: Client, data: Path) -> int:
    """Rows that were confirmed and are not there, or stand there twice or otherwise."""
    found = (data / f"run{client.number:02}" / METRICS).read_bytes()
    expected = client.stream[: client.confirmed]
    return 0 if found.startswith(expected) and client.stream.startswith(found) else expected.count(b"\n")


def measure() -> Iterator[Line]:
    """All clients at once, then what lies on the disk."""
    clients = [Client(number) for number in range(CLIENTS)]
    source = random.Random(1)
    for client in clients:
        client.make(source)
    with tempfile.TemporaryDirectory() as temporary:
        data, port = Path(temporary) / "data", free_port()
        data.mkdir()
        service = Service.of(data)
        for client in clients:  # the server bounds how often one caller may ask
            client.token = service.tokens.add(f"client{client.number}", ["read", "append"])
        service.close()
        with runfmt_server(data, port) as server:
            begun = time.perf_counter()
            asyncio.run(_load(clients, port))
            taken = time.perf_counter() - begun
            server.kill()
        rows = sum(client.stream[: client.confirmed].count(b"\n") for client in clients)
        lost = sum(_lost(client, data) for client in clients)
    milliseconds = [1000 * one for client in clients for one in client.seconds]
    p99 = statistics.quantiles(milliseconds, n=100)[98]
    errors = sum(len(client.errors) for client in clients)
    what = f"{CLIENTS} clients append at once"
    note = f"{len(milliseconds):,} bundles of {ROWS} rows of {SCALARS} scalars in {taken:.0f} s"
    yield Line(f"{what}: rows confirmed", "rows/s", {"runfmt": [rows / taken]}, note=note)
    yield Line(f"{what}: a bundle, p50", "ms", {"runfmt": [statistics.median(milliseconds)]})
    yield Line(f"{what}: a bundle, p99", "ms", {"runfmt": [p99]})
    yield Line(f"{what}: requests failed", "", {"runfmt": [errors]}, at_most=0)
    note = f"of {rows:,} that were confirmed"
    yield Line(f"{what}: rows lost when the server was killed", "", {"runfmt": [lost]}, at_most=0, note=note)


if __name__ == "__main__":
    main(measure, __doc__ or "")
