"""Copies of the user's files in ``files/``, by atomic replacement."""

from __future__ import annotations

import glob
import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

from runfmt.documents import copy_named, leave_to_system, make_folder, may_be_file
from runfmt.errors import UsageError, warn
from runfmt.layout import CODE, FILES, RUN

__all__ = ["Copied", "log_code", "restored", "safe_name", "save"]

_UNFIT = re.compile("^\\.|[\x00-\x1f\x7f\\\\:\ud800-\udfff]")
_POLICIES = ("live", "now", "end")
_SOURCE_NAMES = ("requirements.txt", "Dockerfile")
_NO_CODE = ("__pycache__", "build", "node_modules", "site-packages", "wandb")


class Copied:
    """Copies that were made, and where each came from.

    ``names`` are the paths of the copies, as text. ``settle`` is called with each copy in
    its place: it makes the copy durable, or sees to it that this will happen.
    """

    def __init__(
        self, directory: Path, pairs: list[tuple[Path, Path]], settle: Callable[[Path], None]
    ) -> None:
        self._directory, self._pairs, self._settle = directory, pairs, settle
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self.names = [str(target) for _, target in pairs]
        self.refresh()

    def refresh(self) -> None:
        """Copy again the files that changed since; one that is gone keeps its copy."""
        for source, target in self._pairs:
            try:
                self._refresh(source, target)
            except OSError as error:
                warn(f"{error.strerror} ({source}): its copy in the run was not made; the training goes on")

    def _refresh(self, source: Path, target: Path) -> None:
        if not source.exists() and target in self._seen:
            return
        status = source.stat()  # before the copy, so that a change meanwhile is seen the next time
        state = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self._seen.get(target) == state:
            return
        make_folder(target.parent, self._directory)
        # What replaces an older copy is durable before, so that a power cut leaves one of the two.
        copy_named(source, target.parent, lambda _: target.name, durable=target.exists())
        self._settle(target)
        self._seen[target] = state


def save(
    directory: Path,
    glob_str: Any,
    base_path: Any = None,
    policy: str = "live",
    *,
    settle: Callable[[Path], None] = leave_to_system,
) -> Copied:
    """Copy the files and folders that match into ``files/`` of a run directory.

    The folders below ``base_path`` are kept: without it those below the working
    directory, and of an absolute path the last one. What lies in ``files/`` already stays
    there. Raises ``UsageError`` for a path outside ``base_path`` and for another policy.
    """
    if policy not in _POLICIES:
        raise UsageError(f"policy {policy!r} is unknown: use one of {', '.join(_POLICIES)}")
    text = os.fsdecode(glob_str)
    if re.match(r"[a-z0-9]+://", text):
        raise UsageError(f"{text} is not on this machine: log an artifact with add_reference() instead")
    pattern = PurePath(os.path.abspath(text))
    if base_path is not None:
        base = PurePath(os.path.abspath(os.fsdecode(base_path)))
    else:
        base = pattern.parent.parent if os.path.isabs(text) else PurePath(Path.cwd())
    if not pattern.is_relative_to(base):
        raise UsageError(f"{text} is not below {base}: pass a base_path that it is below")
    pairs = _pairs(directory.absolute() / FILES, str(pattern), base)
    if not pairs:
        warn(f"no file matches {text} yet, and none was saved: call save() when it is there")
    return Copied(directory, pairs, settle)


def restored(directory: Path, name: str, root: Any = None, *, replace: bool = False) -> Path:
    """The path of a file in ``files/`` of a run directory, or of its copy below ``root``.

    Raises ``UsageError`` if there is no such file.
    """
    source = directory / FILES / safe_name(PurePath(name))
    if not source.is_file():
        raise UsageError(f"no such file ({source}): save() it first, or name another run_path")
    if root is None:
        return source
    target = Path(root) / safe_name(PurePath(name))
    if replace or not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_named(source, target.parent, lambda _: target.name)
    return target


def _pairs(files: Path, pattern: str, base: PurePath) -> list[tuple[Path, Path]]:
    """Each file that matches, and where its copy goes; one that is in ``files/`` is its own copy."""
    found = sorted(glob.glob(pattern)) or [path for path in (pattern,) if os.path.exists(path)]
    sources = [source for path in found for source in _files_in(Path(path))]
    names = {
        source: safe_name(source.relative_to(base)) for source in sources if not source.is_relative_to(files)
    }
    return [(source, files / names[source]) if source in names else (source, source) for source in sources]


def _files_in(path: Path) -> Iterator[Path]:
    """A file itself, or the files below a folder."""
    if may_be_file(path):
        yield path
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (file for name in sorted(names) if may_be_file(file := Path(folder, name)))


def safe_name(name: PurePath) -> str:
    """A relative path that may stand in a run (R005, R007): a leading dot becomes an underscore."""
    parts = [part for part in name.parts if part not in (name.anchor, "..")]
    return "/".join(_UNFIT.sub("_", part) for part in parts) or "_"


def log_code(
    directory: Path,
    root: str | os.PathLike[str] | None = ".",
    name: str | None = None,
    include_fn: Callable[..., bool] | None = None,
    exclude_fn: Callable[..., bool] | None = None,
    *,
    settle: Callable[[Path], None] = leave_to_system,
) -> Copied:
    """Copy the code below ``root`` into ``files/code/``, or ``files/code/<name>/``.

    Without ``include_fn`` these are Python files, ``requirements.txt`` and
    ``Dockerfile``. The functions take a path, or a path and the root. Private folders,
    virtual environments, caches and the runs themselves are left out.
    """
    top = Path(root or ".").absolute()
    include = _with_root(include_fn or _is_code, str(top))
    exclude = _with_root(exclude_fn or (lambda _: False), str(top))
    target = directory.absolute() / CODE / (safe_name(PurePath(name)) if name else "")
    found = [
        path
        for path in _code_in(top, directory.absolute().parent)
        if include(str(path)) and not exclude(str(path))
    ]
    return Copied(directory, [(path, target / safe_name(path.relative_to(top))) for path in found], settle)


def _is_code(path: str) -> bool:
    return path.endswith(".py") or os.path.basename(path) in _SOURCE_NAMES


def _with_root(function: Callable[..., bool], root: str) -> Callable[[str], bool]:
    """The function of a path alone, whether it takes the root too or not."""
    parameters = inspect.signature(function).parameters.values()
    wanted = [one for one in parameters if one.default is one.empty and one.kind in (0, 1)]
    return (lambda path: function(path, root)) if len(wanted) > 1 else function


def _code_in(top: Path, runs: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if _may_hold_code(Path(folder, name), runs))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _may_hold_code(folder: Path, runs: Path) -> bool:
    is_ours = folder == runs or (folder / RUN).exists()
    is_venv = (folder / "pyvenv.cfg").exists()
    return not (folder.name.startswith(".") or folder.name in _NO_CODE or is_ours or is_venv)
