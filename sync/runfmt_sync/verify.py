"""Compares every byte of runs with a remote; nothing that was known before is believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runfmt.errors import FormatError, explain
from runfmt.layout import EDITS, is_stream
from runfmt_sync.digests import Changed, Proof
from runfmt_sync.inventory import Entry, Inventory, take_inventory
from runfmt_sync.plan import Ask, Have, Held
from runfmt_sync.push import local_digests, prefixes_of
from runfmt_sync.receipts import Receipt, Receipts
from runfmt_sync.remotes import Remote
from runfmt_sync.words import counted

__all__ = ["FAILING", "Verdict", "compare", "lines", "verify"]

FAILING = ("missing", "different")


@dataclass
class Verdict:
    """What was found of one run: a word a file, and ``problem`` if it could not be compared."""

    folder: Path
    id: str
    files: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the remote has all that it was given."""
        return not self.problem and not any(word in FAILING for word in self.files.values())


def lines(verdicts: Sequence[Verdict], place: str) -> Iterator[str]:
    """What to say of verdicts about a place."""
    for verdict in verdicts:
        words = ", ".join(f"{count} {word}" for word, count in Counter(verdict.files.values()).items())
        yield f"{verdict.id}: {verdict.problem or words}"
        yield from (f"  {word}: {path}" for path, word in verdict.files.items() if word in FAILING)
    bad = sum(not verdict.is_good for verdict in verdicts)
    failed = f", {bad} failed" if bad else ""
    yield f"{counted(len(verdicts) - bad, 'run')} verified at {place}{failed}"


def verify(folders: list[Path], remote: Remote, *, since: float | None = None) -> Iterator[Verdict]:
    """Compare runs one by one, reading all of both sides; ``since`` is the Unix time of a receipt."""
    digests, receipts = local_digests(), Receipts(remote.store_id)
    for folder in folders:
        verdict = Verdict(folder, folder.absolute().name)
        try:
            ours = take_inventory(folder, digests, believe=False)
            have = remote.have([Ask.about(ours)], believe=False).get(ours.uid)
            verdict.id, verdict.problem = ours.id, _problem(folder, have)
            verdict.files = compare(ours, have, prefixes_of(ours, have), receipts.get(ours.uid), since)
        except Changed as error:
            verdict.problem = f"{error} changed while it was read; verify again"
        except (FormatError, OSError) as error:
            verdict.problem = explain(error)
        yield verdict


def _problem(folder: Path, have: Have | None) -> str:
    if have is None or have.entries:
        return ""
    if have.deleted:
        return f"was deleted at the remote ({have.deleted})"
    return have.refused or f"is not at the remote: `runfmt sync {folder}` brings it"


def compare(
    ours: Inventory,
    have: Have | None,
    prefixes: Mapping[str, Proof],
    receipt: Receipt | None,
    since: float | None = None,
) -> dict[str, str]:
    """``equal``, ``grown`` or ``replaced`` since, ``missing`` or ``different``, for each file of a run."""
    if have is None:
        return dict.fromkeys(ours.entries, "equal")
    confirmed = receipt.files if receipt else {}
    return {
        path: _word(entry, have.entries.get(path), prefixes.get(path), confirmed.get(path), since)
        for path, entry in ours.entries.items()
    }


def _word(
    ours: Entry, theirs: Held | None, prefix: Proof | None, confirmed: Proof | None, since: float | None
) -> str:
    if theirs is None:
        return "missing"
    if theirs.proof == ours.proof and theirs.length == ours.length:
        return "equal"
    if is_stream(ours.path):
        return "grown" if theirs.proof == prefix and theirs.length < ours.length else "different"
    # What the remote has is what it once confirmed: it is ours that moved on. Edits may move on both sides.
    is_younger = since is not None and ours.signature.mtime_ns > since * 10**9
    return "replaced" if theirs.proof == confirmed or ours.path == EDITS or is_younger else "different"
