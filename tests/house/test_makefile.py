"""The way in: a tool that is missing is named, and nothing goes on without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def make(target: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("make") or "make", "-C", PROJECT, target, f"PYTHON={sys.executable}"],
        env=os.environ | {"PATH": str(path)},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def programs(tmp_path) -> Path:
    """A PATH with what the Makefile needs, for somebody who is not root."""
    for name in ("make", "sh", "find", "git", "jq", "minisign", "node", "chromium", "apt-cache"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    return tmp_path


def test_tools_that_are_there_are_accepted(programs):
    assert make("tools", programs).returncode == 0


PACKAGES = {"chromium": "chromium", "git": "git", "jq": "jq", "minisign": "minisign", "node": "nodejs"}


@pytest.mark.parametrize(("program", "package"), PACKAGES.items())
def test_missing_tool_fails_and_is_named(program, package, programs):
    (programs / program).unlink()
    done = make("tools", programs)
    assert done.returncode == 2
    assert f"apt-get install {package}\n" in done.stderr


def test_ci_runs_what_a_developer_runs():
    script = (PROJECT / ".ci/run").read_text()
    assert script.splitlines()[-1] == "exec make test"
    assert os.access(PROJECT / ".ci/run", os.X_OK)
