"""What the writers of torch and tensorboardX are given stands in the run too."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import tensorboardX
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

import runfmt
from runfmt.tensorboard import patch, unpatch

mpl.use("agg")
import matplotlib.pyplot as plt

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=[SummaryWriter, tensorboardX.SummaryWriter], ids=["torch", "tensorboardX"])
def writer_class(request):
    return request.param


@pytest.fixture
def writer(writer_class, run, tmp_path):
    patch(run)
    writer = writer_class(str(tmp_path / "logs"))
    yield writer
    writer.close()
    unpatch()


def logged(rows):
    """Rows as (step, what the user gave)."""
    return [(row["_step"], {key: value for key, value in row.items() if key[0] != "_"}) for row in rows()]


def test_scalars_are_rows_at_their_global_step(writer, rows):
    writer.add_scalar("loss/train", torch.tensor(0.5), 3)
    writer.add_scalar("loss/train", 0.25, global_step=np.int64(7))
    writer.add_scalar(tag="late", scalar_value=np.float32(1), global_step=5)
    writer.add_scalars("both", {"a": 1, "b": 2.0}, 8)
    assert logged(rows) == [
        (3, {"loss/train": 0.5, "global_step": 3}),
        (7, {"loss/train": 0.25, "global_step": 7}),
        (5, {"late": 1.0, "global_step": 5}),
        (8, {"both/a": 1, "both/b": 2.0, "global_step": 8}),
    ]


def test_scalars_without_a_step_are_a_step_each(writer, rows):
    writer.add_scalar("loss", 1.0)
    writer.add_scalar("loss", 2.0)
    assert logged(rows) == [(0, {"loss": 1.0}), (1, {"loss": 2.0})]


def test_the_wall_time_is_the_timestamp(writer, rows):
    writer.add_scalar("loss", 1.0, 1, walltime=1234.5)
    assert rows()[0]["_timestamp"] == 1234.5


def test_the_writer_still_writes_its_events(writer, tmp_path):
    writer.add_scalar("loss", 0.5, 3)
    writer.close()
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(3, 0.5)]


def test_media_become_media(writer, run, rows):
    figure = plt.figure()
    pixels = np.random.default_rng(0).random((3, 8, 9), dtype=np.float32)
    writer.add_image("chw", pixels, 1)
    writer.add_image("hwc", pixels.transpose(1, 2, 0), 1, dataformats="HWC")
    writer.add_image("hw", pixels[0], 1, dataformats="HW")
    writer.add_images("nchw", torch.from_numpy(pixels)[None].repeat(2, 1, 1, 1), 1)
    writer.add_figure("figure", figure, 1)
    writer.add_text("text", "hello", 1)
    writer.add_histogram("values", np.arange(100), 1)
    writer.add_histogram_raw("raw", 0, 2, 3, 3, 5, [1.0, 2.0, 3.0], [1, 1, 1], 1)
    writer.add_pr_curve("pr", np.array([0, 1, 1]), np.array([0.1, 0.8, 0.4]), 1)
    found = {key: value for _, row in logged(rows) for key, value in row.items()}
    shapes = {key: (found[key]["height"], found[key]["width"]) for key in ("chw", "hwc", "hw")}
    assert shapes == dict.fromkeys(shapes, (8, 9))
    assert found["chw"]["sha256"] == found["hwc"]["sha256"]
    assert (found["nchw"]["_type"], found["nchw"]["count"]) == ("images/separated", 2)
    assert (found["figure"]["_type"], found["text"]) == ("image-file", "hello")
    assert (found["values"]["_type"], sum(found["values"]["values"])) == ("histogram", 100)
    assert (found["raw"]["bins"], found["raw"]["values"]) == ([0, 1, 2, 3], [1, 1, 1])
    assert found["pr"]["_type"] == "table-file"
    assert len(list((run.directory / "media").rglob("*.png"))) == 5


def test_one_call_is_recorded_once(writer, rows):
    writer.add_figure("figure", plt.figure(), 1)
    writer.add_hparams({"lr": 0.1}, {"acc": 0.5})
    assert logged(rows)[0][1].keys() == {"figure", "global_step"}
    assert logged(rows)[1:] == [(1, {"acc": 0.5})]


def test_hyperparameters_become_the_config(writer, run):
    writer.add_hparams({"lr": 0.1, "depth": 3}, {"acc": 0.5})
    assert dict(run.config) == {"lr": 0.1, "depth": 3}


def test_a_second_log_directory_precedes_its_tags(writer, writer_class, rows, tmp_path):
    other = writer_class(str(tmp_path / "logs" / "eval"))
    writer.add_scalar("loss", 1.0, 1)
    other.add_scalar("loss", 2.0, 1)
    other.close()
    assert logged(rows) == [(1, {"loss": 1.0, "global_step": 1}), (1, {"eval/loss": 2.0, "global_step": 1})]


def test_directories_below_a_root_are_told_apart(writer_class, run, rows, tmp_path):
    patch(run, root_logdir=str(tmp_path))
    for name in ("", "a", "a/b"):
        writer = writer_class(str(tmp_path / name))
        writer.add_scalar("x", 1.0, 0)
        writer.close()
    unpatch()
    assert [next(iter(row)) for _, row in logged(rows)] == ["x", "a/x", "a/b/x"]


def test_what_cannot_be_recorded_is_warned_of_once_and_still_written(writer, rows):
    with pytest.warns(RuntimeWarning, match=r"\(add_scalar\): it is not recorded"):
        writer.add_scalar("_gap", 1.0, 1)
    writer.add_scalar("_gap", 2.0, 2)
    assert rows() == []


def test_recording_ends_with_the_run_and_with_unpatch(writer, writer_class, run, rows, capsys):
    run.finish()
    capsys.readouterr()
    writer.add_scalar("x", 1.0, 1)
    assert capsys.readouterr().err == ""
    unpatch()
    assert not hasattr(writer_class.add_scalar, "__wrapped__")
    assert logged(rows) == []


@pytest.mark.parametrize("module", ["torch.utils.tensorboard", "tensorboardX"])
def test_a_writer_that_is_imported_after_init_is_recorded(module, tmp_path):
    program = f"""
import sys, warnings
import runfmt
run = runfmt.init(project="p", dir={str(tmp_path / "runs")!r}, sync_tensorboard=True)
assert "torch" not in sys.modules and "tensorboardX" not in sys.modules
from {module} import SummaryWriter
writer = SummaryWriter({str(tmp_path / "logs")!r})
writer.add_scalar("loss", 0.5, 3)
writer.close()
run.finish()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    [stream] = (tmp_path / "runs").glob("*/metrics.jsonl")
    assert b'"loss":0.5,"global_step":3' in stream.read_bytes()


def test_without_a_run_of_its_own_the_active_one_records(writer_class, run, rows, tmp_path):
    patch()
    assert runfmt.run is run
    writer = writer_class(str(tmp_path / "logs"))
    writer.add_scalar("x", 1.0, 1)
    writer.close()
    unpatch()
    assert logged(rows) == [(1, {"x": 1.0, "global_step": 1})]
