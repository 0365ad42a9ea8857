"""What can go wrong, and its exception.

Error
├── UsageError          a call that makes no sense (ValueError)
│   └── ConfigError     a config value changed without leave
├── NotStarted          log, config or summary before init or after finish
├── FormatError         bytes on disk that are no run, or of a run we must refuse (ValueError)
├── RunNotFound         no run of that name here (LookupError)
├── MissingLibrary      an optional library that this call needs (ImportError)
└── CommError           a remote that does not answer; kept for W&B users

Every text says what, where, and what to do next.
"""

from __future__ import annotations

import errno
import sys
import warnings

__all__ = [
    "CommError",
    "ConfigError",
    "Error",
    "FormatError",
    "MissingLibrary",
    "NotStarted",
    "RunNotFound",
    "UsageError",
    "explain",
    "remedy",
    "warn",
]


class Error(Exception):
    """Base of all errors that runfmt raises itself."""


class UsageError(Error, ValueError):
    """A call with a value that cannot be meant; nothing was written."""


class ConfigError(UsageError):
    """A config key was given another value without ``allow_val_change=True``."""


class NotStarted(Error):
    """``log``, ``config`` or ``summary`` was used before ``init`` or after ``finish``."""


class CommError(Error):
    """A remote could not be reached or refused."""


class RunNotFound(Error, LookupError):
    """There is no such run in this folder."""


class MissingLibrary(Error, ImportError):
    """An optional library is missing.

    ``package`` is what ``pip install`` takes.
    """

    def __init__(self, what: str, package: str) -> None:
        super().__init__(f"{what} needs {package}: pip install {package}")
        self.what = what
        self.package = package

    def __reduce__(self) -> tuple[type[MissingLibrary], tuple[str, str]]:
        return type(self), (self.what, self.package)


class FormatError(Error, ValueError):
    """Something on disk is not as the specification says.

    ``rule`` is the rule's id, ``path`` the file, ``offset`` the byte where the
    line begins (None: the whole file).
    """

    def __init__(self, rule: str, message: str, path: str = "", offset: int | None = None) -> None:
        super().__init__(rule, message, path, offset)
        self.rule = rule
        self.message = message
        self.path = path
        self.offset = offset

    def __str__(self) -> str:
        at = "" if self.offset is None else f" at byte {self.offset}"
        where = f" ({self.path}{at})" if self.path else ""
        return f"{self.message}{where} [{self.rule}]"


def explain(error: Exception) -> str:
    """What an error says, and where; the system's errors in the same form as ours."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return str(error)


def remedy(error: OSError) -> str:
    """What to do about a disk that refuses."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "make room" if is_full else "see that the disk is there and can be written"


def warn(text: str, stacklevel: int | None = None) -> None:
    """Warn of the line that called us, also where warnings are errors: the training must not stop for it."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=(stacklevel or _callers_level()) + 1)
    except RuntimeWarning:
        sys.stderr.write(f"runfmt: {text}\n")


def _callers_level() -> int:
    """How many frames above ``warn`` the code of others begins."""
    level, frame = 1, sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "runfmt":
        level, frame = level + 1, frame.f_back
    return level
