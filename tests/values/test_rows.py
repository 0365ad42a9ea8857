"""Values of every library as plain JSON values of a row."""

import collections
import dataclasses
import decimal
import enum
import fractions
import functools
import math
import pathlib
import uuid
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import torch

from runfmt.errors import UsageError
from runfmt.rows import decode, encode
from runfmt.values import normalise_row


class Colour(enum.Enum):
    RED = np.float32(0.5)


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class Point:
    x: float
    y: object = None


Pair = collections.namedtuple("Pair", "a b")


class Foreign:
    """A tensor with a shape, a dtype and ``numpy()``, as TensorFlow's has."""

    def __init__(self, value):
        self._array = np.asarray(value)
        self.shape, self.dtype = self._array.shape, self._array.dtype

    shape = dtype = None

    def numpy(self):
        return self._array


def plain(value, sink):
    return normalise_row({"k": value}, sink)["k"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.1), 0.1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.25), 0.25),
        (np.int8(-3), -3),
        (np.uint64(2**63 - 1), 2**63 - 1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(2.5), 2.5),
        (np.array([[7]]), 7),
        (torch.tensor(2), 2),
        (torch.tensor([True]), True),
        (torch.tensor(1.5, dtype=torch.bfloat16, requires_grad=True), 1.5),
        (torch.tensor([[0.5]], dtype=torch.float16), 0.5),
        (torch.nn.Parameter(torch.tensor(3.0)), 3.0),
        (Foreign(4.5), 4.5),
        (pd.Series([9]), 9),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp("2026-11-24T03:05:54"), "2026-11-24T03:05:54"),
        (np.datetime64("2026-11-24T03:05:54"), "2026-11-24T03:05:54"),
        (np.datetime64("2026-11-24T03:05:54.123456789", "ns"), "2026-11-24T03:05:54.123456789"),
    ],
)
def test_scalars_of_libraries_become_numbers_and_text(value, expected, sink):
    found = plain(value, sink)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset(["b", "a"]), ["a", "b"]),
        ((1, (2,)), [1, [2]]),
        (Pair(1, np.int64(2)), [1, 2]),
        (range(3), [0, 1, 2]),
        (collections.deque([1]), [1]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        ({1: {2: "x"}, None: 0}, {"1": {"2": "x"}, "None": 0}),
        (collections.UserDict(a=np.int64(1)), {"a": 1}),
        (date(2026, 11, 24), "2026-11-24"),
        (timedelta(minutes=1), 60.0),
        (b"\xffabc", "�abc"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (decimal.Decimal("1.10"), "1.10"),
        (fractions.Fraction(1, 4), 0.25),
        (np.complex64(1j), "1j"),
        (torch.full((33,), 2j), ["2j"] * 33),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, 0.5),
        (Level.HIGH, 3),
        (Point(np.float32(1), {2}), {"x": 1.0, "y": [2]}),
        (math.sqrt, "math.sqrt"),
        (functools.partial(math.pow, 2), "math.pow"),
        (Point, f"{Point.__module__}.Point"),
        ("a\ud800b", "a�b"),
        (None, None),
    ],
)
def test_values_of_python_become_json(value, expected, sink):
    found = plain(value, sink)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (torch.tensor([1.0, 2.5], dtype=torch.bfloat16), [1.0, 2.5]),
        (Foreign([1, 2]), [1, 2]),
        (pd.Series([1.5, 2.5]), [1.5, 2.5]),
        (np.array([]), []),
        (np.array(["x", "y"]), ["x", "y"]),
        (np.array([{1}, Point(1)], dtype=object), [[1], {"x": 1, "y": None}]),
        (np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]"), ["2026-01-01", "2026-01-02"]),
        ([torch.tensor(1.0), np.float32(2)], [1.0, 2.0]),
        (np.ma.masked, None),
        (np.ma.array([3.5], mask=[True]), None),
        (np.ma.array(3.5), 3.5),
        (np.ma.array([1, 2, 3], mask=[False, True, False]), [1, None, 3]),
    ],
)
def test_small_arrays_become_lists(value, expected, sink):
    assert plain(value, sink) == expected


def test_arrays_of_32_elements_stay_lists_and_longer_ones_become_histograms(sink):
    assert plain(np.zeros(32), sink) == [0.0] * 32
    found = plain(np.append(np.arange(33.0), np.nan), sink)
    assert (found["_type"], len(found["values"]), len(found["bins"])) == ("histogram", 32, 33)
    assert (sum(found["values"]), found["nonfinite"]) == (33, 1)
    for tensor in (
        torch.randn(8, 8, dtype=torch.bfloat16, requires_grad=True),
        torch.ones(100, dtype=torch.bool),
    ):
        assert sum(plain(tensor, sink)["values"]) == tensor.numel()
    masked = np.ma.array(np.arange(40), mask=np.arange(40) > 35)
    assert sum(plain(masked, sink)["values"]) == 36
    assert plain([0.5] * 40, sink) == [0.5] * 40
    assert plain(np.array(["x"] * 40), sink) == ["x"] * 40


def test_nonfinite_numbers_stay_what_they_are(sink):
    found = normalise_row({"a": np.float32("nan"), "b": torch.tensor([math.inf, -math.inf])}, sink)
    assert math.isnan(found["a"])
    assert found["b"] == [math.inf, -math.inf]


def test_a_cuda_like_scalar_is_asked_once(sink):
    calls = []

    class Counting(torch.Tensor):
        def item(self):
            calls.append("item")
            return super().item()

        def cpu(self):
            calls.append("cpu")
            return super().cpu()

    assert plain(torch.tensor(1.0).as_subclass(Counting), sink) == 1.0
    assert calls == ["item"]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400, np.uint64(2**64 - 1)])
def test_integers_beyond_64_bits_become_floats_with_a_warning(value, sink):
    with pytest.warns(RuntimeWarning, match="'k' is an integer beyond 64 bits"):
        found = plain(value, sink)
    assert type(found) is float
    assert found == (math.inf if value == 10**400 else float(value))
    assert plain(2**63 - 1, sink) == 2**63 - 1


@pytest.mark.parametrize(
    "value",
    [
        object(),
        slice(1, 2),
        ValueError("x"),
        iter([1]),
        torch.float32,
    ],
)
def test_a_value_without_a_form_is_a_type_error_that_names_its_key(value, sink):
    with pytest.raises(TypeError, match=r"'outer\.inner'"):
        normalise_row({"outer": {"inner": [value]}}, sink)


@pytest.mark.parametrize("key", [1, None, ("a",), b"a"])
def test_a_top_level_key_that_is_no_text_is_a_type_error(key, sink):
    with pytest.raises(TypeError, match="keys are text"):
        normalise_row({key: 1}, sink)


def test_keys_lose_lone_surrogates_and_classes_of_their_own(sink):
    found = normalise_row({"a\udfff": {"\ud800": 1}, np.str_("b"): 2}, sink)
    assert found == {"a�": {"�": 1}, "b": 2}
    assert [type(key) for key in found] == [str, str]


def test_the_row_given_is_not_changed(sink):
    row = {"a": {1: [np.float32(1)]}}
    normalise_row(row, sink)
    assert row == {"a": {1: [np.float32(1)]}}
    assert type(row["a"][1][0]) is np.float32


def test_nesting_of_64_levels_is_written_and_more_is_refused(sink):
    def nest(levels):
        return functools.reduce(lambda inner, _: {"k": inner}, range(levels), np.int64(1))

    assert encode(normalise_row(nest(64), sink), normal=True)
    with pytest.raises(UsageError, match="R025"):
        normalise_row(nest(65), sink)
    circle = {}
    circle["k"] = [circle]
    with pytest.raises(UsageError, match="R025"):
        normalise_row(circle, sink)


def test_a_normalised_row_encodes_and_decodes(sink):
    row = normalise_row(
        {"_step": 3, "_timestamp": 1.5, "a": torch.tensor(math.nan), "b": {0: np.arange(3)}}, sink
    )
    decoded, all_right = decode(encode(row, normal=True))
    assert all_right
    assert math.isnan(decoded.pop("a"))
    assert decoded == {"_step": 3, "_timestamp": 1.5, "b": {"0": [0, 1, 2]}}


def test_dataclass_fields_are_taken_as_they_are(sink):
    @dataclass
    class Holder:
        tensor: object
        made: dict = dataclasses.field(default_factory=dict)

    assert plain(Holder(torch.tensor([1, 2])), sink) == {"tensor": [1, 2], "made": {}}
