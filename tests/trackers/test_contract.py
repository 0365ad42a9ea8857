"""What every tracker does with runs: all of them, each row once, whatever happens on the way."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remotes.checks import append, points
from runfmt.reading import find_runs
from runfmt_sync.push import Progress
from runfmt_sync.track import Choice, Track
from runmaker import OLD, make_run, read, rows, write

DRIVER = """
import pkgutil, sys
from pathlib import Path
from runfmt.reading import find_runs
from runfmt_sync.track import Track
track = Track(pkgutil.resolve_name(sys.argv[3])(sys.argv[2]), jobs=1)
outcomes = track.run(list(find_runs(Path(sys.argv[1]))))
sys.exit(any(outcome.problems for outcome in outcomes) or track.fault is not None)
"""
LONG = int(os.environ.get("RUNFMT_TEST_ROWS", "1000"))
"""Rows of the long run; the soak takes 100,000."""


def start(source, kind, **environment):
    """A sync in a process of its own."""
    tests = str(Path(__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, source, kind.url, kind.opener],
        env={**os.environ, "PYTHONPATH": tests, **environment},
    )


def losses(first, count):
    return [(step, 1 / (step + 1)) for step in range(first, first + count)]


def assert_points(found, expected):
    assert [step for step, _ in found] == [step for step, _ in expected]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected])


def alike(found):
    """Points that compare equal with NaN in them."""
    return [(step, "NaN" if math.isnan(value) else value) for step, value in found]


def resume(run, lines, state="running"):
    append(run / "metrics.jsonl", lines)
    write(run / "run.json", {**read(run / "run.json"), "state": state})


def line(step, **values):
    return json.dumps({"_step": step, "_timestamp": OLD + step, **values}).encode() + b"\n"


def test_run_arrives_with_steps_times_config_and_state(source, kind, sync):
    make_run(source, "first", count=20)
    outcome = sync()["first"]
    assert (outcome.status, outcome.rows) == ("synced", 21)
    assert_points(kind.scalars("first")["loss"], losses(0, 21))
    assert kind.times("first", "loss") == pytest.approx([OLD + step for step in range(21)], abs=1e-3)
    assert kind.config("first")["lr"] == 0.1
    assert kind.state("first") == kind.states["finished"]


def test_again_sends_nothing_and_asks_nothing(source, kind, sync):
    make_run(source)
    sync()
    before = kind.scalars("first")
    outcome = sync()["first"]
    assert (outcome.status, outcome.rows, outcome.extents) == ("unchanged", 0, 0)
    assert kind.scalars("first") == before


def test_lost_receipts_send_nothing_twice(source, kind, sync, monkeypatch, tmp_path):
    make_run(source)
    sync()
    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "another"))
    outcome = sync()["first"]
    assert (outcome.status, outcome.rows) == ("unchanged", 0)
    assert_points(kind.scalars("first")["loss"], losses(0, 21))
    assert kind.count() == 1


def test_running_run_arrives_up_to_its_last_closed_step_and_then_to_its_end(source, kind, sync):
    run = make_run(source, state="running")
    append(run / "system.jsonl", line(0, cpu=1).replace(str(OLD).encode(), b"99999999999"))  # alive
    assert sync()["first"].rows == 20
    assert_points(kind.scalars("first")["loss"], losses(0, 20))
    assert kind.state("first") == kind.states["running"]
    append(run / "metrics.jsonl", line(20, accuracy=0.5) + rows(21, 2))  # more of the step that was open
    assert sync()["first"].rows == 2
    assert kind.scalars("first")["accuracy"] == [(20, 0.5)]
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    assert sync()["first"].rows == 1
    assert_points(kind.scalars("first")["loss"], losses(0, 23))
    assert kind.state("first") == kind.states["finished"]


@pytest.mark.parametrize("state", ["failed", "killed", "preempted"])
def test_how_a_run_ended_arrives(source, kind, sync, state):
    make_run(source, state=state)
    sync()
    assert kind.state("first") == kind.states[state]


def test_resumed_run_goes_on_as_the_same(source, kind, sync):
    run = make_run(source, state="preempted")
    sync()
    resume(run, rows(21, 5), "finished")
    assert sync()["first"].rows == 5
    assert_points(kind.scalars("first")["loss"], losses(0, 26))
    assert (kind.count(), kind.state("first")) == (1, kind.states["finished"])


def test_rewind_that_is_there_already_sends_only_what_stands(source, kind, sync):
    run = make_run(source)
    resume(run, line(20, _rewind=9) + line(10, loss=7.0) + line(11, loss=8.0), "finished")
    outcome = sync()["first"]
    assert_points(kind.scalars("first")["loss"], [*losses(0, 10), (10, 7.0), (11, 8.0)])
    assert outcome.notes == []


def test_rewind_of_rows_that_were_sent_is_said(source, kind, sync):
    run = make_run(source)
    sync()
    resume(run, line(20, _rewind=9) + line(10, loss=7.0) + line(21, loss=8.0), "finished")
    outcome = sync()["first"]
    assert "1 rewinds of rows that were sent" in outcome.notes
    points = kind.scalars("first")["loss"]
    assert points[-1] == (21, 8.0)
    if "late rows" in kind.lacks:
        assert (10, 7.0) not in points
        assert any("late" in note for note in outcome.notes)
    else:
        assert (10, 7.0) in points


def test_steps_that_go_down_within_what_is_new_arrive_in_order(source, kind, sync):
    run = make_run(source, count=0)
    resume(run, line(9, loss=9.0) + line(3, loss=3.0) + line(9, more=1.0) + line(4, loss=4.0), "finished")
    sync()
    assert kind.scalars("first")["loss"] == [(0, 1.0), (3, 3.0), (4, 4.0), (9, 9.0)]
    assert kind.scalars("first")["more"] == [(9, 1.0)]


def test_numbers_that_are_none_arrive_as_far_as_can_be(source, kind, sync):
    run = make_run(source, count=0)
    names = {"/loss": "NaN", "/up": "Infinity", "/down": "-Infinity"}
    resume(run, line(1, loss=None, up=None, down=None, _nonfinite=names) + line(2, loss=0.5), "finished")
    outcome = sync()["first"]
    found = kind.scalars("first")
    assert alike(found["loss"]) == [(0, 1.0), (1, "NaN"), (2, 0.5)]
    if "infinity" in kind.lacks:
        assert any("infinit" in note for note in outcome.notes)
    else:
        assert (found["up"], found["down"]) == ([(1, math.inf)], [(1, -math.inf)])


def test_other_writers_and_nested_and_odd_names_arrive(source, kind, sync):
    run = make_run(source, count=0)
    (run / "metrics.rank3.jsonl").write_bytes(line(0, loss=3.0) + line(1, loss=4.0))
    resume(run, line(1, **{"eval": {"acc": 0.5}, "a@b=[c]": 1.0, "../x": 2.0, "é ü": 3.0}), "finished")
    sync()
    found = kind.scalars("first")
    values = {value for points in found.values() for _, value in points}
    assert {0.5, 1.0, 2.0, 3.0, 4.0} <= values
    assert found["loss"] == [(0, 1.0)]
    assert len(found) == 6


def test_text_and_lists_and_nothing_stop_no_run(source, kind, sync):
    run = make_run(source, count=0)
    resume(
        run, line(1, word="down", many=[1, 2], nothing=None, truth=True, big=2**53) + rows(2, 1), "finished"
    )
    assert sync()["first"].status == "synced"
    assert kind.scalars("first")["loss"][-1] == (2, pytest.approx(1 / 3))


def test_choice_sends_only_what_is_meant(source, kind):
    run = make_run(source, count=0)
    resume(run, b"".join(line(step, loss=0.5, noise=0.1) for step in range(1, 21)), "finished")
    track = Track(kind.tracker(), choice=Choice(keys=("lo*",), every=5))
    [outcome] = track.run([run])
    assert outcome.problems == []
    found = kind.scalars("first")
    assert [step for step, _ in found["loss"]] == [0, 5, 10, 15, 20]
    assert "noise" not in found


def test_edits_arrive(source, kind, sync):
    run = make_run(source)
    sync()
    write(run / "edits.json", {"/config/lr": {"value": 0.2, "time": OLD, "author": "a"}})
    assert sync()["first"].status == "synced"
    found = kind.config("first")["lr"]
    assert found == 0.2 or ("changed config" in kind.lacks and found == 0.1)


def test_bad_run_stops_no_other(source, kind, sync):
    make_run(source, "a")
    bad = make_run(source, "b")
    make_run(source, "c")
    (bad / "run.json").write_text("{")
    found = {name: outcome.status for name, outcome in sync().items()}
    assert found == {"a": "synced", "b": "failed", "c": "synced"}


def test_copy_that_went_on_elsewhere_is_refused(source, kind, sync, monkeypatch, tmp_path):
    run = make_run(source, state="preempted")
    sync()
    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "another"))
    data = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_bytes(data.replace(b"0.5", b"0.7"))
    assert "has diverged" in sync()["first"].problems[0]
    (run / "metrics.jsonl").write_bytes(data[: data[:-1].rfind(b"\n") + 1])
    assert "not here any more" in sync()["first"].problems[0]


@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize("point", points("track."))
def test_killed_at_a_point_the_next_sync_finishes_and_doubles_nothing(source, kind, sync, point, hit):
    run = make_run(source, state="preempted")
    sync()
    resume(run, b"".join(line(step, loss=0.25, accuracy=0.5) for step in range(21, 1500)), "finished")
    (run / "files" / "model.bin").write_bytes(b"x" * 100)
    code = start(source, kind, RUNFMT_FAULT=f"{point}:{hit}").wait(120)
    assert code == -signal.SIGKILL or (hit == 2 and code == 0), "the point is never reached"
    sync()
    found = kind.scalars("first")
    assert_points(found["loss"], [*losses(0, 21), *((step, 0.25) for step in range(21, 1500))])
    assert found["accuracy"] == [(step, 0.5) for step in range(21, 1500)]
    assert (kind.count(), kind.state("first")) == (1, kind.states["finished"])


def test_two_syncs_at_once_make_one_run_and_double_nothing(source, kind, sync):
    for number in range(3):
        make_run(source, f"r{number}", count=300)
    both = [start(source, kind) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert kind.count() == 3
    for number in range(3):
        assert_points(kind.scalars(f"r{number}")["loss"], losses(0, 301))


def test_sync_that_is_stopped_goes_on_later(source, kind, sync):
    run = make_run(source, count=0)
    (run / "metrics.jsonl").write_bytes(
        b"".join(line(step, loss=0.5, text="x" * 5000) for step in range(3000))
    )
    track = Track(kind.tracker(), progress=Stopping())
    Stopping.track = track
    assert [outcome.status for outcome in track.run(list(find_runs(source)))] == ["waiting"]
    assert 0 < len(kind.scalars("first").get("loss", [])) < 3000
    sync()
    assert kind.scalars("first")["loss"] == [(step, 0.5) for step in range(3000)]


class Stopping(Progress):
    """Tells the sync to stop when some rows have been sent."""

    track: Track

    def moved(self, size):
        if size > 2**20:
            self.track.stop()


@pytest.mark.soak
def test_many_rows_arrive_once_each(source, kind, sync, counted):
    run = make_run(source, count=0)
    resume(run, rows(1, LONG - 1), "finished")
    sync()
    found = kind.scalars("first")["loss"]
    assert_points(found, losses(0, LONG))
    counted(rows=LONG, lost=LONG - len({step for step, _ in found}), doubled=len(found) - LONG)
