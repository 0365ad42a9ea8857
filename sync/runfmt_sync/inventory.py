"""What is here: the files of one run with their proofs.

Taken in the order opposite to committing: ``run.json``, documents, streams, then
files and media. What was taken first can only refer to what was there already,
so a run that is being written is seen as it once was, or with more behind it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from runfmt.errors import FormatError
from runfmt.history import Problem
from runfmt.layout import CONFIG, EDITS, METRICS, RUN, SUMMARY, is_private, is_safe, is_stream, phase
from runfmt.reading import StoredRun
from runfmt.rows import decode_document
from runfmt_sync.digests import (
    Changed,
    Known,
    KnownDigests,
    Proof,
    Signature,
    Standing,
    prove_bytes,
    prove_file,
    prove_stream,
)
from runfmt_sync.faults import fault_point

__all__ = [
    "Entry",
    "Inventory",
    "committed_size",
    "is_beginning",
    "is_known",
    "known_of",
    "recall",
    "run_digest",
    "scan",
    "signatures",
    "take_inventory",
    "unmovable",
]

BROKEN = "cannot be read, and is not brought: `runfmt recover {folder}` puts it aside, --from restores it"
DOCUMENTS = (RUN, CONFIG, SUMMARY, EDITS)


@dataclass(frozen=True)
class Entry:
    """A stream up to its last LF, or a file.

    ``length`` is in bytes; ``proof`` covers all of them unless less was asked for.
    ``held`` are a document's bytes as they were read, None if its proof was known.
    """

    path: str
    length: int
    proof: Proof
    signature: Signature
    held: bytes | None = None


@dataclass(frozen=True)
class Inventory:
    """One run as it was found; ``problems`` are what is not moved, and why."""

    folder: Path
    uid: str
    id: str
    entries: Mapping[str, Entry]
    problems: tuple[Problem, ...] = ()

    @cached_property
    def digest(self) -> str:
        """One digest for the whole run."""
        return run_digest((entry.path, entry.proof) for entry in self.entries.values())

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return sum(entry.proof.size for entry in self.entries.values())

    @property
    def standing(self) -> Standing:
        """What is kept of it."""
        return Standing(self.uid, self.id, self.digest, len(self.entries), self.size)

    def streams(self) -> dict[str, int]:
        """The committed size of each stream."""
        return {path: entry.proof.size for path, entry in self.entries.items() if is_stream(path)}


def run_digest(proofs: Iterable[tuple[str, Proof]]) -> str:
    """The digest of a run: of path, size and digest of everything in it."""
    lines = sorted(f"{path}\0{proof.size}\0{proof.digest}\n" for path, proof in proofs)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def take_inventory(
    folder: Path, digests: KnownDigests, *, believe: bool = True, without: Collection[str] = ()
) -> Inventory:
    """Look at a run folder; with ``believe=False`` every byte is read.

    Raises ``FormatError`` (R010, R011, R012) for a damaged run and one that must
    be refused, ``Changed`` if files are replaced while they are read, ``OSError``.
    """
    run = StoredRun(folder)
    if run.is_damaged:
        raise FormatError(
            "R010",
            f"no readable {RUN}: `runfmt recover {folder} --from REMOTE` restores it if the run is there, "
            f"`runfmt recover {folder}` makes it anew",
            str(folder),
        )
    key = os.path.abspath(folder)
    known = digests.of(key) if believe else {}
    entries, problems = scan(folder, known, durable=_is_written_here(run), without=without)
    for path in [path for path, entry in entries.items() if not _is_right(entry)]:
        del entries[path]
        problems.append(Problem(path, -1, "R091", BROKEN.format(folder=folder)))
    found = Inventory(folder, run.document["uid"], run.id, entries, tuple(problems))
    digests.remember(key, known_of(entries), None if problems or without else found.standing)
    fault_point("inventory.taken")
    return found


def recall(folder: Path, digests: KnownDigests, found: Mapping[str, Signature] | None) -> Standing | None:
    """What a run folder holds if every file that was found in it stands as when it was last looked at.

    All that was known then was found in one inventory, so the order of looking does not matter now.
    """
    return digests.standing(os.path.abspath(folder), found)


def signatures(folder: Path) -> dict[str, Signature] | None:
    """The signatures of all files of a run, None if something in it is no part of a run."""
    found: dict[str, Signature] = {}
    folders = [("", str(folder))]
    try:
        while folders:
            prefix, path = folders.pop()
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    if name[0] == ".":
                        continue
                    if entry.is_file(follow_symlinks=False):
                        found[prefix + name] = Signature.of(entry.stat(follow_symlinks=False))
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append((f"{prefix}{name}/", entry.path))
                    else:
                        return None
    except OSError:  # whoever looks closer will say what is wrong
        return None
    return found


def is_beginning(folder: Path) -> bool:
    """Whether a run has neither ``run.json`` nor a byte of metrics: its writer is about to make it."""
    metrics = folder / METRICS
    return not (folder / RUN).exists() and metrics.exists() and not metrics.stat().st_size


def known_of(entries: Mapping[str, Entry]) -> dict[str, Known]:
    """What of a scan can be believed later."""
    whole = (entry for entry in entries.values() if entry.length == entry.proof.size)
    return {entry.path: Known(entry.signature, entry.proof) for entry in whole}


def is_known(entry: Entry, known: Mapping[str, Known]) -> bool:
    """Whether the proof of an entry was believed, not made."""
    return entry.path in known and known[entry.path].proof is entry.proof


def _is_written_here(run: StoredRun) -> bool:
    environment = run.document.get("environment")
    host = environment.get("host") if isinstance(environment, dict) else None
    return run.document["state"] == "running" and host in (None, os.uname().nodename)


def scan(
    folder: Path,
    known: Mapping[str, Known],
    *,
    durable: bool = False,
    at: Mapping[str, int] | None = None,
    without: Collection[str] = (),
) -> tuple[dict[str, Entry], list[Problem]]:
    """Everything in a run folder, documents first.

    ``durable``: make a grown stream durable before its size is taken, so that no
    remote knows more than this disk after a power cut. ``at``: prove a stream
    that is longer than so many bytes only so far.
    """
    entries: dict[str, Entry] = {}
    problems: list[Problem] = []
    look = _Look(f"{folder}{os.sep}", known, durable, at or {})
    for path in DOCUMENTS:
        if (now := look.signature(path)) is not None:
            entries[path] = look.document(path, now)
    for path in sorted(name for name in os.listdir(folder) if is_stream(name) and not is_private(name)):
        if path not in without and (now := look.signature(path)) is not None:
            entries[path] = look.stream(path, now)
    for path, found in _walk(str(folder)):
        if problem := _problem(path, found, path in known):
            problems.append(problem)
        elif phase(path) == 0 and path not in without:
            entries[path] = look.file(path, Signature.of(found.stat(follow_symlinks=False)))
    return entries, problems


def _is_right(entry: Entry) -> bool:
    """Whether a document that was read is one: what nobody can read must replace nothing elsewhere."""
    try:
        decode_document(b"{}" if entry.held is None else entry.held)
    except FormatError:
        return False
    return True


def unmovable(folder: Path) -> list[Problem]:
    """What is in a run folder and not part of the run (R006, R007)."""
    return [problem for path, found in _walk(str(folder)) if (problem := _problem(path, found))]


def _problem(path: str, found: os.DirEntry[str], is_known: bool = False) -> Problem | None:
    if found.is_symlink():
        return Problem(path, -1, "R006", "a symbolic link is not part of a run, and is not moved")
    if not is_known and not _is_movable(path):
        return Problem(path, -1, "R007", "a name that not every system can hold is not moved")
    return None


def _is_movable(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return is_safe(path)


def _walk(run: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Regular files and symbolic links below a run, private names left out (R005)."""
    folders = [("", run)]
    while folders:
        prefix, folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except FileNotFoundError:  # a folder that was removed meanwhile holds nothing
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append((f"{prefix}{entry.name}/", entry.path))
            elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield prefix + entry.name, entry


@dataclass(frozen=True)
class _Look:
    """Reads what is not known; ``prefix`` is the folder's path with a separator."""

    prefix: str
    known: Mapping[str, Known]
    durable: bool
    at: Mapping[str, int]

    def signature(self, path: str) -> Signature | None:
        """The signature of a regular file, None of anything else."""
        try:
            status = os.lstat(self.prefix + path)
        except FileNotFoundError:
            return None
        return Signature.of(status) if stat.S_ISREG(status.st_mode) else None

    def believed(self, path: str, now: Signature) -> Entry | None:
        """The entry of a file that has not moved since its proof."""
        known = self.known.get(path)
        if known is None or known.signature != now or self.at.get(path, known.proof.size) < known.proof.size:
            return None
        return Entry(path, known.proof.size, known.proof, now)

    def document(self, path: str, now: Signature) -> Entry:
        """A document with its bytes, unless its proof is known."""
        if believed := self.believed(path, now):
            return believed
        with self.open(path) as file:
            signature, data = Signature.of(os.fstat(file.fileno())), file.read()
        return Entry(path, len(data), prove_bytes(data), signature, data)

    def stream(self, path: str, now: Signature) -> Entry:
        """A stream up to its last LF; of a grown one only what is new is read."""
        if believed := self.believed(path, now):
            return believed
        with self.open(path) as file:
            signature = Signature.of(os.fstat(file.fileno()))
            known = self.known.get(path)
            proof = known.proof if known and _is_same_stream(known.signature, signature) else None
            if self.durable:
                os.fdatasync(file.fileno())
            size = committed_size(file, proof.size if proof else 0)
            try:
                proved = prove_stream(file, min(self.at.get(path, size), size), proof)
            except Changed:
                raise Changed(path) from None
        return Entry(path, size, proved, signature)

    def file(self, path: str, now: Signature) -> Entry:
        """A file, which must stand still while it is read."""
        if believed := self.believed(path, now):
            return believed
        with self.open(path) as file:
            signature, proof = Signature.of(os.fstat(file.fileno())), prove_file(file)
            if Signature.of(os.fstat(file.fileno())) != signature or proof.size != signature.size:
                raise Changed(path)
        return Entry(path, proof.size, proof, signature)

    def open(self, path: str) -> BinaryIO:
        """Open a file that was there a moment ago."""
        try:
            return open(self.prefix + path, "rb")
        except FileNotFoundError:
            raise Changed(path) from None


def _is_same_stream(before: Signature, now: Signature) -> bool:
    return before.inode == now.inode and before.size <= now.size


def committed_size(file: BinaryIO, known: int = 0) -> int:
    """Bytes up to and including the last LF (R020), looked for from the end back to a known LF."""
    end = file.seek(0, os.SEEK_END)
    while end > known:
        start = max(known, end - 65536)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return min(known, end)
