"""Brings runs from a remote: the same extents in the other direction, applied by the same rule (``store``).

What is here already is not asked for again; what a pull that was killed has left is gone on with.
What is small comes together, for many runs at once (``remotes.fetch``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from runfmt.errors import CommError, RunNotFound, explain
from runfmt.layout import EDITS, is_stream
from runfmt_sync.digests import Changed, KnownDigests, Proof, Signature
from runfmt_sync.extents import Piece, Span, Wanted, cut, piece_of
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import Entry, Inventory
from runfmt_sync.plan import Ask, Have, Plan, is_confirmed, make_plan
from runfmt_sync.push import Outcome, Progress
from runfmt_sync.remotes import SMALL, Remote, fetch
from runfmt_sync.store import Store

__all__ = ["MORE_HERE", "Puller", "chosen", "pull"]

TOGETHER = 64
"""Runs that are asked about and made durable at once."""
TRIES = 4
MORE_HERE = (
    "rows are here that are not at the remote: `runfmt sync` to {remote} brings them there, or says that "
    "the two have diverged"
)
NOWHERE = Signature(0, 0, 0)
"""Of what lies elsewhere nothing is known but what it holds."""


@dataclass
class _Work:
    """A run on its way here; ``theirs`` is what the remote has, None if it is here already."""

    outcome: Outcome
    theirs: Inventory | None = None
    here: Have = field(default_factory=Have)
    plan: Plan = field(default_factory=Plan)
    is_done: bool = False
    reason: str = "changed again and again while it was pulled: pull again"

    @property
    def uid(self) -> str:
        return self.outcome.uid


def chosen(remote: Remote, names: Sequence[str]) -> dict[str, str]:
    """The ids of the remote's runs, by uid, that names mean: ids, patterns of them, uids; all without names.

    Raises ``RunNotFound`` for a name of which there is none.
    """
    ids = remote.ids()
    if not names:
        return ids
    found: dict[str, str] = {}
    for name in names:
        fitting = {uid: run_id for uid, run_id in ids.items() if uid == name or fnmatch(run_id, name)}
        if not fitting:
            raise RunNotFound(f"there is no run {name} at {remote.url}: `runfmt ls {remote.url}` lists them")
        found |= fitting
    return found


def pull(
    remote: Remote, runs: dict[str, str], root: Path, progress: Progress | None = None
) -> tuple[list[Outcome], CommError | None]:
    """Bring runs, given by uid and id, to a folder; gives what became of each, and why the remote gave up."""
    store = Store(root)
    store.prepare()
    return Puller(remote, store, progress).pull(runs)


class Puller:
    """Brings runs from a remote to a store, again and again; of each the paths that are ``wanted``."""

    def __init__(
        self,
        remote: Remote,
        store: Store,
        progress: Progress | None = None,
        wanted: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._remote, self._store, self._progress = remote, store, progress or Progress()
        self._wanted = wanted
        self._digests = KnownDigests(store.private / "digests.jsonl")

    def pull(self, runs: Mapping[str, str]) -> tuple[list[Outcome], CommError | None]:
        """Bring runs, given by uid and id; gives what became of each, and why the remote gave up."""
        works = [_Work(Outcome(self._store.root / run_id, run_id, uid)) for uid, run_id in runs.items()]
        works.sort(key=lambda work: work.uid[-2:])  # in the order in which a store locks them
        fault = None
        for start in range(0, len(works), TOGETHER):
            try:
                self._bring(works[start : start + TOGETHER])
            except CommError as error:
                fault = error
                break
        return [work.outcome for work in works], fault

    def _bring(self, works: list[_Work]) -> None:
        for _ in range(TRIES):
            works = [work for work in works if not work.is_done]
            if not works:
                return
            self._ask(works)
            for work in works:
                self._make_plan(work)
            self._fetch([work for work in works if not work.is_done])
        for work in works:
            if not work.is_done:
                self._done(work, "failed", work.reason)

    def _ask(self, works: list[_Work]) -> None:
        """What the remote has, and what is here of that."""
        theirs = self._remote.have([Ask(work.uid, "", {}) for work in works])
        for work in works:
            work.theirs = _inventory(work, theirs.get(work.uid), self._wanted)
        here = self._store.have([Ask.about(work.theirs) for work in works if work.theirs], self._digests)
        for work in works:
            work.here = here.get(work.uid, Have()) if work.theirs else Have()
            if work.theirs and work.uid not in here:
                self._finish(work, work.theirs)
        self._prefixes = self._prefixes_of([work for work in works if not work.is_done])

    def _prefixes_of(self, works: list[_Work]) -> dict[str, dict[str, Proof]]:
        """The remote's streams, proved as far as ours reach."""
        lengths = {
            work.uid: {path: held.length for path, held in work.here.entries.items()} for work in works
        }
        longer = [
            Ask(work.uid, "", {path: length for path, length in lengths[work.uid].items() if is_stream(path)})
            for work in works
            if work.here.entries
        ]
        found = self._remote.have(longer) if longer else {}
        return {uid: {path: held.proof for path, held in have.entries.items()} for uid, have in found.items()}

    def _make_plan(self, work: _Work) -> None:
        if work.is_done:
            return
        if work.theirs is None:
            self._done(work, "failed", "is not whole at the remote, or was deleted there")
            return
        if work.here.deleted:
            work.outcome.notes.append(f"was deleted here ({work.here.deleted}): it is not brought again")
            self._done(work, "deleted")
            return
        prefixes = {path: entry.proof for path, entry in work.theirs.entries.items()}
        prefixes |= self._prefixes.get(work.uid, {})
        work.plan = make_plan(work.theirs, work.here, prefixes)
        if work.plan.problems:
            self._done(work, "failed", MORE_HERE.format(remote=self._remote.url))
        elif not work.plan.spans:
            self._finish(work, work.theirs)
        self._progress.planned(work.plan.size)

    def _fetch(self, works: list[_Work]) -> None:
        refused = self._store.apply(self._pieces(works))
        fault_point("pull.applied")
        here = self._store.have([Ask.about(work.theirs) for work in works if work.theirs], self._digests)
        for work in works:
            error = refused.get(work.uid)
            if error is not None and not error.again:
                self._done(work, "failed", explain(error))
            elif work.theirs and is_confirmed(work.theirs, _as_merged(here.get(work.uid), work.theirs)):
                self._finish(work, work.theirs)
            elif error is not None:
                work.reason = str(error)

    def _pieces(self, works: list[_Work]) -> Iterator[Piece]:
        """The pieces of runs; those of one end early, before ``run.json``, if the remote's files change."""
        small = [(work.uid, span) for work in works for span in work.plan.spans if _is_small(span)]
        arriving = zip(small, fetch(self._remote, small), strict=True)
        for work in works:
            with suppress(Changed, FileNotFoundError):
                for span in work.plan.spans:
                    for extent, body in _checked(self._cut((work.uid, span), arriving), span):
                        fault_point("pull.extent")
                        yield extent, body
                        work.outcome.extents += 1
                        work.outcome.size += extent.length
                        self._progress.moved(extent.length)

    def _cut(self, wanted: Wanted, arriving: Iterator[tuple[Wanted, bytes | None]]) -> Iterator[Piece]:
        """The extents of a span. What arrives before it is of runs that ended early."""
        uid, span = wanted
        if _is_small(span):
            data = next(data for asked, data in arriving if asked == wanted)
            if data is None:
                raise Changed(span.path)
            yield piece_of(uid, span, data)
        else:
            with self._remote.read(uid, span.path, span.offset) as file:
                yield from cut(uid, span, file)

    def _finish(self, work: _Work, theirs: Inventory) -> None:
        work.outcome.folder = self._store.seen(work.uid) or work.outcome.folder
        work.outcome.files, work.outcome.proved = len(theirs.entries), theirs.size
        self._done(work, "synced" if work.outcome.extents else "unchanged")

    def _done(self, work: _Work, status: str, *problems: str) -> None:
        work.outcome.status, work.is_done = status, True
        work.outcome.problems += problems
        self._progress.done(work.outcome)


def _inventory(work: _Work, have: Have | None, wanted: Callable[[str], bool]) -> Inventory | None:
    """What a remote has of a run as if it lay here; None if there is no whole run."""
    if have is None or have.refused or have.deleted or not have.entries:
        return None
    held = {path: there for path, there in have.entries.items() if wanted(path)}
    entries = {path: Entry(path, there.length, there.proof, NOWHERE) for path, there in held.items()}
    return Inventory(work.outcome.folder, work.uid, work.outcome.id, entries)


def _is_small(span: Span) -> bool:
    """Whether a span is one extent that is not worth a request; pieces of a file are none."""
    return span.end - span.offset <= SMALL and (span.whole is None or span.offset == 0)


def _checked(pieces: Iterable[Piece], span: Span) -> Iterator[Piece]:
    """The pieces, of which a whole file must be the one that the remote told of."""
    for extent, body in pieces:
        whole = extent.whole
        if whole is not None and extent.length == whole.size and extent.sha256 != whole.tail:
            raise Changed(span.path)
        yield extent, body


def _as_merged(here: Have | None, theirs: Inventory) -> Have | None:
    """What is here, edits taken as theirs: both sides' were merged, and may be more (R096)."""
    if here is None or EDITS not in here.entries or EDITS not in theirs.entries:
        return here
    entry = theirs.entries[EDITS]
    return Have({**here.entries, EDITS: type(here.entries[EDITS])(entry.length, entry.proof)})
