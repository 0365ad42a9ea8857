"""The command ``runfmt``. Knows how to ask and how to answer; what is done is done elsewhere.

Exit codes: 0 all well, 1 something is wrong with data, 2 called wrongly, 3 a remote does not answer,
130 interrupted.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runfmt.errors import CommError, Error, FormatError, MissingLibrary, RunNotFound, UsageError, explain

if TYPE_CHECKING:
    from runfmt_sync.remotes import Remote
    from runfmt_sync.server.tokens import Tokens
    from runfmt_sync.watch import Watcher

__all__ = ["main"]

CODES: tuple[tuple[type[Exception], int], ...] = (
    (CommError, 3),
    (UsageError, 2),
    (RunNotFound, 2),
    (MissingLibrary, 2),
    (FormatError, 1),
    (Error, 1),
    (OSError, 1),
)
INTERRUPTED = 130
"""What shells say of a program that Ctrl-C ended."""


class _Commands(click.Group):
    """Turns errors into one line and an exit code; ``-v`` shows where they come from."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click's own: whoever reads us has enough
        except KeyboardInterrupt:
            click.echo("runfmt: interrupted: what is done stays, call it again for the rest", err=True)
            ctx.exit(INTERRUPTED)
        except tuple(kind for kind, _ in CODES) as error:
            if ctx.params["verbose"]:
                click.echo(traceback.format_exc(), err=True)
            click.echo(f"runfmt: {explain(error)}", err=True)
            ctx.exit(next(code for kind, code in CODES if isinstance(error, kind)))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="runfmt", prog_name="runfmt")
@click.option("-v", "--verbose", is_flag=True, help="Show where an error comes from.")
def main(verbose: bool) -> None:
    """Bring machine-learning runs anywhere, prove it, and look at them."""
    warnings.showwarning = lambda message, *_: click.echo(f"runfmt: {message}", err=True)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be no text
        sys.stdout.reconfigure(errors="backslashreplace")


paths_argument = click.argument("paths", nargs=-1, type=click.Path())
remote_option = click.option("--remote", help="A remote's name, a folder or a URL; else the default remote.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print for machines.")


def _paths(paths: tuple[str, ...]) -> tuple[str, ...]:
    default = os.environ.get("RUNFMT_DIR") or os.environ.get("WANDB_DIR") or "runs"
    return paths or (default,)


def _open(remote: str | None) -> Remote:
    from runfmt_sync.configuration import resolve
    from runfmt_sync.remotes import open_remote

    return open_remote(resolve(remote))


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"


def _nothing_in(paths: tuple[str, ...]) -> str:
    return f"no runs in {', '.join(_paths(paths))}"


@main.command()
@paths_argument
@remote_option
@click.option("--project", help="Only runs of this project.")
@click.option("--include", multiple=True, help="Only runs whose id or path matches this pattern.")
@click.option("--exclude", multiple=True, help="But not these.")
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and move nothing.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="So many runs at once."
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
@json_option
def sync(
    paths: tuple[str, ...],
    remote: str | None,
    project: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
    jobs: int,
    verify: bool,
    watch: bool,
    interval: float,
    as_json: bool,
) -> None:
    """Bring what is not there yet. PATHS are runs, folders of runs, or the files of bundles."""
    if any(path.endswith(".runfmt") for path in paths):
        sys.exit(_unbundle(paths, _open(remote), as_json))
    from runfmt_sync.progress import JsonWatcher, LineWatcher, show_progress, summary_line
    from runfmt_sync.push import Push
    from runfmt_sync.receipts import is_another_store
    from runfmt_sync.selection import select_runs

    if watch:
        if dry_run or verify:
            raise UsageError(
                "--watch goes with neither --dry-run nor --verify: call sync once more for those"
            )
        _watch(
            partial(select_runs, _paths(paths), include=include, exclude=exclude),
            remote,
            project,
            interval=interval,
            jobs=jobs,
            watcher=JsonWatcher() if as_json else LineWatcher(),
        )
        return
    opened = _open(remote)
    folders = select_runs(
        _paths(paths), include=include, exclude=exclude, project=project, apart=Path(opened.url)
    )
    with show_progress(quiet=as_json) as progress:
        push = Push(opened, jobs=jobs, believe=not verify, dry_run=dry_run, progress=progress)
        if opened.store_id and is_another_store(opened.url, opened.store_id):
            click.echo(f"{opened.url} is not the store that it was last time: it is asked anew", err=True)
        outcomes = push.run(folders)
    if as_json:
        _print_json({"remote": opened.url, "store": opened.store_id, "fault": push.fault, "runs": outcomes})
    else:
        click.echo(summary_line(outcomes, opened.url) if outcomes else _nothing_in(paths))
    if push.fault:
        raise push.fault
    sys.exit(any(outcome.status == "failed" for outcome in outcomes))


def _watch(
    select: Callable[..., list[Path]],
    remote: str | None,
    project: str | None,
    *,
    interval: float,
    jobs: int,
    watcher: Watcher,
) -> None:
    import signal

    from runfmt_sync.configuration import resolve
    from runfmt_sync.push import Push
    from runfmt_sync.remotes import open_remote
    from runfmt_sync.selection import is_of_project
    from runfmt_sync.watch import Watch

    url = resolve(remote)
    select(apart=Path(url))  # a folder that is not there is a mistake now, and bad luck later
    watch = Watch(
        lambda: Push(open_remote(url, sleep=watch.pause), jobs=jobs),
        lambda: select(apart=Path(url)),
        watcher,
        interval=interval,
        is_meant=lambda folder: project is None or is_of_project(folder, project),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watch.stop())
    watch.run()


@main.command("verify")
@paths_argument
@remote_option
@click.option("--against", metavar="RECEIPT", help="A receipt's file instead, or a remote.")
@json_option
def verify_command(paths: tuple[str, ...], remote: str | None, against: str | None, as_json: bool) -> None:
    """Compare every byte of runs with the remote, or with what a receipt says."""
    from collections import Counter

    from runfmt_sync.progress import printable
    from runfmt_sync.selection import select_runs
    from runfmt_sync.verify import FAILING, verify

    opened, since = _against(against or remote)
    verdicts = list(verify(select_runs(_paths(paths), apart=Path(opened.url)), opened, since=since))
    if as_json:
        _print_json({"remote": opened.url, "store": opened.store_id, "runs": verdicts})
        sys.exit(not all(verdict.is_good for verdict in verdicts))
    for verdict in verdicts:
        counts = Counter(verdict.files.values())
        words = ", ".join(f"{count} {word}" for word, count in counts.items())
        click.echo(printable(f"{verdict.id}: {verdict.problem or words}"))
        for path, word in verdict.files.items():
            if word in FAILING:
                click.echo(printable(f"  {word}: {path}"))
    bad = sum(not verdict.is_good for verdict in verdicts)
    if verdicts:
        click.echo(
            f"{_runs(len(verdicts) - bad)} verified at {opened.url}" + (f", {bad} failed" if bad else "")
        )
    else:
        click.echo(_nothing_in(paths))
    sys.exit(bad > 0)


@main.group()
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
        _print_json([{"name": name, "url": url, "default": name == default} for name, url in remotes.items()])
    else:
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


@main.command()
@paths_argument
@json_option
def ls(paths: tuple[str, ...], as_json: bool) -> None:
    """List runs. PATHS are runs, folders of runs, names of remotes, or URLs of servers."""
    from runfmt.elsewhere import is_url
    from runfmt_sync.configuration import known_remotes
    from runfmt_sync.listing import list_runs, print_table
    from runfmt_sync.selection import select_runs

    remotes, _ = known_remotes()
    places = [path if Path(path).is_dir() else remotes.get(path, path) for path in _paths(paths)]
    rows = list_runs(select_runs([p for p in places if not is_url(p)]), filter(is_url, places))
    if as_json:
        _print_json(rows)
    elif rows:
        print_table(rows)
    else:
        click.echo(_nothing_in(paths))


@main.command()
@click.argument("run", type=click.Path())
@click.option("--raw", is_flag=True, help="Print the whole rows of the metrics as they lie on disk.")
@click.option("--writer", default="main", show_default=True, help="Whose metrics.")
@json_option
def show(run: str, raw: bool, writer: str, as_json: bool) -> None:
    """Say what is in a run. RUN is its folder, or its URL: https://host/project/id."""
    from runfmt_sync.listing import describe, one_run, print_description, print_raw, strict

    found = one_run(run)
    if raw:
        print_raw(found, writer)
    elif as_json:
        _print_json(strict(describe(found, writer)))
    else:
        print_description(describe(found, writer))


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="A .parquet, .csv or .jsonl file."
)
@click.option("--runs", is_flag=True, help="One row a run: config, summary, state, times.")
@click.option("--keys", help="Only these metrics, with commas between.")
def export(paths: tuple[str, ...], output: Path, runs: bool, keys: str | None) -> None:
    """Write the metrics of one run or of many as one table."""
    from runfmt_sync.export import export as write_table

    write_table(paths, output, runs=runs, keys=keys.split(",") if keys else None)


@main.command("validate")
@paths_argument
@json_option
def validate_command(paths: tuple[str, ...], as_json: bool) -> None:
    """Say everything that is not as the specification demands."""
    from runfmt_sync.progress import printable
    from runfmt_sync.selection import select_runs
    from runfmt_sync.validate import validate

    found = {str(folder): validate(folder) for folder in select_runs(_paths(paths))}
    bad = sum(bool(problems) for problems in found.values())
    if as_json:
        _print_json(found)
    else:
        for folder, problems in found.items():
            for problem in problems:
                click.echo(printable(f"{folder}: {problem}"))
        good = f"{_runs(len(found) - bad)} as the specification demands" + (f", {bad} not" if bad else "")
        click.echo(good if found else _nothing_in(paths))
    sys.exit(bad > 0)


@main.command("recover")
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--from", "source", metavar="REMOTE", help="Restore from this remote what is missing here.")
@click.option(
    "--new-uid", is_flag=True, help="Make a copy that was continued on both sides a run of its own."
)
def recover_command(paths: tuple[str, ...], source: str | None, new_uid: bool) -> None:
    """Mend what a crash left. PATHS are runs or folders of runs."""
    from runfmt_sync.recover import recover
    from runfmt_sync.selection import select_runs

    remote = _open(source) if source else None
    folders, failed = select_runs(paths), False
    for folder in folders:
        try:
            click.echo(
                f"{folder}: {'; '.join(recover(folder, remote=remote, new_uid=new_uid)) or 'is whole'}"
            )
        except (UsageError, FormatError, RunNotFound, OSError) as error:
            click.echo(f"{folder}: {explain(error)}", err=True)
            failed = True
    if not folders:
        click.echo(_nothing_in(paths))
    sys.exit(failed)


def _against(place: str | None) -> tuple[Remote, float | None]:
    """A remote, or what a receipt says of one; then also the Unix time at which it was made."""
    if place and Path(place).is_file():
        from runfmt_sync.places import open_receipt

        receipt = open_receipt(Path(place))
        return receipt, receipt.made_at
    return _open(place), None


file_option = click.Path(path_type=Path, dir_okay=False)


@main.command()
@paths_argument
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder for the files."
)
@click.option(
    "--since", type=file_option, help="A receipt of the other side: leave out what it says is there."
)
@click.option("--channel", help="Leave out what went through this channel before.")
@click.option("--again", metavar="NUMBER", type=int, help="Make this bundle of the channel once more.")
@click.option("--max-size", default="4G", show_default=True, help="Each file is smaller than that.")
@click.option("--sign", metavar="KEY", help="Sign with this key: a name, or the file of a secret key.")
@click.option("--project", help="Only runs of this project.")
@click.option("--include", multiple=True, help="Only runs whose id or path matches this pattern.")
@click.option("--exclude", multiple=True, help="But not these.")
def bundle(
    paths: tuple[str, ...],
    output: Path,
    since: Path | None,
    channel: str | None,
    again: int | None,
    max_size: str,
    sign: str | None,
    project: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Write runs into files that can be carried. PATHS are runs or folders of runs."""
    from runfmt_sync.places import open_receipt
    from runfmt_sync.progress import show_progress
    from runfmt_sync.selection import select_runs
    from runfmt_sync.signing import find_secret_key
    from runfmt_sync.sneakernet import lines, parse_size, write_bundle

    folders = select_runs(_paths(paths), include=include, exclude=exclude, project=project, apart=output)
    with show_progress(quiet=True) as progress:
        written = write_bundle(
            folders,
            output,
            channel=channel,
            since=open_receipt(since) if since else None,
            again=again,
            max_size=parse_size(max_size),
            key=find_secret_key(sign) if sign else None,
            progress=progress,
        )
    for line in lines(written):
        click.echo(line)
    sys.exit(not written.is_good)


def _unbundle(paths: tuple[str, ...], remote: Remote, as_json: bool = False) -> bool:
    """Apply bundles to a remote and say what became of them; gives whether something is wrong."""
    from runfmt_sync.signing import trusted_keys
    from runfmt_sync.unbundle import lines, to_json, unbundle

    if not all(path.endswith(".runfmt") for path in paths):
        raise UsageError("files of bundles and folders of runs go in two calls: name only one kind")
    done = unbundle([*map(Path, paths)], remote, trusted_keys())
    if as_json:
        _print_json({"remote": remote.url, "store": remote.store_id, **to_json(done)})
    else:
        for line in lines(done, remote.url):
            click.echo(line)
    return not done.is_good


@main.command("unbundle")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, help="The folder for the runs, or another remote.")
@click.option("--receipt", type=file_option, help="Write here what is there then, to be carried back.")
@json_option
def unbundle_command(files: tuple[str, ...], output: str, receipt: Path | None, as_json: bool) -> None:
    """Apply bundles from files, in whatever order they came."""
    from runfmt_sync.configuration import known_remotes
    from runfmt_sync.places import write_receipt
    from runfmt_sync.remotes import open_remote

    remote = open_remote(known_remotes()[0].get(output, output))
    is_wrong = _unbundle(files, remote, as_json)
    if receipt:
        write_receipt(remote, receipt)
    sys.exit(is_wrong)


@main.command("receipt")
@click.argument("place")
@click.option("-o", "--output", required=True, type=file_option, help="The file.")
def receipt_command(place: str, output: Path) -> None:
    """Write what a folder of runs or a remote holds into a file, to be carried back."""
    from runfmt_sync.places import write_receipt

    remote = _open(place)
    remote.prepare()
    click.echo(f"{output}: {_runs(write_receipt(remote, output))} at {remote.url}")


@main.group()
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


@main.command("pull")
@click.argument("remote")
@click.argument("runs", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder; else that of your runs.")
@json_option
def pull_command(remote: str, runs: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Bring runs from a remote. RUNS are ids, patterns of them, or uids; all without."""
    from runfmt_sync.progress import show_progress, summary_line
    from runfmt_sync.pull import chosen, pull

    opened, folder = _open(remote), output or Path(_paths(())[0])
    with show_progress(quiet=as_json) as progress:
        outcomes, fault = pull(opened, chosen(opened, runs), folder, progress)
    if as_json:
        _print_json({"remote": opened.url, "fault": fault, "runs": outcomes})
    else:
        click.echo(summary_line(outcomes, str(folder)) if outcomes else f"no runs at {opened.url}")
    if fault:
        raise fault
    sys.exit(any(outcome.status == "failed" for outcome in outcomes))


@main.command("login")
@click.argument("url")
def login_command(url: str) -> None:
    """Keep the token of a server, which is asked for, or read from standard input."""
    from runfmt_sync.credentials import log_in

    token = click.prompt("token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    log_in(url, token.strip())
    click.echo(f"logged in to {url}")


data_option = click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="The folder of the server's runs."
)


@main.command("serve")
@data_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8338, show_default=True, help="The port.")
@click.option("--host-name", multiple=True, help="A name by which others call the server.")
def serve_command(data: Path, host: str, port: int, host_name: tuple[str, ...]) -> None:
    """Take runs and give them, over HTTP, until told to stop."""
    try:
        from runfmt_sync.server.serve import Server
    except ImportError:
        raise MissingLibrary("the server", "'runfmt[server]'") from None
    server = Server(data, host, port, host_name)
    click.echo(f"{data} is served at {server.url}")
    server.run()


@main.group()
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
        _print_json(rows)
    else:
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
