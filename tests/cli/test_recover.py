"""`runfmt recover` and `runfmt verify`: after crashes, power cuts, rot, and copies that went on."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from runfmt.reading import StoredRun
from runfmt_sync import recover
from runmaker import assert_same, contents, make_run, picture, read, rows, runs_in, settle, write

LIVE = """
import sys, runfmt
run = runfmt.init(project="p", id="live", dir=sys.argv[1], console="off")
run.log({"loss": 1.0})
print("ready", flush=True)
sys.stdin.read()
"""


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def cut(path, end):
    with path.open("r+b") as file:
        file.truncate(end)


@contextmanager
def training(runs):
    """A run that is being written."""
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE, runs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def whole(run):
    """Everything in a run, private names too."""
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def assert_untouched(run, before):
    """Nothing but the heartbeat has moved on in a run that is being written."""
    now = whole(run)
    beat = run / "system.jsonl"
    assert now.pop(beat).startswith(before[beat])
    assert now == {path: data for path, data in before.items() if path != beat}


# What a crash left


def test_recover_cuts_torn_tails_and_ends_the_run(runfmt, runs):
    run = make_run(runs, state="running")
    committed = contents(run)
    append(run / "metrics.jsonl", b'{"_step":21,"lo')
    append(run / "console.log", b"half a li")
    append(run / "events.jsonl", b"\0" * 4096)
    [line] = runfmt("recover", "runs").stdout.splitlines()
    assert "metrics.jsonl: an unfinished last line of 15 bytes cut" in line
    assert "events.jsonl: an unfinished last line of 4,096 bytes cut" in line
    assert "run.json: the run was killed at 2024-11-24T03:06:14.000000Z" in line
    for name in ("metrics.jsonl", "console.log", "events.jsonl"):
        assert (run / name).read_bytes() == committed[name]
    document = read(run / "run.json")
    assert (document["state"], document["exit_code"]) == ("killed", 143)
    assert runfmt("validate").stdout == "1 run as the specification demands\n"
    assert runfmt("recover", "runs").stdout == "runs/first: is whole\n"


def test_recover_leaves_committed_lines_alone_however_bad(runfmt, runs):
    run = make_run(runs, state="running")
    append(run / "metrics.jsonl", b"\0" * 4096 + b"\n" + rows(22, 2) + b"\0" * 512)
    before = contents(run)["metrics.jsonl"]
    runfmt("recover", "runs")
    assert (run / "metrics.jsonl").read_bytes() == before
    assert [problem["rule"] for problem in runfmt.json("validate", code=1)["runs/first"]] == ["R023"]


def test_recover_computes_the_summary_from_the_stream(runfmt, runs):
    run = make_run(runs)
    write(run / "summary.json", {"loss": 99})
    assert runfmt("recover", "runs").stdout == "runs/first: summary.json computed from the stream\n"
    assert read(run / "summary.json")["loss"] == 1 / 21


@pytest.mark.parametrize(
    "data", [None, b"", b"{", b"\0" * 400, b"[1]", b'{"runfmt":1,"name":"kept","tags":5}']
)
def test_recover_makes_run_json_anew(runfmt, runs, data):
    run = make_run(runs)
    append(
        run / "events.jsonl", b'{"_timestamp":1732417600,"event":"finish","state":"failed","exit_code":7}\n'
    )
    (run / "run.json").unlink()
    if data is not None:
        (run / "run.json").write_bytes(data)
    assert "run.json made anew" in runfmt("recover", run).stdout
    document = read(run / "run.json")
    assert (document["id"], document["state"], document["exit_code"]) == ("first", "failed", 7)
    assert document["created_at"] == "2024-11-24T03:05:54.000000Z"
    assert document["name"] == ("kept" if data and b"kept" in data else "")
    assert document["tags"] == []
    assert StoredRun(run).problems == []
    if data is not None:
        assert (run / ".run.json.damaged").read_bytes() == data
    assert "is whole" in runfmt("recover", run).stdout


def test_recover_keeps_the_uid_that_can_be_read(runfmt, runs, stick):
    run = make_run(runs)
    runfmt("sync")
    document = read(run / "run.json")
    write(run / "run.json", document | {"state": "?"})
    runfmt("recover", run)
    assert read(run / "run.json")["uid"] == document["uid"]
    assert len(runs_in(stick)) == 1


def test_recover_touches_no_live_run(runfmt, runs):
    with training(runs) as process:
        before = whole(runs / "live")
        for options in ([], ["--new-uid"]):
            error = runfmt("recover", "runs", *options, code=1).stderr
            assert error == "runs/live: runs/live is being written: end the training first\n"
        assert_untouched(runs / "live", before)
        process.stdin.close()
        assert process.wait(60) == 0
    assert read(runs / "live" / "run.json")["state"] == "finished"


def test_recover_ends_a_run_that_was_killed_a_moment_ago(runfmt, runs):
    with training(runs) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert "the run was killed" in runfmt("recover", "runs").stdout
    assert read(runs / "live" / "run.json")["state"] == "killed"


def test_recover_believes_the_clock_for_a_run_of_another_host(runfmt, runs):
    import time

    run = make_run(runs, state="running", environment={"host": "elsewhere"})
    append(run / "system.jsonl", json.dumps({"_timestamp": time.time()}).encode() + b"\n")
    (run / ".lock").touch()
    assert "is being written" in runfmt("recover", "runs", code=1).stderr
    write(run / "run.json", read(run / "run.json") | {"environment": {}})
    assert "was killed" in runfmt("recover", "runs").stdout


def test_recover_goes_on_after_a_run_that_it_refuses(runfmt, runs):
    make_run(runs, "a", requires=["crypt"])
    make_run(runs, "b", state="running")
    done = runfmt("recover", "runs", code=1)
    assert "runs/a: the run requires crypt" in done.stderr
    assert done.stdout.startswith("runs/b: run.json: the run was killed")


def test_recover_needs_paths(runfmt, runs):
    assert "Missing argument" in runfmt("recover", code=2).stderr
    assert runfmt("recover", "runs").stdout == "no runs in runs\n"


# What a remote has beyond ours


@pytest.fixture
def cut_back(runfmt, runs, stick):
    """A run that a power cut threw back behind what was synced."""
    run = make_run(runs, state="running")
    old = read(run / "run.json"), (run / "metrics.jsonl").stat().st_size
    append(run / "metrics.jsonl", picture(run, 21, 1) + rows(22, 50))
    append(run / "system.jsonl", b'{"_timestamp":1732417600}\n')
    write(run / "run.json", old[0] | {"state": "finished", "exit_code": 0})
    runfmt("recover", "runs")  # the summary
    settle(run)
    runfmt("sync")
    write(run / "run.json", old[0])
    cut(run / "metrics.jsonl", old[1] + 40)
    (run / "system.jsonl").unlink()
    shutil.rmtree(run / "media")
    return run


def test_remote_that_is_ahead_is_restored_and_in_step_again(runfmt, runs, stick, cut_back):
    before = whole(stick)
    problem = runfmt("sync", code=1).stdout
    assert "the remote is ahead by" in problem
    assert "`runfmt recover runs/first --from REMOTE`" in problem
    assert whole(stick) == before
    out = runfmt("recover", "runs/first", "--from", "stick").stdout
    for path in ("metrics.jsonl: ", "system.jsonl: ", "media/image/x_", "run.json restored"):
        assert path in out
    assert read(cut_back / "run.json")["state"] == "finished"
    assert_same(runs, stick)
    assert runfmt("sync").stdout.startswith("1 unchanged")
    assert runfmt("verify").stdout.startswith("first: 10 equal\n")


def test_restored_run_is_whole_and_a_second_time_nothing(runfmt, cut_back):
    runfmt("recover", "runs/first", "--from", "stick")
    assert runfmt("recover", "runs/first", "--from", "stick").stdout == "runs/first: is whole\n"
    assert StoredRun(cut_back).problems == []


def test_restoring_that_is_broken_off_never_shows_a_run_as_finished(runfmt, stick, cut_back, monkeypatch):
    def broken(*_):
        raise OSError(5, "Input/output error", "metrics.jsonl")

    monkeypatch.setattr(recover, "_restore_stream", broken)
    assert "Input/output error" in runfmt("recover", "runs", "--from", "stick", code=1).stderr
    assert read(cut_back / "run.json")["state"] == "running"
    monkeypatch.undo()
    monkeypatch.chdir(cut_back.parents[1])
    runfmt("recover", "runs", "--from", "stick")
    assert read(cut_back / "run.json")["state"] == "finished"


@pytest.mark.parametrize("lost", ["run.json", "metrics.jsonl", "config.json", "files/requirements.txt"])
def test_file_that_is_lost_here_comes_back(runfmt, runs, stick, lost):
    run = make_run(runs)
    runfmt("sync")
    before = contents(run)
    (run / lost).unlink()
    if lost == "metrics.jsonl":
        assert "metrics.jsonl: " in runfmt("recover", run, "--from", "stick").stdout
    else:
        assert f"{lost} restored" in runfmt("recover", run, "--from", "stick").stdout
    assert contents(run).pop(lost) == before[lost]


@pytest.mark.parametrize("document", ["run.json", "config.json", "edits.json"])
def test_document_that_is_broken_here_comes_back(runfmt, runs, stick, document):
    run = make_run(runs)
    write(run / "edits.json", {"/name": {"value": "x", "time": 1, "author": "a"}})
    runfmt("sync")
    before = contents(run)
    (run / document).write_bytes(b"\0" * 100)
    runfmt("recover", run, "--from", "stick")
    assert contents(run)[document] == before[document]


def test_diverged_copy_is_not_restored_and_not_touched(runfmt, runs, stick):
    run = make_run(runs, state="running")
    size = (run / "metrics.jsonl").stat().st_size
    append(run / "console.log", b"more\n")
    append(run / "metrics.jsonl", rows(21, 9))
    runfmt("sync")
    cut(run / "console.log", 6)
    cut(run / "metrics.jsonl", size)
    append(run / "metrics.jsonl", rows(30, 2))
    ours, theirs = contents(run), whole(stick)
    error = runfmt("recover", run, "--from", "stick", code=1).stderr
    assert f"metrics.jsonl has diverged from the remote: `runfmt recover {run} --new-uid`" in error
    assert (contents(run), whole(stick)) == (ours, theirs)


def test_new_uid_makes_a_diverged_copy_a_run_of_its_own(runfmt, runs, stick):
    run = make_run(runs)
    runfmt("sync")
    append(stick / "first" / "metrics.jsonl", rows(50, 1))
    append(run / "metrics.jsonl", rows(21, 1))
    theirs, old = contents(stick / "first"), read(run / "run.json")
    assert "has diverged" in runfmt("sync", code=1).stdout
    out = runfmt("recover", run, "--new-uid").stdout
    new = read(run / "run.json")
    assert f"the run is now {new['uid']}" in out
    assert new == old | {"uid": new["uid"]}
    runfmt("sync")
    assert contents(stick / "first") == theirs
    assert contents(runs_in(stick)[new["uid"]]) == contents(run)
    assert len(runs_in(stick)) == 2


def test_new_uid_takes_the_name_of_a_copied_folder(runfmt, runs, stick):
    run = make_run(runs)
    shutil.copytree(run, runs / "copy")
    runfmt("recover", runs / "copy", "--new-uid")
    assert read(runs / "copy" / "run.json")["id"] == "copy"
    runfmt("sync")
    assert_same(runs, stick)
    assert len(runs_in(stick)) == 2


def test_run_that_the_remote_does_not_have_is_told(runfmt, runs, stick):
    run = make_run(runs)
    runfmt("sync")
    write(run / "run.json", read(run / "run.json") | {"uid": "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77"})
    assert f"the remote {stick} has no run first" in runfmt("recover", run, "--from", "stick", code=1).stderr


def test_lost_run_json_is_found_by_the_id_if_only_one_run_has_it(runfmt, runs, stick, work):
    run = make_run(runs)
    make_run(work / "others", "first")
    runfmt("sync", "runs", "others")
    (run / "run.json").unlink()
    assert "has 2 runs with the id first" in runfmt("recover", run, "--from", "stick", code=1).stderr


def test_restoring_leaves_a_live_run_alone(runfmt, runs, stick):
    with training(runs):
        runfmt("sync")
        append(stick / "live" / "metrics.jsonl", rows(1, 5))
        before = whole(runs / "live")
        assert "is being written" in runfmt("recover", "runs", "--from", "stick", code=1).stderr
        assert_untouched(runs / "live", before)


# verify


def words(runfmt, code=0):
    [verdict] = runfmt.json("verify", code=code)["runs"]
    return {path: word for path, word in verdict["files"].items() if word != "equal"}


def test_verify_of_equal_runs_is_a_line_each(runfmt, runs, stick):
    for name in ("a", "b"):
        make_run(runs, name)
    runfmt("sync")
    assert runfmt("verify").stdout.splitlines() == ["a: 8 equal", "b: 8 equal", f"2 runs verified at {stick}"]


def test_what_moved_on_here_since_is_no_failure(runfmt, runs, stick):
    run = make_run(runs, state="running")
    runfmt("sync")
    append(run / "metrics.jsonl", rows(21, 1))
    write(run / "run.json", read(run / "run.json") | {"state": "finished"})
    assert words(runfmt) == {"metrics.jsonl": "grown", "run.json": "replaced"}
    assert runfmt("verify").stdout.startswith("first: 1 replaced, 6 equal, 1 grown\n")


@pytest.mark.parametrize("path", ["metrics.jsonl", "files/requirements.txt", "run.json", "summary.json"])
def test_rot_at_the_remote_that_times_hide_fails(runfmt, runs, stick, path):
    make_run(runs)
    runfmt("sync")
    rotten = stick / "first" / path
    os.utime(rotten, (1, 1))
    runfmt("sync")
    data = bytearray(rotten.read_bytes())
    data[3] ^= 1
    rotten.write_bytes(data)
    os.utime(rotten, (1, 1))
    done = runfmt("verify", code=1)
    assert "Traceback" not in done.output
    assert f"0 runs verified at {stick}, 1 failed" in done.stdout
    if path != "run.json":
        assert f"  different: {path}" in done.stdout
        assert words(runfmt, code=1) == {path: "different"}


def test_rot_here_that_times_hide_fails(runfmt, runs, stick):
    run = make_run(runs)
    runfmt("sync")
    data = bytearray((run / "metrics.jsonl").read_bytes())
    data[5] ^= 1
    (run / "metrics.jsonl").write_bytes(data)
    settle(run)
    assert words(runfmt, code=1) == {"metrics.jsonl": "different"}


def test_missing_file_and_missing_run_fail(runfmt, runs, stick):
    make_run(runs, "a")
    runfmt("sync")
    make_run(runs, "b")
    (stick / "a" / "files" / "requirements.txt").unlink()
    out = runfmt("verify", code=1).stdout.splitlines()
    assert out[:2] == ["a: 7 equal, 1 missing", "  missing: files/requirements.txt"]
    assert out[2] == "b: is not at the remote: `runfmt sync runs/b` brings it"
    assert out[-1] == f"0 runs verified at {stick}, 2 failed"


def test_remote_that_is_ahead_is_different(runfmt, runs, stick):
    make_run(runs)
    runfmt("sync")
    append(stick / "first" / "metrics.jsonl", rows(21, 1))
    assert words(runfmt, code=1) == {"metrics.jsonl": "different"}


def test_edits_of_either_side_are_no_failure(runfmt, runs, stick):
    run = make_run(runs)
    write(run / "edits.json", {"/name": {"value": "x", "time": 1, "author": "a"}})
    runfmt("sync")
    write(stick / "first" / "edits.json", {"/name": {"value": "y", "time": 2, "author": "a"}})
    assert words(runfmt) == {"edits.json": "replaced"}


def test_verify_goes_on_after_a_damaged_run(runfmt, runs, stick):
    for name in ("a", "b"):
        make_run(runs, name)
    runfmt("sync")
    (runs / "a" / "run.json").write_text("{")
    out = runfmt("verify", code=1).stdout
    assert "a: no readable run.json: `runfmt recover runs/a --from REMOTE`" in out
    assert "b: 8 equal" in out
