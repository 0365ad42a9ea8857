"""Log machine-learning runs to plain files that nothing can lose.

import runfmt as wandb

run = wandb.init(project="demo", config={"lr": 0.1})
for step in range(100):
    wandb.log({"loss": 1 / (step + 1)})
wandb.finish()
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
import typing

from runfmt import session
from runfmt.errors import (
    CommError,
    ConfigError,
    Error,
    FormatError,
    MissingLibrary,
    NotStarted,
    RunNotFound,
    UsageError,
)
from runfmt.reading import StoredRun, find_runs
from runfmt.run import Run
from runfmt.session import finish, init, log
from runfmt.settings import generate_id, runs_folder

__version__ = "0.1.0"
_LAZY = {
    **dict.fromkeys(["Image", "Audio", "Video", "Html", "Object3D", "Plotly", "Histogram"], "media"),
    "Api": "api",
    "Table": "tables",
    "Artifact": "artifacts",
    "AlertLevel": "alerts",
    "plot_table": "plot",
    "install_as_wandb": "standin",
    "read_metrics": "frames",
    "read_runs": "frames",
}
_OF_THE_RUN = (
    "alert define_metric save restore log_code log_artifact log_model use_artifact use_model link_artifact "
    "link_model watch unwatch mark_preempting"
).split()

__all__ = [
    "AlertLevel",
    "Api",
    "Artifact",
    "Audio",
    "CommError",
    "ConfigError",
    "Error",
    "FormatError",
    "Histogram",
    "Html",
    "Image",
    "MissingLibrary",
    "NotStarted",
    "Object3D",
    "Plotly",
    "Run",
    "RunNotFound",
    "Settings",
    "StoredRun",
    "Table",
    "UsageError",
    "Video",
    "agent",
    "alert",
    "config",
    "define_metric",
    "find_runs",
    "finish",
    "generate_id",
    "init",
    "install_as_wandb",
    "join",
    "link_artifact",
    "link_model",
    "log",
    "log_artifact",
    "log_code",
    "log_model",
    "login",
    "mark_preempting",
    "plot_table",
    "read_metrics",
    "read_runs",
    "require",
    "restore",
    "run",
    "runs_folder",
    "save",
    "setup",
    "summary",
    "sweep",
    "teardown",
    "termerror",
    "termlog",
    "termwarn",
    "unwatch",
    "use_artifact",
    "use_model",
    "util",
    "watch",
]

join = finish
util = types.SimpleNamespace(generate_id=generate_id)


def _of_the_run(name: str) -> typing.Any:
    """A method of whatever run is active when it is called."""

    @functools.wraps(getattr(Run, name))
    def method(*arguments: typing.Any, **options: typing.Any) -> typing.Any:
        return getattr(session.require(name), name)(*arguments, **options)

    return method


class Settings:
    """Accepted in any form; nothing of W&B's settings means anything here."""

    def __init__(self, *_: typing.Any, **values: typing.Any) -> None:
        self.__dict__.update(values)


def login(*_: typing.Any, **__: typing.Any) -> bool:
    """Accepted; there is nobody to log in to, and trainers stop logging if this is false."""
    return True


def setup(*_: typing.Any, **__: typing.Any) -> None:
    """Accepted; nothing needs to be set up."""


def require(*_: typing.Any, **__: typing.Any) -> None:
    """Accepted; there are no experiments to ask for."""


def termlog(string: str = "", **_: typing.Any) -> None:
    """Print a line to stderr."""
    sys.stderr.write(f"runfmt: {string}\n")


termwarn = termerror = termlog


def teardown(exit_code: int | None = None) -> None:
    """End the active run."""
    finish(exit_code)


def sweep(*_: typing.Any, **__: typing.Any) -> typing.Any:
    """Raise ``UsageError``: sweeps need a server."""
    raise UsageError("sweep() is not there: start your trials with a loop or with Slurm, one run each")


agent = sweep


class _NotYet:
    """``config`` or ``summary`` before ``init``: may be looked at, not into."""

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getattr__(self, key: str) -> typing.Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return session.require(self._name)

    def __getitem__(self, key: str) -> typing.Any:
        return session.require(self._name)

    def __setitem__(self, key: str, value: typing.Any) -> None:
        session.require(self._name)

    def __setattr__(self, key: str, value: typing.Any) -> None:
        session.require(self._name)


class _Module(types.ModuleType):
    """The package, whose ``run``, ``config`` and ``summary`` are the active run's."""

    @property
    def run(self) -> Run | None:
        return session.active_run()

    @property
    def config(self) -> typing.Any:
        return self.run.config if self.run else _NotYet("config")

    @config.setter
    def config(self, values: typing.Any) -> None:
        if not isinstance(values, types.ModuleType):  # an import of the submodule
            session.set_config(values)

    @property
    def summary(self) -> typing.Any:
        return self.run.summary if self.run else _NotYet("summary")

    @property
    def watch(self) -> typing.Any:
        return _of_the_run("watch")

    def __setattr__(self, name: str, value: typing.Any) -> None:
        # An import of a submodule of that name must not hide what users know by it.
        if not (isinstance(value, types.ModuleType) and name in ("run", "config", "summary", "watch")):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> typing.Any:
        if name in _LAZY:
            return getattr(importlib.import_module(f"runfmt.{_LAZY[name]}"), name)
        if name in _OF_THE_RUN:
            return _of_the_run(name)
        if name in ("plot", "tensorboard"):
            return importlib.import_module(f"runfmt.{name}")
        raise AttributeError(f"module 'runfmt' has no attribute {name!r}")


for _name in ("run", "config", "summary", "watch"):
    globals().pop(_name, None)
sys.modules[__name__].__class__ = _Module
