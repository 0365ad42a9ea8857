"""What two sides say to each other, as JSON: encoder and decoder of each thing side by side. Pure.

Decoders raise ``FormatError`` for anything of another form: the other side may be anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runfmt.errors import FormatError
from runfmt.layout import is_uid
from runfmt_sync.digests import Proof
from runfmt_sync.extents import MAX_EXTENT, Extent, Refused, Span, Wanted
from runfmt_sync.plan import Ask, Have, Held

__all__ = [
    "asks_from_json",
    "asks_to_json",
    "entries_from_json",
    "entries_to_json",
    "extent_from_json",
    "extent_to_json",
    "haves_from_json",
    "haves_to_json",
    "refusals_from_json",
    "refusals_to_json",
    "wanted_from_json",
    "wanted_to_json",
]

_DIGEST = re.compile(r"[0-9a-f]{64}")


def extent_to_json(extent: Extent) -> dict[str, Any]:
    """An extent without its bytes (B010)."""
    said: dict[str, Any] = {
        name: getattr(extent, name) for name in ("uid", "path", "offset", "length", "sha256")
    }
    if extent.whole is not None:
        said["whole"] = {"size": extent.whole.size, "sha256": extent.whole.tail}
    return said


def extent_from_json(said: Any) -> Extent:
    """An extent as it was said; whether it may be applied is for the store to judge."""
    whole = _take(said, "whole", _is_object, None)
    return Extent(
        _take(said, "uid", is_uid),
        _take(said, "path", _is_text),
        _take(said, "offset", _is_count),
        _take(said, "length", _is_count),
        _take(said, "sha256", _is_digest),
        None
        if whole is None
        else Proof(_take(whole, "size", _is_count), (), _take(whole, "sha256", _is_digest)),
    )


def asks_to_json(asks: Iterable[Ask], *, believe: bool) -> dict[str, Any]:
    """The question what is there."""
    runs = [{"uid": ask.uid, "digest": ask.digest, "streams": dict(ask.streams)} for ask in asks]
    return {"runs": runs, "verify": not believe}


def asks_from_json(said: Any) -> tuple[list[Ask], bool]:
    """The questions, and whether what is known of the files may be believed."""
    return [_ask(run) for run in _take(said, "runs", _is_list)], not _take(said, "verify", _is_flag, False)


def _ask(said: Any) -> Ask:
    streams = _take(said, "streams", _is_object)
    return Ask(
        _take(said, "uid", is_uid),
        _take(said, "digest", lambda digest: digest == "" or _is_digest(digest)),
        {path: _take(streams, path, _is_count) for path in streams},
    )


def haves_to_json(haves: Mapping[str, Have]) -> dict[str, Any]:
    """The answer: what is there of each run that is not the same."""
    return {"runs": {uid: _have_to_json(have) for uid, have in haves.items()}}


def haves_from_json(said: Any) -> dict[str, Have]:
    """What is there of each run that is not the same."""
    return {uid: _have_from_json(have) for uid, have in _take(said, "runs", _is_object).items()}


def _have_to_json(have: Have) -> dict[str, Any]:
    entries = entries_to_json(have.entries)
    return {"entries": entries, "staged": dict(have.staged), "refused": have.refused, "deleted": have.deleted}


def _have_from_json(said: Any) -> Have:
    staged = _take(said, "staged", _is_object)
    return Have(
        entries_from_json(_take(said, "entries", _is_object)),
        {digest: _take(staged, digest, _is_count) for digest in staged},
        _take(said, "refused", _is_text),
        _take(said, "deleted", _is_text, ""),
    )


def entries_to_json(entries: Mapping[str, Held]) -> dict[str, Any]:
    """What is there of a run, by path (B030)."""
    return {path: {"length": held.length, **_proof_to_json(held.proof)} for path, held in entries.items()}


def entries_from_json(said: Mapping[str, Any]) -> dict[str, Held]:
    """What is there of a run, by path."""
    return {
        path: Held(_take(held, "length", _is_count), _proof_from_json(held)) for path, held in said.items()
    }


def _proof_to_json(proof: Proof) -> dict[str, Any]:
    return {"size": proof.size, "blocks": list(proof.blocks), "tail": proof.tail}


def _proof_from_json(said: Any) -> Proof:
    blocks = _take(said, "blocks", _is_list)
    if not all(map(_is_digest, blocks)):
        raise FormatError("H001", "blocks are no list of digests")
    return Proof(_take(said, "size", _is_count), tuple(blocks), _take(said, "tail", _is_digest))


def refusals_to_json(refused: Mapping[str, Refused]) -> dict[str, Any]:
    """The answer to a bundle: the runs of which something was refused, and why."""
    return {"refused": {uid: {"reason": str(error), "again": error.again} for uid, error in refused.items()}}


def refusals_from_json(said: Any) -> dict[str, Refused]:
    """The runs of which something was refused."""
    return {
        uid: Refused(_take(one, "reason", _is_text), again=_take(one, "again", _is_flag))
        for uid, one in _take(said, "refused", _is_object).items()
    }


def wanted_to_json(wanted: Iterable[Wanted]) -> dict[str, Any]:
    """The question for the bytes of spans."""
    return {
        "spans": [
            {"uid": uid, "path": span.path, "offset": span.offset, "length": span.end - span.offset}
            for uid, span in wanted
        ]
    }


def wanted_from_json(said: Any) -> list[Wanted]:
    """The spans whose bytes are asked for; each may be one extent (H047)."""
    return [_wanted(span) for span in _take(said, "spans", _is_list)]


def _wanted(said: Any) -> Wanted:
    offset, length = _take(said, "offset", _is_count), _take(said, "length", _is_count)
    if length > MAX_EXTENT:
        raise FormatError("H047", f"a span of {length:,} bytes is too long: read the file by itself")
    return _take(said, "uid", is_uid), Span(_take(said, "path", _is_text), offset, offset + length)


_MISSING = object()


def _take(said: Any, key: str, is_right: Callable[[Any], bool], default: Any = _MISSING) -> Any:
    if isinstance(said, dict):
        if key not in said and default is not _MISSING:
            return default
        if key in said and is_right(said[key]):
            return said[key]
    raise FormatError("H001", f"{key} is missing, or not of the form that it has")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None
