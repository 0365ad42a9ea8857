"""The command that shows runs in a browser."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from runfmt.errors import MissingLibrary
from runfmt_sync.cli.common import place_of, runs_folder
from runfmt_sync.words import printable

__all__ = ["view"]


@click.command()
@click.argument("path", required=False)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port, else any that is free.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def view(path: str | None, port: int, opens: bool) -> None:
    """Show runs in a browser on this machine. PATH is a folder of runs, a run, a bundle, or a URL."""
    try:
        from runfmt_sync.server.serve import Viewer
        from runfmt_sync.viewing import entrance, opened
    except ImportError:
        raise MissingLibrary("the viewer", "'runfmt[view]'") from None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # what is temporary is removed
    path = place_of(path or runs_folder())
    with opened(path) as folder:
        viewer = Viewer(folder, port)
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, lambda *_: viewer.stop())
        click.echo(f"{printable(path)} is shown at {viewer.address}")
        with TemporaryDirectory(prefix="runfmt-view-") as private:
            if opens:
                click.launch(entrance(viewer.address, Path(private)).as_uri())
            viewer.run()
    # A long stream may just be read for an answer that nobody waits for, and threads are waited for.
    os._exit(0)
