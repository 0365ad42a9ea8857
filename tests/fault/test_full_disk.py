"""A disk that refuses: rows wait in memory, whole, in order; what does not fit is counted."""

import errno
import json
import re
import subprocess
import sys

import pytest

from runfmt.errors import remedy
from runfmt.reading import StoredRun

# A limit on the size of a file refuses as a full disk does: a short write first, then an error.
TRAIN = """
import resource, sys, warnings, runfmt, runfmt.stream
warnings.simplefilter("error" if sys.argv[1] == "error" else "always")
runfmt.stream.BUFFER = int(sys.argv[2])
run = runfmt.init(project="p", id="one", console="off", durability=sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for step in range(300):
    if step == 100:
        run.save()
        size = (run.directory / "metrics.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
    if step == 200:
        run.save()
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    run.log({"v": step})
run.save()
run.finish()
"""
STAYS_FULL = """
import resource, runfmt
run = runfmt.init(project="p", id="one", console="off")
run.log({"v": 0})
size = (run.directory / "metrics.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
for step in range(1, 1201):
    run.log({"v": step})
assert run.summary["v"] == 1200
"""


def train(tmp_path, filter_, buffer, durability="second"):
    command = [sys.executable, "-c", TRAIN, filter_, str(buffer), durability]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    return StoredRun(tmp_path / "runs" / "one"), done.stderr


@pytest.mark.parametrize("durability", ["second", "fsync", "buffered"])
@pytest.mark.parametrize("filter_", ["always", "error"])
def test_rows_that_a_full_disk_refused_come_later(tmp_path, filter_, durability):
    stored, said = train(tmp_path, filter_, 2**20, durability)
    assert [row["v"] for row in stored.history().rows] == list(range(300))
    assert stored.problems == []
    assert said.count("the training goes on") == 1


def test_rows_beyond_the_buffer_are_counted_where_they_are_missing(tmp_path):
    stored, _ = train(tmp_path, "always", 2000)
    kept = [row["v"] for row in stored.history().rows]
    [gap] = [
        json.loads(line)["_gap"]
        for line in (stored.path / "metrics.jsonl").read_bytes().splitlines()
        if b'"_gap"' in line
    ]
    assert len(kept) + gap["rows"] == 300
    assert gap["rows"] > 0
    assert kept == sorted(kept)
    assert [problem.rule for problem in stored.problems] == ["R052"]


def test_last_line_says_what_a_disk_that_stays_full_has_cost(tmp_path):
    command = [sys.executable, "-c", STAYS_FULL]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    last = done.stderr.splitlines()[-1]
    assert "its last 1,200 rows are lost, as the disk did not take them (runs/one): make room" in last
    assert "runfmt recover runs/one" in last
    stored = StoredRun(tmp_path / "runs" / "one")
    assert json.loads((stored.path / "summary.json").read_bytes()) == stored.summary == {"v": 0}


ARTIFACT = """
import os, resource, runfmt, warnings
warnings.simplefilter("always")
run = runfmt.init(id="one", console="off", strict={strict})
open("model.bin", "wb").write(os.urandom(300_000))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
model = runfmt.Artifact("model", type="model")
model.add_file("model.bin")
runfmt.log_artifact(model)
runfmt.log_model("model.bin", "other")
runfmt.log({{"im": runfmt.Html("x" * 200_000)}})
assert not model.is_logged
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert runfmt.log_artifact(model).file_count == 1
run.log({{"v": 1}})
"""


def logs_artifact(tmp_path, *, strict):
    command = [sys.executable, "-c", ARTIFACT.format(strict=strict)]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)


def test_artifact_that_a_full_disk_refused_is_warned_of_and_can_be_logged_again(tmp_path):
    done = logs_artifact(tmp_path, strict=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("model.bin could not be copied yet") == 2
    assert "artifact model was not logged" in done.stderr
    assert "artifact other was not logged" in done.stderr
    assert re.search(r"\(\S+/media/html/im_\w+\.html\): 'im' is logged as null", done.stderr)
    [document] = (tmp_path / "runs" / "one").rglob("artifact.json")
    assert json.loads(document.read_bytes())["entries"]["model.bin"]["size"] == 300_000
    assert (document.parent / "model.bin").stat().st_size == 300_000


def test_artifact_that_a_full_disk_refused_raises_in_a_strict_run(tmp_path):
    done = logs_artifact(tmp_path, strict=True)
    assert done.returncode == 1
    assert "OSError" in done.stderr
    assert "add_file" in done.stderr


def test_room_is_asked_for_only_where_it_is_missing():
    said = {
        name: remedy(OSError(getattr(errno, name), "no")) for name in ("ENOSPC", "EDQUOT", "EACCES", "EIO")
    }
    assert [name for name in said if "make room" in said[name]] == ["ENOSPC", "EDQUOT"]
