"""Runs of an object store, shown from a copy that follows it."""

import pytest

from remotes.kinds import Objects
from runfmt.errors import CommError
from runfmt.reading import find_runs
from runfmt_sync import viewing
from runfmt_sync.push import Push
from runmaker import make_run, read, rows
from viewing import showing


@pytest.fixture
def place(tmp_path):
    (tmp_path / "disk").mkdir()
    return Objects(tmp_path / "disk" / "remote")


@pytest.fixture
def sync(runs, place):
    def run():
        assert {outcome.status for outcome in Push(place.remote()).run([*find_runs(runs)])} <= {
            "synced",
            "unchanged",
        }

    return run


def until(question, answer):
    """Ask until it is answered so; a test that waits for ever is ended by its time limit."""
    while question() != answer:
        pass


def test_object_store_is_shown_and_followed(runs, place, sync, monkeypatch):
    monkeypatch.setattr(viewing, "EVERY", 0.05)
    monkeypatch.setattr(viewing, "REST", 0)
    run = make_run(runs, state="running")
    sync()
    uid = read(run / "run.json")["uid"]
    with showing(place.url) as client:
        [row] = client.json("GET", "/v1/runs")["runs"]
        assert (row["uid"], row["attributes"]["name"]) == (uid, "n")
        assert client.json("GET", "/v1")["may"] == ["read"]
        with (run / "metrics.jsonl").open("ab") as stream:
            stream.write(rows(21, 5))
        make_run(runs, "second")
        sync()
        until(lambda: len(client.json("GET", "/v1/runs")["runs"]), 2)
        asked = {"curves": [{"uid": uid, "key": "loss"}], "x": "_step", "points": 100}
        until(lambda: client.json("POST", "/v1/curves", json=asked)["curves"][0]["count"], 26)


def test_saved_files_stay_where_they_are(runs, place, sync, state):
    make_run(runs)
    sync()
    with showing(place.url):
        [copy] = state.glob("view/*/copy/first")
        assert (copy / "media").is_dir()
        assert not (copy / "files").exists()


def test_store_that_is_away_is_said_at_once(runs, place, sync):
    make_run(runs)
    sync()
    with place.hurt("absent"), pytest.raises(CommError), showing(place.url):
        pass
