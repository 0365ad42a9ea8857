"""Who writes a run: the main writer's lock, and how others are kept out while nobody does.

The lock says something on its own host only, where the file system has locks, and of the main
writer alone (R060). What it cannot say, the heartbeat does (R019, R100).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from runfmt.documents import lock, release
from runfmt.errors import UsageError
from runfmt.layout import MAIN, PRIVATE_LOCK
from runfmt.reading import CRASHED_AFTER, StoredRun, has_crashed

__all__ = ["claim", "excludes", "unwritten"]


def claim(folder: Path) -> int | None:
    """A descriptor that holds the main writer's lock until it is closed; None if another process has it.

    Where the file system has no locks it holds none. A forked child closes its copy.
    """
    return lock(folder / PRIVATE_LOCK)


def excludes(folder: Path) -> bool:
    """Whether the lock that this process holds keeps others out: one that can be had twice is none."""
    again = claim(folder)
    if again is not None:
        release(again)
    return again is None


@contextmanager
def unwritten(run: StoredRun) -> Iterator[None]:
    """Keep writers out of a run. Raises ``UsageError`` if there is one, or may be."""
    with ExitStack() as held:
        if not _are_kept_out(run, held) and not _has_ended(run):
            age = max(time.time() - run.newest_line, 0)
            raise UsageError(
                f"{run.path} is being written, it seems: its newest line is {age:.0f} seconds old, "
                "and no lock can tell otherwise here; end the training first, and one that was killed counts "
                f"as crashed {CRASHED_AFTER / 60:.0f} minutes after its last line"
            )
        yield


def _are_kept_out(run: StoredRun, held: ExitStack) -> bool:
    """Take the lock; gives whether that keeps every writer out. Raises ``UsageError`` if another has it."""
    if not (run.path / PRIVATE_LOCK).exists():  # a copy: private names do not travel (R005)
        return False
    ours = claim(run.path)
    if ours is None:
        raise UsageError(f"{run.path} is being written: end the training first")
    held.callback(release, ours)
    environment = run.document.get("environment")
    host = environment.get("host") if isinstance(environment, dict) else None
    return excludes(run.path) and host in (None, os.uname().nodename) and run.writers.keys() <= {MAIN}


def _has_ended(run: StoredRun) -> bool:
    """Whether it says so, or is silent."""
    says_so = not run.is_damaged and run.document["state"] != "running"
    return says_so or has_crashed(run.newest_line)
