"""The program `runfmt`, called as a user without settings calls it, in a folder of his own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from runfmt_sync.cli import main

RUNFMT = str(Path(sys.executable).with_name("runfmt"))


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of a user who has set nothing."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RUNFMT_", "WANDB_", "XDG_"))}
    return kept | {"HOME": str(home), "COLUMNS": "100"}


def process_of(code: str, *words: Any, **environment: str) -> subprocess.Popen[str]:
    """A process that runs some code, and has said that it begins."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def code_of(process: subprocess.Popen[str]) -> int:
    """How a process ends."""
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(60)


class Program:
    """Calls commands in the current folder; each must exit with ``code``, and never with a traceback."""

    def __init__(self, home: Path) -> None:
        self.environment = clean_environment(home)

    def __call__(self, *words: Any, code: int = 0) -> Result:
        """Call a command within this process."""
        unset = {key: None for key in os.environ if key not in self.environment}
        done = CliRunner(env=unset | self.environment).invoke(main, [str(word) for word in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, f"{words} exits with {done.exit_code}\n{done.output}"
        assert ("Traceback" in done.output) == ("-v" in words)
        return done

    def json(self, *words: Any, code: int = 0) -> Any:
        """What a command says to machines."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def error(self, *words: Any, code: int = 2) -> str:
        """The one line that a command says of what is wrong."""
        lines = self(*words, code=code).stderr.splitlines()
        assert len(lines) == 1, lines
        return lines[0].removeprefix("runfmt: ")

    def start(self, *words: Any, **options: Any) -> subprocess.Popen[str]:
        """Start the installed program."""
        command = [RUNFMT, *map(str, words)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen(command, env=self.environment, **options)

    def on_terminal(self, *words: Any) -> tuple[int, str]:
        """The exit code, and what a terminal of 100 columns was sent."""
        ours, theirs = pty.openpty()
        process = self.start(*words, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        sent = b""
        try:
            while chunk := os.read(ours, 65536):
                sent += chunk
        except OSError:  # EIO: the other side is closed
            pass
        os.close(ours)
        return process.wait(60), sent.decode()
