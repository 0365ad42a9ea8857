"""What a trainer does with a run, and what lies on disk then."""

import copy
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import warnings

import pytest

import runfmt
from runfmt.reading import StoredRun
from runfmt.settings import resolve
from runfmt.stream import Stream


@pytest.fixture
def start(tmp_path):
    def start(**options):
        return runfmt.init(project="p", dir=tmp_path / "runs", **options)

    yield start
    if runfmt.run is not None:
        runfmt.finish()


def rows_of(run):
    return [
        {key: value for key, value in row.items() if key != "_timestamp"}
        for row in StoredRun(run.directory).history().rows
    ]


def test_steps_follow_wandb(start):
    run = start()
    runfmt.log({"a": 1})
    assert run.step == 1
    runfmt.log({"a": 3}, step=3)
    assert run.step == 3
    runfmt.log({"b": 4})
    runfmt.log({"a": 5}, commit=False)
    runfmt.log({"b": 6})
    runfmt.log({"late": 1}, step=0)
    assert run.step == 5
    assert rows_of(run) == [
        {"_step": 0, "a": 1, "late": 1},
        {"_step": 3, "a": 3, "b": 4},
        {"_step": 4, "a": 5, "b": 6},
    ]


@pytest.mark.parametrize(
    ("summary", "goal", "shown"),
    [
        (None, None, 3),
        ("min,max", None, {"min": 1, "max": 8}),
        ("mean", None, {"mean": 4}),
        ("best", "maximize", {"best": 8}),
        ("first", None, {"first": 1}),
        ("none", None, None),
    ],
)
def test_summary_is_what_define_metric_says(start, summary, goal, shown):
    run = start()
    runfmt.log({"val": 1})
    runfmt.define_metric("val", summary=summary, goal=goal)
    runfmt.log({"val": 8})
    runfmt.log({"val": 3})
    assert (run.summary.get("val") if shown is None else dict(run.summary)["val"]) == shown
    run.finish()
    stored = StoredRun(run.directory)
    assert stored.summary.get("val") == shown
    assert json.loads((run.directory / "summary.json").read_bytes()).get("val") == shown


def test_step_metric_fills_rows_that_lack_it(start):
    run = start()
    runfmt.log({"epoch": 2})
    runfmt.define_metric("loss", step_metric="epoch")
    runfmt.log({"loss": 0.5})
    runfmt.log({"loss": 0.4, "epoch": 3})
    runfmt.log({"loss": 0.3})
    assert [row.get("epoch") for row in rows_of(run)] == [2, 2, 3, 3]


def test_config_is_on_disk_and_guards_itself(start):
    run = start(config={"lr": 0.1})
    assert json.loads((run.directory / "config.json").read_bytes()) == {"lr": 0.1}
    with pytest.raises(runfmt.ConfigError):
        runfmt.config.update({"lr": 0.2, "new": 1})
    assert dict(runfmt.config) == {"lr": 0.1}
    runfmt.config = {"lr": 0.2}
    assert json.loads((run.directory / "config.json").read_bytes()) == {"lr": 0.2}


def test_resume_goes_on_after_the_last_step(start):
    start(id="one", config={"lr": 1})
    runfmt.define_metric("v", summary="min")
    runfmt.log({"v": 1})
    runfmt.finish(exit_code=1)
    run = start(id="one", resume="must")
    assert (run.step, run.resumed, run.config["lr"]) == (1, True, 1)
    runfmt.log({"v": 5})
    run.finish()
    assert StoredRun(run.directory).summary == {"v": {"min": 1}}
    assert StoredRun(run.directory).state() == "finished"


def test_rewind_supersedes_later_rows(start):
    start(id="one")
    for value in range(5):
        runfmt.log({"v": value})
    runfmt.finish()
    run = start(resume_from="one?_step=2")
    runfmt.log({"v": 30})
    assert [row["v"] for row in rows_of(run)] == [0, 1, 2, 30]


def test_fork_begins_with_the_parents_rows(start):
    start(id="one", config={"lr": 1})
    for value in range(5):
        runfmt.log({"v": value})
    runfmt.finish()
    run = start(fork_from="one?_step=1")
    runfmt.log({"v": 9})
    assert [row["v"] for row in rows_of(run)] == [0, 1, 9]
    assert StoredRun(run.directory).document["parent"]["id"] == "one"


def test_taken_id_becomes_another_run(start):
    start(id="one").finish()
    with pytest.warns(RuntimeWarning, match="resume='allow'"):
        assert start(id="one").id == "one-2"


def test_log_before_init_and_after_finish_says_what_to_do(start):
    for use in (lambda: runfmt.log({"a": 1}), lambda: runfmt.config.lr, lambda: runfmt.summary["a"]):
        with pytest.raises(runfmt.NotStarted, match="init"):
            use()
    run = start()
    run.finish()
    with pytest.raises(runfmt.NotStarted, match="init"):
        run.log({"a": 1})


def test_ranks_write_their_own_streams(start, monkeypatch):
    start(id="one")
    runfmt.log({"v": 0})
    runfmt.finish()
    monkeypatch.setenv("RANK", "3")
    start(id="one", resume="allow")
    runfmt.log({"v": math.inf})
    run = runfmt.run
    run.finish()
    stored = StoredRun(run.directory)
    assert list(stored.writers) == ["main", "rank3"]
    assert [row["v"] for row in stored.history("rank3").rows] == [math.inf]


def script(tmp_path, text):
    program = tmp_path / "train.py"
    program.write_text(
        "import os, runfmt, signal, sys\nrun = runfmt.init(project='p', id='one')\n" + textwrap.dedent(text)
    )
    done = subprocess.run(
        [sys.executable, program], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    return StoredRun(tmp_path / "runs" / "one"), done


@pytest.mark.parametrize(
    ("end", "state", "code"),
    [
        ("", "finished", 0),
        ("raise ValueError", "failed", 1),
        ("raise KeyboardInterrupt", "failed", 255),
        ("sys.exit(3)", "failed", 3),
        ("os.kill(os.getpid(), signal.SIGTERM)", "killed", 143),
        ("run.mark_preempting(); os.kill(os.getpid(), signal.SIGTERM)", "preempted", 143),
    ],
)
def test_end_of_the_process_is_the_state_of_the_run(tmp_path, end, state, code):
    stored, done = script(tmp_path, f"print('said')\nrunfmt.log({{'v': 1}})\n{end}")
    assert (stored.state(), stored.document["exit_code"]) == (state, code)
    assert "said" in (stored.path / "console.log").read_text()
    assert len(stored.history().rows) == 1
    assert stored.problems == []
    if state in ("killed", "preempted"):
        assert done.returncode == -signal.SIGTERM


def test_forked_child_leaves_the_parents_run_alone(tmp_path):
    stored, done = script(
        tmp_path,
        """
        runfmt.log({"v": 1})
        child = os.fork()
        if child == 0:
            run.log({"v": 2})
            run.finish()
            sys.exit(0)
        os.waitpid(child, 0)
        runfmt.log({"v": 3})
        """,
    )
    assert "forked child" in done.stderr
    assert [row["v"] for row in stored.history().rows] == [1, 3]
    assert stored.state() == "finished"


def test_two_writers_of_a_stream_lose_nothing(start):
    run = start()
    runfmt.log({"v": 0})
    with open(run.directory / "metrics.jsonl", "ab") as other:
        other.write(b'{"_step":7,"_timestamp":1.0,"v":7}\n')
    run.save()
    with pytest.warns(RuntimeWarning, match="another process writes"):
        runfmt.log({"v": 1})
    stored = StoredRun(run.directory)
    found = [row["v"] for writer in stored.writers for row in stored.history(writer).rows]
    assert sorted(found) == [0, 1, 7]


@pytest.mark.parametrize("is_seen", ["between rows", "at the end"])
def test_stream_that_an_editor_replaces_goes_on_elsewhere_with_all_rows(start, tmp_path, is_seen):
    run = start()
    for v in range(10):
        run.log({"v": v})
    beginning = (run.directory / "metrics.jsonl").read_bytes().splitlines(keepends=True)[:4]
    (tmp_path / "saved").write_bytes(b"".join(beginning))
    os.replace(tmp_path / "saved", run.directory / "metrics.jsonl")
    with pytest.warns(RuntimeWarning, match=r"replaced .*metrics\.jsonl.*metrics\.w[0-9a-f]{8}\.jsonl"):
        (run.save if is_seen == "between rows" else run.finish)()
    if is_seen == "between rows":
        for v in range(10, 20):
            run.log({"v": v})
        run.finish()
    stored = StoredRun(run.directory)
    [other] = set(stored.writers) - {"main"}
    assert [row["v"] for row in stored.history("main").rows] == list(range(4))
    assert [row["v"] for row in stored.history(other).rows] == list(
        range(20 if is_seen == "between rows" else 10)
    )
    assert stored.problems == []


def move_and_log_everything(run, target, path):
    os.rename(run.directory, target)
    run.log({"im": runfmt.Html("<p>")})
    run.save(path)
    run.log_artifact(path, "set")
    run.config["late"] = 1
    run.log({"v": 1, "in": run.dir})
    run.finish()


def test_run_that_is_moved_keeps_its_rows_and_leaves_nothing_in_its_old_place(start, tmp_path):
    run = start(id="one")
    (tmp_path / "saved.txt").write_text("text")
    with pytest.warns(RuntimeWarning) as said:
        move_and_log_everything(run, tmp_path / "moved", tmp_path / "saved.txt")
    assert sum("was moved or deleted while it was being written" in str(one.message) for one in said) == 1
    assert not run.directory.exists()
    assert [row.get("v") for row in StoredRun(tmp_path / "moved").history().rows] == [None, 1]


def test_warning_of_a_replaced_stream_leaves_it_to_other_threads(tmp_path, monkeypatch):
    stream, free = Stream(tmp_path / "a.log", elsewhere=lambda: tmp_path / "b.log"), []

    def show(*_, **__):
        other = threading.Thread(target=lambda: free.append(stream._lock.acquire(blocking=False)))
        other.start()
        other.join()

    (tmp_path / "new").touch()
    os.replace(tmp_path / "new", tmp_path / "a.log")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        stream.sync()
    assert free == [True]


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_model_that_holds_a_run_and_its_config_can_be_copied_and_pickled(start, mode):
    run = start(mode=mode, config={"lr": 1, "net": {"width": 2}})
    model = {"run": run, "config": run.config}
    copied = copy.deepcopy(model)
    assert copied["run"] is copy.copy(run) is run
    copied["config"]["net"]["width"] = 3
    assert run.config["net"]["width"] == 2
    pickled = pickle.dumps(model)
    assert pickle.loads(pickled) == {"run": run, "config": {"lr": 1, "net": {"width": 2}}}
    assert type(pickle.loads(pickled)["config"]) is type(copied["config"]) is dict
    run.finish()
    assert pickle.loads(pickled)["run"] is None


@pytest.mark.parametrize("option", ["resume_from", "fork_from"])
def test_step_beyond_the_last_is_refused_and_nothing_written(start, tmp_path, option):
    run = start(id="one")
    run.log({"v": 0}, step=19)
    run.finish()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(runfmt.UsageError, match="no step 20, its last is 19"):
        start(**{option: "one?_step=20"})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    start(**{option: "one?_step=19"})
    assert runfmt.run.step == 20


def test_short_run_has_one_sample_of_the_machine(start):
    run = start()
    run.finish()
    [sample] = [json.loads(line) for line in (run.directory / "system.jsonl").read_bytes().splitlines()]
    assert sample.keys() >= {"_timestamp", "cpu", "process"}


@pytest.mark.parametrize("settings", [runfmt.Settings(run_name="n", mode="online"), {"run_name": "n"}])
def test_settings_say_what_arguments_leave_open(start, settings):
    assert start(settings=settings).name == "n"
    runfmt.finish()
    assert start(settings=settings, name="given").name == "given"


def test_samples_are_15_seconds_apart_at_most():
    assert resolve().sample_every == 15
    assert resolve(x_stats_sampling_interval=0.5).sample_every == 0.5
    assert resolve(x_stats_sampling_interval=60).sample_every == 15


def test_disabled_by_settings_writes_nothing(start, tmp_path):
    start(settings=runfmt.Settings(mode="disabled")).log({"a": 1})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("in_notebook", [False, True])
@pytest.mark.parametrize(
    ("reinit", "same", "ended", "active"),
    [
        (None, True, False, True),
        (False, True, False, True),
        (True, False, True, True),
        ("default", True, False, True),
        ("return_previous", True, False, True),
        ("finish_previous", False, True, True),
        ("create_new", False, False, False),
    ],
)
def test_second_init_does_what_reinit_says(start, monkeypatch, in_notebook, reinit, same, ended, active):
    if in_notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", sys)
        if reinit in (None, False, "default"):
            same, ended = False, True
    first = start()
    second = start(reinit=reinit)
    assert (second is first, first._finished, runfmt.run is second) == (same, ended, active)
    first.finish()
    second.finish()


def test_names_that_trainers_ask_a_run_for(start):
    run = start(id="one", entity="team")
    run.log({"a": 1}, step=4, commit=True)
    run.finish()
    run = start(id="one", resume="must")
    assert (run.starting_step, run.step, run.resumed, run.path) == (5, 5, True, "team/p/one")
    assert (run.offline, run.disabled, run.sweep_id, run._label(repo="x")) == (True, False, None, None)
    assert run.url == run.get_url() == run.directory.absolute().as_uri()
    assert runfmt.login(key="k", relogin=True) is True
    assert runfmt.util.generate_id() != runfmt.util.generate_id()


def test_resumed_run_keeps_its_words_unless_others_are_given(start):
    start(id="one", name="n", notes="text", tags=["t"], group="g").finish()
    run = start(id="one", resume="allow", tags=["u"])
    run.finish()
    document = StoredRun(run.directory).document
    assert [document[key] for key in ("name", "notes", "tags", "group")] == ["n", "text", ["u"], "g"]


@pytest.mark.parametrize("left", [b"", b'{"lr":'])
def test_resumed_run_with_a_damaged_config_goes_on_and_keeps_it_aside(start, left):
    directory = start(id="one", config={"lr": 1}).directory
    runfmt.finish()
    (directory / "config.json").write_bytes(left)
    with pytest.warns(RuntimeWarning, match=r"config\.json.*\.config\.json\.damaged.*empty config"):
        run = start(id="one", resume="allow")
    assert (dict(run.config), StoredRun(directory).config) == ({}, {})
    assert (directory / ".config.json.damaged").read_bytes() == left


def test_stand_in_answers_as_wandb():
    code = (
        "import runfmt; runfmt.install_as_wandb(); import wandb, importlib.metadata as m;"
        "import wandb.sdk.wandb_run; assert wandb.Image is runfmt.Image and m.version('wandb')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ}, timeout=60)
