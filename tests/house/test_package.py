"""What is installed: the wheel, the editable install, and an environment with nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import runfmt
import runfmt_sync

PROJECT = Path(__file__).parents[2]


def build(kind: str, folder: Path) -> zipfile.ZipFile:
    """Call the build backend (``wheel`` or ``editable``) as pip does."""
    code = f"import hatchling.build as backend; print(backend.build_{kind}({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    return zipfile.ZipFile(folder / done.stdout.split()[-1])


def test_imported_packages_are_the_installed_ones():
    direct = json.loads(metadata.distribution("runfmt").read_text("direct_url.json") or "{}")
    is_editable = direct.get("dir_info", {}).get("editable", False)
    for package, source in ((runfmt, PROJECT), (runfmt_sync, PROJECT / "sync")):
        folder = Path(package.__file__).parents[1]
        assert folder == source if is_editable else folder.name == "site-packages"


def test_wheel_holds_exactly_the_two_packages(tmp_path):
    wheel = build("wheel", tmp_path)
    version = metadata.version("runfmt")
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"runfmt", "runfmt_sync", f"runfmt-{version}.dist-info"}
    for folder, package in ((PROJECT / "runfmt", "runfmt"), (PROJECT / "sync/runfmt_sync", "runfmt_sync")):
        sources = {f"{package}/{path.relative_to(folder)}" for path in folder.rglob("*.py")}
        assert sources | {f"{package}/py.typed"} <= set(wheel.namelist())
    page = {f"runfmt_sync/web/{path.name}" for path in (PROJECT / "sync/runfmt_sync/web").iterdir()}
    assert {"runfmt_sync/web/index.html"} <= page <= set(wheel.namelist())


def test_editable_install_puts_two_plain_paths_on_the_path(tmp_path):
    wheel = build("editable", tmp_path)
    paths = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert len(paths) == 1
    assert paths[0].endswith(".pth")
    assert wheel.read(paths[0]).decode().split("\n") == [str(PROJECT), str(PROJECT / "sync")]


def test_extras_ask_for_lower_bounds_only():
    requirements = metadata.requires("runfmt") or []
    assert requirements
    for requirement in requirements:
        bound = requirement.split(";")[0]
        assert not {"<", "==", "~="} & {sign for sign in ("<", "==", "~=") if sign in bound}, requirement


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """The Python of an environment in which there is the wheel and what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    build("wheel", folder)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", *folder.glob("*.whl")], check=True)
    return python


def test_bare_environment_logs_and_says_what_the_command_needs(bare, tmp_path):
    code = "import runfmt; runfmt.init(id='r'); runfmt.log({'loss': 0.5}); runfmt.finish()"
    clean = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([bare, "-W", "error", "-c", code], cwd=tmp_path, env=clean, check=True)
    assert json.loads((tmp_path / "runs/r/metrics.jsonl").read_text())["loss"] == 0.5
    assert json.loads((tmp_path / "runs/r/run.json").read_text())["state"] == "finished"

    listed = subprocess.run([bare, "-m", "pip", "list", "--format=json"], check=True, capture_output=True)
    assert {p["name"] for p in json.loads(listed.stdout)} - {"pip", "setuptools", "wheel"} == {
        "filelock",
        "orjson",
        "runfmt",
    }

    command = subprocess.run(
        [bare.parent / "runfmt", "sync", "runs"], check=False, capture_output=True, text=True
    )
    assert command.returncode == 2
    assert command.stdout == ""
    assert command.stderr.count("\n") == 1
    assert "pip install 'runfmt[sync]'" in command.stderr
