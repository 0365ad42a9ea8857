"""Any stream of good rows says what the specification says; cuts and junk change nothing else."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from naive import canonical, flatten, logical_rows
from runfmt.history import read_history
from runfmt.rows import encode

keys = st.sampled_from(["a", "b", "a.b", "_u", "é~/", ""])
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, math.nan, -math.inf, 2**63 - 1]),
    st.text(max_size=2), st.just([]), st.lists(st.sampled_from([1, None, math.inf]), max_size=2), st.just({}),
    st.just({"_type": "histogram", "bins": [0, 1], "values": [math.nan]}),
)  # fmt: skip
users = st.dictionaries(
    keys,
    st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=6),
    max_size=3,
)
controls = st.one_of(
    st.integers(-1, 4).map(lambda step: {"_rewind": step}),
    st.sampled_from([None, True, "1", 1.5, -2, [1]]).map(lambda wrong: {"_rewind": wrong}),
    st.sampled_from([{"_gap": {"rows": 1, "reason": ""}}, {"_define": {"name": "a"}}, {"_summary": {}}]),
    st.sampled_from([{"_gap": 1}, {"_define": None}, {"_summary": []}]),
)
rows = st.builds(
    lambda step, time, control, user: {"_step": step, **time, **control, **user},
    st.sampled_from(range(5)),
    st.just({}) | st.floats(1, 9).map(lambda time: {"_timestamp": time}),
    st.one_of(st.just({}), st.just({}), st.just({}), controls),
    st.one_of(users, users, st.just({})),
)
streams = st.lists(rows, max_size=3) | st.lists(rows, min_size=4, max_size=9)
junk = st.sampled_from(
    [b"", b"\0\0\0", b"[]", b"nul", b'{"_step":1', b'{"a":1}', b'{"_step":-1,"a":1}', b'{"_step":1,"a":NaN}',
     b"{" * 70 + b"}" * 70, b'{"_step":true,"_rewind":0}', b'{"_step":1,"a":"\xff"}',
     b'\xef\xbb\xbf{"_step":1}']
)  # fmt: skip


def written(stream):
    return [encode(row, normal=True) for row in stream]


def said(history):
    """The logical rows as the naive model has them."""
    found = {}
    for row in history.rows:
        user = {key: value for key, value in row.items() if key not in ("_step", "_timestamp")}
        found[row["_step"]] = (row.get("_timestamp"), dict(flatten(user)))
    return comparable(found)


def comparable(steps):
    return [
        (step, time, sorted((path, canonical(value)) for path, value in flat.items()))
        for step, (time, flat) in steps.items()
    ]


@settings(max_examples=250, deadline=None)
@given(streams)
def test_logical_rows_are_those_of_the_specification(stream):
    assert said(read_history(b"".join(written(stream)))) == comparable(logical_rows(stream))


@settings(max_examples=120, deadline=None)
@given(streams, st.data())
def test_cut_stream_says_what_its_whole_lines_say(stream, data):
    lines = written(stream)
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    history = read_history(whole[:cut])
    count = whole[:cut].count(b"\n")
    size = sum(map(len, lines[:count]))
    assert said(history) == comparable(logical_rows(stream[:count]))
    assert history.size == size
    assert [p.offset for p in history.problems if p.rule == "R020"] == [size] * (cut > size)


@settings(max_examples=120, deadline=None)
@given(streams, st.lists(st.tuples(st.integers(0, 9), junk), max_size=4))
def test_junk_between_rows_changes_nothing_but_the_problems(stream, places):
    clean, mixed = written(stream), written(stream)
    for place, line in places:
        mixed.insert(place, line + b"\n")
    alone, among = read_history(b"".join(clean)), read_history(b"".join(mixed))
    assert said(among) == said(alone)
    assert (among.last_step, among.last_timestamp) == (alone.last_step, alone.last_timestamp)
    assert among.definitions == alone.definitions
    assert among.hand == alone.hand
    lost = [p for p in among.problems if p.rule in ("R023", "R030")]
    assert len(lost) == len(places)
    assert [p.rule for p in among.problems if p not in lost] == [p.rule for p in alone.problems]
