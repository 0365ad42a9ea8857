"""SIGKILL at any moment loses no row that ``log`` returned from, and the run goes on."""

import os
import random
import signal
import subprocess
import sys

import pytest

from runfmt.reading import StoredRun

LOOP = """
import os, sys, runfmt
run = runfmt.init(project="p", id="one", resume="allow", console=sys.argv[1])
while True:
    step = run.step
    run.log({"v": step})
    print("x")
    os.write(int(sys.argv[2]), b"%d\\n" % step)
"""


@pytest.mark.parametrize("console", ["auto", "off"])
def test_killed_loops_lose_no_acknowledged_row(tmp_path, console):
    chance = random.Random(console)
    acknowledged = -1
    for _ in range(10):
        read, write = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-c", LOOP, console, str(write)],
            cwd=tmp_path,
            pass_fds=[write],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with open(read, "rb") as said:
            lines = [said.readline() for _ in range(chance.randrange(1, 2000))]
            process.send_signal(signal.SIGKILL)
            steps = [int(line) for line in [*lines, *said.read().splitlines()]]
        process.wait()
        rows = StoredRun(tmp_path / "runs" / "one").history().rows
        assert [row["_step"] for row in rows] == list(range(len(rows)))
        assert all(row["v"] == row["_step"] for row in rows)
        assert len(rows) > steps[-1] > acknowledged
        acknowledged = steps[-1]
