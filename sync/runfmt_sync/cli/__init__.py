"""The command ``runfmt``. Knows how to ask and how to answer; what is done is done elsewhere.

Exit codes: 0 all well, 1 something is wrong with data, 2 called wrongly, 3 a remote does not answer,
130 interrupted.

A command lies in the module of its topic, and is named in ``COMMANDS``. What costs time to import is
imported in the command that needs it.
"""

from __future__ import annotations

import gc
import io
import sys
import warnings
from typing import Any

import click

from runfmt.errors import CommError, Error, FormatError, MissingLibrary, RunNotFound, UsageError, explain
from runfmt_sync.cli import (
    alerting,
    carrying,
    importing,
    indexing,
    moving,
    plotting,
    reading,
    serving,
    viewing,
)

__all__ = ["main"]

COMMANDS = (
    moving.sync,
    moving.pull,
    importing.import_,
    moving.verify,
    moving.recover,
    moving.remote,
    carrying.bundle,
    carrying.unbundle,
    carrying.receipt,
    carrying.key,
    reading.ls,
    reading.show,
    reading.query,
    plotting.plot,
    plotting.report,
    reading.export,
    reading.validate,
    viewing.view,
    indexing.index,
    alerting.alerts,
    serving.serve,
    serving.token,
    serving.login,
)
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
                from traceback import format_exc

                click.echo(format_exc(), err=True)
            click.echo(f"runfmt: {explain(error)}", err=True)
            ctx.exit(next(code for kind, code in CODES if isinstance(error, kind)))


@click.group(cls=_Commands, commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="runfmt", prog_name="runfmt")
@click.option("-v", "--verbose", is_flag=True, help="Show where an error comes from.")
def main(verbose: bool) -> None:
    """Bring machine-learning runs anywhere, prove it, and look at them."""
    gc.set_threshold(50_000, 20, 100)  # of 10,000 runs much is known, without cycles
    warnings.showwarning = lambda message, *_: click.echo(f"runfmt: {message}", err=True)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be no text
        sys.stdout.reconfigure(errors="backslashreplace")
