"""Many processes write one run: ranks, and jobs that were requeued onto it while the first still runs.

``RUNFMT_TEST_REQUEUES`` says how often two jobs meet, ``make soak`` says more than CI.
"""

import os

import pytest

import runfmt
from acknowledging import Acknowledging, values
from runfmt.reading import StoredRun

REQUEUES = int(os.environ.get("RUNFMT_TEST_REQUEUES", "3"))
RANKS, ROWS = 8, 500

RANK = """
run = runfmt.init(id="one", resume="allow")
begin = int(os.environ["RANK"]) * 1000000
for step in range(run.step, int(sys.argv[2])):
    log(begin + step)
os.write(channel, b"-1\\n")
if sys.argv[3] == "killed": signal.pause()
"""
LOCKS = {
    "work": "",
    "fail": """
import errno, fcntl
def flock(*_): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
""",
    "do nothing": "import fcntl; fcntl.flock = lambda *_: None\n",
}
JOB = """
run = runfmt.init(id="one", resume="allow", console="off")
for value in range(int(sys.argv[2]), int(sys.argv[2]) + 300):
    log(value)
if sys.argv[3] == "killed": os.kill(os.getpid(), signal.SIGKILL)
"""


def test_ranks_write_one_run_at_once_and_a_half_that_is_killed_goes_on(tmp_path, counted):
    first = [
        Acknowledging(tmp_path, RANK, ROWS, "killed" if rank % 2 else "ends", RANK=str(rank))
        for rank in range(RANKS)
    ]
    for rank in first[1::2]:
        while -1 not in rank.acknowledged:
            assert rank.until(-1), rank.wait()
        rank.process.kill()
    second = [Acknowledging(tmp_path, RANK, 2 * ROWS, "ends", RANK=str(rank)) for rank in range(1, RANKS, 2)]
    for process in (*first, *second):
        process.wait()
    said = {value for process in (*first, *second) for value in process.acknowledged if value >= 0}
    stored = StoredRun(tmp_path / "runs" / "one")
    there = values(stored.path)
    assert set(stored.writers) == {"main", *(f"rank{rank}" for rank in range(1, RANKS))}
    assert len(said) == RANKS // 2 * ROWS * 3
    assert sorted(there) == sorted(said)
    assert len(runfmt.read_metrics(stored.path, writers="all")) == len(said)
    counted(ranks=RANKS, killed=RANKS // 2, rows=len(said), lost=len(said - set(there)), doubled=0)


@pytest.mark.soak
@pytest.mark.parametrize("locks", LOCKS)
def test_two_jobs_on_one_run_lose_nothing(tmp_path, locks, counted):
    said, rows, program = set(), 0, LOCKS[locks] + JOB
    for number in range(REQUEUES):
        begin, end = number * 1000, "killed" if number % 2 else "ends"
        jobs = [Acknowledging(tmp_path, program, begin + at, end) for at in (0, 500)]
        for job in jobs:
            assert "Traceback" not in job.wait()
            assert len(job.acknowledged) == 300
            said.update(job.acknowledged)
            rows += len(job.acknowledged)
    there = values(tmp_path / "runs" / "one")
    counted(jobs=2 * REQUEUES, rows=rows, lost=len(said - set(there)), doubled=len(there) - len(set(there)))
    assert sorted(there) == sorted(said)
    frame = runfmt.read_metrics(tmp_path / "runs" / "one", writers="all")
    assert len(frame) >= rows - 2 * REQUEUES  # where locks do nothing, one step of each may be both's
