"""Makes the indexes of many runs, by as many processes as there are cores."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

from runfmt.errors import Error, FormatError, explain
from runfmt.layout import MAIN, stream_name
from runfmt_sync.index.runs import KINDS, RunIndex
from runfmt_sync.index.streams import Look, signature
from runfmt_sync.words import counted, human

__all__ = ["Made", "Processes", "lines", "looks", "make", "read", "stream_bytes"]

ALONE = 64 * 2**20
"""Bytes of streams up to which no process is started: they are read in less time than it takes."""


@dataclass(frozen=True)
class Made:
    """What became of the index of a run; sizes in bytes."""

    path: str
    streams: int
    index: int = 0
    problem: str = ""


def make(folders: Sequence[Path], cache: Path) -> Iterator[Made]:
    """Make the index of each run, or bring it up to date; those that are done come first."""
    if min(_cores(), len(folders)) < 2 or sum(map(stream_bytes, folders)) < ALONE:
        yield from (read(folder, cache) for folder in folders)
        return
    pool = Processes()
    try:
        for future in as_completed([pool.submit(read, folder, cache) for folder in folders]):
            yield future.result()
    except BrokenProcessPool:
        text = "a process that read runs was killed, perhaps for want of memory: call it again for the rest"
        raise Error(text) from None
    finally:
        pool.shutdown(cancel_futures=True)


class Processes(ProcessPoolExecutor):
    """As many processes as there are cores; they end with this one, however it ends."""

    def __init__(self, niceness: int = 0) -> None:
        theirs, self._life = Pipe(duplex=False)
        # A fork would copy the locks of threads that are not in the child.
        super().__init__(_cores(), get_context("spawn"), _begin, (theirs, niceness))

    def end(self) -> None:
        """End them at once, whatever they do."""
        self._life.close()
        self.shutdown(cancel_futures=True)


def _begin(life: Connection, niceness: int) -> None:
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one says when it ends
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()


def _end_with(life: Connection) -> None:
    life.poll(None)
    os._exit(0)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stream_bytes(folder: Path) -> int:
    """The size of the streams of a run that are indexed."""
    return sum(size for size, *_ in looks(folder).values())


def looks(folder: Path) -> dict[str, Look]:
    """How each of them looks now."""
    names = {f"{kind}*{Path(stream_name(kind)).suffix}" for kind in KINDS}
    return {path.name: signature(path.stat()) for name in names for path in folder.glob(name)}


def read(folder: Path, cache: Path) -> Made:
    """Bring the index of one run up to date, with the fold of its metrics."""
    streams = 0
    try:
        streams = stream_bytes(folder)
        index = RunIndex(folder, cache)
        index.refresh()
        for kind in KINDS:
            for writer in index.writers(kind):
                index.numbers(kind, writer)
        if MAIN in index.writers():
            index.fold()
        return Made(str(folder), streams, index.size)
    except (FormatError, OSError) as error:
        return Made(str(folder), streams, problem=explain(error))


def lines(made: Sequence[Made], seconds: float, cache: Path) -> Iterator[str]:
    """What is said to people: what is wrong, then how much there is."""
    bad = [one for one in made if one.problem]
    yield from (f"{one.path}: {one.problem}" for one in bad)
    read = sum(one.streams for one in made)
    others = f", {len(bad):,} not" if bad else ""
    rate = f"{human(read)} in {seconds:.1f} s, {human(read / max(seconds, 1e-3))}/s"
    yield f"{counted(len(made) - len(bad), 'run')} indexed{others}: {rate}"
    yield f"the index has {human(sum(one.index for one in made))}, in {cache}; short streams need none"
