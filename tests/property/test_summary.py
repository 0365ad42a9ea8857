"""The summary is that of the specification: read at once, followed row by row, or kept and gone on with."""

import io
import json
import math
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from naive import canonical, summary
from runfmt import fold as folding
from runfmt.fold import decode_fold, encode_fold, fold
from runfmt.history import read_history
from runfmt.live import LiveSummary
from runfmt.reading import StoredRun
from runfmt.rows import encode, leaves
from runfmt.summary import OPERATIONS, Aggregate, summarise


def nest(user):
    """Values by path as a row."""
    row = {}
    for path, value in user.items():
        *above, last = path.split(".")
        place = row
        for key in above:
            place = place.setdefault(key, {})
        place[last] = value
    return row


numbers = st.sampled_from([-3, 0, 1, 2, 0.5, -1.5, math.nan, math.nan, math.inf, -math.inf])
others = st.sampled_from([None, None, True, "x", [1], {"_type": "histogram"}])
values = st.one_of(numbers, numbers, others)
paths = st.sampled_from(["a", "b", "n.x", "n.y", "_u", "m._v"])
names = paths | st.sampled_from(["*", "n.*", "n*", "_*", "m.*", "b*"])
nested = st.dictionaries(paths, values, min_size=1, max_size=3).map(nest)
definitions = st.fixed_dictionaries(
    {"name": names, "summary": st.lists(st.sampled_from([*OPERATIONS, "mean", "best"]), max_size=3)},
    optional={"goal": st.sampled_from(["maximize", "minimize"]), "overwrite": st.booleans()},
)
hands = st.fixed_dictionaries(
    {}, optional={"set": st.dictionaries(paths, values, max_size=2), "del": st.lists(paths, max_size=2)}
)
controls = st.one_of(
    st.integers(-1, 4).map(lambda step: {"_rewind": step}),
    definitions.map(lambda said: {"_define": said}),
    hands.map(lambda said: {"_summary": said}),
    hands.map(lambda said: {"_summary": said}),
)
rows = st.builds(
    lambda step, row: {"_step": step, "_timestamp": 1.5, **row},
    st.sampled_from(range(5)),
    st.one_of(nested, nested, controls),
)
streams = st.lists(rows, max_size=3) | st.lists(rows, min_size=4, max_size=12)


def ours(stream):
    return summary_of(read_history(b"".join(encode(row, normal=True) for row in stream)))


def summary_of(history):
    aggregate = Aggregate(history.definitions)
    for row in history.rows:
        aggregate.add(row)
    return summarise(aggregate, history.hand)


def sayings(*said):
    """Rows of metric ``a`` and control rows, at the steps given."""
    return [{"_step": step, "_timestamp": 1.5, **row} for step, row in said]


@settings(max_examples=300, deadline=None)
@given(streams)
@example(sayings((0, {"_summary": {"set": {"a": 5}}}), (2, {"a": 1}), (1, {"a": 2}), (1, {"_rewind": 1})))
@example(sayings((2, {"a": 1}), (0, {"_summary": {"del": ["a"]}}), (2, {"_rewind": 2}), (1, {"a": None})))
def test_summary_is_that_of_the_specification(stream):
    expected = summary(stream)
    assert canonical(ours(stream)) == canonical(nest(expected))


plain = st.sampled_from([None, 1, 2.5, -3, 10**17, 1e300, -1e300, 2**-60, "x", True])
alike = st.lists(st.tuples(plain, plain), min_size=2, max_size=8).map(
    lambda values: [{"_step": 10 + at, "_timestamp": 1.5, "a": a, "b": b} for at, (a, b) in enumerate(values)]
)
"""Rows as most are, which are counted by columns."""


@settings(max_examples=300, deadline=None)
@given(streams, alike, rows, alike, st.sets(st.integers(0, 30)))
def test_summary_counted_by_columns_is_the_one_that_is_read(before, first, between, second, looks):
    stream = [*before, *first, between, *({**row, "_step": row["_step"] + 10} for row in second)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "metrics.jsonl")
        live = LiveSummary(path)
        with open(path, "wb", buffering=0) as file:
            for count, row in enumerate(stream):
                file.write(encode(row, normal=True))
                if count in looks:
                    live.fold()
        assert canonical(live.result(99)) == canonical(ours(stream))


@settings(max_examples=150, deadline=None)
@given(streams, st.dictionaries(st.integers(0, 12), st.sampled_from([0, 1, 2])))
@example(sayings((1, {"a": 1}), (2, {"a": 2}), (0, {"b": 3}), (1, {"a": 4})), {})
@example(sayings((1, {"a": 1}), (2, {"a": 2}), (1, {"a": None}), (2, {"a": None})), {1: 1})
@example(sayings((0, {"a": 1}), (1, {"a": 2}), (1, {"_define": {"name": "a", "summary": ["mean"]}})), {})
@example(sayings((0, {"a": 1}), (3, {"a": 2}), (1, {"_rewind": 1}), (2, {"b": 1})), {1: 1})
def test_summary_followed_row_by_row_is_the_one_that_is_read(stream, looks):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "metrics.jsonl")
        live = LiveSummary(path)
        with open(path, "wb", buffering=0) as file:
            for count, row in enumerate(stream):
                line = encode(row, normal=True)
                file.write(line)
                if count in looks:  # at the open step, which does not count yet, or beyond it
                    live.result(max(row["_step"] for row in stream[: count + 1]) + looks[count])
        assert canonical(live.result(9)) == canonical(ours(stream))
        assert canonical(live.recompute(9)) == canonical(ours(stream))


junk = st.sampled_from(
    [b"\n", b"\0\0\n", b'{"a":1}\n', b'{"_step":9}\n', b'{"_step":2.0,"a":7,"_runtime":1}\n']
)
lines = st.lists(rows.map(lambda row: encode(row, normal=True)) | junk, max_size=12)


@settings(max_examples=300, deadline=None)
@given(lines, st.sets(st.integers(0, 11)), st.sampled_from([1, 2, 1000]))
@example(
    [
        *(encode(row, normal=True) for row in sayings((0, {"a": 1}), (1, {"b": 1}), (2, {"a": 2}))),
        *(encode(row, normal=True) for row in sayings((2, {"_rewind": 0}))),
        *(b'{"_step":1}\n', b'{"_step":3}\n'),
    ],
    {3},
    1000,
)
def test_summary_that_is_kept_and_gone_on_with_is_the_one_that_is_read(lines, looks, piece):
    known, folding.PIECE = None, piece
    for end in sorted({*looks, len(lines)} - set(range(len(lines) + 1, 12))):
        data = b"".join(lines[:end])
        torn = lines[end][:-1] if end < len(lines) else b""
        folded = fold(io.BytesIO(data + torn), known and decode_fold(known))
        known = encode_fold(folded)
        history = read_history(data)
        assert canonical(folded.summary()) == canonical(summary_of(history))
        assert (folded.rows, folded.size) == (len(history.rows), history.size)
    folding.PIECE = 1000


@settings(max_examples=100, deadline=None)
@given(streams)
def test_statistics_do_not_depend_on_the_order_of_steps(stream):
    of_data = [row for row in stream if not any(key in row for key in ("_rewind", "_summary", "_define"))]
    define = sayings((0, {"_define": {"name": "*", "summary": ["min", "max", "mean", "first", "last"]}}))
    by_step = sorted(of_data, key=lambda row: -row["_step"])
    assert canonical(ours(define + of_data)) == canonical(ours(by_step + define))
    assert {path.split(".")[-1] for path, _ in leaves(ours(define + of_data))} <= {
        "min", "max", "mean", "first", "last", "_u",
    }  # fmt: skip


GOOD = [b'{"_step":%d,"_timestamp":1.5,"a":%d,"b":{"c":0.5}}\n' % (step, step + 1) for step in range(4)] + [
    b'{"_step":2,"_timestamp":1,"a":null,"x":"t"}\n',
    b'{"_step":1,"_timestamp":1,"_rewind":0}\n',
]
BAD = [
    b"junk\n",
    b"\n",
    b"[1]\n",
    b'{"a":1}\n',
    b'{"_step":1.0,"_timestamp":1,"a":2}\n',
    b'{"_step":-1,"a":5}\n',
    b'{"_step":2,"_timestamp":1,"a":null,"_nonfinite":{"/a":"nan"}}\n',
    b'{"_step":true,"_timestamp":1,"a":9}\n',
    b'{"_step":2,"_timestamp":1,"a":null,"_nonfinite":{"/a":"NaN"}}\n',
    b'{"_step":3,"_timestamp":1,"_rewind":"x"}\n',
    b'{"_step":3,"_timestamp":1,"_gap":{"rows":1,"reason":""}}\n',
    b'{"_step":9007199254740992,"a":1}\n',
    b'{"_step":1,"_timestamp":1,"a":{}}\n',
    b'{"_step":1,"_timestamp":1,"a":{"_type":"x","path":"../y"}}\n',
    b'{"_step":3,"_timestamp":1,"a":1',
    b"\0\0\n",
    b'{"_step":1,"_timestamp":1,"_define":{"name":"a","summary":["max"]}}\n',
]


@settings(max_examples=500)
@given(st.lists(st.sampled_from([*GOOD, *GOOD, *BAD]), max_size=9).map(b"".join))
def test_summary_of_a_stored_run_is_that_of_its_history_whatever_stands_there(data):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "metrics.jsonl").write_bytes(data)
        known = StoredRun(folder)
        known.history()
        piecewise, whole = (run.recorded_summary() for run in (StoredRun(folder), known))
        assert json.dumps(piecewise, sort_keys=True) == json.dumps(whole, sort_keys=True)
