"""Runs and the processes around them: how they end, fork, share and resume."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import pytest

import runfmt
from runfmt.reading import StoredRun, find_runs


def train(tmp_path, text, *arguments, begin="run = runfmt.init(project='p', id='one')\n", **environment):
    """Run a program that has started the run ``one``; gives its runs by id, and how it ended."""
    program = tmp_path / "train.py"
    program.write_text("import os, runfmt, signal, sys\n" + begin + textwrap.dedent(text))
    command = [sys.executable, program, *arguments]
    quiet = {"capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run(command, check=False, cwd=tmp_path, env=os.environ | environment, **quiet)
    return {run.name: StoredRun(run) for run in find_runs(tmp_path / "runs")}, done


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit('text')", 1),
        ("sys.excepthook = lambda *_: None; raise ValueError", 1),
        ("sys.exit(True)", 1),
        ("sys.exit(2**70)", 255),
        ("with run: sys.exit(3)", 3),
        ("run.finish(True)", 1),
        ("run.finish(2**70)", 255),
        ("import numpy; run.finish(numpy.int64(2))", 2),
        ("with run: raise KeyboardInterrupt", 255),
        ("os.kill(os.getpid(), signal.SIGINT)", 255),
        ("run.mark_preempting(); sys.exit(1)", 1),
    ],
)
def test_exit_code_of_the_program_is_that_of_the_run(tmp_path, end, code):
    runs, _ = train(tmp_path, end)
    assert repr(runs["one"].document["exit_code"]) == repr(code)
    assert runs["one"].state() == ("preempted" if "preempting" in end else "failed")


def test_handler_of_sigterm_that_was_there_before_stays(tmp_path):
    before = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\nrun = runfmt.init(id='one')\n"
    runs, done = train(tmp_path, "os.kill(os.getpid(), signal.SIGTERM)", begin=before)
    assert (done.returncode, runs["one"].state()) == (9, "failed")


def test_sigterm_in_the_middle_of_a_sync_ends_the_run(tmp_path):
    text = """
    import threading
    sync = os.fdatasync
    def hit(descriptor):
        if threading.current_thread() is threading.main_thread():
            os.fdatasync = sync
            os.kill(os.getpid(), signal.SIGTERM)
        return sync(descriptor)
    runfmt.log({"v": 1})
    os.fdatasync = hit
    signal.alarm(20)
    run.save()
    """
    runs, done = train(tmp_path, text)
    assert done.returncode == -signal.SIGTERM
    assert (runs["one"].state(), len(runs["one"].history().rows)) == ("killed", 1)


def test_warnings_name_the_line_of_the_user(tmp_path):
    _, done = train(tmp_path, "if os.fork() == 0: runfmt.log({'a': 1}); os._exit(0)\nos.wait()")
    assert "train.py:3: RuntimeWarning: log in a forked child" in done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_run_of_a_child_process_ends_with_it(tmp_path, method):
    text = f"""
    import multiprocessing
    def work(fails):
        runfmt.init(id="bad" if fails else "good").log({{"v": 1}})
        1 / int(not fails)
    if __name__ == "__main__":
        for fails in (0, 1):
            process = multiprocessing.get_context("{method}").Process(target=work, args=(fails,))
            process.start()
            process.join()
    """
    runs, _ = train(tmp_path, text, begin="")
    found = {name: (run.state(), run.document["exit_code"]) for name, run in runs.items()}
    assert found == {"good": ("finished", 0), "bad": ("failed", 1)}


def test_run_that_was_killed_before_it_had_a_stream_goes_on(start):
    killed = start(id="one")
    killed.finish()
    (killed.directory / "metrics.jsonl").unlink()
    again = start(id="one", resume="must")
    again.log({"v": 1})
    again.finish()
    assert rows(again) == {"main": [1]}


def test_fork_right_after_init_gives_the_child_whole_modules(tmp_path):
    text = """
    for number in range(5):
        child = os.fork()
        if child == 0:
            signal.alarm(5)  # an import lock that nobody holds any more would last for ever
            import importlib.metadata, psutil, pynvml
            own = runfmt.init(id=f"child{number}", console="off")
            own.log({"v": 1})
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
    """
    runs, done = train(tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert {name: run.state() for name, run in runs.items()} == dict.fromkeys(runs, "finished")
    assert len(runs) == 6


def test_forked_child_changes_nothing_of_its_parents_run(tmp_path):
    text = """
    runfmt.log({"v": 1})
    child = os.fork()
    if child == 0:
        runfmt.config.update({"x": 1})
        runfmt.summary["s"] = 1
        runfmt.define_metric("q")
        run.name, run.tags = "child", ["child"]
        for call in (run.log_artifact, run.save):
            call(__file__)
        run.log_code(".")
        run.alert("title")
        run.mark_preempting()
        sys.exit(1)
    os.waitpid(child, 0)
    """
    [run] = train(tmp_path, text)[0].values()
    assert (run.state(), run.config, run.summary, run.attributes["tags"]) == ("finished", {}, {"v": 1}, [])
    assert [event["event"] for event in run.events()] == ["start", "finish"]
    assert run.document["name"] != "child"
    assert [name for name in run.files if name.startswith("files/")] == ["files/requirements.txt"]


def test_killed_trainer_frees_its_run_though_its_workers_live(tmp_path):
    text = """
    read, write = os.pipe()
    if os.fork() == 0:
        signal.pause()
    os.kill(os.getpid(), signal.SIGKILL)
    """
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    code = "import os, runfmt, signal\nrun = runfmt.init(id='one')\n" + textwrap.dedent(text)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **quiet)
    try:
        assert process.wait(60) == -signal.SIGKILL
        run = runfmt.init(id="one", dir=tmp_path / "runs", resume="must")
        assert run._is_main
        run.finish()
    finally:
        os.killpg(process.pid, signal.SIGKILL)


AUTO = """
print(run.resumed, run.step)
run.log({"v": run.step})
sys.exit(int(sys.argv[1]))
"""


def auto(tmp_path, code, **environment):
    begin = "run = runfmt.init(project='p', resume='auto')\nsys.argv[0] = 'train.py'\n"
    runs, done = train(tmp_path, AUTO, str(code), begin=begin, **environment)
    return done.stdout.split(), len(runs)


def test_auto_resumes_what_did_not_end_well_and_nothing_else(tmp_path):
    assert auto(tmp_path, 1) == (["False", "0"], 1)
    assert auto(tmp_path, 1) == (["True", "1"], 1)
    assert auto(tmp_path, 2) == (["False", "0"], 2), "other arguments"
    assert auto(tmp_path, 1, SLURM_ARRAY_TASK_ID="7") == (["False", "0"], 3)
    assert auto(tmp_path, 1, RANK="1") == (["False", "0"], 4)
    assert auto(tmp_path, 1) == (["True", "2"], 4)


def test_auto_starts_anew_after_a_good_end(tmp_path):
    assert auto(tmp_path, 0) == (["False", "0"], 1)
    assert auto(tmp_path, 0) == (["False", "0"], 2)


@pytest.fixture
def start(tmp_path):
    def start(**options):
        return runfmt.init(project="p", dir=tmp_path / "runs", reinit="create_new", **options)

    return start


def test_ids_are_one_whatever_their_case(start):
    start(id="One").finish()
    with pytest.warns(RuntimeWarning, match="is there already"):
        other = start(id="one")
    assert other.id == "one-2"
    other.finish()
    again = start(id="ONE", resume="must")
    assert again.id == "One"
    again.finish()


def test_id_that_another_process_is_about_to_take_is_not_taken(start, tmp_path):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    other = os.open(tmp_path / "runs" / "one" / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.warns(RuntimeWarning, match="is there already"):
        run = start(id="one")
    assert run.id == "one-2"
    run.finish()
    os.close(other)


def rows(run):
    stored = StoredRun(run.directory)
    assert stored.problems == []
    return {writer: [row["v"] for row in stored.history(writer).rows] for writer in stored.writers}


def test_resumed_run_that_another_process_has_open_goes_on_beside_it(start):
    first = start(id="one")
    for value in range(3):
        first.log({"v": value})
    with pytest.warns(RuntimeWarning, match=r"another process writes .*metrics\.w[0-9a-f]{8}"):
        second = start(id="one", resume="allow")
    assert second.step == 3
    for value in range(3, 6):
        first.log({"v": value})
        second.log({"v": value * 10})
    second.finish()
    first.log({"v": 6})
    first.finish()
    assert list(rows(first).values()) == [list(range(7)), [30, 40, 50]]
    assert StoredRun(first.directory).state() == "finished"


def no_locks(descriptor, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.mark.parametrize("flock", [no_locks, lambda *_: None], ids=["none", "idle"])
def test_two_processes_lose_nothing_where_locks_do_nothing(start, monkeypatch, flock):
    monkeypatch.setattr(fcntl, "flock", flock)
    first = start(id="one")
    first.log({"v": 0})
    second = start(id="one", resume="allow")
    assert second.step == 1
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for value in range(1, 50):
            first.log({"v": value})
            second.log({"v": -value})
    assert ["another process writes" in str(one.message) for one in said] == [True, True]
    first.finish()
    second.finish()
    lines = [
        json.loads(line)["v"]
        for path in first.directory.glob("metrics*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    assert sorted(lines) == list(range(-49, 50))
    assert len(rows(first)) == 3
    assert json.loads((first.directory / "summary.json").read_bytes()) == StoredRun(first.directory).summary
