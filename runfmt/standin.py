"""A stand-in for the distribution ``wandb``, for code that asks for it by name."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
import types
from collections.abc import Sequence
from typing import Any

__all__ = ["install_as_wandb"]

VERSION = "0.20.0"
"""The version of W&B whose names are answered."""


def install_as_wandb() -> None:
    """Make ``import wandb`` and ``import wandb.*`` give runfmt, for all code that is imported from now on.

    No module of runfmt runs twice. ``find_spec`` and ``importlib.metadata.version("wandb")``
    answer too. Does nothing the second time.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in [name for name in sys.modules if name == "wandb" or name.startswith("wandb.")]:
        del sys.modules[name]


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        # A name in capitals is no module but a class, as of an integration, that is not there.
        if (name != "wandb" and not name.startswith("wandb.")) or name.rpartition(".")[2][:1].isupper():
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing runs: what is asked of the module is runfmt's."""

    def find_distributions(self, context: Any) -> list[importlib.metadata.Distribution]:
        return [_Distribution()] if context.name == "wandb" else []


class _StandIn(types.ModuleType):
    """``wandb`` or a module below it: its names are runfmt's."""

    __version__ = VERSION

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(sys.modules["runfmt"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "config" and not isinstance(value, types.ModuleType):
            sys.modules["runfmt"].config = value  # type: ignore[attr-defined]
        elif not (isinstance(value, types.ModuleType) and hasattr(sys.modules["runfmt"], name)):
            super().__setattr__(name, value)


class _Distribution(importlib.metadata.Distribution):
    def read_text(self, filename: str) -> str | None:
        return f"Metadata-Version: 2.1\nName: wandb\nVersion: {VERSION}\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return importlib.import_module("pathlib").Path(path)
