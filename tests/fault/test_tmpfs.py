"""A real file system that is full: nothing is lost once there is room, and what is lost is said otherwise.

Needs a kernel that lets this user mount a tmpfs in a name space of his own.
"""

import json
import subprocess
import sys

import pytest

from runfmt.reading import StoredRun

TRAIN = """
import os, shutil, sys, warnings, runfmt
folder, durability, end = sys.argv[1:]
os.chdir(folder)
run = runfmt.init(id="one", durability=durability, config={"lr": 1}, settings={"silent": True})
run.define_metric("v", summary="max")
def log(values):
    for value in values:
        print("row", value)
        run.log({"v": value, "text": "x" * 200})
log(range(1000))
run.save()
with open("ballast", "wb", buffering=0) as ballast:
    try:
        while ballast.write(bytes(100)): pass
    except OSError as error:
        assert error.strerror == "No space left on device"
log(range(1000, 6000))
run.save()
run.summary["best"] = 5999
run.log({"page": runfmt.Html("<p>" * 100000)})
run.config.update({"late": 2})
if end == "room":
    os.remove("ballast")
run.finish()
shutil.copytree("runs", "../copy")
"""


def in_tmpfs(folder, *command):
    """Run a command that sees a file system of two megabytes at a folder."""
    mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=2m none "$0" && exec "$@"', folder]
    return subprocess.run([*mount, *command], check=False, capture_output=True, text=True, timeout=120)


@pytest.fixture
def train(tmp_path):
    """Train in a full tmpfs; gives the run, and what was said."""
    folder = tmp_path / "full"
    folder.mkdir()
    if in_tmpfs(folder, "true").returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")

    def train(durability, end):
        done = in_tmpfs(folder, sys.executable, "-W", "always", "-c", TRAIN, folder, durability, end)
        assert done.returncode == 0, done.stderr
        return StoredRun(tmp_path / "copy" / "one"), done.stderr

    return train


@pytest.mark.parametrize("durability", ["second", "fsync", "buffered"])
def test_full_disk_that_gets_room_loses_nothing(train, durability, counted):
    stored, said = train(durability, "room")
    rows = [row["v"] for row in stored.history().rows if "v" in row]
    assert rows == list(range(6000))
    assert stored.problems == []
    assert said.count("the training goes on") <= 3  # each stream says it once
    assert stored.state() == "finished"
    assert stored.config == {"lr": 1, "late": 2}
    assert stored.summary == json.loads((stored.path / "summary.json").read_bytes())
    printed = (stored.path / "console.log").read_text().splitlines()
    assert [line for line in printed if line.startswith("row")] == [f"row {value}" for value in range(6000)]
    counted(rows=6000, lost=6000 - len(rows))


@pytest.mark.parametrize("durability", ["second", "buffered"])
def test_full_disk_that_stays_full_says_what_is_lost(train, durability):
    stored, said = train(durability, "full")
    rows = [row["v"] for row in stored.history().rows if "v" in row]
    assert rows == list(range(len(rows)))
    assert len(rows) >= 1000
    assert {problem.rule for problem in stored.problems} <= {"R020"}
    lost = 6000 - len(rows) + 2  # of a page, and of a value by hand
    assert f"metrics.jsonl): {lost:,} lines could not be written and are lost" in said
