"""The fast way to columns says what the exact one says, or nothing."""

import itertools
import json
import math

import pandas as pd
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import runfmt.plain
from runfmt.columns import as_array, exact_columns
from runfmt.history import read_history
from runfmt.layout import MAX_ROW
from runfmt.plain import plain_columns
from runfmt.rows import encode

numbers = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1]),
    st.floats(allow_nan=False, allow_infinity=False),
)
nonfinite = st.sampled_from([math.nan, math.inf, -math.inf])
odd = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.just("2024-01-01"), st.just([]), st.just({}),
    st.just({"_type": "histogram"}), st.lists(numbers, max_size=2), nonfinite,
)  # fmt: skip
names = st.sampled_from(["a", "b", "a.b", "ü", "", "\\", "_runtime"])
plain_values = st.recursive(
    numbers | numbers | nonfinite, lambda inner: st.dictionaries(names, inner, max_size=2), max_leaves=4
)
values = st.one_of(plain_values, plain_values, odd, st.dictionaries(names, odd, max_size=2))
plain_rows = st.builds(
    lambda step, data: {"_step": step, "_timestamp": 1.5 + step, **data},
    st.integers(0, 6),
    st.dictionaries(names, values, max_size=3),
)
controls = st.one_of(
    st.integers(-1, 6).map(lambda step: {"_rewind": step}), st.just({"_define": {"name": "a"}}),
    st.just({"_summary": {"set": {"a": math.nan}}}), st.just({"_gap": {"rows": 1, "reason": ""}}),
    st.sampled_from([{"_rewind": None}, {"_rewind": True}, {"_rewind": 2.0}, {"_define": 1, "a": 1}]),
).map(lambda control: {"_step": 0, "_timestamp": 1, **control})  # fmt: skip
lines = st.one_of(
    *[plain_rows.map(lambda row: encode(row, normal=True))] * 6,
    controls.map(encode),
    st.sampled_from(
        [
            b"\n", b" \n", b"{}\n", b"[1]\n", b'{"_step":1}\n', b'{"_step":1,"_timestamp":1,"a":NaN}\n',
            b'{"_step":1,"_timestamp":2,"a":{}}{"_step":2,"_timestamp":2}\n', b"\0\0\n", b'{"_step":1.0}\n',
            b'{"_step":3,"_timestamp":1,"_rewind":3}\n', b'{"_step":1,"_timestamp":true,"a":1}\n',
            b'{"_step":2,"_timestamp":1,"a":1,"a":2}\n', b'{"_step":2,"_timestamp":1,"a":-0}\r\n',
            b'{"_step":-1,"_timestamp":1,"a":1}\n', b'{"_step":9007199254740992,"_timestamp":1,"a":1}\n',
            b'{"_step":2,"_timestamp":1,"a":"\xff"}\n', b'{"_step":2,"_timestamp":1,"a":1e400}\n',
            b'{"_step":2,"_timestamp":1,"b":null,"_nonfinite":{"/a":"Infinity"}}\n',
            b'{"_step":3,"_timestamp":1,"a":null,"\\u005fnonfinite":{"/a":"Infinity"}}\n',
            b'{"_step":3,"_timestamp":1,"b":1,"\\u005frewind":1}\n',
            b'{"_step":2,"_timestamp":null,"_nonfinite":{"/_timestamp":"NaN"}}\n',
            b'{"_step":2,"_timestamp":1,"a":null,"_nonfinite":{"/a":"NaN","/b":"NaN"}}\n',
            b'{"_step":1,"_timestamp":1,"a":null,"_nonfinite":{"/a":"nan"}}\n',
        ]
    ),
)  # fmt: skip


def exactly(data, keys=None):
    return pd.DataFrame(exact_columns(read_history(data).rows, keys))


def assert_same(data, keys=None):
    columns = plain_columns([data], keys)[0]
    if columns is not None:
        pd.testing.assert_frame_equal(pd.DataFrame(columns), exactly(data, keys))
    return columns


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(lines, max_size=6).map(b"".join), st.none() | st.lists(st.sampled_from(["a", "a.b"]), max_size=2)
)
@example(b'{"_step":0,"_timestamp":1.5,"a":null,"b":0}\n', ["a"])
@example(b'{"_step":0,"_timestamp":1.5,"_runtime":{"a":0}}\n', None)
def test_fast_columns_equal_the_exact_ones(data, keys):
    assert_same(data, keys)


def ascending(rows):
    """Lines whose steps go up by the gaps."""
    steps = itertools.accumulate(gap for gap, _ in rows)
    return b"".join(
        encode({"_step": step, "_timestamp": 1.5 + step, **data}, normal=True)
        for step, (_, data) in zip(steps, rows, strict=True)
    )


usual_values = numbers | nonfinite | st.booleans() | st.just("x")
usual_rows = st.tuples(st.integers(1, 3), st.dictionaries(st.sampled_from("abc"), usual_values, max_size=3))
usual = st.lists(usual_rows, max_size=4).map(ascending)


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(usual | st.lists(lines, max_size=2).map(b"".join), max_size=5),
    st.none() | st.lists(st.sampled_from("abc"), max_size=2),
)
def test_columns_of_joined_streams_equal_those_of_each(streams, keys):
    found = plain_columns(streams, keys)
    assert len(found) == len(streams)
    for columns, data in zip(found, streams, strict=True):
        if columns is None:
            assert plain_columns([data], keys) == [None]
        else:
            pd.testing.assert_frame_equal(pd.DataFrame(columns), exactly(data, keys), check_dtype=False)


def test_many_streams_are_parsed_as_one(monkeypatch):
    """As each parsing costs a fifth of a millisecond, many short runs would take seconds."""
    streams = [stream([{"a": number, "b": 0.5}, {"a": 2, f"c{number % 3}": "x"}]) for number in range(100)]
    parsed = []
    read = pl.read_ndjson
    monkeypatch.setattr(pl, "read_ndjson", lambda data, **k: parsed.append(data) or read(data, **k))
    found = plain_columns(streams)
    assert parsed == [b"".join(streams)]
    for columns, data in zip(found, streams, strict=True):
        pd.testing.assert_frame_equal(pd.DataFrame(columns), exactly(data))


def test_stream_among_many_that_takes_the_exact_way_leaves_the_others_fast():
    streams = [stream([{"a": number}]) for number in range(100)]
    streams[17] = text('0,"a":[1]')
    assert [columns is None for columns in plain_columns(streams)] == [place == 17 for place in range(100)]


def test_polars_that_cuts_numbers_is_not_asked(monkeypatch):
    read = pl.read_ndjson
    data = stream([{"a": 1}, {"a": 1.5}])
    assert plain_columns([data]) != [None]
    monkeypatch.setattr(pl, "read_ndjson", lambda data, **k: read(data.replace(b"1.5", b"1"), **k))
    runfmt.plain._has_polars.cache_clear()
    try:
        assert plain_columns([data]) == [None]
    finally:
        runfmt.plain._has_polars.cache_clear()


def text(*bodies):
    """Lines of a step and what else is in them."""
    return "".join(f'{{"_timestamp":1,"_step":{body}}}\n' for body in bodies).encode()


@pytest.mark.parametrize(
    "data",
    [
        text('1,"a":1', '2,"a":{}'),
        text('1}{"_timestamp":1,"_step":2') + b"\n",
        text('0,"b":NaN,"a":0', '1,"a":0'),
        text('0,"b":1e400,"a":0', '1,"a":0'),
        text('0,"a":0.5', '0,"a":0'),
        text('0,"a":null,"_nonfinite":{"/a":"NaN"}', '0,"a":0'),
        text('0,"a":1', '0,"a":null'),
        text('0,"e":{"a":1,"b":1}', '1,"e":{"a":null,"b":1}'),
        text('0,"a":1', '1,"_nonfinite":{"/a":"Infinity"}'),
        text('0,"_nonfinite":{"/a":"NaN"}', '0,"a":null'),
        text('0,"a":null,"_nonfinite":{"/a":"nan"}'),
        text('0,"a":null,"b":1,"_nonfinite":{"/a":"NaN","/b":"NaN"}'),
        text('0,"a":1,"b":null,"_nonfinite":{"/b":"NaN"}', r'1,"b":1,"\u005fnonfinite":{"/a":"Infinity"}'),
        text('0,"e":{"a":1}', '1,"e":null,"_nonfinite":{"/e":"NaN"}'),
        text('0,"l":[null],"_nonfinite":{"/l/0":"NaN"}'),
        text('3,"a":1', '1,"a":2', '2,"_rewind":2'),
        text('0,"a":1', '2,"_rewind":"2"'),
        text('0,"a":1', '2,"_rewind":2,"a":3'),
        text('0,"a":1', r'0,"\u005frewind":-1'),
        text('0,"a":1', '0,"_gap":{"rows":1,"reason":"disk"}'),
        text('0,"a":1', '-1,"_define":{"name":"a"}'),
    ],
)
def test_what_only_the_text_tells_takes_the_exact_way(data):
    assert plain_columns([data], ["a"]) == [None]
    assert plain_columns([data]) == [None]


def stream(rows, first=0):
    return b"".join(
        encode({"_step": step, "_timestamp": 1.0 + step, **row}, normal=True)
        for step, row in enumerate(rows, first)
    )


@pytest.mark.parametrize(
    "data",
    [
        stream([{"loss": 0.5, "epoch": 1}, {"loss": 1, "epoch": 2}]),
        stream([{"loss": 0.5}, {"accuracy": 0.1}, {"text": "x"}]),
        stream([{"eval": {"acc": 0.5, "top.5": 1}}, {"eval": {"loss": 1.0}}, {"eval": {"deep": {"er": 1}}}]),
        stream([{"a": None}, {"a": 1.5}, {"b": None}]),
        stream([{"a": 1}, {"a": True}][:1]) + stream([{"b": True}], 1),
        stream([{"a": 2**53 + 1}, {"b": 1}, {"c": 2**63 - 1}]),
        stream([{"a": 1}] * 3, 5) + stream([{"a": 2, "b": 3}] * 4, 3) + stream([{"late": 1}], 0),
        stream([{"é": "☃"}]),
        stream([{f"key{i}": i / 7 for i in range(1000)}] * 3),
        stream([{"loss": math.nan}] * 3),
        stream([{"loss": math.nan, "a": None}, {"loss": 1}]),
        stream([{"loss": 1, "a": 2**53 + 1}, {"loss": math.inf, "a": -math.inf}, {"a": 1}]),
        stream([{"eval": {"a.b/c": math.nan, "~": 1}}, {"eval": {"~": math.nan, "late": 1}}, {"x": 1}]),
        stream([{"a": math.nan, "b": math.nan}] * 3, 5) + stream([{"a": 2.5, "b": math.inf}] * 4, 3),
        stream(
            [{"_define": {"name": "a", "summary": ["min"]}}, {"a": 1}, {"_summary": {"del": ["b"]}}, {"a": 2}]
        ),
        stream([{"a": 0.5, "b": 1}] * 5) + stream([{"_rewind": 1}], 1) + stream([{"a": 2}] * 2, 2),
        stream([{"a": 1}] * 5)
        + stream([{"_rewind": -1}])
        + stream([{"a": 2}, {"_define": {"name": "x"}}])
        + stream([{"_rewind": 0}])
        + stream([{"b": math.nan}], 1),
    ],
)
def test_usual_streams_take_the_fast_way(data):
    assert assert_same(data) is not None


def test_types_that_change_after_many_blocks_are_told_alike():
    rows = [{"late": 0, "pad": "x" * 250}] * 60_000
    data = stream(rows) + stream([{"late": 0.5, "new": 1}, {"late": 2}], len(rows))
    assert assert_same(data) is not None
    assert assert_same(data, ["new"])["_step"].tolist() == [60_000]


def test_line_that_no_writer_may_write_takes_the_exact_way():
    data = stream([{"a": 1}]) + stream([{"a": 2}], 1)
    long = json.dumps({"_step": 2, "_timestamp": 1, "a": "x" * MAX_ROW}).encode() + b"\n"
    assert plain_columns([data + long]) == [None]
    assert exactly(data + long)["a"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "int64"), ([1, None], "float64"), ([2**53 + 1, None], "Int64"), ([1, 0.5], "float64"),
        ([2**63, 1], "float64"), ([-(2**63)], "int64"), ([None, None], "float64"), ([], "float64"),
        ([True, False], "bool"), ([True, None], "object"), ([True, 1], "object"), ([[1], [2]], "object"),
        ([{"_type": "x"}, None], "object"), (["x", 1], "object"),
    ],
)  # fmt: skip
def test_array_holds_every_value(values, dtype):
    array = as_array(values)
    assert array.dtype == dtype
    assert pd.Series(array).dropna().tolist() == [value for value in values if value is not None]


def test_array_of_texts_is_what_pandas_has_for_text():
    series = pd.Series(as_array(["a", None, "b"]))
    assert series.dtype == pd.Series(["a", None, "b"]).dtype
    assert series.dropna().tolist() == ["a", "b"]
