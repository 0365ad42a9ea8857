"""Values of other libraries as plain JSON values: for rows of the history and for the config.

A value is made one step simpler until it is plain: an ``Enum`` becomes its value,
a dataclass a dict, a tensor a number or a list. Which step it is depends on the
class alone and is looked up once a class, so that a row of tensors costs little
more than their ``.item()``. Libraries are recognised, never imported.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import functools
import numbers
import os
import types
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence, Set, ValuesView
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

from runfmt.arrays import is_array_type, is_of, size, to_numpy
from runfmt.errors import MissingLibrary, UsageError, explain, remedy, warn
from runfmt.layout import MAX_DEPTH
from runfmt.media import Batch, Histogram, Image, Media, Plotly, Sink
from runfmt.rows import whole_text

__all__ = ["config_mapping", "normalise_config", "normalise_row", "plain", "plain_cells", "stored"]

SMALL = 32
"""An array of so many elements stays a list; a larger one becomes a histogram of as many bins."""

_INT64 = 2**63
Simpler = Callable[[Any, str], Any]
"""Makes a value one step simpler; the second argument is the path of its key, for messages."""


def normalise_row(row: Mapping[str, Any], sink: Sink) -> dict[str, Any]:
    """Turn a row into plain JSON values, with its media written through ``sink``.

    NaN and infinities stay floats. Raises ``TypeError``, which names the key, for a
    key that is no text and for a value that cannot be written, and ``UsageError``
    for nesting deeper than 64 levels (R025); no media is written then.
    """
    walk = _Walk(_row_step)
    found = {}
    for key, value in row.items():
        if not isinstance(key, str):
            raise TypeError(f"keys are text, not {type(key).__name__} ({key!r}): use {str(key)!r}")
        found[_text(key)] = walk(value, key, 2)
    return {key: stored(value, key, sink) for key, value in found.items()} if walk.met_media else found


def plain(value: Any, path: str) -> Any:
    """Turn one value into plain JSON, but for the media in it; ``path`` is the path of its key."""
    return _Walk(_row_step)(value, path, 2)


def plain_cells(rows: Iterable[Iterable[Any]], path: str) -> list[list[Any]]:
    """Turn the cells of a table into plain JSON, but for the media in them; arrays stay whole."""
    walk = _Walk(_cell_step)
    return [[walk(cell, path, 4) for cell in row] for row in rows]


def stored(value: Any, path: str, sink: Sink) -> Any:
    """Replace the media in plain values by what names their files, which are written through ``sink``."""
    if isinstance(value, Media):
        return _stored(value, path, sink)
    if type(value) is dict:
        return {key: stored(item, f"{path}.{key}", sink) for key, item in value.items()}
    if type(value) is list:
        return [stored(item, path, sink) for item in value]
    return value


def _stored(media: Media, path: str, sink: Sink) -> Any:
    """The value of media; null where the disk refuses, which must not end the training."""
    try:
        return media.to_json(path, sink)
    except OSError as error:
        if sink.strict:
            raise
        warn(f"{explain(error)}: {path!r} is logged as null; {remedy(error)}")
        return None


def normalise_config(value: Any, key: str) -> Any:
    """Turn a hyperparameter into plain JSON; what has no form of its own becomes text, with a warning."""
    return _Walk(_config_step)(value, key, 2)


class _Walk:
    """Goes through a nest of values and makes each plain; media stay as they are, and are noticed."""

    def __init__(self, step: Callable[[type], Simpler | None]) -> None:
        self._step = step
        self.met_media = False

    def __call__(self, value: Any, path: str, depth: int) -> Any:
        while True:
            kind = type(value)
            if kind is float or kind is bool or value is None:
                return value
            if kind is int:
                return value if -_INT64 <= value < _INT64 else _as_float(value, path)
            if kind is str:
                return _text(value)
            if kind is dict:
                return self._object(value, path, depth)
            if kind is list or kind is tuple:
                return self._list(value, path, depth)
            simpler = self._step(kind)
            if simpler is None:
                self.met_media = True
                return value.snapshot()
            value = simpler(value, path)

    def _object(self, value: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
        _check_depth(path, depth)
        return {
            _text(key if isinstance(key, str) else str(key)): self(item, f"{path}.{key}", depth + 1)
            for key, item in value.items()
        }

    def _list(self, value: Sequence[Any], path: str, depth: int) -> Any:
        _check_depth(path, depth)
        found = [self(item, path, depth + 1) for item in value]
        return Batch(found) if self.met_media and Batch.takes(found) else found


def _check_depth(path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise UsageError(
            f"{path.partition('.')[0]!r} nests deeper than {MAX_DEPTH} levels: flatten it [R025]"
        )


def _text(text: str) -> str:
    """A text without lone surrogates (R028), and of no class of its own."""
    return whole_text(text if type(text) is str else str.__str__(text))


def _as_float(value: int, path: str) -> float:
    """A float for an integer that a row cannot hold (R026)."""
    warn(
        f"{path!r} is an integer beyond 64 bits and is written as a float: log str() of it to keep its digits"
    )
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


# One step simpler, by class


@functools.lru_cache(maxsize=1024)
def _row_step(kind: type) -> Simpler | None:
    """The step for a value in a row, None for media."""
    if issubclass(kind, Media):
        return None
    if issubclass(kind, enum.Enum):
        return lambda value, _: value.value
    return _figure_step(kind) or _common_step(kind, _array_in_row) or _refused


@functools.lru_cache(maxsize=1024)
def _cell_step(kind: type) -> Simpler | None:
    """The step for a cell of a table: as in a row, with arrays whole."""
    return (lambda value, _: _elements(value, size(value))) if is_array_type(kind) else _row_step(kind)


@functools.lru_cache(maxsize=1024)
def _config_step(kind: type) -> Simpler:
    """The step for a value in the config."""
    if issubclass(kind, enum.Enum):
        return lambda value, _: value.name
    if issubclass(kind, argparse.Namespace):
        return lambda value, _: vars(value)
    return _common_step(kind, _array_in_config) or _as_text


def _common_step(kind: type, array: Simpler) -> Simpler | None:
    """The step that rows and config share; the more particular classes come first."""
    if is_of(kind, "omegaconf", "DictConfig", "ListConfig"):
        return lambda value, _: _container(value)
    if is_of(kind, "pandas", "NAType", "NaTType"):
        return lambda *_: None
    if is_array_type(kind):
        return _array_step(kind, array)
    if dataclasses.is_dataclass(kind):
        return lambda value, _: {
            field.name: getattr(value, field.name) for field in dataclasses.fields(value)
        }
    return next((simpler for classes, simpler in _BY_CLASS if issubclass(kind, classes)), None)


def _figure_step(kind: type) -> Simpler | None:
    if is_of(kind, "pandas", "DataFrame"):
        return lambda value, _: _table(value)
    if is_of(kind, "matplotlib", "Artist") or is_of(kind, "PIL", "Image"):
        return lambda value, _: Image(value)
    if hasattr(kind, "to_plotly_json"):
        return lambda value, _: Plotly(value)
    if kind is types.ModuleType:  # log({"chart": plt}) means the current figure
        return lambda value, path: Image(value) if hasattr(value, "gcf") else _refused(value, path)
    return None


def _table(frame: Any) -> Any:
    from runfmt.tables import Table

    return Table(dataframe=frame)


def _array_step(kind: type, array: Simpler) -> Simpler:
    """The step for an array; numbers of numpy and torch, most of what is logged, go a short way."""
    if is_of(kind, "numpy", "float64", "float32", "float16", "integer", "bool", "bool_"):
        return lambda value, _: value.item()
    if is_of(kind, "torch", "Tensor"):
        return lambda value, path: value.item() if value.numel() == 1 else array(value, path)
    return array


def _array_in_row(value: Any, path: str) -> Any:
    """A number for one element, lists for a few, a histogram for many."""
    count = size(value)
    if count == 1 or count <= SMALL or not _is_numeric(value):
        return _elements(value, count)
    return Histogram(value.compressed() if hasattr(value, "filled") else value, num_bins=SMALL)


def _array_in_config(value: Any, path: str) -> Any:
    count = size(value)
    return _elements(value, count) if count <= SMALL else _as_text(value, path)


def _elements(value: Any, count: int) -> Any:
    """The element of an array, or the nested lists of its elements, as Python's own values.

    A tensor on a device is asked once.
    """
    if not hasattr(value, "item"):  # TensorFlow
        return _elements(to_numpy(value), count)
    if getattr(value.dtype, "kind", "") in ("M", "m"):  # of these numpy makes integers, whose unit is lost
        value = to_numpy(value).astype(str)
    if count != 1:
        return value.tolist()
    if hasattr(value, "filled") and value.mask.all():  # numpy's masked element, whose item is what it hides
        return None
    item = value.item()
    # Extended floats and those of ml_dtypes give themselves.
    return float(item) if is_array_type(type(item)) else item


def _is_numeric(value: Any) -> bool:
    """Whether a histogram can count the elements: real numbers, those of ml_dtypes (kind V) among them."""
    kind = getattr(value.dtype, "kind", "c" if getattr(value.dtype, "is_complex", False) else "f")
    return kind in ("b", "i", "u", "f") or (kind == "V" and value.dtype.names is None)


def _number(value: Any, _: str) -> int | float:
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _sorted(value: Iterable[Any], _: str) -> list[Any]:
    """A list of a set, in the same order in every process where its elements have an order."""
    try:
        return sorted(value)
    except TypeError:
        return list(value)


def _name(value: Any, _: str) -> str:
    """The dotted name of a function or class; of other callables their text."""
    if isinstance(value, functools.partial):
        return _name(value.func, "")
    if hasattr(value, "__qualname__") and hasattr(value, "__module__"):
        return f"{value.__module__}.{value.__qualname__}"
    return _described(value)


def _described(value: Any) -> str:
    """The text of a value; its class where the text would only be an address, another one in each process."""
    kind = type(value)
    has_text = any("__repr__" in vars(base) or "__str__" in vars(base) for base in kind.__mro__[:-1])
    return str(value) if has_text else _class_name(kind)


def _class_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_BY_CLASS: tuple[tuple[Any, Simpler], ...] = (
    (str, lambda value, _: _text(value)),
    (numbers.Real, _number),
    ((numbers.Number, uuid.UUID), lambda value, _: str(value)),  # Decimal, complex
    (timedelta, lambda value, _: value.total_seconds()),
    ((date, time), lambda value, _: value.isoformat()),
    ((bytes, bytearray, memoryview), lambda value, _: bytes(value).decode(errors="replace")),
    (os.PathLike, lambda value, _: os.fsdecode(value)),
    (Mapping, lambda value, _: dict(value)),
    (Set, _sorted),
    ((Sequence, ValuesView), lambda value, _: list(value)),
    (Callable, _name),
)


def _refused(value: Any, path: str) -> Any:
    raise TypeError(
        f"{path!r} is a {_class_name(type(value))}, which has no form in JSON: "
        "give a number, text, a list or dict of such, an array, or a media object"
    )


def _as_text(value: Any, path: str) -> str:
    warn(f"config key {path!r} is kept as text, being a {_class_name(type(value))}: give plain values")
    return _described(value)


# What a whole config can be given as


def config_mapping(obj: Any) -> dict[str, Any]:
    """The hyperparameters in a mapping, namespace, dataclass, absl flags, OmegaConf, YAML path or object.

    Raises ``TypeError`` for what holds none, ``UsageError`` for a file that holds no
    mapping, ``MissingLibrary`` for a path without PyYAML.
    """
    if obj is None:
        return {}
    if isinstance(obj, (str, os.PathLike)):
        return _from_yaml(Path(obj))
    kind = type(obj)
    if is_of(kind, "absl", "FlagValues"):
        return dict(obj.flag_values_dict())
    if is_of(kind, "omegaconf", "DictConfig"):
        return dict(_container(obj))
    if isinstance(obj, Mapping):
        return dict(obj)
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {field.name: getattr(obj, field.name) for field in dataclasses.fields(obj)}
    if hasattr(obj, "__dict__"):
        return {key: value for key, value in vars(obj).items() if not key.startswith("__")}
    raise TypeError(f"the config is a dict or an object with attributes, not {kind.__name__} ({obj!r})")


def _container(value: Any) -> Any:
    """The plain dict or list of an OmegaConf container, interpolations resolved."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(value, resolve=True, throw_on_missing=False)


def _from_yaml(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise MissingLibrary("a config file", "PyYAML") from None
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise UsageError(f"a config file holds a mapping, not {type(found).__name__} ({path})")
    return {key: _unwrapped(value) for key, value in found.items() if key != "wandb_version"}


def _unwrapped(value: Any) -> Any:
    """``{value: v, desc: ...}`` is how W&B writes v in its config files."""
    wrapped = isinstance(value, dict) and "value" in value and value.keys() <= {"value", "desc"}
    return value["value"] if wrapped else value
