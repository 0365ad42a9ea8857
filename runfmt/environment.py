"""What is captured of the machine and the program when a run starts; never a secret."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from runfmt.documents import replace
from runfmt.layout import FILES

if TYPE_CHECKING:
    from runfmt.run import Run

__all__ = ["capture", "capture_slowly", "repository_name", "requirements"]

_SECRET = re.compile(r"(key|token|secret|passw|jwt|credential|auth)", re.IGNORECASE)
GIT_WITHIN = 10.0
"""Seconds after which git is not waited for."""
_slow: dict[str, dict[str, Any]] = {}
"""What was found slowly, by working directory: once a process, whose code is that of its beginning."""


def capture() -> dict[str, Any]:
    """What is known at once."""
    found: dict[str, Any] = {
        "argv": _without_secrets(sys.argv),
        "program": sys.argv[0] if sys.argv else "",
        "cwd": os.getcwd(),
        "host": os.uname().nodename,
        "user": _user(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "pid": os.getpid(),
        "cpu_count": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }
    slurm = {k: v for k, v in os.environ.items() if k.startswith("SLURM_") and not _SECRET.search(k)}
    ranks = {name.lower(): os.environ[name] for name in ("RANK", "WORLD_SIZE") if name in os.environ}
    return {**found, **_slow.get(found["cwd"], {}), **ranks, **({"slurm": slurm} if slurm else {})}


def capture_slowly(run: Run, gpus: list[str]) -> None:
    """Add git and the GPUs' names to ``run.json``, and write the requirements and the code; for a thread."""
    if not run._is_main:
        return
    files = run.directory / FILES
    files.mkdir(exist_ok=True)
    replace(files / "requirements.txt", requirements(), durable=False)
    folder = os.getcwd()
    if folder not in _slow:
        found = {"git": _git(), "gpus": gpus}
        _slow[folder] = {key: value for key, value in found.items() if value}
    environment = run._document["environment"]
    if not _slow[folder].items() <= environment.items():
        run._change(environment={**environment, **_slow[folder]})
    if run.settings.save_code:
        if (difference := _run_git("diff", "HEAD")) is not None:
            replace(files / "diff.patch", difference.encode("utf-8", "surrogateescape"), durable=False)
        if sys.argv and Path(sys.argv[0]).is_file():
            run.log_code(str(Path(sys.argv[0]).parent), include_fn=_is_program)


def _is_program(path: str, *_: Any) -> bool:
    return Path(path).resolve() == Path(sys.argv[0]).resolve()


def repository_name() -> str | None:
    """The name of the git repository around the working directory, None outside of one."""
    top = next((p for p in (Path.cwd(), *Path.cwd().parents) if (p / ".git").exists()), None)
    return top.name or None if top else None


def _git() -> dict[str, Any]:
    status = _run_git("status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return {}
    heads = dict(re.findall(r"^# branch\.(oid|head) (.*)$", status, re.MULTILINE))
    remote = (_run_git("remote", "get-url", "origin") or "").strip()
    dirty = any(line and not line.startswith("#") for line in status.splitlines())
    found = {"commit": heads.get("oid"), "branch": heads.get("head"), "dirty": dirty}
    return {**found, "remote": _without_credentials(remote)} if remote else found


def _run_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, timeout=GIT_WITHIN, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "surrogateescape")


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _without_secrets(argv: list[str]) -> list[str]:
    """The arguments, with the values of those whose names speak of secrets left out."""
    shown, hide_next = [], False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        if hide_next and not argument.startswith("-"):
            shown.append("***")
        else:
            shown.append(f"{name}=***" if equals and _SECRET.search(name) else argument)
        hide_next = argument.startswith("-") and not equals and bool(_SECRET.search(name))
    return shown


@functools.cache
def requirements() -> bytes:
    """The installed distributions, as ``pip freeze`` gives them; looked up once a process."""
    from importlib.metadata import distributions

    found = {f"{one.metadata['Name']}=={one.version}" for one in distributions() if one.metadata["Name"]}
    return "".join(line + "\n" for line in sorted(found, key=str.lower)).encode()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for this user
        return str(os.getuid())
