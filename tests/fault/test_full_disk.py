"""A disk that refuses: rows wait in memory, whole, in order; what does not fit is counted."""

import json
import subprocess
import sys

import pytest

from runfmt.reading import StoredRun

# A limit on the size of a file refuses as a full disk does: a short write first, then an error.
TRAIN = """
import resource, sys, warnings, runfmt, runfmt.stream
warnings.simplefilter("error" if sys.argv[1] == "error" else "always")
runfmt.stream.BUFFER = int(sys.argv[2])
run = runfmt.init(project="p", id="one", console="off")
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for step in range(300):
    if step == 100:
        size = (run.directory / "metrics.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
    if step == 200:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    run.log({"v": step})
run.save()
run.finish()
"""


def train(tmp_path, filter_, buffer):
    command = [sys.executable, "-c", TRAIN, filter_, str(buffer)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    return StoredRun(tmp_path / "runs" / "one"), done.stderr


@pytest.mark.parametrize("filter_", ["always", "error"])
def test_rows_that_a_full_disk_refused_come_later(tmp_path, filter_):
    stored, said = train(tmp_path, filter_, 2**20)
    assert [row["v"] for row in stored.history().rows] == list(range(300))
    assert stored.problems == []
    assert said.count("make room, the training goes on") == 1


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
