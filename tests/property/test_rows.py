"""Lines, paths and pointers read back as what they were; rows are merged leaf by leaf."""

import math

from hypothesis import example, given, settings
from hypothesis import strategies as st

from naive import canonical, flatten, lay
from runfmt.rows import (
    decode,
    encode,
    escape,
    is_path,
    is_pointer,
    leaves,
    merge,
    pointer_key,
    pointer_keys,
    split_path,
)

texts = st.text(st.sampled_from(".\\/~01a_é\n☃\0") | st.characters(exclude_categories=["Cs"]), max_size=5)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), texts,
    st.sampled_from([math.nan, math.inf, -math.inf]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
rows = st.dictionaries(texts.filter(lambda key: key != "_nonfinite"), values, max_size=4)


@settings(max_examples=250, deadline=None)
@given(rows)
def test_row_reads_back_as_what_was_written(row):
    line = encode(row, normal=True)
    assert line.count(b"\n") == 1
    decoded, all_right = decode(line)
    assert all_right
    assert canonical(decoded) == canonical(row)


@settings(max_examples=120, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
@example(["~1", "~01", "a/b", r"a\.b", "\\", ""])
def test_path_and_pointer_lead_back_to_their_keys(keys):
    path = ".".join(map(escape, keys))
    assert split_path(path) == keys
    assert is_path(path)
    pointer = "".join("/" + pointer_key(key) for key in keys)
    assert pointer_keys(pointer) == keys
    assert is_pointer(pointer)


@settings(max_examples=120, deadline=None)
@given(rows)
def test_leaves_have_paths_that_tell_them_apart(row):
    found = [(tuple(split_path(path)), value) for path, value in leaves(row)]
    assert canonical(found) == canonical(list(flatten(row)))
    assert len({path for path, _ in leaves(row)}) == len(found)


names = st.sampled_from(["a", "b", "c"])
trees = st.dictionaries(
    names,
    st.recursive(
        st.none() | st.integers(0, 3) | st.just([1]) | st.just({"_type": "x", "a": 1}) | st.just({}),
        lambda inner: st.dictionaries(names, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


def merged(*parts):
    into = {}
    for part in parts:
        merge(into, part)
    return into


@settings(max_examples=200, deadline=None)
@given(trees, trees)
def test_merge_lays_leaf_over_leaf(one, two):
    flat = dict(flatten(one))
    for path, value in flatten(two):
        lay(flat, path, value)
    before = canonical(two)
    assert sorted((path, canonical(value)) for path, value in flatten(merged(one, two))) == sorted(
        (path, canonical(value)) for path, value in flat.items()
    )
    assert canonical(two) == before
    assert canonical(merged(one, two, two)) == canonical(merged(one, two))


flat_values = st.none() | st.integers(0, 3) | st.just([1])
alike = st.fixed_dictionaries(
    {},
    optional={
        "leaf": flat_values,
        "tree": st.dictionaries(names, flat_values, max_size=2),
        "deep": st.dictionaries(names, st.dictionaries(names, flat_values, max_size=2), max_size=2),
    },
)


@settings(max_examples=120, deadline=None)
@given(alike, alike, alike)
def test_merge_is_associative_where_a_key_is_always_an_object_or_never(one, two, three):
    assert canonical(merged(merged(one, two), three)) == canonical(merged(one, merged(two, three)))
