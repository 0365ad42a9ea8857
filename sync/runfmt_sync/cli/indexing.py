"""The command that makes indexes before somebody waits for them."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict

import click

from runfmt_sync.cli.common import json_option, nothing_in, paths_argument, print_json, print_lines

__all__ = ["index"]


@click.command()
@paths_argument
@json_option
def index(paths: tuple[str, ...], as_json: bool) -> None:
    """Read runs for the viewer beforehand. PATHS are runs and folders of runs."""
    from runfmt_sync.index import forget_unused
    from runfmt_sync.index.making import lines, make, stream_bytes
    from runfmt_sync.progress import counting
    from runfmt_sync.selection import select_runs
    from runfmt_sync.state import index_folder

    forget_unused(index_folder())
    folders, begun, made = select_runs(paths), time.monotonic(), []
    with counting("index", sum(map(stream_bytes, folders)), quiet=as_json) as advance:
        for one in make(folders, index_folder()):
            made.append(one)
            advance(one.streams)
    seconds = time.monotonic() - begun
    if as_json:
        print_json({"folder": index_folder(), "seconds": seconds, "runs": [asdict(one) for one in made]})
    else:
        print_lines(lines(made, seconds, index_folder()) if made else [nothing_in(paths)])
    sys.exit(any(one.problem for one in made))
