"""SIGKILL at any moment loses no row that ``log`` returned from, and the run goes on.

``make soak`` kills more often: the variable ``KILLS`` says how often, half of it without the
system sampler and the console.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from runfmt.reading import StoredRun
from runfmt.rows import CONTROL

KILLS = int(os.environ.get("KILLS", "20"))
KILLS_A_RUN = 10

# Starts and ends a run again and again, so that kills meet more than rows; says first what it is about to
# do, and of a row that log has returned.
TRAIN = """
import itertools, os, sys, runfmt, runfmt.background
channel, is_recorded, ends = int(sys.argv[1]), sys.argv[2] == "recorded", sys.argv[3] == "ends"
say = lambda what: os.write(channel, b"%s\\n" % str(what).encode())
runfmt.background.SUMMARY_EVERY, runfmt.background.SHARE = 0.005, 0
options = {"settings": {"x_stats_sampling_interval": 0.001}} if is_recorded else {"console": "off"}
for _ in range(1) if ends else itertools.count():
    say("init")
    run = runfmt.init(project="p", id="one", resume="allow", config={"lr": 0.1}, **options)
    run.define_metric("v", summary="min,max,mean")
    for _ in range(300):
        step, row = run.step, {"v": run.step}
        print("step", step)
        if step % 50 == 3:
            say("media")
            row["page"] = runfmt.Html(f"<p>{step}</p>")
        if step % 50 == 7:
            run.summary["best"] = step
        run.log(row)
        say(step)
    say("finish")
    run.finish()
"""


class Trainer:
    """A process that trains; ``acknowledged`` are the steps that ``log`` returned from, of all of them."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.folder, self.mode = folder, mode
        self.acknowledged: list[int] = []
        self.kills = 0

    def train(self, *, until: str | None, chance: random.Random) -> None:
        """Run it to its end, or until it says a word and a moment longer."""
        read, write = os.pipe()
        program = [sys.executable, "-c", TRAIN, str(write), self.mode, "killed" if until else "ends"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        process = subprocess.Popen(program, cwd=self.folder, pass_fds=[write], **quiet)
        os.close(write)
        said = []
        with open(read, encoding="ascii") as channel:
            for line in channel:
                said.append(line.strip())
                if until in said:
                    self._kill(process, chance.uniform(0, 0.03))
                    said += channel.read().split()
        errors = process.communicate(timeout=60)[1]
        assert process.returncode == (-9 if until else 0), errors
        self.kills += process.returncode == -9
        self.acknowledged += [int(word) for word in said if word.isdigit()]

    @staticmethod
    def _kill(process: subprocess.Popen, seconds: float) -> None:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()


def whole_lines(path):
    return path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []


def check(trainer):
    """What must be true at any moment."""
    stored = StoredRun(trainer.folder / "runs" / "one")
    rows = [json.loads(line) for line in whole_lines(stored.path / "metrics.jsonl")]
    rows = [row for row in rows if not any(key in row for key in CONTROL)]
    assert [row["_step"] for row in rows] == [row["v"] for row in rows] == list(range(len(rows)))
    assert trainer.acknowledged == sorted(set(trainer.acknowledged))
    assert len(rows) - (trainer.acknowledged or [-1])[-1] in (1, 2)
    assert {problem.rule for problem in stored.problems} <= {"R020"}
    for page in (row["page"] for row in rows if "page" in row):
        assert hashlib.sha256((stored.path / page["path"]).read_bytes()).hexdigest() == page["sha256"]
    if trainer.mode == "recorded":
        lines = [line.split() for line in whole_lines(stored.path / "console.log")]
        steps = [int(words[1]) for words in lines if words[0] == b"step"]
        assert steps == sorted(steps)
        assert set(steps) >= set(trainer.acknowledged)
    return stored


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["recorded", "bare"])
def test_killed_trainings_lose_nothing_and_go_on(tmp_path, mode, counted):
    chance, counts = random.Random(mode), Counter()
    for number in range(max(1, KILLS // 2 // KILLS_A_RUN)):
        trainer = Trainer(tmp_path / str(number), mode)
        trainer.folder.mkdir()
        for _ in range(KILLS_A_RUN):
            word = chance.choice(["init", "media", "finish", "row", "row"])
            begun = (trainer.acknowledged or [-1])[-1] + 2
            trainer.train(until=str(begun + chance.randrange(290)) if word == "row" else word, chance=chance)
            if (trainer.folder / "runs" / "one" / "run.json").exists():
                check(trainer)
        trainer.train(until=None, chance=chance)
        stored = check(trainer)
        assert stored.problems == []
        assert stored.state() == "finished"
        assert stored.config == {"lr": 0.1}
        last = trainer.acknowledged[-1]
        assert stored.summary["v"] == {"min": 0, "max": last, "mean": last / 2}
        assert json.loads((stored.path / "summary.json").read_bytes()) == stored.summary
        samples = whole_lines(stored.path / "system.jsonl")
        starts = sum(event["event"] in ("start", "resume") for event in stored.events())
        lines = map(json.loads, whole_lines(stored.path / "metrics.jsonl"))
        steps = Counter(row["_step"] for row in lines if not any(key in row for key in CONTROL))
        lost, doubled = set(trainer.acknowledged) - steps.keys(), steps.total() - len(steps)
        counts.update(trainings=1, starts=starts, kills=trainer.kills, rows=last + 1, samples=len(samples))
        counts.update(lost=len(lost), doubled=doubled)
    counted(**counts)
    if mode == "recorded":
        assert counts["samples"] > 0
    else:  # one at each start, at most
        assert counts["samples"] <= counts["starts"]
    assert (counts["lost"], counts["doubled"]) == (0, 0)
