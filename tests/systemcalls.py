"""All system calls that runfmt makes on files, through one function, which may let one fail.

What is not runfmt's own doing (tests, pytest, imports) passes by unseen.
"""

from __future__ import annotations

import builtins
import fcntl
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

ON_PATHS = ("open", "stat", "lstat", "mkdir", "rmdir", "unlink", "replace", "rename", "listdir", "scandir")
ON_DESCRIPTORS = ("write", "pread", "fsync", "fdatasync", "fstat", "ftruncate", "lseek", "close")
_real = {name: getattr(os, name) for name in (*ON_PATHS, *ON_DESCRIPTORS)}
_flock, _open = fcntl.flock, io.open


class Call(NamedTuple):
    """A system call that is about to be made; ``path`` is that of the descriptor where it takes one."""

    name: str
    path: str
    arguments: tuple[Any, ...]
    is_main: bool
    """Whether the main thread makes it."""


class Short(NamedTuple):
    """A write that takes so many bytes only."""

    size: int


Decide = Callable[[Call], "OSError | Short | None"]


class SystemCalls:
    """While it is entered, ``decide`` is asked about each call, and ``done`` told of each that was made.

    A call of a file that must not wait for the disk (``fsync``) can be passed over, for speed.
    """

    def __init__(self, *, skip: tuple[str, ...] = ()) -> None:
        self.decide: Decide = lambda _: None
        self.done: Callable[[Call, Any], None] = lambda call, result: None
        self._skip = skip

    def __enter__(self) -> SystemCalls:
        for name, real in _real.items():
            setattr(os, name, self._through(name, real))
        fcntl.flock = self._through("flock", _flock)
        builtins.open = io.open = self._opened
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in _real.items():
            setattr(os, name, real)
        fcntl.flock = _flock
        builtins.open = io.open = _open

    def _through(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if not _is_ours():
                return real(*arguments, **options)
            return self.make(name, real, *arguments, **options)

        return call

    def make(self, name: str, real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call, or let it fail."""
        is_main = threading.current_thread() is threading.main_thread()
        call = Call(name, _path_of(arguments[0] if arguments else "."), arguments, is_main)
        decided = self.decide(call)
        if isinstance(decided, OSError):
            if name == "close":  # the descriptor is gone, whatever it answers
                real(*arguments)
            raise decided
        if isinstance(decided, Short):
            *others, data = arguments
            arguments = (*others, bytes(data)[: decided.size])
            call = call._replace(arguments=arguments)
        result = None if name in self._skip else real(*arguments, **options)
        self.done(call, result)
        return result

    def _opened(self, file: Any, mode: str = "r", buffering: int = -1, *texts: Any, **options: Any) -> Any:
        if not _is_ours() or isinstance(file, int):
            return _open(file, mode, buffering, *texts, **options)
        opener = options.pop("opener", None) or (lambda path, flags: os.open(path, flags, 0o666))
        raw = _Raw(self, os.fspath(file), mode.replace("b", "").replace("t", ""), opener)
        buffered = io.BufferedReader(raw) if mode[0] == "r" else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *texts, **options)


class _Raw(io.FileIO):
    """A file of ``open``, whose calls can be seen."""

    def __init__(self, calls: SystemCalls, path: Any, mode: str, opener: Any) -> None:
        self._calls = calls
        super().__init__(path, mode, opener=opener)

    def write(self, data: Any) -> int:
        taken = bytes(data)
        return int(
            self._calls.make("write", lambda _, part: super(_Raw, self).write(part), self.fileno(), taken)
        )

    def readinto(self, buffer: Any) -> int:
        return int(self._calls.make("read", lambda _: super(_Raw, self).readinto(buffer), self.fileno()))

    def readall(self) -> bytes:
        return bytes(self._calls.make("read", lambda _: super(_Raw, self).readall(), self.fileno()))

    def close(self) -> None:
        if not self.closed:
            self._calls.make("close", lambda _: super(_Raw, self).close(), self.fileno())


def _is_ours() -> bool:
    """Whether a module of runfmt stands among the callers."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == "runfmt":
            return True
        frame = frame.f_back
    return False


def _path_of(named: Any) -> str:
    if not isinstance(named, int):
        return os.path.abspath(os.fspath(named))
    try:
        return os.readlink(f"/proc/self/fd/{named}")
    except OSError:
        return ""
