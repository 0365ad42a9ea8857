"""Receivers that refuse, hang or are away, and trainers that mean harm: no sync is held up, and none lies."""

import re
import socket

import pytest

from alerts.sinks import HttpSink
from alerts.telling import alert, all_due, ended, write_events
from runfmt_sync.alerts.notices import Notice
from runfmt_sync.alerts.outbox import Outbox
from runfmt_sync.alerts.targets import Target
from runmaker import make_run

HEADERS = "loss\r\nBcc: eve@example.org\r\n\r\nhello\x00\x1b[2J\u202e"


def test_refused_alert_is_tried_again_later(runfmt, runs, sync, http, home):
    runfmt("alerts", "add", http.url)
    http.answer = lambda number: number > 2
    write_events(make_run(runs), alert("a"))
    (line,) = sync()
    assert line.startswith(
        "1 alert to json not sent yet, to be tried again: Failed to send JSON POST notification"
    )
    sync()
    assert http.tries == 1, "it is too early"
    all_due(home)
    sync()
    assert (http.tries, http.titles) == (2, [])
    all_due(home)
    assert sync() == ["1 alert sent to json"]
    all_due(home)
    sync()
    assert (http.tries, http.titles) == (3, ["n: a"])


def test_time_between_tries_doubles_up_to_an_hour(tmp_path):
    now = [1000.0]
    outbox = Outbox(tmp_path, lambda: now[0])
    target = Target("t", "t", "json://x", ("alert",), None, 0.0)
    outbox.note([], [Notice("k", "alert", now[0], "info", "title", "body", "")], [target])
    waits = []
    for _ in range(13):
        assert outbox.claim("t") == ("k", "info", "title", "body")
        assert outbox.claim("t") is None
        waits.append(next(wait for wait in (5 * 2**n for n in range(20)) if due_after(outbox, now, wait)))
        now[0] += waits[-1]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 5120, 5120]


def due_after(outbox, now, wait):
    """Whether something is due when so much time has passed."""
    now[0] += wait
    try:
        return bool(outbox.due())
    finally:
        now[0] -= wait


def test_alert_that_is_refused_for_itself_holds_up_no_other(runfmt, runs, sync, http, home):
    runfmt("alerts", "add", http.url)
    run = make_run(runs)
    http.answer = lambda number: number > 1
    write_events(run, alert("bad"), alert("good"))
    sync()
    http.answer = lambda number: number > 3 or number == 2
    all_due(home)
    sync()
    assert http.titles == ["n: good"]
    all_due(home)
    sync()
    assert http.titles == ["n: good", "n: bad"]


@pytest.fixture
def mute():
    """A receiver that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"mailto://127.0.0.1:{server.getsockname()[1]}?from=a@b.org&to=d@e.org&mode=insecure"


def test_receiver_that_hangs_holds_up_no_sync(runfmt, runs, mute, http):
    runfmt("alerts", "add", mute, "--name", "mute")
    runfmt("alerts", "add", http.url)
    write_events(make_run(runs), alert("a"))
    sync = runfmt.start("sync", runs, "--remote", "./far")
    http.wait(lambda sink: sink.titles == ["n: a"])
    said, complaints = sync.communicate(timeout=60)
    assert sync.returncode == 0
    assert "1 synced" in said
    assert set(complaints.splitlines()) == {"1 alert sent to json", "alerts to mute are still being sent"}


def test_receiver_that_hangs_holds_up_no_other(runfmt, runs, mute, http):
    runfmt("alerts", "add", mute, "--name", "mute")
    runfmt("alerts", "add", http.url)
    run = make_run(runs)
    watch = runfmt.start("sync", runs, "--remote", "./far", "--watch", "--interval", "0.1")
    for number in range(3):
        write_events(run, alert(str(number)))
        http.wait(lambda sink, number=number: len(sink.told) == number + 1)
    assert http.titles == ["n: 0", "n: 1", "n: 2"]
    watch.terminate()
    said, _ = watch.communicate(timeout=60)
    assert watch.returncode == 0
    assert said.splitlines()[-1].endswith("alerts to mute are still being sent")


def test_receiver_that_is_away_gets_all_when_it_is_there(runfmt, runs, sync, home):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    runfmt("alerts", "add", f"json://127.0.0.1:{port}")
    write_events(make_run(runs), alert("a"), ended("finished"))
    (line,) = sync()
    assert line.startswith("2 alerts to json not sent yet, to be tried again: A Connection error")
    all_due(home)
    sink = HttpSink(port)
    sync()
    sink.close()
    assert sorted(sink.titles) == ["n finished", "n: a"]


@pytest.mark.parametrize(
    "title", [HEADERS, "<script>alert(1)</script>", "x" * 10**6, "", "\x85\u2028", "@everyone"]
)
def test_hostile_words_stay_words(runfmt, runs, sync, http, mail, title):
    runfmt("alerts", "add", http.url)
    runfmt("alerts", "add", mail.url)
    write_events(make_run(runs), alert(title, text=title, level="LOUD"))
    sync()
    (by_http,), (by_mail,) = http.told, mail.told
    assert by_mail.raw["Bcc"] is None
    assert by_mail.raw.get_all("To") == ["ann@example.org"]
    assert not by_mail.raw.defects
    assert by_mail.raw.get_content_type() == "text/plain"
    for told in (by_http, by_mail):
        assert told.title.isprintable() or "\u200b" in told.title
        assert len(told.title) < 300
        assert len(told.body) < 1800
        assert not re.search(r"@everyone|\x1b|\x00|\u202e", told.title + told.body)
        assert told.body.split()[-1] == told.key


def test_names_of_runs_are_hostile_too(runfmt, runs, sync, mail):
    runfmt("alerts", "add", mail.url)
    run = make_run(runs, name=HEADERS, project="p\r\nBcc: eve@example.org")
    write_events(run, alert("a"))
    sync()
    (told,) = mail.told
    assert told.raw["Bcc"] is None
    assert told.title == "loss Bcc: eve@example.org hello��[2J�: a"


@pytest.mark.parametrize("row", [{"title": None}, {"title": {"a": [1]}}, {"text": 5}, {"level": ["x"]}])
def test_values_of_other_types_are_told_as_they_are(runfmt, runs, sync, http, row):
    runfmt("alerts", "add", http.url)
    write_events(make_run(runs), {**alert("t"), **row})
    sync()
    assert len(http.told) == 1
