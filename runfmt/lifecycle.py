"""How runs end with their process: exit, exception, Ctrl-C, SIGTERM, fork."""

from __future__ import annotations

import atexit
import functools
import operator
import os
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    from runfmt.run import Run

__all__ = ["IMPORTING", "active", "begun", "ended", "exit_code", "status_of"]

active: list[Run] = []
"""The open runs of this process, the oldest first."""
_exit_code = 0
KILLED = 128 + signal.SIGTERM
IMPORTING = threading.Lock()
"""Held by a thread that imports: a fork meanwhile would leave the child a module half made."""


def begun(run: Run) -> None:
    """Take care of a run from now on."""
    _install()
    _end_with_multiprocessing()
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
    os.register_at_fork(
        before=IMPORTING.acquire, after_in_parent=IMPORTING.release, after_in_child=IMPORTING.release
    )
    os.register_at_fork(after_in_child=_in_child)
    _note_exit()
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _end_with_multiprocessing() -> None:
    """A child that multiprocessing forked ends without ``atexit``."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        sys.modules["multiprocessing.util"].Finalize(None, _at_exit, exitpriority=0)


def _note_exit() -> None:
    earlier = sys.exit

    def leave(status: Any = None, /) -> Any:
        global _exit_code
        _exit_code = exit_code(SystemExit(status))
        earlier(status)

    sys.exit = leave


def _at_exit() -> None:
    for run in reversed(list(active)):
        run.finish(_uncaught() or _exit_code)


def _uncaught() -> int:
    """The exit code of the exception that ended the program, 0 if none did; whatever the excepthook is."""
    error = sys.exc_info()[1] or getattr(sys, "last_value", None)
    is_interactive = hasattr(sys, "ps1")  # goes on after exceptions
    return 0 if is_interactive else exit_code(error)


def exit_code(error: BaseException | None) -> int:
    """What the interpreter makes of an exception that nobody caught; 255 for Ctrl-C."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        return status_of(error.code) if isinstance(error.code, int) else 0 if error.code is None else 1
    return 255 if isinstance(error, KeyboardInterrupt) else 1


def status_of(code: SupportsIndex) -> int:
    """An exit code as a plain integer; 255 for one that no system has, as the interpreter makes of it."""
    status = int(operator.index(code))
    return status if abs(status) < 2**31 else 255


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
