"""The documentation tells the truth: its commands run as printed, and it leaves nothing out.

A page is read from top to bottom, in one folder that was empty: a ``python`` block is run, ``python NAME``
and ``bash NAME`` become files, ``console`` is run line by line and its output compared (``...`` stands
for anything; no output: none is compared). What ends in ``&`` runs on until the page ends, and has begun when
it has printed a line; the port 8338 stands for any that is free. ``console NAME`` is another account, with
a home and a folder of its own; what is below ``/mnt`` is there for all of them. ``sh`` is for a checkout,
``text`` and ``json`` are to look at.
"""

from __future__ import annotations

import ast
import os
import re
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest

import runfmt
from runfmt_sync.cli import main

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted(PROJECT.glob("docs/*.md"))]
TEXT = {path.name: path.read_text() for path in PAGES}
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WAYS = ("folder.md", "server.md", "bundle.md", "diode.md")
PORT, MOUNTS = "8338", "/mnt/"
LIMIT = 300
"""Seconds that one command may take."""


def blocks(page: str, *kinds: str) -> list[tuple[str, str | None, str]]:
    """Kind, file name and text of a page's blocks."""
    return [found for found in FENCE.findall(TEXT[page]) if not kinds or found[0] in kinds]


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that is printed below it."""
    parts = re.split(r"^\$ ", block.replace("\\\n> ", ""), flags=re.MULTILINE)[1:]
    return [(command.strip(), output) for command, _, output in (part.partition("\n") for part in parts)]


def matches(expected: str, actual: str) -> bool:
    """Whether an output is the expected one; spaces do not count, ``...`` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in " ".join(expected.split()).split("..."))
    return re.fullmatch(pattern, " ".join(actual.split()), re.DOTALL) is not None


class Account:
    """A user without settings in an empty folder."""

    def __init__(self, path: Path) -> None:
        self.path = path / "work"
        self.path.mkdir(parents=True)
        (path / "home").mkdir()
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("RUNFMT_", "WANDB_", "XDG_", "PYTHON"))
        }
        here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = kept | {"HOME": str(path / "home"), "PATH": here, "COLUMNS": "100"}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.path,
            env=self.environment,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        )

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.path,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )


class Page:
    """Accounts, and what they share: a port, what is mounted, and what was started."""

    def __init__(self, path: Path) -> None:
        self.path, self.accounts = path, {"": Account(path / "here")}
        self.started: list[subprocess.Popen[str]] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = str(free.getsockname()[1])

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            process.terminate()
            process.communicate(timeout=LIMIT)

    def play(self, kind: str, name: str, text: str) -> None:
        for mounted in re.findall(rf"{MOUNTS}(\w+)", text):
            (self.path / "mnt" / mounted).mkdir(parents=True, exist_ok=True)
        text = text.replace(PORT, self.port).replace(MOUNTS, f"{self.path}{MOUNTS}")
        if kind == "console":
            if name not in self.accounts:
                self.accounts[name] = Account(self.path / name)
            self.talk(self.accounts[name], text)
        elif name:
            (self.accounts[""].path / name).write_text(text)
        else:
            done = self.accounts[""].run("python", "-c", text)
            assert done.returncode == 0, f"{text}\n{done.stdout}"

    def talk(self, account: Account, text: str) -> None:
        """Run a console block as an account."""
        for command, expected in commands(text):
            if command.endswith("&"):
                self.started.append(account.start(command[:-1]))
                assert matches(expected, self.started[-1].stdout.readline()), command
                continue
            code = re.search(r"# exits with (\d)$", command)
            done = account.run("bash", "-c", command)
            assert done.returncode == int(code[1] if code else 0), f"{command}\n{done.stdout}"
            assert not expected.strip() or matches(expected, done.stdout), f"{command}\n{done.stdout}"


@pytest.mark.parametrize("page", TEXT)
def test_page_works_as_printed(page, tmp_path):
    with Page(tmp_path) as played:
        for block in blocks(page, "python", "bash", "console"):
            played.play(*block)


@pytest.mark.parametrize("page", WAYS)
def test_way_ends_in_a_dataframe_on_another_account(page):
    there = [text for _, account, text in blocks(page, "console") if account == "there"]
    assert "runfmt.read_metrics(" in there[-1]
    assert f"docs/{page}" in TEXT["README.md"]


def test_every_block_is_of_a_kind_that_is_tested():
    kinds = {block[0] for page in TEXT for block in blocks(page)}
    assert kinds <= {"python", "bash", "console", "sh", "text", "json"}
    assert {"python", "console", "sh"} <= kinds


def test_commands_for_a_checkout_exist():
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    extras = set(metadata.metadata("runfmt").get_all("Provides-Extra") or [])
    for page in TEXT:
        for command in "".join(block[2] for block in blocks(page, "sh")).splitlines():
            words = command.partition("#")[0].split()
            if words[0] == "make":
                assert set(words[1:]) <= targets, command
            elif words[:2] == ["pip", "install"]:
                assert set(re.findall(r"\w+", words[2].partition("[")[2])) <= extras, command
            elif words[0] == ".venv/bin/pytest":
                assert all((PROJECT / word).exists() for word in words[1:] if word.startswith("tests")), (
                    command
                )
            else:
                assert (PROJECT / words[1]).is_file(), command


def test_links_lead_somewhere():
    for page in [*PAGES, PROJECT / "ARCHITECTURE.md", PROJECT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)


def leaves(command: click.Command, name: str) -> dict[str, click.Command]:
    """The commands below a command, by their full names."""
    if not isinstance(command, click.Group):
        return {name: command}
    found: dict[str, click.Command] = {}
    for word, below in command.commands.items():
        found |= leaves(below, f"{name} {word}")
    return found


@pytest.mark.parametrize(("name", "command"), leaves(main, "runfmt").items())
def test_command_is_documented_with_its_options(name, command):
    pages = "\n".join([*TEXT.values(), "# "])
    section = re.search(rf"^#+ `{name}[ `].*?(?=^#+ )", pages, re.MULTILINE | re.DOTALL)
    assert section, f"no page has a heading `{name}`"
    for parameter in command.params:
        spelling = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else None
        assert spelling is None or spelling == "--help" or f"`{spelling}" in section[0], spelling


def test_public_names_are_documented():
    known = set(re.findall(r"`(?:runfmt\.|wandb\.|run\.)?(\w+)", "".join(TEXT.values())))
    assert set(runfmt.__all__) - known == set()


def test_environment_variables_are_documented():
    names = set()
    for path in Path(runfmt.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("environment") and node.args:
                names |= {
                    a.value for a in node.args if isinstance(a, ast.Constant) and str(a.value).isupper()
                }
    assert len(names) > 5
    for name in names:
        assert f"`RUNFMT_{name}`" in TEXT["client.md"]


def test_architecture_names_every_module_and_is_short():
    text = (PROJECT / "ARCHITECTURE.md").read_text()
    assert len(text.splitlines()) < 120
    for folder in ("runfmt", "sync/runfmt_sync"):
        for path in (PROJECT / folder).rglob("*.py"):
            assert path.name == "__init__.py" or f"`{path.stem}" in text, path


def test_changelog_is_about_this_version():
    assert f"## [{metadata.version('runfmt')}]" in (PROJECT / "CHANGELOG.md").read_text()
