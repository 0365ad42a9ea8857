"""Killed anywhere, and two at once: each alert arrives once."""

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

import runfmt_sync.alerts
from alerts.telling import alert, all_due, ended, write_events
from program import code_of, process_of
from runfmt_sync.alerts.notices import Notice
from runfmt_sync.alerts.outbox import Outbox
from runfmt_sync.alerts.sender import start_sender
from runmaker import make_run

POINTS = sorted(
    {
        name
        for path in Path(runfmt_sync.alerts.__file__).parent.glob("*.py")
        for name in re.findall(r'fault_point\("([^"]+)"\)', path.read_text())
    }
)
KILLS = int(os.environ.get("RUNFMT_TEST_KILLS", "20"))


def test_points_are_those_of_the_way():
    assert POINTS == ["alert.claimed", "alert.confirmed", "alert.noted", "alert.noting", "alert.sent"]


@pytest.fixture
def start(runfmt, runs):
    """Start a sync of the runs, ``words`` being more of the command."""

    def start(*words, **environment):
        runfmt.environment.update(environment)
        process = runfmt.start("sync", runs, "--remote", "./far", *words)
        for name in environment:
            del runfmt.environment[name]
        return process

    return start


def senders():
    """The processes that send for this test, however they came here."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "runfmt_sync.alerts.sender" in words and os.environ["RUNFMT_STATE"].rpartition("/")[0] in "".join(
            words
        ):
            found.append(process)
    return found


@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point_all_are_told(runfmt, runs, start, sync, http, mail, home, point, hit):
    runfmt("alerts", "add", http.url)
    runfmt("alerts", "add", mail.url)
    write_events(make_run(runs), alert("a"), ended("finished"))
    process = start(RUNFMT_FAULT=f"{point}:{hit}")
    process.communicate(timeout=60)
    is_ours = point.startswith("alert.not")
    assert process.returncode == (-signal.SIGKILL if is_ours and hit == 1 else 0)
    psutil.wait_procs(senders(), 60)
    for _ in range(2):
        all_due(home)
        sync()
    for sink in (http, mail):
        assert set(sink.titles) == {"n: a", "n finished"}
        assert len(set(sink.keys)) == 2
        assert len(sink.told) == 2


def killed(process, seconds):
    """Kill a process after so many seconds; gives whether it had not ended by itself."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    return False


def test_sync_killed_again_and_again_tells_each_once(runfmt, runs, start, http, mail, counted):
    runfmt("alerts", "add", http.url)
    runfmt("alerts", "add", mail.url, "--on", "finish")  # Apprise sends a mail every 5.5 seconds at most
    run, dice = make_run(runs), random.Random(7)
    for number in range(KILLS):
        watch = start("--watch", "--interval", "0.1")
        write_events(run, alert(str(number)), *([ended("finished")] if number % 5 == 0 else []))
        assert killed(watch, dice.uniform(0, 1.5))
    ends = (KILLS + 4) // 5
    watch = start("--watch", "--interval", "0.1")
    http.wait(lambda sink: len(sink.told) >= KILLS + ends)
    mail.wait(lambda sink: len(sink.told) >= ends)
    watch.terminate()
    watch.communicate(timeout=60)
    psutil.wait_procs(senders(), 60)
    assert Counter(http.titles) == Counter(
        [f"n: {number}" for number in range(KILLS)] + ["n finished"] * ends
    )
    assert mail.titles == ["n finished"] * ends
    assert len(set(http.keys)) == KILLS + ends
    assert set(mail.keys) < set(http.keys)
    counted(kills=KILLS, told_by_http=len(http.told), mails=len(mail.told))


def test_sender_killed_again_and_again_loses_nothing(runfmt, http, home, counted):
    runfmt("alerts", "add", http.url)
    (target,) = home.targets()
    outbox, dice, keys, kills = Outbox(home.folder), random.Random(7), [], 0
    while kills < KILLS:
        keys.append(f"key{len(keys)}")
        outbox.note([], [Notice(keys[-1], "alert", time.time(), "info", "title", "text", "p")], [target])
        all_due(home)
        kills += killed(start_sender(home, target), dice.uniform(0, 0.5))
    while outbox.standing(target.id, 0).waiting:
        all_due(home)
        assert start_sender(home, target).wait(60) == 0
    assert Counter(http.keys) == Counter(keys)
    counted(kills=kills, told=len(http.told))


def test_two_syncs_at_once_tell_once(runfmt, runs, start, http, mail):
    runfmt("alerts", "add", http.url)
    runfmt("alerts", "add", mail.url)
    write_events(make_run(runs), alert("a"))
    http.going.clear()  # so that both are at it
    both = [start() for _ in range(2)]
    http.wait(lambda sink: sink.tries == 1)
    http.going.set()
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    psutil.wait_procs(senders(), 60)
    assert http.titles == mail.titles == ["n: a"]


def test_ctrl_c_leaves_what_is_being_sent_alone(runfmt, runs, start, http):
    runfmt("alerts", "add", http.url)
    write_events(make_run(runs), alert("a"))
    http.going.clear()
    sync = start()
    http.wait(lambda sink: sink.tries == 1)
    sync.send_signal(signal.SIGINT)
    sync.communicate(timeout=60)
    assert sync.returncode == 130
    http.going.set()
    psutil.wait_procs(senders(), 60)
    runfmt("sync", runs, "--remote", "./far")
    assert (http.tries, http.titles) == (1, ["n: a"])


def test_sender_told_to_end_ends_behind_what_it_is_at(runfmt, http, home):
    runfmt("alerts", "add", http.url)
    (target,) = home.targets()
    notices = [Notice(key, "alert", time.time(), "info", key, "text", "p") for key in ("a", "b")]
    outbox = Outbox(home.folder)
    outbox.note([], notices, [target])
    http.going.clear()
    sender = start_sender(home, target)
    http.wait(lambda sink: sink.tries == 1)
    sender.terminate()
    http.going.set()
    assert sender.wait(60) == 0
    assert http.titles == ["a"]
    assert outbox.standing(target.id, 0)[:2] == (1, 1)


def test_url_of_several_receivers_is_sent_again_if_nobody_knows(runfmt, runs, start, sync, mail, home):
    runfmt("alerts", "add", mail.url.replace("ann@example.org", "ann@example.org,bob@example.org"))
    write_events(make_run(runs), alert("a"))
    start(RUNFMT_FAULT="alert.sent").communicate(timeout=60)
    psutil.wait_procs(senders(), 60)
    for _ in range(2):
        all_due(home)
        sync()
    to = Counter(told.raw["To"] for told in mail.told)
    assert to == {"ann@example.org": 2, "bob@example.org": 2}
    assert len(set(mail.keys)) == 1


def test_receiver_that_takes_it_and_gives_no_answer_is_told_again(runfmt, http, home):
    runfmt("alerts", "add", f"{http.url}?rto=600")
    (target,) = home.targets()
    outbox = Outbox(home.folder)
    outbox.note([], [Notice("a", "alert", time.time(), "info", "a", "text", "p")], [target])
    impatient = (
        "import sys; from pathlib import Path; from runfmt_sync.alerts import sender, targets; print()\n"
        "sender.PATIENCE = 1; sender.main(targets.Home(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3])"
    )
    http.going.clear()
    assert code_of(process_of(impatient, home.path, home.folder, target.id)) == 0
    assert outbox.standing(target.id, 0).waiting == 1
    http.going.set()
    all_due(home)
    assert start_sender(home, target).wait(60) == 0
    assert http.keys == ["a", "a"]
