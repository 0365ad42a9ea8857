"""Artifacts: named, versioned sets of files and references.

A version is a folder, ``files/artifacts/<name>/v<N>/``, that holds copies of the files
and, written last, ``artifact.json``, which says what they are. It is claimed by making
the folder, so that no version overwrites another.

While a run is open, files are copied into a private folder of it when they are added, as
the user may delete or change them, and are moved into place when the artifact is logged.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import IO, Any

from runfmt.documents import (
    PIECE,
    copy_named,
    create,
    leave_to_system,
    make_folder,
    may_be_file,
    move,
    read_document,
    replace_document,
    temporary_folder,
)
from runfmt.errors import CommError, Error, FormatError, UsageError, explain, remedy, warn
from runfmt.layout import ARTIFACT, ARTIFACTS, PRIVATE_CACHE, is_safe, media_path
from runfmt.rows import encode_document
from runfmt.saving import safe_name

__all__ = ["Artifact", "Entry", "log_artifact", "use_artifact"]

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"v(0|[1-9][0-9]{0,8})")
_UNKNOWN = "an artifact that was not logged yet has no {}: log it first"


@dataclass(frozen=True)
class Entry:
    """A file or a reference of an artifact.

    ``name`` is what it is called in the artifact; ``source`` the file that it is, or is
    copied from; ``uri`` what a reference points to.
    """

    name: str
    source: Path | None = None
    uri: str | None = None
    sha256: str | None = None
    size: int | None = None

    @property
    def path(self) -> str:
        """The same as ``name``."""
        return self.name

    @property
    def ref(self) -> str | None:
        """The same as ``uri``."""
        return self.uri

    @property
    def digest(self) -> str | None:
        """The same as ``sha256``."""
        return self.sha256

    def download(self, root: str | os.PathLike[str] | None = None) -> str:
        """Copy the file below a folder (default: the working directory); gives the path of the copy."""
        target = Path(root or ".") / safe_name(PurePath(self.name))
        _copy(self, target)
        return str(target)


class Artifact:
    """Files and references under one name; becomes a version when it is logged.

    ``name`` matches ``[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}``; ``metadata`` is a dict of plain
    values. Files are copied when they are added, or without an open run when the artifact is
    logged. Raises ``UsageError`` for a wrong
    name, and for two entries of one name.
    """

    def __init__(
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        incremental: bool = False,
        use_as: str | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise UsageError(f"artifact name {name!r} must match {_NAME.pattern}")
        self._name = name
        self.type = type
        self.description = description
        self.metadata = dict(metadata or {})
        self.aliases: list[str] = []
        self.entries: dict[str, Entry] = {}
        self._version: str | None = None
        self._staging: Path | None = None
        self._was_refused = False

    @property
    def name(self) -> str:
        """The name, followed by the version once there is one: ``model:v3``."""
        return f"{self._name}:{self._version}" if self._version else self._name

    @property
    def version(self) -> str:
        """``v<N>``; raises ``Error`` before the artifact is logged."""
        if self._version is None:
            raise Error(_UNKNOWN.format("version"))
        return self._version

    @property
    def is_logged(self) -> bool:
        """Whether it is a version already."""
        return self._version is not None

    def is_draft(self) -> bool:
        """The contrary of :attr:`is_logged`."""
        return not self.is_logged

    @property
    def manifest(self) -> Artifact:
        """The artifact itself, whose ``entries`` maps names to entries."""
        return self

    @property
    def size(self) -> int:
        """Bytes of all files, 0 before the artifact is logged."""
        return sum(entry.size or 0 for entry in self.entries.values())

    @property
    def file_count(self) -> int:
        """The number of files and references."""
        return len(self.entries)

    # Before it is logged

    def add_file(self, local_path: Any, name: str | None = None, overwrite: bool = False, **_: Any) -> Entry:
        """Add a file, under its own name unless another is given."""
        path = Path(os.fsdecode(local_path)).absolute()
        if not may_be_file(path):
            raise UsageError(f"no such file ({local_path}): give the path of a file, or use add_dir()")
        return self._add(self._taken(name or path.name, path), overwrite=overwrite)

    def add_dir(self, local_path: Any, name: str | None = None, **_: Any) -> None:
        """Add the files below a folder, under their paths in it, below ``name`` if that is given."""
        top = Path(os.fsdecode(local_path)).absolute()
        if not top.is_dir():
            raise UsageError(f"no such folder ({local_path}): give the path of a folder, or use add_file()")
        for path in sorted(path for path in top.rglob("*") if may_be_file(path)):
            self._add(self._taken((PurePath(name or "") / path.relative_to(top)).as_posix(), path))

    def add_reference(self, uri: Any, name: str | None = None, **_: Any) -> list[Entry]:
        """Record where something lies; it is not copied."""
        text = str(getattr(uri, "uri", None) or uri)
        return [self._add(Entry(name or PurePath(text).name or text, uri=text))]

    def add(self, obj: Any, name: str, overwrite: bool = False) -> Entry:
        """Add a ``Table`` or another media object, which :meth:`get` gives back."""
        from runfmt.values import plain, stored

        value = stored(plain(obj, name), name, _EntrySink(self))
        if not isinstance(value, dict) or "_type" not in value:
            raise TypeError(f"add() takes a Table or other media, not {type(obj).__name__}: use add_file()")
        with self.new_file(f"{name}.{value['_type']}.json", "wb" if overwrite else "xb") as file:
            file.write(encode_document(value))
        return self.get_path(f"{name}.{value['_type']}.json")

    @contextmanager
    def new_file(
        self, name: str, mode: str = "x", encoding: str | None = None, **_: Any
    ) -> Iterator[IO[Any]]:
        """Write a file of the artifact: ``with artifact.new_file("labels.txt") as file: ...``."""
        path = self._stage(_run_directory()) / secrets.token_hex(8)
        with create(path, binary="b" in mode, encoding=encoding) as file:
            yield file
        self._add(Entry(name, path, None, *_digest(path)), overwrite="w" in mode)

    def _taken(self, name: str, path: Path) -> Entry:
        """An entry of a copy of a file as it is now; of the file itself without a run or room for it."""
        directory = _run_directory()
        if directory is None:
            return Entry(name, path)
        try:
            copy, digest, size = copy_named(path, self._stage(directory), lambda _: secrets.token_hex(8))
        except OSError as error:
            if _is_strict():
                raise
            if not self._was_refused:
                self._was_refused = True
                warn(
                    f"{explain(error)}: {path} could not be copied yet; {remedy(error)}, and keep the file "
                    "as it is until the artifact is logged"
                )
            return Entry(name, path)
        return Entry(name, copy, None, digest, size)

    def _stage(self, directory: Path | None) -> Path:
        """A private folder that goes with the artifact: of the run (R005), or of the system."""
        if self._staging is None:
            cache = None if directory is None else directory / PRIVATE_CACHE
            if cache is not None:
                cache.mkdir(exist_ok=True)
            self._staging = temporary_folder(self, cache)
        return self._staging

    def _add(self, entry: Entry, *, overwrite: bool = False) -> Entry:
        if self._version is not None:
            raise UsageError(f"{self.name} is logged already and cannot change: make a new Artifact")
        from runfmt.values import normalise_config

        entry = dataclasses.replace(entry, name=normalise_config(entry.name, "name"))
        there = self.entries.get(entry.name)
        if there is not None and not overwrite and not _is_same(there, entry):
            raise UsageError(
                f"the artifact has an entry {entry.name!r} already: pass overwrite=True, or another name"
            )
        self.entries[entry.name] = entry
        return entry

    # Once it is logged

    def wait(self, timeout: int | None = None) -> Artifact:
        """The artifact itself, which is there when ``log_artifact`` returns."""
        return self

    def get_path(self, name: Any) -> Entry:
        """The entry of a name; raises ``KeyError``."""
        return self.entries[str(name)]

    def get_entry(self, name: Any) -> Entry:
        """The same as :meth:`get_path`."""
        return self.get_path(name)

    def get(self, name: str) -> Any:
        """The table or media object that was added under a name, None if there is none."""
        beginning = f"{name}."
        for entry in self.entries.values():
            kind = entry.name[len(beginning) : -len(".json")] if entry.name.startswith(beginning) else ""
            if entry.source is not None and entry.name == f"{name}.{kind}.json":
                value = read_document(entry.source)
                contents = self.entries[value["path"]].source
                if contents is not None and value.get("_type") == kind:
                    return _media_of(kind, contents)
        return None

    def files(self) -> list[Entry]:
        """All entries."""
        return list(self.entries.values())

    def download(self, root: str | os.PathLike[str] | None = None, **_: Any) -> str:
        """Copy the files into a folder, by default ``./artifacts/<name>-<version>``; gives its path.

        References are left out.
        """
        target = Path(root) if root else Path("artifacts") / f"{self._name}-{self.version}"
        target.mkdir(parents=True, exist_ok=True)
        for entry in self.entries.values():
            if entry.source is not None:
                _copy(entry, target / safe_name(PurePath(entry.name)))
        return str(target)

    def file(self, root: str | os.PathLike[str] | None = None) -> str:
        """Download the only file; gives the path of the copy. Raises ``UsageError`` if there are several."""
        if len(self.entries) != 1:
            raise UsageError(
                f"{self.name} has {len(self.entries)} files, not one: use get_path() or download()"
            )
        return str(Path(self.download(root)) / safe_name(PurePath(next(iter(self.entries)))))

    def __repr__(self) -> str:
        return f"<Artifact {self.name} ({self.type}), {self.file_count} entries>"


def _media_of(kind: str, contents: Path) -> Any:
    """The object that a file of media is."""
    from runfmt import media, tables

    if kind == tables.Table.type:
        document = read_document(contents)
        return tables.Table(columns=document["columns"], data=document["data"])
    classes = (media.Image, media.Audio, media.Video, media.Html, media.Object3D)
    return next((one(contents) for one in classes if one.type == kind), None)


class _EntrySink:
    """Makes the files of media entries of an artifact, by whose names the media know them."""

    strict = True

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact

    def put(self, kind: str, key: str, data: bytes | Path, ending: str) -> dict[str, Any]:
        contents = data.read_bytes() if isinstance(data, Path) else data
        digest = hashlib.sha256(contents).hexdigest()
        name = media_path(kind, key, digest, ending)
        if name not in self._artifact.entries:
            with self._artifact.new_file(name, "xb") as file:
                file.write(contents)
        return {"path": name, "sha256": digest, "size": len(contents)}


def _run_directory() -> Path | None:
    """The directory of the open run, if there is one that is written."""
    run = getattr(sys.modules.get("runfmt"), "run", None)
    return None if run is None or run.settings.disabled else Path(run.directory)


def _is_strict() -> bool:
    """Whether the open run raises what the disk refuses."""
    return bool(sys.modules["runfmt"].run.settings.strict)


def _is_same(one: Entry, other: Entry) -> bool:
    return one == other or (one.sha256 is not None and one.sha256 == other.sha256)


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest(), path.stat().st_size


def _copy(entry: Entry, target: Path) -> tuple[str, int]:
    """Copy an entry's file; gives SHA-256 and size. Raises ``FormatError`` if it is not what was logged."""
    if entry.source is None:
        raise UsageError(
            f"{entry.name} is a reference to {entry.uri}, which is not copied: fetch it from there"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    _, digest, size = copy_named(entry.source, target.parent, lambda _: target.name)
    if entry.sha256 not in (None, digest):
        raise FormatError("R071", f"{entry.name} is not what was logged: verify the run", str(entry.source))
    return digest, size


# Logging


def log_artifact(
    directory: Path,
    artifact_or_path: Any,
    *,
    settle: Callable[[Path], None] = leave_to_system,
    strict: bool = False,
    name: str | None = None,
    type: str | None = None,
    aliases: Any = None,
) -> Artifact:
    """Copy an artifact, or a file or folder, into a run directory as a new version.

    ``aliases`` is one text or several; the newest version is ``latest`` in any case. ``settle``
    is called with each file in its place, the document that names them last. What the disk
    refuses is warned of, and raised if ``strict``; the artifact can then be logged again.
    """
    artifact, path = artifact_or_path, None
    if not isinstance(artifact, Artifact):
        path = artifact_or_path
        artifact = Artifact(name or _default_name(directory, path), type or "unspecified")
    try:
        if path is not None:
            _add_path(artifact, path)
        _write_version(directory, artifact, aliases, settle)
    except OSError as error:
        if strict:
            raise
        warn(
            f"{explain(error)}: artifact {artifact._name} was not logged; {remedy(error)} and log it again, "
            "the training goes on"
        )
    return artifact


def _write_version(directory: Path, artifact: Artifact, aliases: Any, settle: Callable[[Path], None]) -> None:
    """Fill the folder of a new version, its document last, and make the artifact that version."""
    given = [aliases] if isinstance(aliases, str) else list(aliases or [])
    document = _document(artifact, list(dict.fromkeys([*artifact.aliases, *given])))
    folder = _claimed(directory, artifact._name)
    document["version"] = folder.name
    entries = document["entries"] = {}
    for entry in artifact.entries.values():
        path = _path_in_version(entry.name, entries)
        entries[entry.name] = _stored(entry, folder, path, artifact._staging)
        if entry.source is not None:
            artifact.entries[entry.name] = dataclasses.replace(entry, source=folder / path)
            settle(folder / path)
    replace_document(folder / ARTIFACT, document, durable=False)
    settle(folder / ARTIFACT)
    _take(artifact, document, folder, is_latest=True)


def _add_path(artifact: Artifact, path: Any) -> None:
    """Add a file, what is below a folder, or a reference."""
    text = os.fsdecode(path)
    if may_be_file(Path(text)):
        artifact.add_file(text)
    elif os.path.isdir(text):
        artifact.add_dir(text)
    elif "://" in text:
        artifact.add_reference(text)
    else:
        raise UsageError(f"no such file or folder ({text}): give an Artifact, a path or a URL")


def _default_name(directory: Path, path: Any) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"run-{directory.name}-{PurePath(os.fsdecode(path)).name}")[:128]


def _document(artifact: Artifact, aliases: list[str]) -> dict[str, Any]:
    from runfmt.values import normalise_config

    created = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "name": artifact._name,
        "type": str(artifact.type),
        "description": normalise_config(artifact.description or "", "description"),
        "metadata": normalise_config(artifact.metadata, "metadata"),
        "aliases": normalise_config([str(alias) for alias in aliases if alias != "latest"], "aliases"),
        "created_at": created,
    }


def _claimed(directory: Path, name: str) -> Path:
    """A new folder for a version, whose number is above that of every run in the same folder of runs."""
    number = 1 + max((number for number, _ in _versions(directory.absolute().parent, name)), default=-1)
    while True:
        folder = directory / ARTIFACTS / name / f"v{number}"
        make_folder(folder.parent, directory)
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _path_in_version(name: str, taken: Mapping[str, Any]) -> str:
    """A path that may stand in a run, and that no other entry and not ``artifact.json`` has."""
    path = safe_name(PurePath(name))
    used = {ARTIFACT, *(entry.get("path") for entry in taken.values())}
    while path in used:
        path += "_"
    return path


def _stored(entry: Entry, folder: Path, path: str, staging: Path | None) -> dict[str, Any]:
    """Put an entry's file into a version, and say what the document says of it."""
    if entry.source is None:
        return {"uri": entry.uri}
    if entry.sha256 is not None and entry.source.parent == staging:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        move(entry.source, folder / path)
        return {"path": path, "sha256": entry.sha256, "size": entry.size}
    digest, size = _copy(entry, folder / path)
    return {"path": path, "sha256": digest, "size": size}


# Reading


def _versions(runs: Path, name: str) -> Iterator[tuple[int, Path]]:
    """Number and folder of each version of that name in a folder of runs, complete or not."""
    for folder in runs.glob(f"*/{ARTIFACTS}/{name}/v*"):
        if found := _VERSION.fullmatch(folder.name):
            yield int(found[1]), folder


def _entries(document: dict[str, Any], folder: Path) -> Iterator[Entry]:
    for name, said in document.get("entries", {}).items():
        if "uri" in said:
            yield Entry(name, uri=said["uri"])
        elif is_safe(said.get("path")):  # R070
            yield Entry(name, folder / said["path"], None, said.get("sha256"), said.get("size"))


def _take(artifact: Artifact, document: dict[str, Any], folder: Path, *, is_latest: bool) -> None:
    """Make an artifact the version that a document describes."""
    artifact.entries = {entry.name: entry for entry in _entries(document, folder)}
    artifact.type, artifact.description = document["type"], document.get("description")
    artifact.metadata, artifact._version = document.get("metadata", {}), document["version"]
    artifact.aliases = [*document.get("aliases", []), *(["latest"] if is_latest else [])]


def use_artifact(runs: Path, artifact_or_name: Any) -> Artifact:
    """Find the newest version of ``name``, ``name:v3`` or ``name:alias`` in a folder of runs.

    A leading ``entity/project/`` is passed over. Raises ``CommError`` if there is none.
    """
    if isinstance(artifact_or_name, Artifact):
        return artifact_or_name
    name, _, alias = str(artifact_or_name).rpartition("/")[2].partition(":")
    if not _NAME.fullmatch(name):
        raise UsageError(f"artifact {artifact_or_name!r} must read 'name', 'name:v3' or 'name:alias'")
    complete = [
        (document, folder) for _, folder in _versions(runs, name) if (document := _document_of(folder))
    ]
    complete.sort(key=lambda version: str(version[0]["created_at"]))
    asked = (
        [version for version in complete if _answers(version[0], alias)]
        if alias not in ("", "latest")
        else complete
    )
    if not asked:
        raise CommError(
            f"no artifact {artifact_or_name!r} in {runs}: log it first, or sync the run that has it"
        )
    artifact = Artifact(name, "")
    _take(artifact, *asked[-1], is_latest=asked[-1] is complete[-1])
    return artifact


def _answers(document: dict[str, Any], alias: str) -> bool:
    return alias == document["version"] or alias in document.get("aliases", [])


def _document_of(folder: Path) -> dict[str, Any]:
    try:
        return read_document(folder / ARTIFACT)
    except FormatError as error:
        warn(f"{error}: this version is passed over")
        return {}
