"""Hyperparameters of every kind as plain JSON values, and what a whole config can be given as."""

import argparse
import dataclasses
import enum
import math
import pathlib
from dataclasses import dataclass
from datetime import date

import numpy as np
import pytest
import torch
from absl import flags
from omegaconf import OmegaConf

from runfmt.errors import MissingLibrary, UsageError
from runfmt.rows import encode_document
from runfmt.values import config_mapping, normalise_config


class Mode(enum.Enum):
    FAST = 1


@dataclass
class Optimiser:
    lr: float = 0.1
    betas: tuple = (0.9, 0.99)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Mode.FAST, "FAST"),
        ({2, 1}, [1, 2]),
        ((1, 2), [1, 2]),
        (date(2026, 1, 2), "2026-01-02"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (Optimiser(), {"lr": 0.1, "betas": [0.9, 0.99]}),
        (argparse.Namespace(a=argparse.Namespace(b=1)), {"a": {"b": 1}}),
        (math.sqrt, "math.sqrt"),
        (torch.nn.ReLU, "torch.nn.modules.activation.ReLU"),
        (torch.nn.ReLU(), "ReLU()"),
        (np.float32(0.5), 0.5),
        (torch.tensor(3), 3),
        (np.arange(3), [0, 1, 2]),
        ({1: {"x": np.int64(1)}}, {"1": {"x": 1}}),
    ],
)
def test_hyperparameters_become_json(value, expected):
    assert normalise_config(value, "k") == expected


class Opaque:
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [(torch.float32, "torch.float32"), (Opaque(), f"{__name__}.Opaque"), (slice(2), "slice(None, 2, None)")],
)
def test_anything_else_becomes_text_with_one_warning(value, expected):
    with pytest.warns(RuntimeWarning, match="'k' is kept as text") as warned:
        assert normalise_config(value, "k") == expected
    assert len(warned) == 1


def test_a_large_array_becomes_text():
    with pytest.warns(RuntimeWarning, match="'k' is kept as text"):
        assert isinstance(normalise_config(np.zeros(1000), "k"), str)


def test_a_normalised_config_is_a_document():
    found = normalise_config({"a": math.nan, "b": [np.float32(1)], 3: "\ud800"}, "k")
    assert encode_document(found)


class Plain:
    def __init__(self):
        self.lr, self._hidden = 1, 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {}),
        ({"a": 1}, {"a": 1}),
        (argparse.Namespace(lr=0.1), {"lr": 0.1}),
        (Optimiser(), {"lr": 0.1, "betas": (0.9, 0.99)}),
        (Plain(), {"lr": 1, "_hidden": 2}),
        (type("Config", (), {"lr": 1}), {"lr": 1}),
    ],
)
def test_a_config_is_taken_from_anything_that_holds_names(given, expected):
    assert config_mapping(given) == expected


def test_a_config_is_taken_from_absl_flags():
    values = flags.FlagValues()
    flags.DEFINE_float("lr", 0.5, "rate", flag_values=values)
    values(["program", "--lr=0.25"])
    assert config_mapping(values)["lr"] == 0.25


def test_a_config_is_taken_from_omegaconf():
    given = OmegaConf.create({"a": {"b": 1}, "c": "${a.b}", "d": [1, {"e": 2}]})
    assert config_mapping(given) == {"a": {"b": 1}, "c": 1, "d": [1, {"e": 2}]}
    assert normalise_config(given, "k") == {"a": {"b": 1}, "c": 1, "d": [1, {"e": 2}]}


def test_a_config_is_read_from_yaml_with_and_without_wrapping(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("wandb_version: 1\nlr: {value: 0.1, desc: rate}\nmodel: {depth: 3}\nname: x\n")
    assert (
        config_mapping(str(path)) == config_mapping(path) == {"lr": 0.1, "model": {"depth": 3}, "name": "x"}
    )


def test_what_holds_no_config_is_refused(tmp_path):
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(UsageError, match=r"holds a mapping.*list\.yaml"):
        config_mapping(tmp_path / "list.yaml")
    for given in ([1], 3):
        with pytest.raises(TypeError, match="a dict or an object"):
            config_mapping(given)


def test_a_yaml_path_without_pyyaml_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingLibrary, match="pip install PyYAML"):
        config_mapping(tmp_path / "a.yaml")


def test_mutable_fields_are_not_shared():
    @dataclass
    class Holder:
        items: list = dataclasses.field(default_factory=lambda: [1])

    holder = Holder()
    found = normalise_config(holder, "k")
    holder.items.append(2)
    assert found == {"items": [1]}
