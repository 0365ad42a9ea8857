"""Commands about servers: to run one, to say who may ask it, and to be let in."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runfmt.errors import MissingLibrary, UsageError
from runfmt_sync.cli.common import json_option, print_json

if TYPE_CHECKING:
    from runfmt_sync.server.service import Service
    from runfmt_sync.server.tokens import Tokens

__all__ = ["login", "serve", "token"]

folder_type = click.Path(path_type=Path)

database_option = click.option(
    "--db", "database", metavar="URL", help="What several workers share: postgresql://user@host/name."
)


@click.command()
@click.option("--data", required=True, type=folder_type, help="The folder of the server's runs.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8338, show_default=True, help="The port.")
@click.option("--host-name", multiple=True, help="A name by which others call the server.")
@click.option("--store", help="The runs lie behind this URL; --data is then a copy of this machine's.")
@database_option
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="So many processes."
)
def serve(
    data: Path,
    host: str,
    port: int,
    host_name: tuple[str, ...],
    store: str | None,
    database: str | None,
    workers: int,
) -> None:
    """Take runs and give them, over HTTP, until told to stop."""
    try:
        from runfmt_sync.server.serve import Server, address, listener
        from runfmt_sync.server.workers import LISTENER, Workers
    except ImportError:
        raise MissingLibrary("the server", "'runfmt[server]'") from None
    if database and not store:
        raise UsageError("--db goes with --store: a folder alone keeps all in itself")
    is_worker = LISTENER in os.environ
    if workers > 1 and not is_worker:
        shared = listener(host, port)
        click.echo(f"{store or data} is served at {address(shared)}")
        Workers([sys.executable, *sys.orig_argv[1:]], workers, shared).run()
        return
    server = Server(_service(data, store, database) if store else data, host, port, host_name)
    if not is_worker:
        click.echo(f"{store or data} is served at {server.url}")
    server.run()


def _service(data: Path, store: str, database: str | None) -> Service:
    from runfmt_sync.server.service import Service

    try:
        from runfmt_sync.server.shared import open_shared
    except ImportError:
        raise MissingLibrary("a store that several share", "'runfmt[lab]'") from None
    return Service(*open_shared(store, database or f"sqlite:///{data.absolute()}.sqlite", data))


@click.group()
def token() -> None:
    """Say who may ask the server."""


def _tokens(data: Path | None, database: str | None) -> Tokens:
    from runfmt_sync.server.tokens import TokenFile, Tokens
    from runfmt_sync.store import Store

    if database:
        from runfmt_sync.server.database import Database

        return Tokens(Database(database).document("tokens"))
    if data is None:
        raise UsageError("name the server's folder with --data, or its database with --db")
    store = Store(data)
    store.prepare()
    return Tokens(TokenFile(store))


@token.command("add")
@click.argument("name")
@click.option("--data", type=folder_type, help="The folder of the server's runs.")
@database_option
@click.option("--project", help="Let it see and change only runs of this project.")
@click.option(
    "--scope", "scopes", multiple=True, help="What it may: read, append or admin. [default: read and append]"
)
@click.option("--days", type=int, help="Let it count for so many days. [default: until it is revoked]")
def token_add(
    name: str,
    data: Path | None,
    database: str | None,
    project: str | None,
    scopes: tuple[str, ...],
    days: int | None,
) -> None:
    """Make a token and print it, this once: only a hash of it is kept."""
    click.echo(_tokens(data, database).add(name, scopes or ("read", "append"), project, days))


@token.command("list")
@click.option("--data", type=folder_type, help="The folder of the server's runs.")
@database_option
@json_option
def token_list(data: Path | None, database: str | None, as_json: bool) -> None:
    """Say which tokens there are."""
    known = [{"id": key, **kept} for key, kept in _tokens(data, database).all().items()]
    rows = [{key: value for key, value in row.items() if key != "sha256"} for row in known]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        words = [row["id"], row["name"], ",".join(row["scopes"]), row["project"] or "all projects"]
        until = [f"until {row['expires_at'][:10]}"] if row.get("expires_at") else []
        click.echo("\t".join([*words, row["created_at"][:10], *until]))


@token.command("revoke")
@click.argument("name")
@click.option("--data", type=folder_type, help="The folder of the server's runs.")
@database_option
def token_revoke(name: str, data: Path | None, database: str | None) -> None:
    """Forget the tokens of a name, or the one with an id."""
    count = _tokens(data, database).revoke(name)
    if not count:
        raise UsageError(f"there is no token {name}: `runfmt token list` says which there are")
    click.echo(f"{count} revoked")


@click.command()
@click.argument("url")
def login(url: str) -> None:
    """Keep the token of a server, which is asked for, or read from standard input."""
    from runfmt_sync.credentials import log_in

    given = click.prompt("token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    log_in(url, given.strip())
    click.echo(f"logged in to {url}")
