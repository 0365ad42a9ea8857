"""How runs end with their process: exit, exception, Ctrl-C, SIGTERM, fork."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runfmt.run import Run

__all__ = ["active", "begun", "ended"]

active: list[Run] = []
"""The open runs of this process, the oldest first."""
_exit_code = 0
KILLED = 128 + signal.SIGTERM


def begun(run: Run) -> None:
    """Take care of a run from now on."""
    _install()
    active.append(run)


def ended(run: Run, exit_code: int, *, quiet: bool) -> None:
    """A run has ended, by whatever way."""
    from runfmt import session

    if run in active:
        active.remove(run)
    session.forget(run, exit_code, quiet=quiet)


@functools.cache
def _install() -> None:
    atexit.register(_at_exit)
    os.register_at_fork(after_in_child=_in_child)
    _note_exceptions()
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _note_exceptions() -> None:
    earlier_hook, earlier_exit = sys.excepthook, sys.exit

    def excepthook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        _note(255 if issubclass(kind, KeyboardInterrupt) else 1)
        earlier_hook(kind, error, trace)

    def leave(status: Any = None, /) -> Any:
        _note(status if isinstance(status, int) else 0 if status is None else 1)
        earlier_exit(status)

    sys.excepthook = excepthook
    sys.exit = leave


def _note(code: int) -> None:
    global _exit_code
    _exit_code = code


def _at_exit() -> None:
    for run in reversed(list(active)):
        run.finish(_exit_code)


def _terminated(number: int, frame: FrameType | None) -> None:
    """End the runs, then let the signal act as it would have."""
    for run in reversed(list(active)):
        run._end("preempted" if run._preempting else "killed", KILLED)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def _in_child() -> None:
    from runfmt import session

    for run in active:
        run._in_child()
    active.clear()
    session.in_child()
