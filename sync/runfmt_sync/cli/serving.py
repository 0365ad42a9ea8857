"""Commands about servers: to run one, to say who may ask it, and to be let in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runfmt.errors import MissingLibrary, UsageError
from runfmt_sync.cli.common import json_option, print_json

if TYPE_CHECKING:
    from runfmt_sync.server.tokens import Tokens

__all__ = ["login", "serve", "token"]

data_option = click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="The folder of the server's runs."
)


@click.command()
@data_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8338, show_default=True, help="The port.")
@click.option("--host-name", multiple=True, help="A name by which others call the server.")
def serve(data: Path, host: str, port: int, host_name: tuple[str, ...]) -> None:
    """Take runs and give them, over HTTP, until told to stop."""
    try:
        from runfmt_sync.server.serve import Server
    except ImportError:
        raise MissingLibrary("the server", "'runfmt[server]'") from None
    server = Server(data, host, port, host_name)
    click.echo(f"{data} is served at {server.url}")
    server.run()


@click.group()
def token() -> None:
    """Say who may ask the server."""


def _tokens(data: Path) -> Tokens:
    from runfmt_sync.server.tokens import Tokens
    from runfmt_sync.store import Store

    store = Store(data)
    store.prepare()
    return Tokens(store)


@token.command("add")
@click.argument("name")
@data_option
@click.option("--project", help="Let it see and change only runs of this project.")
@click.option(
    "--scope", "scopes", multiple=True, help="What it may: read, append or admin. [default: read and append]"
)
def token_add(name: str, data: Path, project: str | None, scopes: tuple[str, ...]) -> None:
    """Make a token and print it, this once: only a hash of it is kept."""
    click.echo(_tokens(data).add(name, scopes or ("read", "append"), project))


@token.command("list")
@data_option
@json_option
def token_list(data: Path, as_json: bool) -> None:
    """Say which tokens there are."""
    known = [{"id": key, **kept} for key, kept in _tokens(data).all().items()]
    rows = [{key: value for key, value in row.items() if key != "sha256"} for row in known]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        words = [row["id"], row["name"], ",".join(row["scopes"]), row["project"] or "all projects"]
        click.echo("\t".join([*words, row["created_at"][:10]]))


@token.command("revoke")
@click.argument("name")
@data_option
def token_revoke(name: str, data: Path) -> None:
    """Forget the tokens of a name, or the one with an id."""
    count = _tokens(data).revoke(name)
    if not count:
        raise UsageError(f"there is no token {name}: `runfmt token list --data {data}` says which there are")
    click.echo(f"{count} revoked")


@click.command()
@click.argument("url")
def login(url: str) -> None:
    """Keep the token of a server, which is asked for, or read from standard input."""
    from runfmt_sync.credentials import log_in

    given = click.prompt("token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    log_in(url, given.strip())
    click.echo(f"logged in to {url}")
