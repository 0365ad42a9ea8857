"""Commands about alerts: who is told what happens in runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runfmt.errors import CommError, UsageError
from runfmt_sync.alerts.targets import KINDS, Home
from runfmt_sync.cli.common import json_option, print_json
from runfmt_sync.words import counted, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["alerts"]


def data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Take ``home``: that of the user, or of a server by its folder."""
    return click.option(
        "--data",
        "home",
        type=click.Path(path_type=Path),
        callback=_home,
        help="The folder of a server's runs, if it is the server that tells.",
    )(command)


def _home(_context: click.Context, _option: click.Parameter, data: Path | None) -> Home:
    if data is None:
        return Home.of_user()
    from runfmt_sync.store import Store

    store = Store(data)
    store.prepare()
    return Home.of_store(store.private)


@click.group()
def alerts() -> None:
    """Say who is told what happens in runs, by Slack, e-mail and all else that Apprise knows."""


@alerts.command("add")
@click.argument("url")
@click.option("--name", help="What it is called. [default: the URL's scheme]")
@click.option("--on", default=",".join(KINDS), show_default=True, help="Of what it is told.")
@click.option("--project", help="Only of runs of this project.")
@data_option
def alerts_add(url: str, name: str | None, on: str, project: str | None, home: Home) -> None:
    """Tell another, from now on. URL is one of Apprise's; - reads it from standard input."""
    from runfmt_sync.alerts.outbox import Outbox
    from runfmt_sync.alerts.sender import Apprised

    kinds = on.split(",")
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise UsageError(f"nobody can be told on {', '.join(unknown)}: there are {', '.join(KINDS)}")
    url = sys.stdin.readline().strip() if url == "-" else url
    Apprised(url)
    Outbox(home.folder)
    added = home.add(url, name, kinds, project)
    click.echo(f"{added.name} is told of {', '.join(added.on)}, from now on")


@alerts.command("list")
@data_option
@json_option
def alerts_list(home: Home, as_json: bool) -> None:
    """Say who is told what, and what waits; of URLs nothing is shown that may be secret."""
    from runfmt_sync.alerts.outbox import Outbox

    rows = []
    for target in home.targets():
        standing = Outbox(home.folder).standing(target.id, 0)
        about = {"name": target.name, "url": target.shown, "on": [*target.on], "project": target.project}
        rows.append(about | {"since": target.since, **standing._asdict()})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo("\t".join(map(printable, _words(row))))
    if not rows:
        click.echo("nobody is told: `runfmt alerts add URL` adds somebody", err=True)


def _words(row: dict[str, Any]) -> list[str]:
    since = time.strftime("%Y-%m-%d", time.localtime(row["since"]))
    standing = f"{row['sent']:,} sent"
    if row["waiting"]:
        standing += f", {row['waiting']:,} waiting: {row['problem'] or 'not yet tried'}"
    return [row["name"], row["url"], ",".join(row["on"]), row["project"] or "all projects", since, standing]


@alerts.command("remove")
@click.argument("name")
@data_option
def alerts_remove(name: str, home: Home) -> None:
    """Tell one no more; what waits for it is forgotten."""
    from runfmt_sync.alerts.outbox import Outbox

    target = home.target(name)
    home.remove(name)
    Outbox(home.folder).forget(target.id)
    click.echo(f"{name} is told no more")


@alerts.command("test")
@click.argument("name", required=False)
@data_option
def alerts_test(name: str | None, home: Home) -> None:
    """Send a message to one now, or to all."""
    import uuid

    from runfmt_sync.alerts.outbox import Delivery
    from runfmt_sync.alerts.sender import Apprised

    targets = [home.target(name)] if name else home.targets()
    wrong = []
    for target in targets:
        key = uuid.uuid4().hex
        body = f"{target.name} is told of {', '.join(target.on)}.\n\nid {key}"
        problem = Apprised(target.url).send(Delivery(key, "info", "A test of runfmt", body))
        click.echo(f"{target.name}: {problem or 'sent'}")
        wrong += [target.name] if problem else []
    if not targets:
        raise UsageError("nobody is told: `runfmt alerts add URL` adds somebody")
    if wrong:
        raise CommError(f"{counted(len(wrong), 'target')} did not take it: {', '.join(wrong)}")
