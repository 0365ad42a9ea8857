"""A long training: many rows, requeued now and then, with memory and descriptors that stay as they are.

``RUNFMT_TEST_ROWS`` says how many rows; ``make soak`` logs as many as 72 hours of 400 a second have.
"""

import json
import os
import subprocess
import sys

import pytest

from runfmt.reading import StoredRun

ROWS = int(os.environ.get("RUNFMT_TEST_ROWS", "300000"))
JOBS = 3

TRAIN = """
import os, sys, runfmt
def figures():
    with open("/proc/self/status") as status:
        said = dict(line.split(":", 1) for line in status)
    return int(said["VmRSS"].split()[0]) / 1024, len(os.listdir("/proc/self/fd")), int(said["Threads"])
run = runfmt.init(id="long", project="p", console="off", resume="allow")
run.define_metric("loss", summary="min,mean")
begin, end = run.step, int(sys.argv[1])
for step in range(begin, end):
    if step == begin + (end - begin) // 5:
        before = figures()
    run.log({"loss": step / 7})
print(*before, *figures())
"""


@pytest.mark.soak
def test_long_training_keeps_its_memory_and_its_rows(tmp_path, counted):
    grown = []
    for job in range(1, JOBS + 1):
        command = [sys.executable, "-c", TRAIN, str(ROWS * job // JOBS)]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        memory, descriptors, threads, *after = map(float, done.stdout.split())
        grown.append(after[0] - memory)
        assert after[1] <= descriptors
        assert after[2] <= threads
    run = tmp_path / "runs" / "long"
    with open(run / "metrics.jsonl", "rb") as stream:
        steps = (row["_step"] for row in map(json.loads, stream) if "_define" not in row)
        missing = sum(step != number for number, step in enumerate(steps))
    counted(rows=ROWS, jobs=JOBS, lost=missing, MiB_grown=round(max(grown)))
    assert missing == 0
    assert max(grown) < 16
    summary = json.loads((run / "summary.json").read_bytes())
    assert summary == {"loss": {"min": 0, "mean": pytest.approx((ROWS - 1) / 14, rel=1e-12)}}
    assert StoredRun(run).state() == "finished"
