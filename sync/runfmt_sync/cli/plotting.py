"""The command that draws curves in the terminal."""

from __future__ import annotations

import click

from runfmt_sync.cli.common import runs_folder

__all__ = ["plot"]


@click.command()
@click.argument("runs", nargs=-1, type=click.Path())
@click.argument("key")
@click.option(
    "--x", "axis", default="step", show_default=True, help="step, time, runtime, or another metric."
)
@click.option("--log", is_flag=True, help="A logarithmic scale.")
@click.option(
    "--smooth", type=click.FloatRange(0, 0.999), default=0, help="How much is smoothed, up to 0.999."
)
@click.option("--width", type=click.IntRange(10, 1000), help="Columns, else those of the terminal.")
@click.option("--height", type=click.IntRange(2, 200), help="Rows of the frame.")
def plot(
    runs: tuple[str, ...],
    key: str,
    axis: str,
    log: bool,
    smooth: float,
    width: int | None,
    height: int | None,
) -> None:
    """Draw a metric of runs in the terminal. RUNS are runs, folders of runs, or URLs of servers."""
    from runfmt_sync.terminal import plot

    paths = runs or (runs_folder(),)
    plot(paths, key, x=axis, log=log, smooth=smooth, width=width, height=height)
