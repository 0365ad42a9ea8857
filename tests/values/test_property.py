"""Any nest of supported values is written, and reads back as what it was."""

import enum
import math
import tempfile
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runfmt.media import DirectorySink, Histogram, Html, Image
from runfmt.rows import decode, encode
from runfmt.tables import Table
from runfmt.values import normalise_config, normalise_row


class Kind(enum.Enum):
    ONE = 1
    TWO = "two"


@dataclass
class Item:
    value: object


anything = st.characters() | st.characters(categories=["Cs"])
text = st.text(anything, max_size=8)
floats = st.floats(width=32)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    text,
    floats.map(np.float32),
    st.integers(-(2**15), 2**15 - 1).map(np.int16),
    floats.map(torch.tensor),
    floats.map(lambda number: torch.tensor([number]).bfloat16()),
    st.booleans().map(np.bool_),
    st.sampled_from([Kind.ONE, Kind.TWO, Decimal("1.5"), PurePosixPath("/a"), b"\xff", math.sqrt]),
    st.datetimes(),
)
arrays = st.lists(floats, max_size=40).flatmap(
    lambda numbers: st.sampled_from([np.array(numbers, np.float32), torch.tensor(numbers)])
)
media = st.sampled_from([Image(np.eye(3)), Html("<p>"), Histogram([1, 2]), Table(["a"], [[math.nan]])])
nests = st.recursive(
    scalars | arrays | media,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(text | st.integers(), inner, max_size=4),
        inner.map(Item),
        st.lists(media, max_size=3),
    ),
    max_leaves=12,
)


def same(one, other):
    """Equality in which NaN is NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(text.filter(lambda key: not key.startswith("_")), nests, max_size=4))
def test_any_nest_of_values_is_written_and_reads_back(data):
    with tempfile.TemporaryDirectory() as folder:
        row = normalise_row({"_step": 1, "_timestamp": 2.5, **data}, DirectorySink(Path(folder)))
        decoded, all_right = decode(encode(row, normal=True))
        assert all_right
        assert same(decoded, row)
        for path in media_paths(row):
            assert Path(folder, path).is_file()


def media_paths(value):
    if isinstance(value, dict):
        named = [value["path"]] if "_type" in value and "sha256" in value else []
        return named + [path for item in value.values() for path in media_paths(item)]
    return [path for item in value for path in media_paths(item)] if isinstance(value, list) else []


@settings(max_examples=200, deadline=None)
@given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=8))
def test_any_hyperparameter_is_written_and_reads_back(value):
    row = {"_step": 0, "k": normalise_config(value, "k")}
    assert same(decode(encode(row, normal=True))[0], row)


def test_the_same_datetime_reads_back_as_text(tmp_path):
    found = normalise_row({"t": datetime(2026, 1, 2, 3, 4, 5)}, DirectorySink(tmp_path))
    assert found == {"t": "2026-01-02T03:04:05"}
