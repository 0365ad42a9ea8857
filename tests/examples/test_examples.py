"""The example trainers, run as their users run them."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import runfmt
from runfmt_sync.report import write_report

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_example(
    folder: Path, name: str, *arguments: str, program: tuple[str, ...] = (sys.executable,)
) -> str:
    """Run an example in a folder; what it printed comes back."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RUNFMT_", "WANDB_", "SLURM_"))}
    done = subprocess.run(
        [*program, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env=kept | {"OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def only_run(folder: Path) -> runfmt.StoredRun:
    """The one run below ``folder/runs``, which has nothing to complain about."""
    [path] = runfmt.find_runs(folder / "runs")
    run = runfmt.StoredRun(path)
    assert run.problems == []
    assert run.state() == "finished"
    return run


def write_clothes(folder: Path, count: int = 200) -> None:
    """The four files of Fashion-MNIST with made-up pictures: of class k, row 2k is white."""
    for part in ("train", "t10k"):
        labels = bytes(i % 10 for i in range(count))
        pictures = b"".join(
            bytes(255 * (row == 2 * k) for row in range(28) for _ in range(28)) for k in labels
        )
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + pictures)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels)


def test_quickstart_makes_a_whole_run(tmp_path):
    run_example(tmp_path, "quickstart.py")
    run = only_run(tmp_path)
    assert len(run.history().rows) == 200
    assert run.config == {"lr": 0.1, "steps": 200}
    assert run.summary["verdict"] == "it learns"
    assert run.summary["loss"] == {"min": run.history().rows[-1]["loss"]}


def test_fashion_mnist_records_what_a_trainer_wants(tmp_path):
    write_clothes(tmp_path)
    run_example(
        tmp_path, "fashion_mnist.py", "--data", ".", "--epochs", "3", "--lr", "0.1", "--batch-size", "20"
    )
    run = only_run(tmp_path)
    rows = run.history().rows
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["logits"]["_type"] == "histogram"
    assert rows[-1]["samples"]["count"] == 8
    assert run.summary["best_accuracy"] == max(row["accuracy"] for row in rows)
    assert run.summary["test_loss"] == {"min": min(row["test_loss"] for row in rows)}
    assert run.config["lr"] == 0.1
    assert [event["title"] for event in run.events() if event["event"] == "alert"] == ["Training is done"]
    assert "files/model.pth" in run.files
    assert len([name for name in run.files if name.startswith("media/")]) >= 8
    assert (run.path / "console.log").read_text().count("epoch ") == 3
    report = write_report([run.path], tmp_path / "report.html")
    assert (report.charts, report.pieces) == (4, 2)
    assert report.size < 200_000


def test_fashion_mnist_is_a_wandb_script_but_for_its_import_line():
    source = (EXAMPLES / "fashion_mnist.py").read_text()
    assert re.findall(r"^import runfmt as wandb$", source, re.MULTILINE) == ["import runfmt as wandb"]
    assert source.count("import runfmt") == source.count("runfmt") == 1


def test_fashion_mnist_data_missing_names_the_three_ways(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import fashion_mnist_data

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", ["file:///nowhere/"])
    with pytest.raises(FileNotFoundError) as error:
        fashion_mnist_data.provide(tmp_path / "data")
    for way in (
        "train-images-idx3-ubyte",
        "torchvision's download",
        "apt-get download dataset-fashion-mnist",
    ):
        assert way in str(error.value)


def test_fashion_mnist_data_of_debian_is_the_real_one(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import fashion_mnist_data

    fashion_mnist_data.from_debian(tmp_path)
    sizes = [(tmp_path / "FashionMNIST/raw" / name).stat().st_size for name in fashion_mnist_data.FILES]
    assert sizes == [60_000 * 784 + 16, 60_000 + 8, 10_000 * 784 + 16, 10_000 + 8]


@pytest.mark.parametrize("start", ["alone", "torchrun"])
def test_ddp_ranks_write_into_one_run(start, tmp_path):
    torchrun = (str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node=2", "--standalone")
    printed = run_example(tmp_path, "ddp.py", program=torchrun if start == "torchrun" else (sys.executable,))
    assert "rank 0: " in printed
    assert "rank 1: " in printed
    run = only_run(tmp_path)
    assert set(run.writers) == {"main", "rank1"}
    losses = [[row["loss"] for row in run.history(writer).rows] for writer in run.writers]
    assert [len(taken) for taken in losses] == [20, 20]
    assert losses[0] != losses[1]


def test_resume_after_kill_loses_nothing(tmp_path):
    printed = run_example(tmp_path, "resume_after_kill.py")
    assert "first process: exit -9, 438 rows, last step 437" in printed
    assert "second process: exit 0, 1000 rows, last step 999" in printed
    run = only_run(tmp_path)
    assert [event["event"] for event in run.events()] == ["start", "resume", "finish"]
