"""Rows whose step is closed: however a stream is looked at while it grows, each logical row comes once."""

import io
import json
import tracemalloc
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfmt.history import read_history
from runfmt.layout import MAX_ROW, is_safe
from runfmt.rows import leaves
from runfmt_sync import closed
from runfmt_sync.closed import closed_parts

GARBAGE = [b"\n", b"{}\n", b"[1]\n", b"\0\0\0\n", b'{"loss":1}\n', b'{"_step":-1}\n', b'{"_step":"3"}\n']
NAMES = st.sampled_from("abc")
VALUES = st.dictionaries(NAMES, st.integers(0, 9) | st.floats(allow_nan=False, allow_infinity=False))


def row(step, **values):
    return json.dumps({"_step": step, "_timestamp": 1000.0 + step, **values}).encode() + b"\n"


@st.composite
def streams(draw, *, rewinds):
    """Lines of a stream whose steps go down only after a rewind."""
    step, lines = 0, []
    for kind in draw(st.lists(st.sampled_from(["same", "next", "next", "garbage", "rewind"]), max_size=40)):
        if kind == "garbage":
            lines.append(draw(st.sampled_from(GARBAGE)))
        elif kind == "rewind" and rewinds:
            step = draw(st.integers(-1, step))
            lines.append(row(max(step, 0), _rewind=step))
            step = max(step, 0)
        else:
            step += kind == "next" and draw(st.integers(1, 3))
            lines.append(row(step, **draw(VALUES)))
    return lines


def look(file, state, end, *, ended):
    """A look at the stream up to an offset, as a sync has it; gives the parts."""
    start, highest = state
    parts = [*closed_parts(file, "main", start, end, highest=highest, ended=ended, may_open=is_safe)]
    return parts, (parts[-1].end, parts[-1].highest) if parts else state


def expected(data):
    """The logical rows as every reader has them: step, time, values by path."""
    return [
        (row.pop("_step"), row.pop("_timestamp", None), dict(leaves(row))) for row in read_history(data).rows
    ]


@given(streams(rewinds=False), st.lists(st.integers(0, 40)), st.integers(1, 500))
def test_each_row_comes_once_however_the_stream_is_looked_at(lines, looks, size):
    data, sent, state = b"".join(lines), [], (0, -1)
    with patch.object(closed, "PART", size):
        for count in [*sorted(looks), len(lines)]:
            file, end = io.BytesIO(data), len(b"".join(lines[:count]))
            parts, state = look(file, state, end, ended=False)
            sent += [row for part in parts for row in part.rows]
            seen = {step for step, *_ in expected(data[:end])}
            assert [row.step for row in sent] == sorted(seen - {max(seen, default=0)})  # all but the open one
        parts, state = look(io.BytesIO(data), state, len(data), ended=True)
    sent += [row for part in parts for row in part.rows]
    assert [(row.step, row.time, dict(row.values)) for row in sent] == expected(data)
    assert not any(row.is_late for row in sent)
    assert state[0] == len(data)


@given(streams(rewinds=True), st.integers(1, 500))
def test_what_a_known_rewind_supersedes_is_never_sent(lines, size):
    data = b"".join(lines)
    with patch.object(closed, "PART", size):
        parts, (end, _) = look(io.BytesIO(data), (0, -1), len(data), ended=True)
    found = {}
    for row in (row for part in parts for row in part.rows):
        assert row.is_late == (row.step in found)  # more of a step that stands, behind a rewind to it
        time, values = found.get(row.step, (None, {}))
        found[row.step] = (row.time or time, {**values, **row.values})
    assert [(step, time, values) for step, (time, values) in sorted(found.items())] == expected(data)
    assert end == len(data)
    assert sum(part.rewinds for part in parts) == 0


@pytest.mark.parametrize(("target", "rewinds", "late"), [(2, 1, [3, 4]), (3, 1, [4]), (4, 0, []), (9, 0, [])])
def test_rewind_of_rows_that_were_sent_is_counted_once_and_what_follows_is_late(target, rewinds, late):
    before = b"".join(row(step, a=step) for step in range(6))
    data = before + row(5, b=5) + row(target, _rewind=target)
    data += b"".join(row(step, a=-step) for step in range(target + 1, 12))
    with patch.object(closed, "PART", 1):  # a part for each step
        _, state = look(io.BytesIO(data), (0, -1), len(before), ended=False)
        assert state[1] == 4
        after, _ = look(io.BytesIO(data), state, len(data), ended=True)
    assert sum(part.rewinds for part in after) == rewinds
    sent = [row for part in after for row in part.rows]
    kept = [5] if target >= 5 else []
    assert [row.step for row in sent] == [*kept, *range(target + 1, 12)]
    assert [row.step for row in sent if row.is_late] == late


@given(streams(rewinds=True), st.data())
def test_rows_behind_a_look_are_those_that_stand_there(lines, draw):
    count = draw.draw(st.integers(0, len(lines)))
    data, end = b"".join(lines), len(b"".join(lines[:count]))
    before, state = look(io.BytesIO(data), (0, -1), end, ended=False)
    after, _ = look(io.BytesIO(data), state, len(data), ended=True)
    rest = [step for step, *_ in expected(data[state[0] :])]
    assert [row.step for part in after for row in part.rows] == rest
    stand = {step for step, *_ in expected(data)}
    if any(row.step not in stand for part in before for row in part.rows):
        assert sum(part.rewinds for part in after) > 0


@pytest.mark.parametrize("ended", [False, True])
def test_line_that_is_too_long_is_passed_over(ended):
    long = b'{"_step":1,"text":"' + b"x" * MAX_ROW + b'"}\n'
    data = row(0, a=1) + long + row(2, a=2) + row(3, a=3)
    parts, _ = look(io.BytesIO(data), (0, -1), len(data), ended=ended)
    assert [row.step for part in parts for row in part.rows] == [0, 2, 3][: 3 if ended else 2]


class Counting(io.BytesIO):
    """Counts what is read of it."""

    read_bytes = 0

    def readline(self, size=-1):
        line = super().readline(size)
        self.read_bytes += len(line)
        return line


def test_parts_and_memory_are_bounded_and_the_stream_is_read_twice():
    data = b"".join(row(step, text="x" * 5000) for step in range(4000))
    file, size, largest, rows = Counting(data), 2**20, 0, 0
    tracemalloc.start()
    try:
        with patch.object(closed, "PART", size):
            start = 0
            for part in closed_parts(file, "main", 0, len(data), highest=-1, ended=True, may_open=is_safe):
                largest, start, rows = max(largest, part.end - start), part.end, rows + len(part.rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (rows, start) == (4000, len(data))
    assert largest < size + 10_000
    assert peak < 8 * size
    assert file.read_bytes < 2.1 * len(data)


def test_step_with_more_lines_than_a_part_stays_whole():
    data = b"".join(row(0, **{f"k{number}": number}) for number in range(100)) + row(1, a=1)
    with patch.object(closed, "PART", 100):
        parts, _ = look(io.BytesIO(data), (0, -1), len(data), ended=False)
    [sent] = [row for part in parts for row in part.rows]
    assert len(sent.values) == 100
