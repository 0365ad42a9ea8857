"""The command that brings along what other tools wrote."""

from __future__ import annotations

from pathlib import Path

import click

from runfmt_sync.cli.common import finish, json_option, nothing_in, runs_folder

__all__ = ["import_"]


@click.command("import")
@click.argument("sources", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder; else that of your runs.")
@click.option("--project", help="Say that they are all of this project.")
@json_option
def import_(sources: tuple[str, ...], output: Path | None, project: str | None, as_json: bool) -> None:
    """Bring runs along that W&B, MLflow, TensorBoard, Lightning or Trackio wrote, and tables.

    SOURCES are folders, in which they are looked for, files, or MLflow servers as mlflow+http://host.
    """
    from runfmt_sync.importing import import_runs
    from runfmt_sync.progress import show_progress

    folder = output or Path(runs_folder())
    with show_progress(quiet=as_json) as progress:
        outcomes, fault = import_runs(sources, folder, project=project, progress=progress)
    finish(outcomes, fault, str(folder), nothing_in(sources), {"output": str(folder)} if as_json else None)
