"""What has to move: a pure function of what is here and what the remote has.

===========================  ===============================  ====================
here                         at the remote                    then
===========================  ===============================  ====================
a run                        one that must be refused         refused, nothing moves
                             nothing, it was deleted there    nothing, now and later
a stream                     nothing                          all of it
                             a prefix of ours                 what is behind it
                             the same                         nothing
                             longer, ours is a prefix         ahead, nothing of the run moves
                             other bytes                      diverged, nothing of the run moves
a file                       the same                         nothing
                             nothing, or another              all of it, from where its pieces stop
``edits.json``               another                          both are merged
nothing                      anything                         nothing
===========================  ===============================  ====================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runfmt.layout import EDITS, is_stream, phase
from runfmt_sync.digests import Proof
from runfmt_sync.extents import Span
from runfmt_sync.inventory import Entry, Inventory

__all__ = ["Ask", "Have", "Held", "Plan", "is_confirmed", "make_plan"]


@dataclass(frozen=True)
class Ask:
    """What a remote is asked about a run: is it this digest, and if not, what of these streams is there.

    ``streams`` are our lengths: a longer one is proved only so far. ``proofs`` are those of
    all that is here; they go nowhere, and are for a remote that cannot look what it has.
    """

    uid: str
    digest: str
    streams: Mapping[str, int]
    proofs: Mapping[str, Proof] = field(default_factory=dict)

    @classmethod
    def about(cls, inventory: Inventory) -> Ask:
        """The question about a run as it is here."""
        proofs = {path: entry.proof for path, entry in inventory.entries.items()}
        return cls(inventory.uid, inventory.digest, inventory.streams(), proofs)


@dataclass(frozen=True)
class Held:
    """What a remote has of one path: its length, and a proof of it or of the part that was asked."""

    length: int
    proof: Proof


@dataclass(frozen=True)
class Have:
    """What a remote has of a run.

    ``staged`` are the bytes of files that are not whole, by their digest; ``deleted`` is when
    the run was deleted there, for good.
    """

    entries: Mapping[str, Held] = field(default_factory=dict)
    staged: Mapping[str, int] = field(default_factory=dict)
    refused: str = ""
    deleted: str = ""


@dataclass(frozen=True)
class Plan:
    """What moves, in the order of committing, or the problems for which nothing of the run moves."""

    spans: tuple[Span, ...] = ()
    problems: tuple[str, ...] = ()
    merges_edits: bool = False

    @property
    def size(self) -> int:
        """Bytes that move."""
        return sum(span.end - span.offset for span in self.spans)


def make_plan(ours: Inventory, have: Have | None, prefixes: Mapping[str, Proof]) -> Plan:
    """Compare a run with what the remote has of it; ``have`` is None if both are the same.

    ``prefixes`` are the proofs of our streams as far as the remote's reach.
    """
    if have is None:
        return Plan()
    if have.deleted:
        return Plan()
    if have.refused:
        return Plan(problems=(f"the remote's copy: {have.refused}",))
    problems = tuple(_stream_problems(ours, have, prefixes))
    if problems:
        return Plan(problems=problems)
    ordered = sorted(ours.entries.values(), key=lambda entry: (phase(entry.path), entry.path))
    spans = (_span(entry, have) for entry in ordered)
    mine, theirs = ours.entries.get(EDITS), have.entries.get(EDITS)
    merges = theirs is not None and (mine is None or mine.proof != theirs.proof)
    return Plan(tuple(span for span in spans if span is not None), merges_edits=merges)


def _stream_problems(ours: Inventory, have: Have, prefixes: Mapping[str, Proof]) -> Iterator[str]:
    for path, length in ours.streams().items():
        theirs = have.entries.get(path)
        if theirs is None:
            continue
        if prefixes[path] != theirs.proof:
            yield (
                f"{path} has diverged: the remote has other bytes; `runfmt recover {ours.folder} --new-uid` "
                "makes this copy a run of its own"
            )
        elif theirs.length > length:
            yield (
                f"{path}: the remote is ahead by {theirs.length - length:,} bytes; "
                f"`runfmt recover {ours.folder} --from REMOTE` brings them back, "
                f"`runfmt recover {ours.folder} --new-uid` makes this copy a run of its own"
            )


def _span(entry: Entry, have: Have) -> Span | None:
    theirs = have.entries.get(entry.path)
    if is_stream(entry.path):
        start = theirs.length if theirs else 0
        return None if theirs and start == entry.length else Span(entry.path, start, entry.length)
    if theirs and theirs.proof == entry.proof:
        return None
    start = have.staged.get(entry.proof.digest, 0)
    return Span(entry.path, start if start < entry.length else 0, entry.length, entry.proof)


def is_confirmed(ours: Inventory, have: Have | None) -> bool:
    """Whether the remote has proved that it holds everything of the run; it may hold more."""
    if have is None:
        return True
    pairs = ((entry, have.entries.get(entry.path)) for entry in ours.entries.values())
    return all(theirs is not None and theirs.proof == entry.proof for entry, theirs in pairs)
