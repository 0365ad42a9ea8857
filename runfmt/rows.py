"""One line of a stream and one JSON document: encoder and decoder side by side.

Pure functions on bytes and plain values. NaN and the infinities are ``null`` in
their place, and ``_nonfinite`` says what they were (R035).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

import orjson

from runfmt.errors import FormatError
from runfmt.layout import MAX_DEPTH, MAX_ROW

__all__ = [
    "CONTROL",
    "RESERVED",
    "decode",
    "decode_document",
    "decode_plain",
    "encode",
    "encode_document",
    "escape",
    "is_leaf",
    "is_path",
    "is_pointer",
    "leaves",
    "marked",
    "merge",
    "pointer_key",
    "pointer_keys",
    "split_path",
    "whole_text",
]

NONFINITE = "_nonfinite"
CONTROL = ("_rewind", "_gap", "_summary", "_define")
RESERVED = ("_step", "_timestamp", "_runtime", NONFINITE, *CONTROL)

_OBJECT, _LIST = b"{["
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_PLAIN = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_NULL = re.compile(b"null").search
"""Twice as fast in a long line as ``in``."""
_NESTING = (Mapping, list, tuple)
_SURROGATE = re.compile("[\ud800-\udfff]")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
_PATH = re.compile(r"([^\\]|\\[.\\])*")
# 53-bit integers only: what is larger takes the slow way, where int64 is checked (R026).
_FAST = _PLAIN | orjson.OPT_STRICT_INTEGER | orjson.OPT_APPEND_NEWLINE
_NORMAL = _PLAIN | orjson.OPT_APPEND_NEWLINE
_PRETTY = _NORMAL | orjson.OPT_INDENT_2


def encode(row: Mapping[str, Any], *, normal: bool = False) -> bytes:
    """One line for a row, with its LF.

    ``normal`` says that the values went through :mod:`runfmt.values`; otherwise
    anything that is not plain JSON raises ``TypeError``, for the caller to
    normalise first. Raises ``FormatError`` for R025 and R027.
    """
    line = _dumps(row, _NORMAL) if normal else orjson.dumps(row, option=_FAST)
    # orjson writes non-finite numbers as null; a row without any null has none.
    if _NULL(line) and (whole := marked(row)) is not row:
        line = orjson.dumps(whole, option=_NORMAL)
    if len(line) > MAX_ROW:
        raise FormatError("R027", f"a row of {len(line):,} bytes is over the limit of {MAX_ROW:,}")
    # Most rows are flat, and finding nothing is much faster than counting.
    if (_OBJECT in line[1:] or _LIST in line) and _may_be_deep(line) and _is_deep(row):
        raise FormatError("R025", f"a row nests deeper than {MAX_DEPTH} levels")
    return line


def decode(line: bytes) -> tuple[dict[str, Any], bool]:
    """The row of a line, non-finite numbers put back, and whether all of ``_nonfinite`` was right.

    Raises ``FormatError`` (R023) if the line is no I-JSON object.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise FormatError("R023", f"not a JSON object: {error}") from None
    if type(row) is not dict:
        raise FormatError("R023", f"not a JSON object but {type(row).__name__}")
    if _may_be_deep(line) and _is_deep(row):
        raise FormatError("R023", f"nested deeper than {MAX_DEPTH} levels")
    return row, NONFINITE not in row or _restore(row)


def decode_plain(lines: bytes) -> list[dict[str, Any]]:
    """The objects of whole lines as they stand there, nothing put back; none if one line is no object."""
    try:
        rows = [orjson.loads(line) for line in lines.split(b"\n")[:-1]]
    except orjson.JSONDecodeError:
        return []
    return rows if all(type(row) is dict for row in rows) else []


def encode_document(document: Mapping[str, Any], *, compact: bool = False) -> bytes:
    """The bytes of a JSON document (R090), indented for people unless ``compact``.

    Raises ``FormatError`` for R025.
    """
    data = _dumps(marked(document), _NORMAL if compact else _PRETTY)
    if _may_be_deep(data) and _is_deep(document):
        raise FormatError("R025", f"a document nests deeper than {MAX_DEPTH} levels")
    return data


def _dumps(value: Mapping[str, Any], option: int) -> bytes:
    try:
        return orjson.dumps(value, option=option)
    except TypeError:  # most likely a lone surrogate; anything else raises again
        return orjson.dumps(_whole(value), option=option)


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, Mapping):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, (list, tuple)) else value


def whole_text(text: str) -> str:
    """The text with U+FFFD for each lone surrogate (R028)."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def marked(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with a ``_nonfinite`` if it needs one (R035); orjson writes such numbers as null."""
    found = dict(_find_nonfinite(document, ""))
    return {**document, NONFINITE: found} if found else document


def decode_document(data: bytes) -> dict[str, Any]:
    """The object of a JSON document, non-finite numbers put back.

    Raises ``FormatError`` (R091) if the bytes are no I-JSON object.
    """
    try:
        return decode(data)[0]
    except FormatError as error:
        raise FormatError("R091", error.message) from None


def _find_nonfinite(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield pointer, "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _find_nonfinite(item, f"{pointer}/{pointer_key(key)}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _find_nonfinite(item, f"{pointer}/{index}")


def _restore(row: dict[str, Any]) -> bool:
    table = row.pop(NONFINITE)
    if not isinstance(table, dict):
        return False
    # A list, not a generator: every entry is put back, also after a wrong one.
    return False not in [_put(row, pointer, word) for pointer, word in table.items()]


def _put(row: dict[str, Any], pointer: str, word: object) -> bool:
    if not isinstance(word, str) or word not in _WORDS or not is_pointer(pointer):
        return False
    place: Any = row
    *above, last = pointer_keys(pointer)
    for part in above:
        place = _member(place, part)
    if isinstance(place, list) and _member(place, last, 0) is None:
        place[int(last)] = _WORDS[word]
    elif isinstance(place, dict) and place.get(last, 0) is None:
        place[last] = _WORDS[word]
    else:
        return False
    return True


def _member(place: Any, part: str, default: Any = None) -> Any:
    if isinstance(place, dict):
        return place.get(part, default)
    if isinstance(place, list) and _INDEX.fullmatch(part):
        return place[int(part)] if int(part) < len(place) else default
    return default


def is_pointer(text: str) -> bool:
    """Whether a text is a JSON Pointer to something below the top (RFC 6901)."""
    return _POINTER.fullmatch(text) is not None


def pointer_keys(pointer: str) -> list[str]:
    """The keys of a JSON Pointer that begins with a slash (RFC 6901)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def pointer_key(key: str) -> str:
    """A key as a part of a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _may_be_deep(data: bytes) -> bool:
    return data.count(b"{") + data.count(b"[") > MAX_DEPTH


def _is_deep(value: Any) -> bool:
    """Whether a value nests deeper than it may (R025): level by level, so that no depth is too deep."""
    layer = [value]
    for _ in range(MAX_DEPTH):
        layer = [item for node in layer for item in _children(node) if isinstance(item, _NESTING)]
    return bool(layer)


def _children(node: Any) -> Iterable[Any]:
    return node.values() if isinstance(node, Mapping) else node


def escape(key: str) -> str:
    """A literal key as a part of a path (R038): ``a.b`` becomes ``a\\.b``."""
    if "." not in key and "\\" not in key:
        return key
    return key.replace("\\", "\\\\").replace(".", "\\.")


def split_path(path: str) -> list[str]:
    """The keys of a path (R038), the inverse of joining escaped keys by dots."""
    if "\\" not in path:
        return path.split(".")
    keys, key, chars = [], "", iter(path)
    for char in chars:
        if char == "\\":
            key += next(chars, "\\")
        elif char == ".":
            keys.append(key)
            key = ""
        else:
            key += char
    return [*keys, key]


def is_path(value: object) -> TypeGuard[str]:
    """Whether a value is the path of a key (R038)."""
    return isinstance(value, str) and ("\\" not in value or _PATH.fullmatch(value) is not None)


def is_leaf(value: Any) -> bool:
    """Whether a value is a leaf: no object, or one with ``_type``, or an empty one."""
    return not isinstance(value, dict) or not value or "_type" in value


def leaves(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf of a row with its path (R038)."""
    for key, value in row.items():
        path = prefix + escape(key)
        if is_leaf(value):
            yield path, value
        else:
            yield from leaves(value, path + ".")


def merge(into: dict[str, Any], row: Mapping[str, Any]) -> None:
    """Lay a later row over an earlier one, leaf by leaf (R041, R042); ``row`` is not kept nor changed."""
    for key, value in row.items():
        if not isinstance(value, dict) or "_type" in value:
            into[key] = value
            continue
        there = into.get(key)
        if not isinstance(there, dict) or "_type" in there:
            there = into[key] = {}
        merge(there, value)
