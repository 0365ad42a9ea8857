"""Transaction logs as W&B's own package writes them, whole, cut off and damaged."""

import os
import subprocess
import sys

import pytest

from runfmt.errors import UsageError
from runfmt_sync.wandb_log import items, read_log

WRITER = """
import sys, wandb
quiet = wandb.Settings(console="off", silent=True, x_disable_stats=True)
with wandb.init(id="r", project="p", mode="offline", dir=sys.argv[1], settings=quiet) as run:
    for step in range(20):
        row = {"text": "x" * 9000, "odd": float("nan"), "eval": {"acc": step}, "no": None}
        run.log({"loss": 1 / (step + 1), **row})
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log of some blocks."""
    folder = tmp_path_factory.mktemp("log")
    environment = {"WANDB_ERROR_REPORTING": "false", "HOME": str(folder)}
    subprocess.run([sys.executable, "-c", WRITER, folder], check=True, env=os.environ | environment)
    [path] = folder.glob("wandb/offline-run-*/run-r.wandb")
    return path


def rows(path):
    return [items(record.history.item) for record in read_log(path) if record.HasField("history")]


def test_rows_are_read_over_blocks_with_their_types(log):
    found = rows(log)
    assert log.stat().st_size > 3 * 2**15
    assert [row["_step"] for row in found] == [*range(20)]
    assert [row["loss"] for row in found] == [1 / (step + 1) for step in range(20)]
    assert found[7]["eval"] == {"acc": 7}
    assert found[7]["odd"] != found[7]["odd"]
    assert (found[7]["text"], found[7]["no"]) == ("x" * 9000, None)


def test_log_that_was_cut_off_gives_what_is_whole(log, tmp_path):
    data, torn = log.read_bytes(), tmp_path / "run-t.wandb"
    lengths = []
    for size in (*range(40_000, len(data), 17_011), len(data)):
        torn.write_bytes(data[:size])
        steps = [row["_step"] for row in rows(torn)]
        assert steps == [*range(len(steps))]
        lengths.append(len(steps))
    assert lengths[0] < 5
    assert lengths == sorted(lengths)
    torn.write_bytes(data + bytes(4000))  # room that was never filled
    assert len(rows(torn)) == lengths[-1] == 20


def test_damage_is_said_and_another_file_is_refused(log, tmp_path):
    data, bad = bytearray(log.read_bytes()), tmp_path / "run-b.wandb"
    data[50_000] ^= 1
    bad.write_bytes(data)
    with pytest.raises(UsageError, match="damaged"):
        rows(bad)
    bad.write_bytes(b"{}")
    with pytest.raises(UsageError, match="no transaction log"):
        rows(bad)
