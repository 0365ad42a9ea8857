"""Inputs that nobody meant: what was well formed, changed in ways that parsers find hard; same for a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

NUMBERS = [
    b"0",
    b"-0",
    b"-1",
    b"1",
    b"1.5",
    b"1e308",
    b"1e309",
    b"-1e309",
    b"5e-324",
    b"9007199254740993",
    b"2147483648",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551616",
    b"9" * 400,
    b"1e-9",
]
WORDS = [
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b'""',
    b'"\\ud83d"',
    b'"\\u0000"',
    b'"../../x"',
    b'"/etc/passwd"',
    b'"_type"',
    b'"_nonfinite"',
    b'"_step"',
    b'"_rewind"',
    b'"_summary"',
    b'"_define"',
    b'"value"',
    b'"path"',
    b'"x\\ny"',
    b"{}",
    b"[]",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"%2e%2e%2f",
    b"<script>",
    b"](javascript:x)",
    b"\\",
    b"/",
    b"..",
    b"\xe2\x80\xae",
    b"'",
    b"$regex",
    b"(a+)+$",
]
DEEP = [b"[", b'{"a":', b"(", b"{{", b"> ", b"- ", b"*", b"!["]
MARKS = b'{}[]",:\n\\/.-'
LONGEST = 2**14
"""Bytes of the longest input: what is long is tried by tests of its own."""


def inputs(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """So many inputs, the seeds themselves first; the same for the same seed."""
    yield from seeds[:count]
    chance = random.Random(seed)
    for _ in range(count - len(seeds)):
        data = chance.choice(seeds)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            data = chance.choice(WAYS)(data, chance, seeds)
        yield data[:LONGEST]


def _flip(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    changed = bytearray(data or b"\0")
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _truncate(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    return data[: chance.randint(0, len(data))]


def _drop(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + data[end:]


def _repeat(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(data, chance)
    times = min(chance.choice((2, 3, 17, 300)), 1 + LONGEST // (end - start + 1))
    return data[:start] + data[start:end] * times + data[end:]


def _splice(data: bytes, chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    other = chance.choice(seeds)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _insert(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(WORDS) + data[at:]


def _number(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """Another number in the place of one."""
    return _replaced(data, chance, b"0123456789.", NUMBERS)


def _value(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """Another value behind a colon or a comma."""
    at = max(data.find(b":", chance.randint(0, len(data))), data.find(b",", chance.randint(0, len(data)))) + 1
    end = next((place for place in range(at, min(at + 100, len(data))) if data[place] in b",}]\n"), at)
    return data[:at] + chance.choice(chance.choice((WORDS, NUMBERS))) + data[end:]


def _deep(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    at, opening = chance.randint(0, len(data)), chance.choice(DEEP)
    times = min(chance.choice((60, 66, 250, 260, 1100, 3000)), LONGEST // len(opening))
    closing = {b"[": b"]", b'{"a":': b"}"}.get(opening, b"") if chance.random() < 0.7 else b""
    return data[:at] + opening * times + b"1" + closing * times + data[at:]


def _mark(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """A mark of JSON where another stood."""
    places = [place for place, byte in enumerate(data[:2000]) if byte in MARKS] or [0]
    at = chance.choice(places)
    return data[:at] + bytes([chance.choice(MARKS)]) + data[at + 1 :]


def _long(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice((b"a", b"\xff", b"9", b" ", b"\0", b"../")) * 4000 + data[at:]


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + chance.choice((1, 2, 8, 64, 600)))


def _replaced(data: bytes, chance: random.Random, letters: bytes, by: Sequence[bytes]) -> bytes:
    begin = chance.randint(0, len(data))
    at = next((place for place in range(begin, len(data)) if data[place] in letters), len(data))
    end = next((place for place in range(at, len(data)) if data[place] not in letters), len(data))
    return data[:at] + chance.choice(by) + data[end:]


Way = Callable[[bytes, random.Random, Sequence[bytes]], bytes]
WAYS: list[Way] = [
    _flip,
    _truncate,
    _drop,
    _repeat,
    _splice,
    _insert,
    _number,
    _number,
    _value,
    _value,
    _mark,
    _mark,
    _deep,
    _long,
]
