"""Runs that are copied, rewound, cut by a power failure and recovered: what was told is not told again."""

import shutil

import runfmt as client
from alerts.sinks import HttpSink
from alerts.telling import alert, ended, write_events
from runmaker import make_run, settle


def test_copies_of_a_run_are_one(runfmt, runs, sync, http):
    runfmt("alerts", "add", http.url)
    run = make_run(runs)
    write_events(run, alert("a"))
    sync()
    shutil.copytree(run, runs / "copy")
    write_events(runs / "copy", alert("b"))
    runfmt("sync", runs, "--remote", "./far", code=1)  # the copy that is behind is not brought
    shutil.rmtree(run)
    (runs / "copy").rename(run)
    settle(run)
    sync()
    assert http.titles == ["n: a", "n: b"]


def test_run_that_is_rewound_tells_nothing_twice(runfmt, runs, sync, http):
    runfmt("alerts", "add", http.url)
    for attempt in range(2):
        with client.init(dir=runs, id="r", name="n", project="p", resume="allow") as run:
            for step in range(10):
                run.log({"loss": 1.0}, step=step)
            run.alert(f"alert {attempt}")
        sync()
        with client.init(dir=runs, resume_from="r?_step=4", name="n", project="p") as run:
            run.alert(f"rewound {attempt}")
        sync()
    assert http.titles == [
        "n: alert 0", "n finished", "n: rewound 0", "n finished",
        "n: alert 1", "n finished", "n: rewound 1", "n finished",
    ]  # fmt: skip


def test_other_events_at_the_same_place_are_told(runfmt, runs, sync, http):
    """A power cut takes lines that were told; the trainer that comes back writes others there."""
    runfmt("alerts", "add", http.url)
    run = make_run(runs)
    before = (run / "events.jsonl").read_bytes()
    write_events(run, alert("a"), alert("b"))
    sync()
    (run / "events.jsonl").write_bytes(before)
    write_events(run, alert("c", text="x" * 500), alert("d"))
    shutil.rmtree(runs.parent / "far")
    sync()
    assert http.titles == ["n: a", "n: b", "n: c", "n: d"]


def test_recovered_run_tells_what_is_new_in_it(runfmt, runs, sync, http):
    runfmt("alerts", "add", http.url)
    run = make_run(runs)
    start = (run / "events.jsonl").read_bytes()
    write_events(run, alert("a"))
    sync()
    write_events(run, ended("failed"))
    sync()
    (run / "events.jsonl").write_bytes(start + b'{"_timest')
    runfmt("recover", run, "--from", "./far")
    sync()
    assert http.titles == ["n: a", "n failed"]
    runfmt("recover", "--new-uid", run)
    write_events(run, alert("b"))
    sync()
    assert http.titles == ["n: a", "n failed", "n: b"]


def test_two_machines_that_see_a_run_tell_it_both_under_one_key(runfmt, runs, http, tmp_path):
    """As the page says: add a target on one of them."""
    run = make_run(runs)
    for home in ("one", "two"):
        runfmt.environment["HOME"] = str(tmp_path / home)
        runfmt("alerts", "add", http.url)
    write_events(run, alert("a"))
    for home in ("one", "two"):
        runfmt.environment["HOME"] = str(tmp_path / home)
        runfmt("sync", runs, "--remote", f"./{home}")
    assert http.titles == ["n: a", "n: a"]
    assert len(set(http.keys)) == 1


def test_run_at_two_remotes_is_told_once(runfmt, runs, http):
    runfmt("alerts", "add", http.url)
    write_events(make_run(runs), alert("a"))
    for remote in ("./far", "./further"):
        runfmt("sync", runs, "--remote", remote)
    assert http.titles == ["n: a"]


def test_trackers_are_no_hindrance(runfmt, runs, http):
    runfmt("alerts", "add", http.url)
    write_events(make_run(runs), alert("a"))
    runfmt("sync", runs, "--remote", "tensorboard:tb")
    assert http.titles == ["n: a"]


def test_alerts_go_out_though_the_remote_is_away(runfmt, runs):
    sink = HttpSink()
    runfmt("alerts", "add", sink.url)
    write_events(make_run(runs), alert("a"))
    runfmt("sync", runs, "--remote", "http://127.0.0.1:9", code=3)
    sink.close()
    assert sink.titles == ["n: a"]
