"""What a bundle has to bring: which number it is, what the other side has of each run, what went into it.

The book of the channel is kept so that a crash at any moment costs only sending something twice:
what a volume may bring is forgotten before it is seen, and known again after.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runfmt.layout import EDITS
from runfmt_sync.bundle import Group
from runfmt_sync.channels import Base, Number, Outbox
from runfmt_sync.digests import Proof
from runfmt_sync.places import ReceiptRemote, seen_from
from runfmt_sync.plan import Ask, Have, Held
from runfmt_sync.volumes import Volume

__all__ = ["Sending"]


class Sending:
    """A bundle on its way out.

    ``is_chained``: it builds on those before it in its channel. ``since``: it builds on a receipt.
    ``again``: it is the one of that number, made once more with the runs that were in it.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        is_chained: bool = False,
        since: ReceiptRemote | None = None,
        again: int | None = None,
    ) -> None:
        self._outbox, self._is_chained, self._since, self._again = outbox, is_chained, since, again
        self._bases: dict[str, Base] = {}
        self._last: dict[str, str] = {}
        self._arrived: dict[str, dict[str, int | Proof]] = {}
        self._done: dict[str, dict[str, Held]] = {}
        self._same: set[str] = set()

    # Which bundle it is

    def begin(self, highest: int) -> None:
        """See which number is due; above the ``highest`` that can be seen, as the book may have been lost."""
        self._number = self._due(highest)
        if self._again is None and not self.goes_on:
            self._outbox.begun.clear()
        self._volume = self._outbox.volume if self.goes_on else 0

    def _due(self, highest: int) -> Number:
        outbox = self._outbox
        if self._again is not None:
            number = outbox.load(self._again)
            number.edition += 1
            outbox.save(number)
            return number
        if outbox.is_open:
            number = outbox.load(outbox.number)
            if (number.follows is not None) == self._is_chained:
                return number
        follows = None if not self._is_chained else 0 if self._since else outbox.chain
        since = self._since.store_id if self._since else ""
        return Number(max(outbox.number, highest) + 1, follows, since)

    @property
    def channel(self) -> str:
        """The name of its channel."""
        return self._outbox.channel

    @property
    def number(self) -> int:
        """Its number."""
        return self._number.number

    @property
    def volume(self) -> int:
        """How many volumes it has so far."""
        return self._volume

    @property
    def goes_on(self) -> bool:
        """Whether it has volumes in the book already, and was not ended."""
        return self._again is None and self._outbox.is_open and self._outbox.number == self.number

    def next_volume(self) -> dict[str, Any]:
        """What its next volume says of itself (B021)."""
        self._volume += 1
        said: dict[str, Any] = {
            "channel": self._outbox.channel,
            "number": self.number,
            "edition": self._number.edition,
            "volume": self._volume,
            "created_at": self._outbox.next_version(),
        }
        if self._number.follows is not None:
            said["follows"] = self._number.follows
        if self._number.since:
            said["since"] = self._number.since
        return said

    # What the other side has

    def have(self, ask: Ask) -> Have | None:
        """What is known to be there of a run, or in the volumes; None if that is all."""
        if self._again is not None and ask.uid not in self._number.runs:
            return None  # it is not asked for
        base, arrived = self._base(ask.uid), self._arrived.pop(ask.uid, {})
        there: dict[str, int | Proof] = {path: held.proof for path, held in base.entries.items()}
        there |= arrived
        if all(there.get(path) in (proof, proof.size) for path, proof in ask.proofs.items()):
            if not arrived and self._again is not None:
                self._same.add(ask.uid)
            if arrived:
                self._done[ask.uid] = {path: Held(proof.size, proof) for path, proof in ask.proofs.items()}
            return None
        entries = {path: seen_from(path, held, ask) for path, held in base.entries.items()}
        if EDITS in entries and entries[EDITS].proof != ask.proofs.get(EDITS):
            del entries[EDITS]  # both sides' are laid together there (R096)
        return Have(entries)

    def _base(self, uid: str) -> Base:
        """What of a run is there before this call."""
        if self._again is not None:
            return self._number.runs[uid]
        if uid in self._outbox.begun:
            return self._outbox.begun[uid]
        if self._since:
            return Base("", self._since.entries(uid))
        return self._outbox.runs.get(uid, Base()) if self._is_chained else Base()

    def absent(self, uids: Iterable[str]) -> int:
        """How many runs of a bundle that is made again are not among these."""
        return 0 if self._again is None else len(self._number.runs.keys() - set(uids))

    def unchanged(self) -> dict[str, str]:
        """Runs that are as they were when it was made first, with the versions that they build on.

        Nothing of them is sent, but those that wait for this number need to know.
        """
        return {uid: self._number.runs[uid].version for uid in self._same - self._last.keys()}

    # What went into it

    def after(self, group: Group) -> dict[str, str]:
        """The versions on which the runs of a group build."""
        for uid in {extent.uid for extent in group.extents}:
            self._bases.setdefault(uid, self._base(uid))
        return {e.uid: self._last.get(e.uid) or self._bases[e.uid].version for e in group.extents}

    def put(self, group: Group, version: str) -> None:
        """A group went into the volume of a version."""
        for extent in group.extents:
            self._last[extent.uid] = version
            arrived = self._arrived.setdefault(extent.uid, {})
            end = extent.offset + extent.length
            if extent.whole is None:
                arrived[extent.path] = end
            elif end == extent.whole.size:
                arrived[extent.path] = extent.whole

    def be_unsure(self, volume: Volume) -> None:
        """Before a volume is seen: keep how to make it again, forget what it may change there."""
        bases = {uid: self._bases[uid] for uid in volume.runs.keys() & self._bases.keys()}
        self._number.runs = {**bases, **self._number.runs}
        self._outbox.save(self._number)
        if self._again is None:
            self._outbox.begin(self.number, self._volume - 1)
        self._outbox.forget(volume.files)
        self._outbox.keep()

    def be_sure(self, volume: Volume, *, last: bool) -> None:
        """When a volume can be seen: keep what has been sent. What was made again changes nothing in that."""
        whole = [uid for uid in self._done if self._last[uid] <= volume.version]
        brought = {uid: Base(self._last[uid], self._done.pop(uid)) for uid in whole}
        if self._again is None:
            self._outbox.brought(self._volume, brought, is_chained=self._is_chained)
        if last:
            self._outbox.end(self._number)
        self._outbox.keep()
