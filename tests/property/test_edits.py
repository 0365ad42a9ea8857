"""Edits of two sides come together in any order, and laying them over twice is laying them over once."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from naive import canonical
from runfmt.edits import merge_edits, overlay

good_pointers = st.sampled_from(
    ["/config/a", "/config/a/b", "/config/a/b/c", "/config/~1", "/summary/x", "/name"]
)
odd_pointers = st.sampled_from(
    ["/tags", "/config", "/uid", "no pointer", "", "/config/", "/summary/x/0", "/name/x"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, math.nan, math.inf, "x", "é"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
times = st.sampled_from([1, 1.0, 2, 2.5, -1, True, None, "1", math.inf])
good = st.fixed_dictionaries(
    {"time": st.sampled_from([1, 2.5]), "author": st.sampled_from(["", "ann"])},
    optional={"value": json_values | st.just("n")},
)
odd = json_values | st.fixed_dictionaries(
    {}, optional={"time": times, "author": json_values, "value": json_values, "more": json_values}
)
edits = st.dictionaries(
    st.one_of(good_pointers, good_pointers, odd_pointers), st.one_of(good, good, odd), max_size=5
)
good_edits = st.dictionaries(good_pointers, good, max_size=5)
documents = st.fixed_dictionaries(
    {"config": st.dictionaries(st.sampled_from(["a", "/"]), json_values), "summary": st.just({"x": [1]})},
    optional={"name": st.just("n"), "tags": st.just(["t"])},
)


@settings(max_examples=150, deadline=None)
@given(edits, edits, edits)
def test_merge_is_commutative_associative_and_idempotent(one, two, three):
    both = merge_edits(one, two)
    assert canonical(both) == canonical(merge_edits(two, one))
    assert canonical(merge_edits(both, three)) == canonical(merge_edits(one, merge_edits(two, three)))
    assert canonical(merge_edits(both, both)) == canonical(merge_edits(both, one)) == canonical(both)
    assert both.keys() == {*one, *two}
    assert all(canonical(both[key]) in (canonical(one.get(key)), canonical(two.get(key))) for key in both)


@settings(max_examples=100, deadline=None)
@given(good_edits, good_edits)
def test_merge_keeps_the_later_of_two_entries(one, two):
    both = merge_edits(one, two)
    for key in one.keys() & two.keys():
        assert both[key]["time"] == max(one[key]["time"], two[key]["time"])


@settings(max_examples=150, deadline=None)
@given(documents, good_edits | edits, st.randoms())
def test_overlay_is_idempotent_and_knows_no_order_but_that_of_time(document, said, random):
    before = canonical(document)
    laid, ignored = overlay(document, said)
    assert canonical(document) == before
    assert canonical(overlay(laid, said)[0]) == canonical(laid)
    shuffled = dict(random.sample(sorted(said.items(), key=lambda item: item[0]), len(said)))
    assert canonical(overlay(document, shuffled)[0]) == canonical(laid)
    # What is ignored has no part in it.
    kept = {pointer: entry for pointer, entry in said.items() if pointer not in ignored}
    assert canonical(overlay(document, kept)[0]) == canonical(laid)
    assert overlay(document, kept)[1] == []
