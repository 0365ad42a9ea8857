"""``mode="disabled"``: the same objects, nothing written, nothing raised."""

import os
import subprocess
import sys

import pytest

import runfmt
from runfmt.disabled import DisabledRun
from runfmt.settings import resolve


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with runfmt.init(mode="disabled", config={"lr": 0.1}) as run:
        yield run
    assert os.listdir(tmp_path) == []


def test_disabled_run_is_the_active_run_until_it_ends(run):
    assert isinstance(run, runfmt.Run)
    assert runfmt.run is run
    run.finish()
    assert runfmt.run is None
    run.finish()


@pytest.mark.parametrize("data", [{"a": object()}, {1: 2}, [1], {"_gap": 1}, {"img": runfmt.Html("<p>")}])
def test_disabled_log_takes_anything_and_counts_steps(run, data):
    runfmt.log(data)
    runfmt.log(data, step=5, commit=True)
    assert run.step == 6


@pytest.mark.parametrize(
    ("around", "disabled"),
    [
        ({"WANDB_DISABLED": "true"}, True),
        ({"RUNFMT_DISABLED": "1"}, True),
        ({"WANDB_DISABLED": "false"}, False),
        ({"WANDB_DISABLED": ""}, False),
        ({"WANDB_DISABLED": "true", "WANDB_MODE": "offline"}, False),
    ],
)
def test_disabled_in_the_environment_is_the_mode_unless_one_is_given(monkeypatch, around, disabled):
    for name, value in around.items():
        monkeypatch.setenv(name, value)
    assert resolve().disabled is disabled
    assert resolve(mode="offline").disabled is False


def test_disabled_run_keeps_config_and_summary_in_memory(run):
    runfmt.config.update({"lr": 0.2, "new": {"a": 1}})
    runfmt.log({"v": 1, "n": {"x": 2}})
    runfmt.summary["best"] = 3
    runfmt.summary["n"]["y"] = 4
    del runfmt.summary["v"]
    assert dict(runfmt.config) == {"lr": 0.2, "new": {"a": 1}}
    assert (run.summary["best"], run.summary["n"]["x"], run.summary["n"]["y"]) == (3, 2, 4)
    assert "v" not in run.summary


READING = {"use_artifact", "use_model", "restore"}


def test_disabled_run_has_every_method_of_a_run(run):
    calls = {
        "log": ({"a": 1},),
        "define_metric": ("a*b",),
        "save": ("absent/*",),
        "log_code": (),
        "log_artifact": ("absent",),
        "log_model": ("absent",),
        "watch": (object(),),
        "unwatch": (),
        "alert": ("title", "text", "NO LEVEL"),
        "mark_preempting": (),
        "get_url": (),
        "project_name": (),
        "link_artifact": ("absent",),
        "link_model": ("absent", "name"),
        "finish": (),
        "join": (),
    }
    public = {name for name in dir(runfmt.Run) if not name.startswith("_")}
    methods = {name for name in public if callable(getattr(runfmt.Run, name))} - READING
    assert set(calls) == methods
    for name, arguments in calls.items():
        getattr(run, name)(*arguments)
    run.name, run.notes, run.tags = "n", "text", ["t"]
    assert (run.name, run.notes, run.tags) == ("n", "text", ("t",))
    for name in public - methods - READING:
        getattr(run, name)
    artifact = runfmt.Artifact("set", "dataset")
    assert run.log_artifact(artifact).wait() is artifact


def test_folder_of_a_disabled_run_goes_with_it(tmp_path):
    code = (
        "import os, pathlib, runfmt\n"
        "run = runfmt.init(mode='disabled'); pathlib.Path(run.dir, 'model').touch()\n"
        "if os.fork() == 0: raise SystemExit\n"
        "os.wait(); assert os.listdir(run.dir) == ['model']"
    )
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp"]


def test_no_method_of_a_run_is_inherited_that_would_write():
    inherited = {"get_url", "project_name", *READING}
    public = {
        name for name, value in vars(runfmt.Run).items() if callable(value) and not name.startswith("_")
    }
    assert public - inherited <= set(vars(DisabledRun))
