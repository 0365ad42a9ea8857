"""What cannot be meant is refused at once, in words that help; nothing is written."""

import pytest

import runfmt
from runfmt.settings import resolve


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"id": "a/b"}, "'a-b' would do"),
        ({"id": "con"}, "device name"),
        ({"id": "x" * 200}, "must match"),
        ({"project": "a/b"}, "128 characters"),
        ({"project": "x" * 129}, "128 characters"),
        ({"tags": [""]}, "1 to 64"),
        ({"tags": ["x" * 65]}, "1 to 64"),
        ({"mode": "cloud"}, "use one of"),
        ({"resume": "maybe"}, "use one of"),
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
    with pytest.raises(TypeError, match="colour"):
        runfmt.init(dir=tmp_path / "runs", colour="red")


def test_one_text_is_one_tag():
    assert resolve(tags="baseline").tags == ("baseline",)


def test_folder_that_cannot_be_made_is_an_error_at_init(tmp_path):
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(OSError, match="runs"):
        runfmt.init(dir=tmp_path / "runs")
    assert runfmt.run is None


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
