"""What happens in runs is told: once, to whom it concerns, and not what is old."""

import shutil
import time
import types

import pytest

import runfmt as client
from alerts.telling import added_long_ago, alert, all_due, ended, write_events
from runfmt_sync.alerts import notices
from runfmt_sync.alerts.outbox import MAX_AGE
from runmaker import make_run, read, write


def test_alert_is_told_once(runfmt, runs, sync, http):
    runfmt("alerts", "add", http.url)
    run = make_run(runs)
    write_events(run, alert("the loss is high", text="20.0", level="WARN"))
    assert sync() == ["1 alert sent to json"]
    assert sync() == []
    write_events(run, alert("again"))
    sync()
    assert http.titles == ["n: the loss is high", "n: again"]
    assert http.told[0].raw["type"] == "warning"
    assert http.told[0].body.startswith("20.0\n\nproject p · run first · WARN · 20")
    assert http.told[0].body.split()[-1] == http.told[0].key
    assert len(set(http.keys)) == 2


def test_mail_says_the_same(runfmt, runs, sync, http, mail):
    runfmt("alerts", "add", http.url)
    runfmt("alerts", "add", mail.url)
    write_events(make_run(runs), alert("à la carte", text="a <b>c</b>\nd"))
    assert sorted(sync()) == ["1 alert sent to json", "1 alert sent to mailto"]
    assert mail.titles == http.titles == ["n: à la carte"]
    assert mail.keys == http.keys
    assert mail.told[0].body.split() == http.told[0].body.split()


def test_client_and_tool_speak_of_the_same(runfmt, runs, sync, http):
    runfmt("alerts", "add", http.url)
    with client.init(dir=runs, name="calm", project="p") as run:
        run.alert("one", level=client.AlertLevel.ERROR)
    with client.init(dir=runs, name="wild") as run:
        run.finish(exit_code=3)
    sync()
    assert [(told.title, told.raw["type"]) for told in http.told] == [
        ("calm: one", "failure"),
        ("calm finished", "success"),
        ("wild failed", "failure"),
    ]
    assert http.told[2].body.startswith("exit code 3\n\n")


@pytest.mark.parametrize(
    ("on", "told"),
    [
        ("alert", ["n: a", "n: of a rank"]),
        ("finish", ["n finished"]),
        ("failure", ["n failed", "n was killed", "n was preempted"]),
        ("alert,finish", ["n: a", "n: of a rank", "n finished"]),
    ],
)
def test_target_is_told_what_it_asked_for(runfmt, runs, sync, http, on, told):
    runfmt("alerts", "add", http.url, "--on", on)
    run = make_run(runs)
    write_events(run, alert("a"))
    write_events(run, alert("of a rank"), ended("finished"), path="events.rank1.jsonl")
    write_events(run, *(ended(state) for state in ("finished", "failed", "killed", "preempted")))
    sync()
    assert http.titles == told


def test_target_is_told_of_its_project(runfmt, runs, sync, http):
    runfmt("alerts", "add", http.url, "--project", "q")
    write_events(make_run(runs, "first"), alert("a"))
    write_events(make_run(runs, "second", project="q"), alert("b"))
    edited = make_run(runs, "third")
    write(edited / "edits.json", {"/project": {"value": "q", "time": 1, "author": "a"}})
    write_events(edited, alert("c"))
    sync()
    assert http.titles == ["n: b", "n: c"]


def test_sync_tells_of_the_runs_it_is_about(runfmt, runs, sync, http):
    runfmt("alerts", "add", http.url)
    write_events(make_run(runs, "first"), alert("a"))
    write_events(make_run(runs, "second"), alert("b"))
    sync("--include", "second")
    assert http.titles == ["n: b"]
    sync("--dry-run")
    assert http.titles == ["n: b"]
    sync()
    assert http.titles == ["n: b", "n: a"]


def test_what_happened_before_a_target_was_added_is_not_told_to_it(runfmt, runs, sync, http, mail):
    run = make_run(runs)
    write_events(run, alert("before"))
    runfmt("alerts", "add", http.url)
    write_events(run, alert("between"))
    runfmt("alerts", "add", mail.url)
    write_events(run, alert("after"))
    sync()
    assert http.titles == ["n: between", "n: after"]
    assert mail.titles == ["n: after"]


def test_what_is_too_old_is_not_told_and_what_has_no_time_neither(runfmt, runs, sync, http, home):
    runfmt("alerts", "add", http.url)
    added_long_ago(home)
    now = time.time()
    old, young = alert("old", _timestamp=now - MAX_AGE - 1), alert("young", _timestamp=now - MAX_AGE + 600)
    write_events(make_run(runs), old, alert("x", _timestamp=None), alert("y", _timestamp="now"), young)
    sync()
    assert http.titles == ["n: young"]


def test_what_could_not_be_sent_for_a_week_is_given_up(runfmt, runs, sync, http, home):
    runfmt("alerts", "add", http.url)
    added_long_ago(home)
    http.answer = lambda _: False
    write_events(make_run(runs), alert("young", _timestamp=time.time() - MAX_AGE + 600))
    sync()
    all_due(home)
    http.answer = lambda _: True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runfmt_sync.alerts.outbox.MAX_AGE", MAX_AGE - 700)
        assert sync() == ["1 alert to json could not be sent for a week"]
    assert sync() == []
    assert (http.tries, http.titles) == (1, [])


def test_lost_outbox_tells_nothing_twice(runfmt, runs, sync, http, home):
    runfmt("alerts", "add", http.url)
    run = make_run(runs)
    write_events(run, alert("a"))
    sync()
    shutil.rmtree(home.folder)
    sync()
    write_events(run, alert("b"))
    sync()
    assert http.titles == ["n: a", "n: b"]


def test_same_target_added_again_is_another(runfmt, runs, sync, http):
    runfmt("alerts", "add", http.url)
    run = make_run(runs)
    write_events(run, alert("a"))
    runfmt("alerts", "remove", "json")
    sync()
    runfmt("alerts", "add", http.url)
    write_events(run, alert("b"))
    sync()
    assert http.titles == ["n: b"]


def silent_run(runs, age):
    """A run that wrote its last line so many seconds ago, and has not ended."""
    run = make_run(runs, state="running")
    for path in ("metrics.jsonl", "events.jsonl"):
        (run / path).write_bytes(b"")
    write_events(run, {"event": "start", "_timestamp": time.time() - age})
    return run


def test_crash_is_told_once_until_the_run_goes_on(runfmt, runs, sync, http, home):
    runfmt("alerts", "add", http.url)
    added_long_ago(home)
    run = silent_run(runs, 400)
    sync()
    sync()
    write_events(run, alert("a last word", _timestamp=time.time() - 390))
    sync()
    assert http.titles == ["n crashed", "n: a last word"]
    assert http.told[0].body.startswith("Nothing was written for 5 minutes, and it had not ended.\n\n")
    write_events(run, {"event": "resume", "_timestamp": time.time() - 380})
    sync()
    write_events(run, ended("finished"))
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    sync()
    assert http.titles == ["n crashed", "n: a last word", "n crashed", "n finished"]


def test_run_that_stands_still_is_told_when_its_time_has_come(runfmt, runs, sync, http, monkeypatch):
    runfmt("alerts", "add", http.url)
    silent_run(runs, 0)
    sync()
    assert http.titles == []
    later = types.SimpleNamespace(time=lambda: time.time() + 301)
    monkeypatch.setattr("runfmt.reading.time", later)
    sync()
    sync()
    assert http.titles == ["n crashed"]


def test_crash_from_before_is_old(runfmt, runs, sync, http):
    silent_run(runs, 400)
    runfmt("alerts", "add", http.url)
    sync()
    assert http.tries == 0


def test_runs_that_stand_are_not_opened_again(runfmt, runs, sync, http, monkeypatch):
    runfmt("alerts", "add", http.url)
    for number in range(5):
        make_run(runs, f"run{number}")
    opened = []

    class Counted(notices.StoredRun):
        def __init__(self, path):
            opened.append(path.name)
            super().__init__(path)

    monkeypatch.setattr(notices, "StoredRun", Counted)
    sync()
    assert len(opened) == 5
    sync()
    assert len(opened) == 5
    write_events(runs / "run3", alert("a"))
    sync()
    assert opened[5:] == ["run3"]


def test_without_a_target_nothing_is_read_or_kept(runs, sync, home, monkeypatch):
    write_events(make_run(runs), alert("a"))
    monkeypatch.setattr("runfmt_sync.alerts.delivery.look_at", None)
    assert sync() == []
    assert not home.folder.exists()


def test_many_alerts_of_a_run_come_all(runfmt, runs, sync, http, monkeypatch, home):
    monkeypatch.setattr(notices, "AT_ONCE", 3)
    runfmt("alerts", "add", http.url)
    write_events(make_run(runs), *(alert(str(number)) for number in range(7)))
    for _ in range(3):
        sync()
    assert http.titles == [f"n: {number}" for number in range(7)]


def test_bad_runs_cost_the_others_nothing(runfmt, runs, http):
    runfmt("alerts", "add", http.url)
    for name, document in (("a", "{"), ("b", '{"runfmt": 2}')):
        run = make_run(runs, name)
        (run / "run.json").write_text(document)
        write_events(run, alert("x"))
    torn = make_run(runs, "c")
    with (torn / "events.jsonl").open("a") as stream:
        stream.write('nonsense\n[]\n{"event": "alert"}\n' + "x" * 11 * 2**20 + "\n")
    write_events(torn, alert("good"))
    with (torn / "events.jsonl").open("a") as stream:
        stream.write('{"event": "alert", "title": "unfinished"')
    runfmt("sync", runs, "--remote", "./far", code=1)
    assert http.titles == ["n: good"]
