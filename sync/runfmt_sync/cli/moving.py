"""Commands that bring runs to remotes and back, prove it, and mend what is broken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runfmt.errors import FormatError, RunNotFound, UsageError, explain
from runfmt_sync.cli.carrying import apply_bundles
from runfmt_sync.cli.common import (
    finish,
    json_option,
    nothing_in,
    open_named,
    paths_argument,
    print_json,
    print_lines,
    remote_option,
    runs_folder,
    which_options,
)
from runfmt_sync.words import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from runfmt_sync.push import Progress, Push
    from runfmt_sync.remotes import Remote
    from runfmt_sync.track import Track
    from runfmt_sync.trackers import Tracker

__all__ = ["pull", "recover", "remote", "sync", "verify"]


@click.command()
@paths_argument
@remote_option
@which_options
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and move nothing.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="So many runs at once."
)
@click.option("--verify", is_flag=True, help="Believe nothing that is known: read every byte of both sides.")
@click.option(
    "--watch", is_flag=True, help="Go on and on, and bring what is written, until SIGTERM or Ctrl-C."
)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=5,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--keys", multiple=True, help="To a tracker: only metrics that match this pattern.")
@click.option(
    "--every", type=click.IntRange(1), default=1, help="To a tracker: only every so many steps, and media."
)
@json_option
def sync(
    paths: tuple[str, ...],
    remote: str | None,
    watch: bool,
    interval: float,
    as_json: bool,
    project: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    **how: Any,
) -> None:
    """Bring what is not there yet. PATHS are runs, folders of runs, or the files of bundles."""
    which: dict[str, Any] = {"project": project, "include": include, "exclude": exclude}
    if any(path.endswith(".runfmt") for path in paths):
        apply_bundles(paths, open_named(remote), as_json)
    elif not watch:
        _sync_once(paths, remote, which, how, as_json)
    elif how["dry_run"] or how["verify"]:
        raise UsageError("--watch goes with neither --dry-run nor --verify: call sync once more for those")
    else:
        _watch(paths, remote, as_json, how, interval=interval, **which)


def _mover(
    place: Remote | Tracker,
    *,
    jobs: int,
    verify: bool,
    dry_run: bool,
    keys: tuple[str, ...],
    every: int,
    progress: Progress | None = None,
) -> Push | Track:
    """What brings runs to a place."""
    from runfmt_sync.push import Push
    from runfmt_sync.track import Choice, Track
    from runfmt_sync.trackers import Tracker

    if isinstance(place, Tracker):
        if verify:
            raise UsageError(f"{place.url} is a tracker, which gives no bytes back: nothing can be verified")
        choice = Choice(keys, every)
        return Track(place, jobs=jobs, choice=choice, dry_run=dry_run, progress=progress)
    if keys or every > 1:
        raise UsageError(f"--keys and --every are for trackers; {place.url} takes runs as they are")
    return Push(place, jobs=jobs, believe=not verify, dry_run=dry_run, progress=progress)


def _sync_once(
    paths: tuple[str, ...], remote: str | None, which: dict[str, Any], how: dict[str, Any], as_json: bool
) -> None:
    from runfmt_sync.alerts.delivery import delivering
    from runfmt_sync.alerts.targets import Home
    from runfmt_sync.configuration import resolve
    from runfmt_sync.progress import show_progress
    from runfmt_sync.remotes import open_place
    from runfmt_sync.selection import select_runs

    place = open_place(resolve(remote))
    folders = select_runs(paths, apart=Path(place.url), **which)
    with (
        delivering(Home.of_user(), lambda line: click.echo(printable(line), err=True)) as tell,
        show_progress(quiet=as_json) as progress,
    ):
        if not how["dry_run"]:
            tell(folders)
        mover = _mover(place, progress=progress, **how)
        _note_store(place.url, mover, lambda line: click.echo(line, err=True))
        outcomes = mover.run(folders)
    said = {"remote": place.url, "store": mover.store_id} if as_json else None
    finish(outcomes, mover.fault, place.url, nothing_in(paths), said)


def _note_store(url: str, mover: Push | Track, say: Callable[[str], object]) -> None:
    """Remember which store is there, and say when it is another one than last time."""
    from runfmt_sync.receipts import is_another_store

    if mover.store_id and is_another_store(url, mover.store_id):
        say(f"{url} is not the store that it was last time: it is asked anew")


def _watch(
    paths: tuple[str, ...],
    remote: str | None,
    as_json: bool,
    how: dict[str, Any],
    *,
    interval: float,
    project: str | None,
    **patterns: Any,
) -> None:
    import signal
    from functools import partial

    from runfmt_sync.alerts.delivery import delivering
    from runfmt_sync.alerts.targets import Home
    from runfmt_sync.configuration import resolve
    from runfmt_sync.progress import JsonWatcher, LineWatcher
    from runfmt_sync.remotes import open_place
    from runfmt_sync.selection import is_of_project, select_runs
    from runfmt_sync.watch import Watch

    url = resolve(remote)
    look = partial(select_runs, paths, apart=Path(url), **patterns)
    look()  # a folder that is not there is a mistake now, and bad luck later
    watcher = JsonWatcher() if as_json else LineWatcher()

    def is_meant(folder: Path) -> bool:
        return project is None or is_of_project(folder, project)

    def look_and_tell() -> list[Path]:
        folders = look()
        tell(folders)
        return folders

    def connect() -> Push | Track:
        place = open_place(url, sleep=watch.pause)
        mover = _mover(place, **how)
        _note_store(place.url, mover, watcher.say)
        return mover

    with delivering(Home.of_user(), watcher.say, is_meant) as tell:
        watch = Watch(
            connect,
            look_and_tell,
            watcher,
            interval=interval,
            is_meant=is_meant,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: watch.stop())
        watch.run()


@click.command()
@click.argument("remote")
@click.argument("runs", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder; else that of your runs.")
@json_option
def pull(remote: str, runs: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Bring runs from a remote. RUNS are ids, patterns of them, or uids; all without."""
    from runfmt_sync.progress import show_progress
    from runfmt_sync.pull import chosen, pull

    opened, folder = open_named(remote), output or Path(runs_folder())
    with show_progress(quiet=as_json) as progress:
        outcomes, fault = pull(opened, chosen(opened, runs), folder, progress)
    said = {"remote": opened.url} if as_json else None
    finish(outcomes, fault, str(folder), f"no runs at {opened.url}", said)


@click.command()
@paths_argument
@remote_option
@click.option("--against", metavar="RECEIPT", help="A receipt's file instead, or a remote.")
@json_option
def verify(paths: tuple[str, ...], remote: str | None, against: str | None, as_json: bool) -> None:
    """Compare every byte of runs with the remote, or with what a receipt says."""
    from runfmt_sync.selection import select_runs
    from runfmt_sync.verify import lines, verify

    opened, since = _remote_or_receipt(against or remote)
    verdicts = [*verify(select_runs(paths, apart=Path(opened.url)), opened, since=since)]
    if as_json:
        print_json({"remote": opened.url, "store": opened.store_id, "runs": verdicts})
    else:
        print_lines(lines(verdicts, opened.url) if verdicts else [nothing_in(paths)])
    sys.exit(not all(verdict.is_good for verdict in verdicts))


def _remote_or_receipt(place: str | None) -> tuple[Remote, float | None]:
    """A remote, or what a receipt says of one; then also the Unix time at which it was made."""
    if place and Path(place).is_file():
        from runfmt_sync.places import open_receipt

        receipt = open_receipt(Path(place))
        return receipt, receipt.made_at
    return open_named(place), None


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--from", "source", metavar="REMOTE", help="Restore from this remote what is missing here.")
@click.option(
    "--new-uid", is_flag=True, help="Make a copy that was continued on both sides a run of its own."
)
def recover(paths: tuple[str, ...], source: str | None, new_uid: bool) -> None:
    """Mend what a crash left. PATHS are runs or folders of runs."""
    from runfmt_sync.recover import recover
    from runfmt_sync.selection import select_runs

    remote, failed = open_named(source) if source else None, False
    folders = select_runs(paths)
    for folder in folders:
        try:
            done = "; ".join(recover(folder, remote=remote, new_uid=new_uid)) or "is whole"
            click.echo(printable(f"{folder}: {done}"))
        except (UsageError, FormatError, RunNotFound, OSError) as error:
            click.echo(printable(f"{folder}: {explain(error)}"), err=True)
            failed = True
    if not folders:
        click.echo(nothing_in(paths))
    sys.exit(failed)


@click.group()
def remote() -> None:
    """Give remotes names, as git does."""


@remote.command("add")
@click.argument("name")
@click.argument("url")
def remote_add(name: str, url: str) -> None:
    """Give a remote a name. The first one is the default."""
    from runfmt_sync.configuration import add_remote
    from runfmt_sync.remotes import is_served

    if not is_served(url):
        raise UsageError(f"nothing that is installed opens {url}: give a folder, or a server's http(s) URL")
    click.echo(f"{name} is {add_remote(name, url)}")


@remote.command("list")
@json_option
def remote_list(as_json: bool) -> None:
    """Say which remotes there are."""
    from runfmt_sync.configuration import NO_REMOTE, known_remotes

    remotes, default = known_remotes()
    if as_json:
        print_json([{"name": name, "url": url, "default": name == default} for name, url in remotes.items()])
        return
    for name, url in remotes.items():
        click.echo(f"{name}\t{url}" + ("\t(default)" if name == default else ""))
    if not remotes:
        click.echo(NO_REMOTE, err=True)


@remote.command("remove")
@click.argument("name")
def remote_remove(name: str) -> None:
    """Forget a remote; what lies there stays."""
    from runfmt_sync.configuration import remove_remote

    remove_remote(name)
    click.echo(f"{name} is forgotten")
