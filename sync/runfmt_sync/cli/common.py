"""What commands share: how runs and remotes are named, and how it is said what became of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runfmt_sync.words import printable

if TYPE_CHECKING:
    from runfmt.errors import CommError
    from runfmt_sync.push import Outcome
    from runfmt_sync.remotes import Remote

__all__ = [
    "file_type",
    "finish",
    "json_option",
    "nothing_in",
    "open_named",
    "paths_argument",
    "place_of",
    "print_json",
    "print_lines",
    "remote_option",
    "runs_folder",
    "which_options",
]

F = TypeVar("F", bound=Callable[..., Any])
file_type = click.Path(path_type=Path, dir_okay=False)


def runs_folder() -> str:
    """The folder of runs where none is named."""
    return os.environ.get("RUNFMT_DIR") or os.environ.get("WANDB_DIR") or "runs"


def paths_argument(command: F) -> F:
    """Take ``paths``: runs and folders of runs; without any, the folder of runs."""
    return click.argument("paths", nargs=-1, type=click.Path(), callback=_or_runs_folder)(command)


def _or_runs_folder(_context: click.Context, _argument: click.Parameter, paths: tuple[str, ...]) -> Any:
    return paths or (runs_folder(),)


def remote_option(command: F) -> F:
    """Take ``remote``."""
    text = "A remote's name, a folder or a URL; else the default remote."
    return click.option("--remote", help=text)(command)


def which_options(command: F) -> F:
    """Take what chooses among runs, by the names of ``select_runs``."""
    for option in (
        click.option("--exclude", multiple=True, help="But not these."),
        click.option("--include", multiple=True, help="Only runs whose id or path matches this pattern."),
        click.option("--project", help="Only runs of this project."),
    ):
        command = option(command)
    return command


def json_option(command: F) -> F:
    """Take ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print for machines.")(command)


def open_named(remote: str | None) -> Remote:
    """Open a mirror by its name, URL or path; the default one without."""
    from runfmt_sync.configuration import resolve
    from runfmt_sync.remotes import open_remote

    return open_remote(resolve(remote))


def place_of(path: str) -> str:
    """A folder or a URL, also of a remote that was named."""
    from runfmt_sync.configuration import known_remotes

    return path if Path(path).exists() else known_remotes()[0].get(path, path)


def nothing_in(paths: Iterable[str]) -> str:
    """What to say where no runs were found."""
    return f"no runs in {', '.join(paths)}"


def finish(
    outcomes: list[Outcome],
    fault: CommError | None,
    place: str,
    nothing: str,
    said: dict[str, Any] | None,
) -> None:
    """Say what became of runs, to machines behind what was ``said``, and exit as it became of them."""
    from runfmt_sync.progress import summary_line

    if said is not None:
        print_json({**said, "fault": fault, "runs": outcomes})
    else:
        click.echo(summary_line(outcomes, place) if outcomes else nothing)
    if fault:
        raise fault
    sys.exit(any(outcome.status == "failed" for outcome in outcomes))


def print_lines(lines: Iterable[str]) -> None:
    """Print for people."""
    for line in lines:
        click.echo(printable(line))


def print_json(value: Any) -> None:
    """Print for machines."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
