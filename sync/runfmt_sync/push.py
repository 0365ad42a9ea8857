"""The dull loop: look, ask, plan, send, have it confirmed, keep the receipt; run by run, several at once.

One bad run never stops the others; a remote that gives up stops all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from runfmt.documents import read_document, replace, replace_document
from runfmt.edits import merge_edits
from runfmt.errors import CommError, FormatError
from runfmt.layout import EDITS, is_stream
from runfmt.rows import decode_document
from runfmt_sync.digests import Changed, KnownDigests, Proof, prove_stream
from runfmt_sync.extents import Piece, cut, open_entry
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import Inventory, take_inventory
from runfmt_sync.plan import Ask, Have, Plan, is_confirmed, make_plan
from runfmt_sync.receipts import Receipts
from runfmt_sync.remotes import Remote
from runfmt_sync.state import state_folder
from runfmt_sync.store import Refused

__all__ = ["Outcome", "Progress", "Push", "local_digests", "prefixes_of"]

BATCH = 256
"""Runs that are asked about at once."""
TRIES = 4


def local_digests() -> KnownDigests:
    """What is known of the runs on this machine."""
    return KnownDigests(state_folder() / "digests.jsonl")


@dataclass
class Outcome:
    """What became of one run.

    ``status``: ``synced`` something moved and all is confirmed, ``unchanged`` all was
    there and is confirmed, ``planned`` in a dry run, ``failed``, or ``waiting`` if the
    remote gave up before. ``size`` are the bytes that moved, ``proved`` those confirmed by digest.
    """

    folder: Path
    id: str
    uid: str = ""
    status: str = "waiting"
    extents: int = 0
    size: int = 0
    files: int = 0
    proved: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Progress:
    """Is told of what goes on; may be called from several threads."""

    def planned(self, size: int) -> None:
        """So many more bytes will move."""

    def moved(self, size: int) -> None:
        """So many bytes were sent."""

    def done(self, outcome: Outcome) -> None:
        """A run is done."""


@dataclass
class _Work:
    """A run on its way through a batch."""

    outcome: Outcome
    inventory: Inventory | None = None
    have: Have | None = None
    changing: set[str] = field(default_factory=set)
    without: set[str] = field(default_factory=set)
    merged: bool = False

    def note_change(self, error: Changed) -> None:
        """A path changed while it was read; the second time it is left out."""
        path = str(error)
        if path in self.changing:
            self.without.add(path)
            self.outcome.problems.append(f"{path} changes while it is read: sync again when it stands still")
        self.changing.add(path)


class Push:
    """Brings runs to a remote; ``believe=False`` reads every byte of both sides."""

    def __init__(
        self,
        remote: Remote,
        *,
        jobs: int = 4,
        believe: bool = True,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.remote = remote
        self.fault: CommError | None = None
        self._jobs, self._believe, self._dry_run = jobs, believe, dry_run
        self._progress = progress or Progress()
        self._digests = local_digests()
        self._receipts = Receipts(remote.store_id)

    def run(self, folders: Sequence[Path]) -> list[Outcome]:
        """Bring these runs; ``fault`` says afterwards whether the remote gave up."""
        outcomes: list[Outcome] = []
        with ThreadPoolExecutor(self._jobs) as pool:
            for start in range(0, len(folders), BATCH):
                works = list(pool.map(self._look, folders[start : start + BATCH]))
                while works:
                    first, works = _first_of_each_uid(works)
                    outcomes += self._push_batch(first, pool)
        return outcomes

    def _push_batch(self, works: list[_Work], pool: ThreadPoolExecutor) -> list[Outcome]:
        good = [work.inventory for work in works if work.inventory is not None]
        self._safely(lambda: self._ask(works, good))
        return list(pool.map(self._finish, works))

    def _ask(self, works: list[_Work], good: list[Inventory]) -> None:
        found = self.remote.have([Ask.about(inventory) for inventory in good], believe=self._believe)
        for work in works:
            work.have = found.get(work.outcome.uid)

    def _safely(self, step: Callable[[], None]) -> None:
        """Do a step with the remote, unless it has given up."""
        if self.fault is None:
            try:
                step()
            except CommError as error:
                self.fault = error

    def _look(self, folder: Path) -> _Work:
        work = _Work(Outcome(folder, folder.absolute().name))
        try:
            work.inventory = self._take_inventory(work)
        except (FormatError, OSError) as error:
            _fail(work.outcome, error)
        return work

    def _take_inventory(self, work: _Work) -> Inventory:
        """Look until everything stands still; what is replaced again and again is left out."""
        while True:
            try:
                found = take_inventory(
                    work.outcome.folder, self._digests, believe=self._believe, without=work.without
                )
            except Changed as error:
                work.note_change(error)
                continue
            work.outcome.uid, work.outcome.id = found.uid, found.id
            work.outcome.notes = [str(problem) for problem in found.problems]
            return found

    def _finish(self, work: _Work) -> Outcome:
        inventory = work.inventory
        if inventory is not None:
            self._safely(lambda: self._push_until_confirmed(work, inventory))
        self._progress.done(work.outcome)
        return work.outcome

    def _push_until_confirmed(self, work: _Work, inventory: Inventory) -> None:
        reason = f"changed {TRIES} times while it was synced: sync again"
        try:
            for _ in range(TRIES):
                try:
                    if self._push_once(work, inventory):
                        return
                except Changed as error:
                    work.note_change(error)
                except Refused as error:
                    if not error.again:
                        raise
                    reason = str(error)
                inventory = self._take_inventory(work)
                work.have = self._have(inventory)
        except (Refused, FormatError, OSError) as error:
            reason = str(error)
        _fail(work.outcome, reason)

    def _have(self, inventory: Inventory) -> Have | None:
        return self.remote.have([Ask.about(inventory)], believe=self._believe).get(inventory.uid)

    def _push_once(self, work: _Work, inventory: Inventory) -> bool:
        """Send what the plan says; False if it has to be looked at again."""
        have, outcome = work.have, work.outcome
        plan = make_plan(inventory, have, prefixes_of(inventory, have))
        if plan.problems:
            _fail(outcome, *plan.problems)
            return True
        if self._dry_run:
            outcome.status, outcome.size = "planned", plan.size
            outcome.extents = len(plan.spans)
            return True
        if plan.merges_edits and not work.merged:
            work.merged = True
            return self._merge_edits(inventory)
        fault_point("push.planned")
        if plan.spans:
            self._progress.planned(plan.size)
            self.remote.apply(self._pieces(inventory, plan, outcome))
            fault_point("push.applied")
            have = self._have(inventory)
        if not is_confirmed(inventory, have):
            return False
        fault_point("push.confirmed")
        self._receipts.record(inventory)
        outcome.files, outcome.proved = len(inventory.entries), inventory.size
        outcome.status = "failed" if outcome.problems else "synced" if outcome.extents else "unchanged"
        return True

    def _pieces(self, inventory: Inventory, plan: Plan, outcome: Outcome) -> Iterator[Piece]:
        for span in plan.spans:
            try:
                with open_entry(inventory.folder, inventory.entries[span.path]) as file:
                    for extent, body in cut(inventory.uid, span, file):
                        fault_point("push.extent")
                        yield extent, body
                        outcome.extents += 1
                        outcome.size += extent.length
                        self._progress.moved(extent.length)
            except Changed:
                raise Changed(span.path) from None

    def _merge_edits(self, inventory: Inventory) -> bool:
        """Lay both sides' edits together here; the rest of the way they go as any document (R096)."""
        with self.remote.read(inventory.uid, EDITS) as file:
            data = file.read()
        path = inventory.folder / EDITS
        theirs, ours = decode_document(data), read_document(path)
        merged = merge_edits(theirs, ours)
        if merged == theirs:
            replace(path, data)
        elif merged != ours:
            replace_document(path, merged)
        fault_point("push.merged")
        return False


def _fail(outcome: Outcome, *problems: object) -> None:
    outcome.problems += map(str, problems)
    outcome.status = "failed"


def prefixes_of(inventory: Inventory, have: Have | None) -> dict[str, Proof]:
    """Our streams proved as far as the remote's reach."""
    prefixes = {}
    for path, theirs in (have.entries if have else {}).items():
        entry = inventory.entries.get(path)
        if entry is None or not is_stream(path):
            continue
        if theirs.proof.size == entry.proof.size:
            prefixes[path] = entry.proof
        else:
            with open_entry(inventory.folder, entry) as file:
                prefixes[path] = prove_stream(file, theirs.proof.size, entry.proof)
    return prefixes


def _first_of_each_uid(works: Iterable[_Work]) -> tuple[list[_Work], list[_Work]]:
    """Copies of one run are brought one after the other."""
    seen: set[str] = set()
    first: list[_Work] = []
    later: list[_Work] = []
    for work in works:
        again = work.outcome.uid in seen and work.inventory is not None
        (later if again else first).append(work)
        seen.add(work.outcome.uid)
    return first, later
