"""What holds of a parser, whatever it is given: it ends, in bounded memory, and says its own errors."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fuzz.mutate import inputs

COUNT = int(os.environ.get("RUNFMT_TEST_INPUTS", "2000"))
"""Inputs of each parser."""
SEED = int(os.environ.get("RUNFMT_TEST_SEED", "1"))
PATIENCE = 20
"""Seconds after which one input is said to hang; the slowest takes a thousandth of that."""
MEMORY = 2**30
"""Bytes of address space that a parser may take beside what is there."""


class Hangs(BaseException):
    """An input that did not come to an end."""


def _ring(*_: object) -> None:
    raise Hangs


@contextmanager
def bounded() -> Iterator[None]:
    """Whoever asks for much memory gets a ``MemoryError``, and whoever does not end ``Hangs``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        there = int(file.read().split()[0]) * resource.getpagesize()
    before = signal.signal(signal.SIGALRM, _ring)
    resource.setrlimit(resource.RLIMIT_AS, (there + MEMORY, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


def feed(
    take: Callable[[bytes], Any],
    seeds: Sequence[bytes],
    errors: tuple[type[Exception], ...],
    count: int = COUNT,
) -> dict[str, int]:
    """Give inputs to ``take``; any error but these fails, with the input. Counts what was refused."""
    assert all(seeds), "a seed is empty"
    refused = 0
    with bounded():
        for data in inputs(seeds, count, SEED):
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            try:
                take(data)
            except errors:
                refused += 1
            except BaseException as error:
                raise AssertionError(f"{type(error).__name__}: {error!s:.300} of {data[:2000]!r}") from error
    assert refused < count, "nothing was ever taken: the seeds are no good"
    return {"inputs": count, "refused": refused}
