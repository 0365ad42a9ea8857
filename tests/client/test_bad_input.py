"""What cannot be meant is refused at once, in words that help; nothing is written."""

import subprocess
import sys

import pytest

import runfmt
from runfmt.reading import StoredRun
from runfmt.settings import resolve


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"id": "a/b"}, "'a-b' would do"),
        ({"id": "con"}, "device name"),
        ({"id": "x" * 200}, "must match"),
        ({"project": "a/b"}, "128 characters"),
        ({"project": "x" * 129}, "128 characters"),
        ({"project": "a\n"}, "cannot be seen"),
        ({"tags": [""]}, "1 to 64"),
        ({"tags": ["x" * 65]}, "1 to 64"),
        ({"mode": "cloud"}, "use one of"),
        ({"resume": "maybe"}, "use one of"),
        ({"resume": "must"}, "needs the id of a run"),
        ({"resume_from": "one"}, "_step="),
        ({"settings": {"x_stats_sampling_interval": 0}}, "above 0"),
        ({"resume": True, "fork_from": "one?_step=1"}, "exclude each other"),
    ],
)
def test_malformed_options_are_refused_with_advice(tmp_path, options, words):
    with pytest.raises(runfmt.UsageError, match=words):
        runfmt.init(dir=tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


def test_unknown_option_is_a_type_error(tmp_path):
    with pytest.raises(TypeError, match=r"init\(\) has no parameter 'colour'"):
        runfmt.init(dir=tmp_path / "runs", colour="red")


def test_one_text_is_one_tag():
    assert resolve(tags="baseline").tags == ("baseline",)


@pytest.mark.parametrize(
    "options", [{"id": 5}, {"project": b"p"}, {"tags": 5}, {"config": [1]}, {"name": 1.5}]
)
def test_options_of_another_type_are_type_errors(tmp_path, options):
    with pytest.raises(TypeError, match=f"{next(iter(options))}.*(text|dict).*, not "):
        runfmt.init(dir=tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


def test_folder_that_cannot_be_written_is_an_error_at_init_and_may_be_tried_again(tmp_path):
    runs = tmp_path / "runs"
    runs.write_text("a file in the way")
    with pytest.raises(FileExistsError, match=r"give dir= or RUNFMT_DIR a folder.*runs"):
        runfmt.init(dir=runs)
    assert runfmt.run is None
    runs.unlink()
    (runs / "one" / "config.json").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=r"config\.json"):
        runfmt.init(dir=runs, id="one")
    (runs / "one" / "config.json").rmdir()
    with runfmt.init(dir=runs, id="one") as run:
        run.log({"a": 1})
    assert [path.name for path in runs.glob("*/metrics*")] == ["metrics.jsonl"]


CYCLE = {}
CYCLE["a"] = CYCLE


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (lambda run: run.log([1]), TypeError, "takes a mapping of names to values, not list"),
        (lambda run: run.log({1: 2}), TypeError, "not int .* use '1'"),
        (lambda run: run.log({"_gap": 1}), runfmt.UsageError, "'_gap' is reserved: choose another name"),
        (lambda run: run.log({"a": {"b": [object()]}}), TypeError, "'a.b' is a .*object.*: give a number"),
        (lambda run: run.log({"page": runfmt.Html("x"), "a": object()}), TypeError, "'a' is a "),
        (
            lambda run: run.log({"x": "y" * 20_000_000}),
            runfmt.UsageError,
            "over the limit .* log less at once",
        ),
        (lambda run: run.log(CYCLE), runfmt.UsageError, "'a' nests deeper than 64 levels: flatten it"),
        (lambda run: run.log({"a": 1}, step=-1), runfmt.UsageError, "step -1 is out of range: use"),
        (lambda run: run.summary.update({"a": object()}), TypeError, "'a' is a .*: give a number"),
        (
            lambda run: run.config.update({"lr": 2, "x": 1}),
            runfmt.ConfigError,
            "'lr' is 1 .* allow_val_change",
        ),
        (lambda run: run.config.update({"_nonfinite": 1}), runfmt.UsageError, "choose another name"),
        (lambda run: setattr(run, "tags", [""]), runfmt.UsageError, "1 to 64 characters"),
        (lambda run: run.alert("t", level="warn"), runfmt.UsageError, "use 'INFO'"),
        (lambda run: run.save("x", policy="often"), runfmt.UsageError, "use one of live"),
        (lambda run: run.log_artifact("absent"), runfmt.UsageError, r"\(absent\): give an Artifact, a path"),
        (lambda run: runfmt.Artifact("a/b", "t"), runfmt.UsageError, "'a/b' must match"),
    ],
)
def test_refused_call_writes_nothing_and_the_run_goes_on(tmp_path, action, error, words):
    with runfmt.init(project="p", dir=tmp_path / "runs", config={"lr": 1}, console="off") as run:

        def recorded():
            names = ("metrics.jsonl", "events.jsonl", "config.json")
            return [*((run.directory / name).read_bytes() for name in names), run.tags]

        before = recorded()
        with pytest.raises(error, match=words):
            action(run)
        assert recorded() == before
        assert not (run.directory / "media").exists()
        run.log({"a": 1})
    assert [row["a"] for row in StoredRun(run.directory).history().rows] == [1]


def test_init_with_changed_values_needs_leave_as_update_does(tmp_path):
    with runfmt.init(dir=tmp_path, config={"lr": 1}, allow_val_change=True) as run:
        run.config.lr = 2
        assert dict(run.config) == {"lr": 2}


STRICT = """
import resource, runfmt
run = runfmt.init(id="one", console="off", strict=True)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
run.log({"v": 0})
size = (run.directory / "metrics.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
for action in (
    lambda: run.log({"v": 1}),
    lambda: run.log({"page": runfmt.Html("x" * 1000)}),
    lambda: run.config.update({"a": "x" * 1000}),
):
    try:
        action()
    except OSError as error:
        print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
run.log({"v": 2})
run.finish()
"""


def test_strict_run_raises_what_the_disk_refuses_and_keeps_no_part_of_it(tmp_path):
    command = [sys.executable, "-c", STRICT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["File too large"] * 3
    stored = StoredRun(tmp_path / "runs" / "one")
    assert [row["v"] for row in stored.history().rows] == [0, 2]
    assert stored.problems == []


@pytest.mark.parametrize("step", [True, 3.0, "3"])
def test_step_that_is_no_integer_is_a_type_error(tmp_path, step):
    with runfmt.init(project="p", dir=tmp_path / "runs") as run, pytest.raises(TypeError, match="step"):
        run.log({"a": 1}, step=step)


@pytest.mark.parametrize(
    "options",
    [{"name": ""}, {"name": "a*b"}, {"name": "a", "summary": "median"}, {"name": "a", "goal": "up"}],
)
def test_definition_that_cannot_be_meant_is_refused(tmp_path, options):
    with runfmt.init(project="p", dir=tmp_path / "runs") as run, pytest.raises(runfmt.UsageError):
        run.define_metric(**options)
    assert b"_define" not in (run.directory / "metrics.jsonl").read_bytes()
