"""What happens in runs is told: once, to whom it concerns, and not what is old."""

import json
import sqlite3
import time

import pytest

from runmaker import make_run


def told(run, *rows, path="events.jsonl"):
    """Append rows to the events of a run, each of now unless it says otherwise."""
    with (run / path).open("a") as stream:
        for row in rows:
            stream.write(json.dumps({"_timestamp": time.time(), **row}) + "\n")


def alert(title, **more):
    return {"event": "alert", "title": title, "text": "", "level": "INFO", **more}


def ended(state, code=0):
    return {"event": "finish", "state": state, "exit_code": code}


def all_due(home):
    """The time to wait before another try has passed."""
    with sqlite3.connect(home.folder / "outbox.sqlite") as database:
        database.execute("UPDATE deliveries SET due = 0")
    database.close()


@pytest.fixture
def runs(work):
    (work / "runs").mkdir()
    return work / "runs"


@pytest.fixture
def sync(runfmt, runs):
    """Sync; gives what was said of alerts."""
    return lambda *words: runfmt("sync", runs, "--remote", "./far", *words).stderr.splitlines()


def test_alert_is_told_once(runfmt, runs, sync, http):
    runfmt("alerts", "add", http.url)
    run = make_run(runs)
    told(run, alert("the loss is high", text="20.0", level="WARN"))
    assert sync() == ["1 alert sent to json"]
    assert sync() == []
    told(run, alert("again"))
    sync()
    assert http.titles == ["n: the loss is high", "n: again"]
    assert http.told[0].raw["type"] == "warning"
    assert http.told[0].body.startswith("20.0\n\nproject p · run first · WARN · 20")
    assert http.told[0].body.split()[-1] == http.told[0].key
    assert len(set(http.keys)) == 2
