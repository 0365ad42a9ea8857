"""The summary that a run follows is at any time what a reader computes from the stream."""

import contextlib
import json
import math
import random

import pytest

import runfmt
from runfmt.live import LiveSummary
from runfmt.reading import StoredRun
from runfmt.rows import decode_document

VALUES = (1, 2.5, -3, None, math.nan, "s", True, 7)


def some_row(chance):
    row = {key: chance.choice(VALUES) for key in chance.sample(["a", "b", "_h", "n"], chance.randrange(4))}
    if chance.random() < 0.5:
        row["n"] = {key: chance.choice(VALUES) for key in chance.sample(["x", "y"], chance.randrange(3))}
    return row


def define(run, chance):
    run.define_metric(
        chance.choice(["a", "b", "n.*", "*"]),
        summary=chance.choice([None, "min", "max,mean", "first", "last", "none", "best"]),
        step_metric=chance.choice([None, "c"]),
        overwrite=chance.choice([None, True]),
    )


def delete(run, chance):
    with contextlib.suppress(KeyError):
        del run.summary[chance.choice(["a", "z"])]


def log(run, chance):
    step = chance.choice([None, None, None, chance.randrange(12)])
    run.log(some_row(chance), step=step, commit=chance.choice([None, None, True, False]))


def read_beside(run, chance):
    """What the background does, with rows that come while it reads."""
    if run._live.is_stale:
        step, (other, end) = run.step, run._live.begin_reading()
        for _ in range(chance.randrange(3)):
            chance.choice(ACTIONS[:20])(run, chance)
        other.recompute(step, end)
        run._live.adopt(other)


ACTIONS = [
    *[log] * 14,
    *[define] * 2,
    lambda run, chance: run.summary.update({chance.choice("abz"): chance.choice([1, 5, {"q": 2}])}),
    delete,
    lambda run, chance: run._rewind(chance.randrange(-1, 10)),
    lambda run, chance: dict(run.summary),
    lambda run, chance: run._background._write_documents(),
    lambda run, chance: run._background._read_summary(),
    read_beside,
]


def text(summary):
    return json.dumps(summary, sort_keys=True)


@pytest.mark.parametrize("seed", range(60))
def test_followed_summary_is_the_computed_one_after_anything(tmp_path, seed):
    chance = random.Random(seed)
    with runfmt.init(project="p", dir=tmp_path, console="off") as run:
        for _ in range(chance.randrange(40)):
            chance.choice(ACTIONS)(run, chance)
            if chance.random() < 0.2:
                computed = LiveSummary(run._live.path).recompute(run.step)
                assert text(run._summary_tree()) == text(computed)
    written = decode_document((run.directory / "summary.json").read_bytes())
    stored = StoredRun(run.directory)
    stored.history()  # of which the summary is made then, all at once
    assert text(written) == text(stored.summary)


@pytest.fixture
def readings(monkeypatch):
    """How often the stream was read again."""
    found = []
    read = LiveSummary._read_again
    monkeypatch.setattr(LiveSummary, "_read_again", lambda live, *of: (found.append(live), read(live, *of)))
    return found


def test_counter_that_lags_behind_never_makes_the_stream_be_read_again(tmp_path, readings):
    with runfmt.init(project="p", dir=tmp_path, console="off") as run:
        run.define_metric("val", summary="min,max,mean")
        for epoch in range(20):
            for batch in range(10):
                run.log({"loss": batch}, step=epoch * 10 + batch)
            run.log({"val": epoch, "n": {"x": epoch}}, step=epoch)
            run.summary["best"] = epoch
            assert run.summary["val"] == {"min": 0, "max": epoch, "mean": epoch / 2}
        assert run.summary["n"]["x"] == 19
    assert readings == []
    assert StoredRun(run.directory).summary["val"] == {"min": 0, "max": 19, "mean": 9.5}


def test_value_by_hand_is_set_without_reading_the_stream(tmp_path, readings):
    with runfmt.init(project="p", dir=tmp_path, console="off") as run:
        for value in range(5):
            run.log({"v": value})
        run.define_metric("v", summary="max")  # the stream must be read, and not by who sets a value
        run.summary["best"] = {"at": 3}
        run.summary["best"] = 4
        assert readings == []
        assert dict(run.summary) == {"v": {"max": 4}, "best": 4}
    assert len(readings) == 1


def test_summary_that_was_read_in_the_background_is_gone_on_from(tmp_path, readings, monkeypatch):
    recompute = LiveSummary.recompute

    def log_meanwhile(live, *of):
        found = recompute(live, *of)
        run.log({"v": 100})
        return found

    with runfmt.init(project="p", dir=tmp_path, console="off") as run:
        for value in range(5):
            run.log({"v": value})
        run.define_metric("v", summary="min,max")
        monkeypatch.setattr(LiveSummary, "recompute", log_meanwhile)
        run._background._read_summary()
        assert json.loads((run.directory / "summary.json").read_bytes()) == {"v": {"min": 0, "max": 4}}
        run.log({"v": -1})
        assert run.summary["v"] == {"min": -1, "max": 100}
    assert len(readings) == 1


def test_known_definition_is_no_new_one(tmp_path, readings):
    for _ in range(2):
        with runfmt.init(project="p", id="one", dir=tmp_path, resume="allow", console="off") as run:
            run.define_metric("v", summary="max")
            run.log({"v": run.step})
    assert len(readings) == 1, "once, for the earlier rows"
    assert StoredRun(run.directory).summary == {"v": {"max": 1}}
