"""Commands that look at runs, and change nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from runfmt.errors import UsageError
from runfmt_sync.cli.common import (
    json_option,
    nothing_in,
    paths_argument,
    place_of,
    print_json,
    print_lines,
)
from runfmt_sync.words import counted

__all__ = ["export", "ls", "query", "show", "validate"]


@click.command()
@paths_argument
@json_option
def ls(paths: tuple[str, ...], as_json: bool) -> None:
    """List runs. PATHS are runs, folders of runs, names of remotes, or URLs of servers."""
    from runfmt.elsewhere import is_url
    from runfmt_sync.listing import list_runs, print_table
    from runfmt_sync.selection import select_runs

    places = [*map(place_of, paths)]
    rows = list_runs(select_runs([p for p in places if not is_url(p)]), filter(is_url, places))
    if as_json:
        print_json(rows)
    elif rows:
        print_table(rows)
    else:
        click.echo(nothing_in(paths))


@click.command()
@click.argument("sql")
@paths_argument
@json_option
def query(sql: str, paths: tuple[str, ...], as_json: bool) -> None:
    """Ask in SQL. The tables are runs and metrics; PATHS are as of ls."""
    from runfmt_sync.listing import print_rows
    from runfmt_sync.query import query

    answer = query(sql, [*map(place_of, paths)])
    if as_json:
        print_json(answer.objects)
    else:
        print_rows(answer.columns, answer.rows)


@click.command()
@click.argument("run", type=click.Path())
@click.option("--raw", is_flag=True, help="Print the whole rows of the metrics as they lie on disk.")
@click.option("--writer", default="main", show_default=True, help="Whose metrics.")
@json_option
def show(run: str, raw: bool, writer: str, as_json: bool) -> None:
    """Say what is in a run. RUN is its folder, or its URL: https://host/project/id."""
    from runfmt_sync.listing import describe, lines, metric_lines, one_run, print_raw, strict

    found = one_run(run)
    if raw:
        print_raw(found, writer)
    elif as_json:
        print_json(strict(describe(found, writer)))
    else:
        print_lines([*lines(describe(found, writer)), *metric_lines(found, writer)])


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="A .parquet, .csv or .jsonl file; or FOLDER/."
)
@click.option("--runs", is_flag=True, help="One row a run: config, summary, state, times.")
@click.option("--keys", help="Only these metrics, with commas between.")
def export(paths: tuple[str, ...], output: str, runs: bool, keys: str | None) -> None:
    """Write the metrics of one run or of many as one table, or into a folder as Parquet for queries."""
    from runfmt_sync.export import export

    if not output.endswith("/"):
        export([*map(place_of, paths)], Path(output), runs=runs, keys=keys.split(",") if keys else None)
        return
    if runs or keys:
        raise UsageError("a folder gets all there is: --runs and --keys are for files")
    from runfmt_sync.dataset import write_dataset

    count, written = write_dataset([*map(place_of, paths)], Path(output))
    click.echo(f"{counted(count, 'run')} in {output}, {written} of them written anew")


@click.command()
@paths_argument
@json_option
def validate(paths: tuple[str, ...], as_json: bool) -> None:
    """Say everything that is not as the specification demands."""
    from runfmt_sync.selection import select_runs
    from runfmt_sync.validate import lines, validate

    found = {str(folder): validate(folder) for folder in select_runs(paths)}
    if as_json:
        print_json(found)
    else:
        print_lines(lines(found) if found else [nothing_in(paths)])
    sys.exit(any(found.values()))
