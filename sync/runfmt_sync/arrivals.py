"""Files of bundles that have come: what each says of itself, and whether it is believed.

A file is believed when its signature is good (if keys are trusted) and all of it has been read and
compared. One that has to wait for others is parked: kept whole, under a name of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runfmt.documents import copy_named, sync
from runfmt.errors import FormatError, explain
from runfmt.layout import is_uid
from runfmt_sync import bundle
from runfmt_sync.channels import channel_problem
from runfmt_sync.extents import Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.signing import ENDING, BadSignature, PublicKey, verify
from runfmt_sync.volumes import SUFFIX, remove_volume

__all__ = ["Arrival", "Parking", "receive"]


@dataclass
class Arrival:
    """One file, and what became of it.

    ``status``: ``applied``, ``known`` if nothing in it was new, ``parked`` if something is missing
    before it, or ``refused``; ``problems`` say why. ``runs`` are those that were applied, ``refused``
    those that the remote did not take.
    """

    path: Path
    name: str
    contents: bundle.Contents = field(default_factory=bundle.Contents)
    status: str = ""
    runs: set[str] = field(default_factory=set)
    refused: dict[str, Refused] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def channel(self) -> str:
        """Its channel."""
        return str(self.contents.manifest["channel"])

    @property
    def uids(self) -> set[str]:
        """The runs that it is about; of one that is as it was before, nothing need be in it."""
        return self.contents.uids | {*self.contents.end.get("after", {})}

    @property
    def version(self) -> str:
        """When it was made."""
        return str(self.contents.manifest["created_at"])

    @property
    def is_last(self) -> bool:
        """Whether no volume of its number comes after it."""
        return self.contents.end.get("last") is True

    def after(self, uid: str) -> str:
        """The version on which a run in it builds; empty if on none."""
        return str(self.contents.end.get("after", {}).get(uid, ""))

    def refuse(self, problem: str) -> None:
        """Believe nothing of it."""
        self.status = "refused"
        self.problems.append(problem)


def receive(path: Path, name: str, keys: Mapping[str, PublicKey], store_id: str) -> Arrival:
    """Read a file to its end, for a store; nothing is applied yet."""
    arrival = Arrival(path, name)
    try:
        if keys:
            verify(path, keys)
        with open(path, "rb") as file:
            arrival.contents = bundle.check(bundle.unpacked(file), bundle.MAX_UNPACKED)
        _check_origin(arrival.contents, store_id)
    except (FormatError, BadSignature, OSError) as error:
        arrival.refuse(explain(error))
    return arrival


def _check_origin(contents: bundle.Contents, store_id: str) -> None:
    """Whether a bundle says where it is from, and is for this place (B021). Raises ``FormatError``."""
    said, after = contents.manifest, contents.end.get("after", {})
    counts = [said.get("number"), said.get("volume"), said.get("edition", 0), said.get("follows", 0)]
    if not isinstance(said.get("channel"), str) or channel_problem(said["channel"]):
        raise FormatError("B021", "it says of no channel that it is from it")
    if not all(type(count) is int and 0 <= count < 2**31 for count in counts) or 0 in counts[:2]:
        raise FormatError("B021", "its number or volume is none")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(said.get("created_at"))):
        raise FormatError("B021", "it does not say when it was made")
    if not isinstance(after, dict) or not all(is_uid(u) and isinstance(v, str) for u, v in after.items()):
        raise FormatError("B025", "it does not say what it builds on")
    if said.get("since", store_id) != store_id:
        raise FormatError(
            "B026", "it was made with `--since` a receipt of another place: make it with one of this place"
        )


class Parking:
    """The folder of the files that wait. Raises ``OSError``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __contains__(self, path: Path) -> bool:
        return path.parent == self._folder

    def files(self) -> list[Path]:
        """Those that wait."""
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def name(self, path: Path) -> str:
        """What a file was called when it came."""
        return re.sub(r"-\d{20}(?=\.)", "", path.name) if path in self else path.name

    def keep(self, arrival: Arrival) -> None:
        """Take in a file that is not to be lost, under the time at which it was made; its signature first."""
        if arrival.path in self:
            return
        said = arrival.contents.manifest
        made = re.sub(r"\D", "", arrival.version)
        name = f"{arrival.channel}-{said['number']:06}-{said['volume']}-{made}{SUFFIX}"
        signature = arrival.path.with_name(arrival.path.name + ENDING)
        if signature.exists():
            copy_named(signature, self._folder, lambda _: name + ENDING, durable=True)
        arrival.path = copy_named(arrival.path, self._folder, lambda _: name, durable=True)[0]
        sync(self._folder)
        fault_point("unbundle.parked")

    def remove(self, arrival: Arrival) -> None:
        """Let a file go that has waited."""
        if arrival.path in self:
            remove_volume(arrival.path)
