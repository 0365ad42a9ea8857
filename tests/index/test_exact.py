"""The index says what the exact reader says, of any stream, however it grows."""

import itertools
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexing import assert_exact
from runfmt.errors import FormatError
from runfmt.history import read_history
from runfmt.reading import StoredRun
from runfmt.rows import encode
from runfmt_sync.index import RunIndex, streams

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
RUNS = [path for path in sorted(VECTORS.glob("*/*/run")) if path.is_dir()]


def readable():
    for path in RUNS:
        try:
            yield StoredRun(path)
        except FormatError:
            continue


@pytest.mark.parametrize("block", [1, 200, streams.BLOCK])
def test_index_says_of_the_vectors_what_the_reader_says(tmp_path, monkeypatch, block):
    monkeypatch.setattr(streams, "BLOCK", block)
    seen = 0
    for run in readable():
        index = RunIndex(run.path, tmp_path)
        index.refresh()
        assert index.writers() == list(run.writers)
        for writer, name in run.writers.items():
            assert_exact(index, (run.path / name).read_bytes(), writer=writer)
            assert index.definitions(writer) == run.history(writer).definitions
            seen += 1
    assert seen > 50


keys = st.sampled_from(["a", "b", "a.b", "é~/", "c"])
numbers = st.one_of(
    st.integers(-3, 3), st.booleans(), st.sampled_from([0.5, math.nan, -math.inf, 2**63 - 1, 1e300])
)
media = st.just({"_type": "histogram", "bins": [0, 1], "values": [math.nan]}) | st.integers(0, 9).map(
    lambda size: {"_type": "image-file", "path": "media/x.png", "size": size}
)
odd = st.one_of(st.none(), st.text(max_size=2), st.just([]), st.just({}), st.just([1, math.inf]), media)
nested = st.recursive(numbers | odd, lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=6)
usual = st.fixed_dictionaries(
    {},
    optional={
        "a": numbers,
        "b": numbers,
        "d": st.fixed_dictionaries({}, optional={"x": numbers, "y": numbers}),
        "m": media,
    },
)
controls = st.one_of(
    st.integers(-1, 9).map(lambda step: {"_rewind": step}),
    st.sampled_from([{"_rewind": None}, {"_rewind": 2.0}, {"_define": {"name": "a", "goal": "minimize"}}]),
    st.sampled_from([{"_gap": {"rows": 1, "reason": ""}}, {"_summary": {"set": {"a": 1}}}, {"_define": 1}]),
)


def rows(users):
    return st.builds(
        lambda step, time, control, user: encode({"_step": step, **time, **control, **user}, normal=True),
        st.integers(0, 9),
        st.one_of(*[st.floats(1, 9).map(lambda time: {"_timestamp": time})] * 4, st.just({})),
        st.one_of(*[st.just({})] * 6, controls),
        users,
    )


def rising(lines):
    """The same rows at steps of their own, as they mostly are."""
    return [line.replace(b'"_step":', b'"_step":%d' % number, 1) for number, line in enumerate(lines, 1)]


junk = st.sampled_from(
    [
        b"\0\0\0\n",
        b"[]\n",
        b'{"_step":9007199254740992,"_timestamp":1,"a":1}\n',
        b'{"a":1}\n',
        b'{"_step":1,"a":NaN}\n',
        b'{"_step":1,"\\u005ftype":2}\n',
        b"\n",
    ]
)
steps = st.sampled_from(["any", "rising"])
texts = st.builds(
    lambda how, lines: b"".join(rising(lines) if how == "rising" else lines),
    steps,
    st.one_of(
        st.lists(rows(st.dictionaries(keys, nested, max_size=3)), max_size=12),
        st.lists(rows(usual), max_size=40),
        st.lists(rows(usual) | junk, max_size=40),
    ),
)


@settings(max_examples=300)
@given(
    texts,
    st.lists(st.integers(0, 4000), max_size=5),
    st.sampled_from([1, 150, 600, streams.BLOCK]),
    st.booleans(),
)
def test_index_of_any_stream_that_grows_is_exact(text, places, block, keeps):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "KEPT", block)
        patch.setattr(streams, "BLOCK", block)
        run, cache = Path(folder, "run"), Path(folder, "cache") if keeps else None
        run.mkdir()
        stream = run / "metrics.jsonl"
        stream.touch()
        index = RunIndex(run, cache)
        for end in [*sorted(place for place in places if place < len(text)), len(text)]:
            with open(stream, "ab") as file:
                file.write(text[stream.stat().st_size : end])
            index.refresh()
            assert_exact(index, text[:end])
            assert index.definitions() == read_history(text[:end]).definitions
        again = RunIndex(run, cache)
        again.refresh()
        assert_exact(again, text)


KINDS = [1, math.nan, None, "x", [], {}, {"x": 1}, {"x": None}, {"x": {"y": 1}}, {"_type": "histogram"}]


@pytest.mark.parametrize("first", KINDS, ids=str)
def test_values_of_all_kinds_meet_at_a_step_in_blocks_of_their_own(run, index, monkeypatch, first):
    monkeypatch.setattr(streams, "BLOCK", 1)
    for others in itertools.product(KINDS, repeat=2):
        rows = [{"_step": 3, "_timestamp": time, "a": value} for time, value in enumerate((first, *others))]
        data = b"".join(encode(row, normal=True) for row in rows)
        (run / "metrics.jsonl").write_bytes(data)
        index.refresh()
        assert_exact(index, data)


def test_step_goes_on_after_others_that_are_below(run, index):
    rows = [
        {"_step": step, "_timestamp": 1.5, key: step}
        for step, key in [(5, "a"), (3, "a"), (5, "b"), (4, "a")]
    ]
    data = b"".join(map(encode, rows))
    (run / "metrics.jsonl").write_bytes(data)
    index.refresh()
    assert_exact(index, data)
