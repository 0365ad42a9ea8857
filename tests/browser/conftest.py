"""Runs that a real trainer wrote, one of which goes on, and `runfmt view` of them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest
from playwright.sync_api import Page

from browsing import LAPTOP
from program import RUNFMT, clean_environment
from viewing import showing

TRAINER = Path(__file__).with_name("trainer.py")
DAY = 86_400


class Shown:
    """Runs in a browser: ``address`` is what `runfmt view` printed, ``runs`` their folder."""

    def __init__(self, runs: Path, address: str, live: Trainer) -> None:
        self.runs, self.address, self.live = runs, address, live
        self.url, _, self.token = address.partition("/#token=")

    def uid(self, name: str) -> str:
        """The uid of a run, by the name of its folder."""
        return json.loads((self.runs / name / "run.json").read_text())["uid"]

    def enter(self, page: Page, view: str = "/") -> None:
        """Open a view, as ``/charts?project=shapes``; a page that has the token goes on with it."""
        page.goto(f"{self.url}/#{view}" if page.url.startswith(self.url) else f"{self.address}&{view}")


class Trainer:
    """A run that goes on in a process; it does what its stdin says."""

    def __init__(self, runs: Path, name: str, environment: dict[str, str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, TRAINER, runs, name],
            env=environment, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True,
        )  # fmt: skip

    def wait_for(self, word: str) -> None:
        """Read what it prints until a line says this."""
        assert any(line.strip() == word for line in self.process.stdout), f"{self.name} ended"

    def log(self, **row: float) -> None:
        """Log a row; it is on disk when this returns."""
        self.process.stdin.write(json.dumps(row) + "\n")
        self.process.stdin.flush()
        self.wait_for("logged")

    def end(self, by: int | None = None) -> None:
        """Let it finish, or end it with a signal."""
        if by is not None:
            self.process.send_signal(by)
        self.process.communicate(timeout=60)


@contextmanager
def trained(runs: Path, environment: dict[str, str]) -> Iterator[Trainer]:
    """All runs, as a trainer leaves them; the one that goes on until the end."""
    others = subprocess.Popen(
        [sys.executable, TRAINER, runs], env=environment, stdout=DEVNULL, stderr=PIPE, text=True
    )
    killed, live = Trainer(runs, "killed", environment), Trainer(runs, "live", environment)
    with ExitStack() as stack:
        stack.callback(live.end)
        killed.wait_for("trained")
        killed.end(signal.SIGKILL)
        make_older(runs / "killed")
        said = others.communicate(timeout=300)[1]
        assert "FloatingPointError: the loss is nan" in said, said
        live.wait_for("trained")
        yield live


def make_older(run: Path) -> None:
    """Make a run a day older, so that it is known not to go on."""
    for path in run.glob("*.jsonl"):
        older = re.sub(
            rb'("_timestamp":)(\d+)', lambda m: b"%s%d" % (m[1], int(m[2]) - DAY), path.read_bytes()
        )
        path.write_bytes(older)


@pytest.fixture(scope="session")
def shown(tmp_path_factory) -> Iterator[Shown]:
    """`runfmt view` of the runs of the trainer: projects shapes and lines."""
    home = tmp_path_factory.mktemp("shown")
    environment = clean_environment(home) | {"RUNFMT_STATE": str(home / "state"), "PYTHONUNBUFFERED": "1"}
    with trained(home / "runs", environment) as live:
        viewer = subprocess.Popen([RUNFMT, "view", home / "runs"], env=environment, stdout=PIPE, text=True)
        try:
            address = viewer.stdout.readline().split()[-1]
            yield Shown(home / "runs", address, live)
        finally:
            viewer.terminate()
            viewer.communicate(timeout=60)


@pytest.fixture
def show(new_page):
    """Shows a folder of runs until the end, and opens a view of it: ``show(folder, "/table?project=p")``."""
    with ExitStack() as stack:

        def opened(folder: Path, view: str = "/", **options: object) -> Page:
            client = stack.enter_context(showing(folder))
            page = new_page(**(LAPTOP | options))
            stack.callback(page.context.close)  # before the server goes, which would be a fault
            token = client.session.headers["Authorization"].removeprefix("Bearer ")
            page.goto(f"{client.url}/#token={token}&{view}")
            return page

        yield opened
