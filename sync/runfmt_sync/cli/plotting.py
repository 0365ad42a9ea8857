"""Commands that show runs without a browser that asks: curves in the terminal, a report in a file."""

from __future__ import annotations

from pathlib import Path

import click

from runfmt_sync.cli.common import file_type, paths_argument, runs_folder

__all__ = ["plot", "report"]


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


@click.command()
@paths_argument
@click.option("-o", "--output", required=True, type=file_type, help="The HTML file.")
@click.option("--template", type=file_type, help="Markdown with panels, in place of the usual report.")
@click.option("--title", help="Its title, else the names of the projects.")
def report(paths: tuple[str, ...], output: Path, template: Path | None, title: str | None) -> None:
    """Write runs into one HTML file to be read. PATHS are runs, folders of runs, or URLs of servers."""
    from runfmt_sync.report import write_report
    from runfmt_sync.words import counted, human

    made = write_report(paths, output, template=template, title=title)
    counts = counted(made.runs, "run"), counted(made.charts, "chart"), counted(made.pieces, "media value")
    click.echo(f"{output}: {human(made.size)}, {', '.join(counts)}")
