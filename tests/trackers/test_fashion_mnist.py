"""The run of the Fashion-MNIST example at each tracker: what its own reader gives back of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from runfmt.reading import StoredRun, find_runs
from runfmt.rows import leaves
from runfmt_sync.importing import import_runs
from runfmt_sync.track import Track
from trackers.kinds import Offline, TensorBoardFiles
from trackers.mlflowkinds import PROGRAMS, QUIET, MLflowServer

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run, on a part of the pictures."""
    folder = tmp_path_factory.mktemp("trained")
    sys.path.insert(0, str(EXAMPLES))
    import fashion_mnist_data

    fashion_mnist_data.from_debian(folder / "data")
    program = [sys.executable, EXAMPLES / "fashion_mnist.py", "--limit", "2000", "--epochs", "3"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNFMT_", "WANDB_"))}
    subprocess.run(program, cwd=folder, env=kept | {"OMP_NUM_THREADS": "1"}, check=True)
    [run] = find_runs(folder / "runs")
    return StoredRun(run)


@pytest.fixture
def at(trained, tmp_path, monkeypatch):
    """Bring the run to a kind of tracker; gives the kind."""
    kinds = []

    def bring(kind):
        (tmp_path / "there").mkdir()
        kinds.append(kind(tmp_path / "there"))
        for name, value in kinds[-1].environment.items():
            monkeypatch.setenv(name, value)
        track = Track(kinds[-1].tracker())
        assert [outcome.status for outcome in track.run([trained.path])] == ["synced"]
        return kinds[-1]

    yield bring
    for kind in kinds:
        kind.close()


def scalars(run):
    """Every number of a run with its step, by path."""
    found = {}
    for row in run.history().rows:
        for path, value in leaves(row):
            if isinstance(value, (int, float)) and not path.startswith("_"):
                found.setdefault(path, []).append((row["_step"], value))
    return found


def pictures(run):
    """The files of the pictures of each step."""
    return [
        [(run.path / image["path"]).read_bytes() for image in row["samples"]["images"]]
        for row in run.history().rows
    ]


def test_run_is_one_with_everything(trained):
    assert scalars(trained).keys() == {"epoch", "train_loss", "test_loss", "accuracy"}
    assert [len(images) for images in pictures(trained)] == [8, 8, 8]


def test_tensorboard_gives_back_scalars_images_histograms_and_config(trained, at):
    folder = at(TensorBoardFiles).folder / "fashion-mnist" / trained.id
    sizes = dict.fromkeys(("scalars", "tensors"), 0)
    there = EventAccumulator(str(folder), sizes).Reload()
    for path, points in scalars(trained).items():
        found = [(event.step, event.value) for event in there.Scalars(path)]
        assert found == [(step, pytest.approx(value, rel=1e-7)) for step, value in points]
    found = [[*event.tensor_proto.string_val][2:] for event in there.Tensors("samples")]  # behind their size
    assert found == pictures(trained)
    counts = [make_ndarray(event.tensor_proto)[:, 2].tolist() for event in there.Tensors("logits")]
    assert counts == [row["logits"]["values"] for row in trained.history().rows]
    summary = trained.summary
    assert there.Scalars("best_accuracy")[-1].value == pytest.approx(summary["best_accuracy"], rel=1e-7)
    shown = TensorBoardFiles.config(_Read(there), trained.id)
    assert {key: shown[key] for key in ("lr", "epochs", "batch_size")} == {
        "lr": 0.01,
        "epochs": 3,
        "batch_size": 64,
    }


class _Read:
    """Events that were read already, in place of those of a folder."""

    def __init__(self, events):
        self._events = events

    def read(self, _run_id):
        return self._events


def test_wandb_gives_back_scalars_images_histograms_and_config(trained, at):
    there = at(Offline)
    rows = there.rows(trained.id)
    assert there.scalars(trained.id) == scalars(trained)
    [folder] = there.folder.glob("wandb/offline-run-*/files")
    found = [[(folder / path).read_bytes() for path in row["samples"]["filenames"]] for row in rows]
    assert found == pictures(trained)
    captions = [row["samples"]["images"] for row in trained.history().rows]
    assert [row["samples"]["captions"] for row in rows] == [
        [one["caption"] for one in step] for step in captions
    ]
    ours = [row["logits"] for row in trained.history().rows]
    assert [row["logits"]["values"] for row in rows] == [one["values"] for one in ours]
    config = there.config(trained.id)
    assert {key: config[key] for key in trained.config} == trained.config


READER = """
import json, os, sys, tempfile
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name(sys.argv[2]).experiment_id
[run] = client.search_runs([experiment])
folder = client.download_artifacts(run.info.run_id, "", sys.argv[3])
points = {key: [(p.step, p.value, p.timestamp) for p in client.get_metric_history(run.info.run_id, key)]
          for key in run.data.metrics}
print(json.dumps({"points": points, "params": run.data.params, "tags": run.data.tags, "folder": folder,
                  "status": run.info.status, "name": run.info.run_name}))
"""


def test_mlflow_gives_back_scalars_images_and_config(trained, at, tmp_path):
    there = at(MLflowServer)
    (tmp_path / "back").mkdir()
    command = [PROGRAMS / "python", "-c", READER, there.server.url, there.experiment, tmp_path / "back"]
    done = subprocess.run(command, check=True, env=os.environ | QUIET, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    mine = scalars(trained)
    assert {path: [(step, value) for step, value, _ in found["points"][path]] for path in mine} == mine
    times = [row["_timestamp"] * 1000 for row in trained.history().rows]
    assert [time for *_, time in found["points"]["accuracy"]] == [
        pytest.approx(time, abs=1) for time in times
    ]
    assert found["params"]["lr"] == "0.01"
    folder = Path(found["folder"])
    assert json.loads((folder / "config.json").read_bytes()) == trained.config
    assert {path.read_bytes() for path in folder.glob("media/image/*")} >= {
        picture for images in pictures(trained) for picture in images
    }
    assert (folder / "files" / "model.pth").stat().st_size == (
        trained.path / "files" / "model.pth"
    ).stat().st_size
    assert (found["status"], found["tags"]["mlflow.note.content"]) == ("FINISHED", "PyTorch quick start")


@pytest.mark.parametrize("kind", [TensorBoardFiles, Offline])
def test_run_that_went_there_and_comes_back_has_its_scalars_and_pictures(trained, at, kind, tmp_path):
    there = at(kind)
    [outcome], _ = import_runs([str(there.folder)], tmp_path / "back")
    assert outcome.status == "synced", outcome.problems
    back = StoredRun(outcome.folder)
    mine = scalars(trained)
    theirs = {path: points for path, points in scalars(back).items() if path in mine}
    close = {
        path: [(step, pytest.approx(value, rel=1e-6)) for step, value in points]
        for path, points in mine.items()
    }
    assert theirs == (mine if kind is Offline else close)
    files = {path.read_bytes() for path in back.path.glob("media/image/*")}
    assert files >= {picture for images in pictures(trained) for picture in images}
    assert json.loads(json.dumps(back.config))["lr"] == trained.config["lr"]
