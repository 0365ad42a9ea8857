"""Event files, as TensorBoard reads them: records of protobuf messages, made without a library. Pure.

The messages are TensorFlow's ``Event``, ``Summary`` and ``TensorProto`` and the hparams plugin's
``HParamsPluginData``; the numbers are those of the fields that are needed. Numbers that are drawn have 32
bits: TensorBoard's own server shows no scalar that has 64.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

__all__ = ["event", "header", "histogram", "hparams", "masked_crc", "pictures", "scalar", "sounds", "text"]

FLOAT, DOUBLE, STRING = 1, 2, 7
"""Types of tensors."""
TENSOR, BLOBS = 2, 3
"""Classes of data, which say how the server keeps them."""
WAV = b"\x10\x0b"
SUCCESS, FAILURE = 1, 2
"""``Status`` of the hparams plugin."""
_POLYNOMIAL = 0x82F63B78


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_CRCS = [_crc_of(byte) for byte in range(256)]


def masked_crc(data: bytes) -> bytes:
    """The masked CRC-32C of a record."""
    crc, crcs = 0xFFFFFFFF, _CRCS
    for byte in data:
        crc = crcs[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)
    return bytes(data)


def _field(number: int, data: bytes) -> bytes:
    """A field that has a length."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _int(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + masked_crc(length) + message + masked_crc(message)


def header(time: float) -> bytes:
    """What a file begins with."""
    return _record(_double(1, time) + _field(3, b"brain.Event:2"))


def event(time: float, step: int, values: Sequence[bytes]) -> bytes:
    """The record of what was logged at a step; ``time`` in Unix seconds."""
    return _record(_double(1, time) + _int(2, step) + _field(5, b"".join(values)))


@lru_cache(maxsize=4096)
def _tag(tag: str) -> bytes:
    return _field(1, tag.encode())


def scalar(tag: str, value: float) -> tuple[bytes, bool]:
    """A number, and whether 32 bits hold it, but for the last digits."""
    try:
        short = struct.pack("<f", value)
    except OverflowError:
        short = struct.pack("<f", math.copysign(math.inf, value))
    back = struct.unpack("<f", short)[0]
    holds = back == value or value != value or abs(back - value) <= 1e-6 * abs(value)
    return _field(1, _tag(tag) + b"\x15" + short), holds


def _value(tag: str, plugin: str, kind: int, tensor: bytes, content: bytes = b"") -> bytes:
    about = _field(1, _field(1, plugin.encode()) + _field(2, content)) + _int(4, kind)
    return _field(1, _tag(tag) + _field(9, about) + _field(8, tensor))


def _tensor(kind: int, shape: Sequence[int], data: bytes) -> bytes:
    dimensions = b"".join(_field(2, _int(1, size)) for size in shape)
    return _int(1, kind) + _field(2, dimensions) + data


def _strings(items: Sequence[bytes]) -> bytes:
    return _tensor(STRING, [len(items)], b"".join(_field(8, item) for item in items))


def text(tag: str, content: str) -> bytes:
    """A text, shown as Markdown."""
    return _value(tag, "text", TENSOR, _strings([content.encode()]))


def pictures(tag: str, size: tuple[int, int], items: Sequence[bytes]) -> bytes:
    """The files of pictures of one step, of which the first is so wide and high."""
    return _value(tag, "images", BLOBS, _strings([*(str(edge).encode() for edge in size), *items]))


def sounds(tag: str, items: Sequence[bytes]) -> bytes:
    """The WAV files of one step."""
    return _value(tag, "audio", BLOBS, _strings(items), WAV)


def histogram(tag: str, bins: Sequence[float], counts: Sequence[float]) -> bytes:
    """Counts between edges, of which there is one more."""
    rows = [struct.pack("<3d", *row) for row in zip(bins, bins[1:], counts, strict=False)]
    return _value(tag, "histograms", TENSOR, _tensor(DOUBLE, [len(rows), 3], _field(4, b"".join(rows))))


def hparams(config: Mapping[str, Any], began: float, state: str, ended: float | None) -> list[bytes]:
    """Numbers, booleans and texts that a run was begun with, and how it stands."""
    start = b"".join(_field(1, _field(1, key.encode()) + _field(2, _any(v))) for key, v in config.items())
    found = [_session("session_start_info", _field(3, start + _double(5, began)))]
    if ended is not None:
        end = _int(1, SUCCESS if state == "finished" else FAILURE) + _double(2, ended)
        found.append(_session("session_end_info", _field(4, end)))
    return found


def _any(value: Any) -> bytes:
    if isinstance(value, bool):
        return _int(4, value)
    return _double(2, value) if isinstance(value, (int, float)) else _field(3, str(value).encode())


def _session(name: str, content: bytes) -> bytes:
    return _value(f"_hparams_/{name}", "hparams", TENSOR, _tensor(FLOAT, [0], b""), content)
