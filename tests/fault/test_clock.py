"""A clock that jumps costs no row and no order: times go on within a process, steps across them."""

import json

import pytest

import runfmt
from acknowledging import Acknowledging, values
from runfmt.reading import StoredRun

HOUR = 3600
SET = """
import time as clock
offset = {offset}
for name, unit in (("time", 1), ("time_ns", 10**9)):
    def shifted(read=getattr(clock, name), unit=unit): return read() + offset * unit
    setattr(clock, name, shifted)
"""
"""Stands for a clock that was set: what Python asks for the wall clock is so many seconds off."""
TRAIN = """
run = runfmt.init(id="one", resume="allow", console="off")
run.define_metric("v", summary="min,max")
for value in range(run.step, run.step + 100):
    log(value)
    offset {during}
"""


def train(folder, offset, during):
    trainer = Acknowledging(folder, TRAIN.format(during=during), first=SET.format(offset=offset))
    said = trainer.wait()
    assert "Traceback" not in said
    return trainer.acknowledged


@pytest.mark.parametrize("during", ["-= 60", "+= 60", "*= -1"])
@pytest.mark.parametrize("second", [-HOUR, HOUR, -10000 * HOUR])
def test_clock_that_is_set_costs_nothing(tmp_path, second, during):
    said = train(tmp_path, 0, during) + train(tmp_path, second, during)
    run = StoredRun(tmp_path / "runs" / "one")
    assert values(run.path) == said == list(range(200))
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_bytes().splitlines()]
    times = [row["_timestamp"] for row in rows if "v" in row]
    assert times[:100] == sorted(times[:100])
    assert times[100:] == sorted(times[100:])
    assert abs(times[100] - times[99] - second) < HOUR / 2
    assert (run.state(), run.problems) == ("finished", [])
    assert run.summary == {"v": {"min": 0, "max": 199}}
    assert list(runfmt.read_metrics(run.path).v) == said
