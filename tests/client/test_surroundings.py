"""What lies around a training and is none of its business: odd arguments, folders, a change of directory."""

import subprocess
import sys
from pathlib import Path

import pytest

import runfmt
from runfmt.reading import StoredRun


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_arguments_that_are_no_text_are_recorded_as_near_as_may_be(here):
    script = "import runfmt; runfmt.init(id='a').finish()"
    subprocess.run([sys.executable, "-c", script, b"--out=b\xfcro"], check=True, capture_output=True)
    run = StoredRun(here / "runs" / "a")
    assert run.problems == []
    assert run.document["environment"]["argv"][-1] == "--out=b\ufffdro"


def test_texts_without_utf8_are_written_everywhere(here):
    odd, mended = "b\udcfc", "b\ufffd"
    with runfmt.init(id="a", name=odd, notes=odd, tags=[odd], config={odd: odd}) as run:
        run.define_metric(odd, summary="min")
        run.log({odd: 2, "t": odd})
        run.summary[odd] = odd
        run.alert(odd, odd)
        run.tags = [odd, "x"]
    stored = StoredRun(run.directory)
    assert stored.problems == []
    assert (stored.state(), stored.attributes["tags"]) == ("finished", [mended, "x"])
    assert stored.config == {mended: mended}
    assert stored.summary == {mended: mended, "t": mended}
    assert [row["title"] for row in stored.events() if row["event"] == "alert"] == [mended]


def test_change_of_directory_moves_nothing(here, monkeypatch):
    with runfmt.init(id="a", console="off") as run:
        (here / "elsewhere").mkdir()
        monkeypatch.chdir(here / "elsewhere")
        run.log({"page": runfmt.Html("<b>x</b>")})
        run.config["late"] = 1
        (here / "elsewhere" / "f.txt").write_text("x")
        run.save("f.txt")
    assert sorted(path.name for path in (here / "elsewhere").iterdir()) == ["f.txt"]
    stored = StoredRun(here / "runs" / "a")
    assert stored.config == {"late": 1}
    assert {"files/f.txt", stored.history().rows[0]["page"]["path"], "summary.json"} <= set(stored.files)


def test_folder_with_something_else_is_not_taken(here):
    (here / "models").mkdir()
    (here / "models" / "config.json").write_text("{}")
    (here / "models" / "weights.bin").write_bytes(b"x")
    with pytest.warns(RuntimeWarning, match="models-2"):
        runfmt.init(dir=".", id="models").finish()
    with pytest.raises(runfmt.UsageError, match="is no run"):
        runfmt.init(dir=".", id="models", resume="allow")
    assert sorted(path.name for path in (here / "models").iterdir()) == ["config.json", "weights.bin"]
    assert StoredRun(here / "models-2").state() == "finished"


def test_class_of_an_integration_that_is_not_there_cannot_be_imported(here):
    script = """
import runfmt
runfmt.install_as_wandb()
import wandb.integration.sb3
try:
    from wandb.integration.sb3 import WandbCallback
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "WandbCallback" in done.stdout


def test_package_is_the_command_for_who_has_no_path_to_it(tmp_path):
    said = [
        subprocess.run([*command, "ls", "--help"], cwd=tmp_path, capture_output=True, check=True, timeout=60)
        for command in ([sys.executable, "-m", "runfmt"], [Path(sys.executable).with_name("runfmt")])
    ]
    assert said[0].stdout.splitlines()[1:] == said[1].stdout.splitlines()[1:] != []
