"""Commands for runs that are carried in files: bundles, receipts, and keys to sign with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runfmt.errors import UsageError
from runfmt_sync.cli.common import (
    file_type,
    json_option,
    open_named,
    paths_argument,
    print_json,
    print_lines,
    which_options,
)
from runfmt_sync.words import counted

if TYPE_CHECKING:
    from runfmt_sync.remotes import Remote

__all__ = ["apply_bundles", "bundle", "key", "receipt", "unbundle"]


@click.command()
@paths_argument
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder for the files."
)
@click.option("--since", type=file_type, help="A receipt of the other side: leave out what it says is there.")
@click.option("--channel", help="Leave out what went through this channel before.")
@click.option("--again", metavar="NUMBER", type=int, help="Make this bundle of the channel once more.")
@click.option("--max-size", default="4G", show_default=True, help="Each file is smaller than that.")
@click.option("--sign", metavar="KEY", help="Sign with this key: a name, or the file of a secret key.")
@which_options
def bundle(
    paths: tuple[str, ...],
    output: Path,
    since: Path | None,
    channel: str | None,
    again: int | None,
    max_size: str,
    sign: str | None,
    **which: Any,
) -> None:
    """Write runs into files that can be carried. PATHS are runs or folders of runs."""
    from runfmt_sync.places import open_receipt
    from runfmt_sync.selection import select_runs
    from runfmt_sync.signing import find_secret_key
    from runfmt_sync.sneakernet import lines, parse_size, write_bundle

    written = write_bundle(
        select_runs(paths, apart=output, **which),
        output,
        channel=channel,
        since=open_receipt(since) if since else None,
        again=again,
        max_size=parse_size(max_size),
        key=find_secret_key(sign) if sign else None,
    )
    print_lines(lines(written))
    sys.exit(not written.is_good)


def apply_bundles(files: tuple[str, ...], remote: Remote, as_json: bool, receipt: Path | None = None) -> None:
    """Apply bundles to a remote, say what became of them, and exit as it became of them."""
    from runfmt_sync.places import write_receipt
    from runfmt_sync.signing import trusted_keys
    from runfmt_sync.unbundle import lines, to_json, unbundle

    if others := [file for file in files if not file.endswith(".runfmt")]:
        raise UsageError(f"{others[0]} does not end in .runfmt, as the files of bundles do: name only those")
    done = unbundle([*map(Path, files)], remote, trusted_keys())
    if as_json:
        print_json({"remote": remote.url, "store": remote.store_id, **to_json(done)})
    else:
        print_lines(lines(done, remote.url))
    if receipt:
        write_receipt(remote, receipt)
    sys.exit(not done.is_good)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, help="The folder for the runs, or another remote.")
@click.option("--receipt", type=file_type, help="Write here what is there then, to be carried back.")
@json_option
def unbundle(files: tuple[str, ...], output: str, receipt: Path | None, as_json: bool) -> None:
    """Apply bundles from files, in whatever order they came."""
    from runfmt_sync.configuration import known_remotes
    from runfmt_sync.remotes import open_remote

    apply_bundles(files, open_remote(known_remotes()[0].get(output, output)), as_json, receipt)


@click.command()
@click.argument("place")
@click.option("-o", "--output", required=True, type=file_type, help="The file.")
def receipt(place: str, output: Path) -> None:
    """Write what a folder of runs or a remote holds into a file, to be carried back."""
    from runfmt_sync.places import write_receipt

    remote = open_named(place)
    remote.prepare()
    click.echo(f"{output}: {counted(write_receipt(remote, output), 'run')} at {remote.url}")


@click.group()
def key() -> None:
    """Sign bundles, and say whose are believed."""


@key.command("new")
@click.argument("name")
def key_new(name: str) -> None:
    """Make a secret key without a password, and say its public key."""
    from runfmt_sync.signing import make_key

    path = make_key(name)
    click.echo(f"{path}\n{path.read_text().splitlines()[1]}")


@key.command("trust")
@click.argument("name")
@click.argument("public")
def key_trust(name: str, public: str) -> None:
    """Believe bundles signed with a key, and no others. PUBLIC is its public key, or the file of it."""
    from runfmt_sync.signing import trust

    trust(name, Path(public).read_text() if Path(public).is_file() else public)
    click.echo(f"what {name} signs is believed")


@key.command("list")
def key_list() -> None:
    """Say whose bundles are believed."""
    from runfmt_sync.signing import public_key_to_text, trusted_keys

    keys = trusted_keys()
    for name, public in keys.items():
        click.echo(f"{name}\t{public_key_to_text(public).splitlines()[1]}")
    if not keys:
        click.echo("no keys: every bundle is believed", err=True)
