"""Who keeps others out of a run: by the lock where it can tell, and by the heartbeat where it cannot."""

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import runfmt
from runfmt.errors import UsageError
from runfmt.reading import StoredRun
from runfmt.writers import claim, unwritten
from runmaker import make_run

HOST = os.uname().nodename
TRAINING = """
import sys, runfmt
runfmt.init(project="p", id="live", dir=sys.argv[1], console="off").log({"loss": 1.0})
print("ready", flush=True)
sys.stdin.read()
"""


def no_locks(descriptor, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.fixture
def run(tmp_path):
    """Makes a running run, whose newest line is of some seconds ago."""

    def make(age, *, host=HOST, locked=True, stream="system.jsonl", **about):
        run = make_run(tmp_path, **{"state": "running", "environment": {"host": host}, **about})
        with (run / stream).open("ab") as file:
            file.write(json.dumps({"_step": 50, "_timestamp": time.time() - age}).encode() + b"\n")
        if locked:
            (run / ".lock").touch()
        return run

    return make


def refusal(run):
    """Why nobody may delete or mend it, empty if that may be."""
    try:
        with unwritten(StoredRun(run)):
            return ""
    except UsageError as error:
        return str(error)


def is_left_alone(run):
    """Whether its newest line says that it is written."""
    return re.search(r"its newest line is \d+ seconds old, and no lock can tell", refusal(run)) is not None


def test_lock_that_is_free_is_believed(run):
    assert not refusal(run(10))


@pytest.mark.parametrize("flock", [no_locks, lambda *_: None], ids=["none", "idle"])
def test_heartbeat_is_believed_where_locks_do_nothing(run, monkeypatch, flock):
    monkeypatch.setattr(fcntl, "flock", flock)
    assert is_left_alone(run(10))
    assert not refusal(run(1000, run_id="crashed"))
    assert not refusal(run(10, run_id="ended", state="finished"))


def test_heartbeat_is_believed_of_another_host_and_of_a_copy(run):
    assert is_left_alone(run(10, host="elsewhere"))
    assert is_left_alone(run(10, run_id="copy", locked=False))
    assert not refusal(run(1000, run_id="crashed", host="elsewhere"))


def test_heartbeat_is_believed_of_a_writer_that_holds_no_lock(run):  # R061, R064
    assert is_left_alone(run(10, stream="metrics.rank1.jsonl"))
    assert not refusal(run(1000, run_id="crashed", stream="metrics.rank1.jsonl"))


def test_run_whose_document_is_lost_may_be_alive(run):
    copy = run(10, locked=False)
    (copy / "run.json").unlink()
    assert is_left_alone(copy)


def test_lock_that_is_held_is_believed_of_any_host_and_state(run):
    for number, about in enumerate([{"host": "elsewhere"}, {"state": "finished"}]):
        there = run(1000, run_id=f"r{number}", **about)
        held = claim(there)
        assert refusal(there) == f"{there} is being written: end the training first"
        os.close(held)
        assert refusal(there) == ""


def test_nobody_begins_to_write_meanwhile(tmp_path):
    runfmt.init(id="one", dir=tmp_path, console="off").finish(quiet=True)
    with unwritten(StoredRun(tmp_path / "one")), pytest.warns(RuntimeWarning, match="another process writes"):
        run = runfmt.init(id="one", dir=tmp_path, resume="must", console="off")
    run.finish(quiet=True)
    held = claim(tmp_path / "one")
    assert held is not None  # it was given back
    os.close(held)


def test_training_that_was_killed_just_now_is_deleted_at_once(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", TRAINING, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        run = runfmt.Api(tmp_path).run("live")
        with pytest.raises(UsageError, match="is being written"):
            run.delete()
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        run.delete()
    assert list(tmp_path.iterdir()) == []
