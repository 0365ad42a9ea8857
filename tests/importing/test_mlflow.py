"""Runs of MLflow, as its own package writes them into a folder and to a server."""

import math
import os
import shutil
import subprocess

import pytest

from runfmt.errors import UsageError
from trackers.mlflowkinds import PROGRAMS, QUIET, started

WRITER = """
import math, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment(sys.argv[2])
with mlflow.start_run(run_name="first", tags={"team": "a", "mlflow.note.content": "why"}) as run:
    mlflow.log_params({"lr": 0.1, "opt/name": "adam", "flag": True, "code": "007"})
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step * 10)
        mlflow.log_metric("val/acc", step / 10, step=step * 10)
    mlflow.log_metric("odd", math.nan, step=50)
    mlflow.log_text("hello", "notes/a.txt")
try:
    with mlflow.start_run(run_name="second"):
        raise SystemExit(3)
except SystemExit:
    pass
with mlflow.start_run(run_name="gone") as gone:
    pass
mlflow.delete_run(gone.info.run_id)
print(run.info.run_id)
"""


def written(uri, experiment="digits"):
    """What MLflow calls the first of the runs that it has written."""
    environment = os.environ | QUIET | {"MLFLOW_ALLOW_FILE_STORE": "true"}
    command = [PROGRAMS / "python", "-c", WRITER, uri, experiment]
    done = subprocess.run(command, check=True, env=environment, text=True, stdout=subprocess.PIPE)
    return done.stdout.split()[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    return folder / "mlruns", written((folder / "mlruns").as_uri())


def check(imported, first):
    """The runs that were written are here as they were."""
    run = imported.run(first)
    about = {key: run.document[key] for key in ("project", "name", "notes", "tags", "state")}
    assert about == {
        "project": "digits",
        "name": "first",
        "notes": "why",
        "tags": ["team=a"],
        "state": "finished",
    }
    assert run.config == {"lr": 0.1, "opt/name": "adam", "flag": True, "code": "007"}
    *rows, odd = imported.rows(first)
    assert rows == [{"_step": n * 10, "loss": 1 / (n + 1), "val/acc": n / 10} for n in range(5)]
    assert odd["_step"] == 50
    assert math.isnan(odd["odd"])
    assert (run.path / "files" / "notes" / "a.txt").read_text() == "hello"
    states = sorted(imported.run(path.name).document["state"] for path in imported.folder.glob("[0-9a-f]*"))
    assert states == ["failed", "finished"]


def test_folder_of_mlflow_comes_as_it_is(folder, imported):
    mlruns, first = folder
    assert {one.status for one in imported(mlruns).values()} == {"synced"}
    imported.again(mlruns)
    check(imported, first)


def test_times_are_those_of_the_points(folder, imported):
    mlruns, first = folder
    imported(mlruns)
    [metric] = mlruns.glob(f"*/{first}/metrics/loss")
    times = [int(line.split()[0]) / 1000 for line in metric.read_text().splitlines()]
    ours = [row["_timestamp"] for row in imported.run(first).history().rows if "loss" in row]
    assert ours == [pytest.approx(time, abs=1) for time in times]


def test_run_that_went_on_goes_on_here(folder, imported, tmp_path):
    mlruns, first = folder
    mlruns = shutil.copytree(mlruns, tmp_path / "mlruns")
    imported(mlruns)
    [metric] = mlruns.glob(f"*/{first}/metrics/loss")
    last = int(metric.read_text().split("\n")[-2].split()[0])
    with metric.open("a") as file:
        file.write(f"{last + 9000} 0.125 90\n")
    assert imported(mlruns)[first].status == "synced"
    assert imported.rows(first)[-1] == {"_step": 90, "loss": 0.125}


def test_broken_run_is_said_and_the_others_come(folder, imported, tmp_path):
    mlruns, first = folder
    mlruns = shutil.copytree(mlruns, tmp_path / "mlruns")
    [metric] = mlruns.glob(f"*/{first}/metrics/loss")
    metric.write_text("1 x 3\n")
    outcomes = imported(mlruns)
    [problem] = outcomes[first].problems
    assert "line 1 is no point" in problem
    assert sorted(one.status for one in outcomes.values()) == ["failed", "synced"]


def test_artifacts_that_the_server_does_not_give_are_said_and_all_else_comes(imported):
    server = started()
    first = written(server.url, "gone")
    [artifact] = server.folder.glob(f"artifacts/*/{first}/artifacts/notes/a.txt")
    (artifact.parents[1] / "a#b.txt").write_text("a name that MLflow shows, and refuses")
    (artifact.parents[1] / "broken").mkdir()
    (artifact.parents[1] / "broken" / "link").symlink_to("nowhere")
    outcome = imported(f"mlflow+{server.url}/gone")[first]
    assert outcome.status == "synced"
    assert (imported.run(first).path / "files" / "notes" / "a.txt").read_text() == "hello"
    assert [row["loss"] for row in imported.rows(first) if "loss" in row] == [1 / n for n in range(1, 6)]
    assert sorted(outcome.notes) == [
        "left out the artifact 'a#b.txt', which the server does not give",
        "left out the artifacts in 'broken', which the server does not list",
    ]


def test_server_of_mlflow_gives_the_same(imported):
    url = started().url
    first = written(url)
    assert {one.status for one in imported(f"mlflow+{url}/digits").values()} == {"synced"}
    imported.again(f"mlflow+{url}/digits")
    check(imported, first)
    with pytest.raises(UsageError, match="no experiment 'nothing'"):
        imported(f"mlflow+{url}/nothing")
