"""The dull loop: look, ask, plan, send, have it confirmed, keep the receipt; run by run, several at once.

One bad run never stops the others; a remote that gives up stops all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from runfmt.editing import lay_edits_together
from runfmt.errors import CommError, FormatError, explain
from runfmt.layout import EDITS, is_stream
from runfmt_sync.ahead import ahead
from runfmt_sync.digests import Changed, KnownDigests, Proof, Standing, prove_stream
from runfmt_sync.extents import MAX_EXTENT, Piece, Refused, cut, open_entry
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import Inventory, is_beginning, recall, signatures, take_inventory
from runfmt_sync.plan import Ask, Have, Plan, is_confirmed, make_plan
from runfmt_sync.receipts import Receipts
from runfmt_sync.remotes import Remote
from runfmt_sync.state import state_folder

__all__ = ["Outcome", "Progress", "Push", "local_digests", "prefixes_of"]

BATCH = 256
"""Runs of which it is asked at once whether they stand as they were confirmed."""
TOGETHER = 128
"""Runs that go the whole way together."""
LANES = 8
"""Batches under way at once: while one is on the line others are looked at, and applied there."""
SMALL = 2**20
"""Bytes of a run up to which it is looked at in turn: threads that all do little things only wait for
each other, as Python is one of them at a time; those that compute digests of much do not."""
TRIES = 4

_T = TypeVar("_T")


def local_digests() -> KnownDigests:
    """What is known of the runs on this machine."""
    return KnownDigests(state_folder() / "digests.jsonl")


@dataclass
class Outcome:
    """What became of one run.

    ``status``: ``synced`` something moved and all is confirmed, ``unchanged`` all was
    there and is confirmed, ``deleted`` if it was deleted at the remote and so stays away,
    ``planned`` in a dry run, ``failed``, or ``waiting`` if the remote gave up before.
    ``size`` are the bytes that moved, ``proved`` those confirmed by digest; ``rows`` those that a
    tracker took, None at a mirror.
    """

    folder: Path
    id: str
    uid: str = ""
    status: str = "waiting"
    extents: int = 0
    size: int = 0
    files: int = 0
    proved: int = 0
    rows: int | None = None
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
    """A run on its way; ``is_done`` once there is nothing more to do for it."""

    outcome: Outcome
    inventory: Inventory
    is_large: bool = True
    have: Have | None = None
    plan: Plan = field(default_factory=Plan)
    is_done: bool = False
    reason: str = "changed again and again while it was synced: sync again"
    changing: set[str] = field(default_factory=set)
    without: set[str] = field(default_factory=set)
    merged: Proof | None = None

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
        self._stopped = False
        self._turn = threading.Lock()
        self._jobs, self._believe, self._dry_run = jobs, believe, dry_run
        self._progress = progress or Progress()
        self._digests = local_digests()
        if not dry_run:
            remote.prepare()
        self._receipts = Receipts(remote.store_id)

    def run(self, folders: Sequence[Path]) -> list[Outcome]:
        """Bring these runs; ``fault`` says afterwards whether the remote gave up. May be called again."""
        self.fault = None
        works = [
            _Work(Outcome(path, path.name or path.absolute().name), Inventory(path, "", "", {}))
            for path in folders
        ]
        with ThreadPoolExecutor(self._jobs) as pool, ThreadPoolExecutor(LANES) as lanes:
            try:
                if self._believe:
                    _each(lanes, self._recall, _batches(works, BATCH))
                works = [work for work in works if work.is_done or not is_beginning(work.outcome.folder)]
                moved = [work for work in works if not work.is_done]
                _each(lanes, lambda batch: self._bring(batch, pool), _batches(moved, TOGETHER))
            except BaseException:  # Ctrl-C
                self.stop()
                raise
        return [work.outcome for work in works]

    @property
    def store_id(self) -> str:
        """Under which the receipts are kept."""
        return self.remote.store_id

    def stop(self) -> None:
        """What is under way ends at the next extent; what was sent stays."""
        self._stopped = True

    def _bring(self, batch: list[_Work], pool: ThreadPoolExecutor) -> None:
        if self._stopped or self.fault is not None:
            return
        self._look_at(batch, pool)
        while batch:
            first, batch = _first_of_each_uid(batch)
            self._push(first, pool)

    def _look_at(self, works: list[_Work], pool: ThreadPoolExecutor) -> None:
        """Look at small runs one after the other, at large ones several at once."""
        with self._turn:
            for work in works:
                if not work.is_large:
                    self._look(work)
        _each(pool, self._look, (work for work in works if work.is_large))

    def _recall(self, works: list[_Work]) -> None:
        """Be done with runs that stand as the remote confirmed them, if it says that it has them so."""
        if self._stopped or self.fault is not None:
            return
        with self._turn:
            recalled = [(work, self._recalled(work)) for work in works]
        known = [(work, run) for work, run in recalled if run is not None]
        try:
            other = self.remote.have([Ask(run.uid, run.digest, {}) for _, run in known])
        except CommError as error:
            self.fault = self.fault or error
            return
        for work, run in known:
            if run.uid not in other:
                work.outcome.uid, work.outcome.id = run.uid, run.id
                work.outcome.files, work.outcome.proved = run.files, run.size
                self._done(work, "planned" if self._dry_run else "unchanged")

    def _recalled(self, work: _Work) -> Standing | None:
        """How a run stands, if it stands as it was confirmed."""
        found = signatures(work.outcome.folder)
        work.is_large = found is None or sum(one.size for one in found.values()) > SMALL
        run = recall(work.outcome.folder, self._digests, found)
        return run if run and self._receipts.digest(run.uid) == run.digest else None

    def _push(self, works: list[_Work], pool: ThreadPoolExecutor) -> None:
        """Ask, plan and send until all is confirmed; what is refused or moved meanwhile goes again."""
        try:
            for attempt in range(TRIES):
                works = [work for work in works if not work.is_done]
                if attempt:
                    self._look_at(works, pool)
                    works = [work for work in works if not work.is_done]
                if works:
                    self._ask(works)
                    for work in works:
                        self._make_plan(work)
                    _each(pool, self._send, _groups(works))
        except CommError as error:
            self.fault = self.fault or error
        for work in works:
            if not work.is_done and self.fault is None:
                self._fail(work, work.reason)

    def _ask(self, works: list[_Work]) -> None:
        found = self._have(works)
        for work in works:
            work.have = found.get(work.inventory.uid)

    def _have(self, works: list[_Work]) -> dict[str, Have]:
        return self.remote.have([Ask.about(work.inventory) for work in works], believe=self._believe)

    def _look(self, work: _Work) -> None:
        """Take the inventory when everything stands still."""
        while True:
            try:
                work.inventory = take_inventory(
                    work.outcome.folder, self._digests, believe=self._believe, without=work.without
                )
                break
            except Changed as error:
                work.note_change(error)
            except (FormatError, OSError) as error:
                self._fail(work, error)
                return
        work.outcome.uid, work.outcome.id = work.inventory.uid, work.inventory.id
        broken = [str(problem) for problem in work.inventory.problems if problem.rule == "R091"]
        work.outcome.problems += [text for text in broken if text not in work.outcome.problems]
        work.outcome.notes = [str(problem) for problem in work.inventory.problems if problem.rule != "R091"]

    def _make_plan(self, work: _Work) -> None:
        if work.have and work.have.deleted:
            work.outcome.notes.append(
                f"was deleted at the remote ({work.have.deleted}): it is not brought again"
            )
            self._done(work, "deleted")
            return
        try:
            work.plan = make_plan(work.inventory, work.have, prefixes_of(work.inventory, work.have))
            if work.plan.merges_edits and not self._dry_run and self._merge_edits(work):
                work.plan = Plan()
                return  # it is made again when the merged edits are seen
        except Changed as error:
            work.note_change(error)
            work.plan = Plan()
        except (Refused, FormatError, OSError) as error:
            self._fail(work, error)
            return
        if work.plan.problems:
            self._fail(work, *work.plan.problems)
        elif self._dry_run:
            work.outcome.size, work.outcome.extents = work.plan.size, len(work.plan.spans)
            self._done(work, "planned")
        elif not work.plan.spans:
            self._confirm(work, work.have)
        self._progress.planned(work.plan.size)
        fault_point("push.planned")

    def _merge_edits(self, work: _Work) -> bool:
        """Lay both sides' edits together here; the rest of the way they go as any document (R096).

        Gives False if those that the remote has were laid together with ours before.
        """
        theirs = work.have.entries[EDITS].proof if work.have else None
        if theirs == work.merged:
            return False
        work.merged = theirs
        with self.remote.read(work.inventory.uid, EDITS) as file:
            lay_edits_together(work.inventory.folder, file.read())
        fault_point("push.merged")
        return True

    def _send(self, works: list[_Work]) -> None:
        """Send the plans of some runs together, and have what arrived confirmed."""
        if self.fault is not None or self._stopped:
            return
        before = [(work.outcome, work.outcome.extents, work.outcome.size) for work in works]
        try:
            refused = self.remote.apply(piece for work in works for piece in self._pieces(work))
        except CommError:
            for outcome, extents, size in before:  # how much of it arrived, nobody knows
                outcome.extents, outcome.size = extents, size
            raise
        fault_point("push.applied")
        for work in works:
            if error := refused.get(work.inventory.uid):
                work.reason = str(error)
                if not error.again:
                    self._fail(work, error)
        sent = [work for work in works if not work.is_done]
        found = self._have(sent)
        for work in sent:
            self._confirm(work, found.get(work.inventory.uid))

    def _pieces(self, work: _Work) -> Iterator[Piece]:
        """The pieces of a run; they end early, before ``run.json``, if the run cannot be read on."""
        path = ""
        try:
            for span in work.plan.spans:
                path = span.path
                with open_entry(work.inventory.folder, work.inventory.entries[path]) as file:
                    pieces = cut(work.inventory.uid, span, file)
                    is_large = span.whole is not None and span.end - span.offset > MAX_EXTENT
                    for extent, body in ahead(pieces) if is_large else pieces:
                        if self._stopped:
                            return
                        fault_point("push.extent")
                        yield extent, body
                        work.outcome.extents += 1
                        work.outcome.size += extent.length
                        self._progress.moved(extent.length)
        except Changed:
            work.note_change(Changed(path))
        except OSError as error:
            self._fail(work, error)

    def _confirm(self, work: _Work, have: Have | None) -> None:
        """Keep a receipt if the remote has proved that it holds everything."""
        if not is_confirmed(work.inventory, have):
            return
        fault_point("push.confirmed")
        self._receipts.record(work.inventory)
        work.outcome.files, work.outcome.proved = len(work.inventory.entries), work.inventory.size
        left_out = bool(work.outcome.problems)
        self._done(work, "failed" if left_out else "synced" if work.outcome.extents else "unchanged")

    def _done(self, work: _Work, status: str) -> None:
        work.outcome.status, work.is_done = status, True
        self._progress.done(work.outcome)

    def _fail(self, work: _Work, *problems: str | Exception) -> None:
        work.outcome.problems += [p if isinstance(p, str) else explain(p) for p in problems]
        self._done(work, "failed")


def _batches(works: list[_Work], most: int) -> Iterator[list[_Work]]:
    for start in range(0, len(works), most):
        yield works[start : start + most]


def _each(pool: ThreadPoolExecutor, step: Callable[[_T], None], items: Iterable[_T]) -> None:
    """Do a step for each, several at once; one alone is not handed to another thread."""
    each = [*items]
    for _ in map(step, each) if len(each) == 1 else pool.map(step, each):
        pass


def _groups(works: list[_Work]) -> Iterator[list[_Work]]:
    """Small runs travel together, a large one alone; in the order in which a store locks them."""
    group: list[_Work] = []
    size = 0
    for work in sorted(works, key=lambda work: work.inventory.uid):
        if work.is_done or not work.plan.spans:
            continue
        if group and size + work.plan.size > MAX_EXTENT:
            yield group
            group, size = [], 0
        group.append(work)
        size += work.plan.size
    if group:
        yield group


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
        if not work.is_done:
            (later if work.inventory.uid in seen else first).append(work)
            seen.add(work.inventory.uid)
    return first, later
