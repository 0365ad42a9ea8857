"""Event files as TensorBoard itself and tbparse show them: every kind of value, and what is not shown."""

import json
import math
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tbparse import SummaryReader

import runfmt
from remotes.checks import append
from runfmt_sync.track import Track
from runmaker import OLD, make_run, read, rows, write
from trackers.kinds import TensorBoardFiles
from trackers.test_contract import line, resume


@pytest.fixture
def kind(tmp_path):
    """The tracker, and what reads it."""
    (tmp_path / "there").mkdir()
    return TensorBoardFiles(tmp_path / "there")


@contextmanager
def tensorboard(folder):
    """TensorBoard as it is started by everybody; gives what asks it."""
    program = Path(sys.executable).with_name("tensorboard")
    options = ["--logdir", folder, "--port", "0", "--reload_interval", "1"]
    process = subprocess.Popen([program, *options], stderr=subprocess.PIPE, text=True)

    def ask(path, until=bool):
        deadline = time.monotonic() + 60
        while True:
            with urllib.request.urlopen(f"{url}data/plugin/{path}") as answer:
                data = answer.read()
            found = json.loads(data) if "json" in answer.headers["Content-Type"] else data
            if until(found):
                return found
            assert time.monotonic() < deadline, found

    try:
        url = next(found[0] for said in process.stderr if (found := re.search(r"http://\S+:\d+/", said)))
        yield ask
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def trained(source):
    """A run with all kinds of values, made by the client."""
    config = {"lr": 0.1, "name": "adam", "nesterov": True, "layers": [1, 2], "opt": {"eps": math.inf}}
    with runfmt.init(project="p", id="first", dir=source, config=config, notes="as *planned*") as run:
        run.define_metric("loss", summary="min")
        for step in range(3):
            run.log({"loss": 1.1 - step, "eval": {"acc": 0.5}, "word": f"w{step}", "big": 2**40 + 1})
        grey = np.full((4, 6, 3), 200, np.uint8)
        run.log(
            {
                "picture": runfmt.Image(grey),
                "batch": [runfmt.Image(grey), runfmt.Image(grey // 2)],
                "sizes": runfmt.Histogram(np_histogram=([2, 3], [0.0, 1.0, 4.0])),
                "sound": runfmt.Audio(np.zeros(80, np.float32), sample_rate=8000),
                "table": runfmt.Table(columns=["a"], data=[[1]]),
                "many": [1, 2],
                "loss": math.nan,
            }
        )
        run.summary["best"] = 0.25
    return source / "first"


def files_of(run, kind):
    return [path.read_bytes() for path in sorted((run / "media" / kind).iterdir())]


def test_every_kind_of_value_is_read_back(trained, kind, sync):
    notes = sync()["first"].notes
    assert set(notes) == {"1 values of the type table-file", "1 lists and empty objects"}
    found = kind.read("first")
    assert [event.value for event in found.Scalars("loss")[:3]] == pytest.approx([1.1, 0.1, -0.9])
    assert math.isnan(found.Scalars("loss")[3].value)
    assert found.Scalars("big")[0].value == 2.0**40
    tensors = {tag: [event.tensor_proto for event in found.Tensors(tag)] for tag in found.Tags()["tensors"]}
    assert [one.string_val[0] for one in tensors["word"]] == [b"w0", b"w1", b"w2"]
    assert tensors["notes"][0].string_val == [b"as *planned*"]
    [picture], [batch] = tensors["picture"], tensors["batch"]
    assert [*picture.string_val[:2], *batch.string_val[:2]] == [b"6", b"4"] * 2
    pictures = [*picture.string_val[2:], *batch.string_val[2:]]
    assert sorted(pictures) == sorted(files_of(trained, "image"))
    assert [*tensors["sound"][0].string_val] == files_of(trained, "audio")
    [sizes] = tensors["sizes"]
    assert np.frombuffer(sizes.tensor_content).reshape(2, 3).tolist() == [[0, 1, 2], [1, 4, 3]]
    config = {"lr": 0.1, "name": "adam", "nesterov": True, "layers": "[1, 2]", "opt.eps": "Infinity"}
    assert kind.config("first") == config
    assert [found.Scalars(tag)[0].value for tag in ("loss.min", "best")] == pytest.approx([-0.9, 0.25])


def test_tensorboard_shows_it(trained, kind, sync):
    sync()
    with tensorboard(kind.folder) as ask:
        of = "run=p/first&tag="
        assert len(ask(f"scalars/scalars?{of}loss", lambda found: len(found) == 4)) == 4
        [picture] = ask(f"images/images?{of}picture")
        assert ask(f"images/individualImage?{picture['query']}") in files_of(trained, "image")
        assert "w2" in str(ask(f"text/text?{of}word"))
        assert [bins for _, _, bins in ask(f"histograms/histograms?{of}sizes")] == [[[0, 1, 2], [1, 4, 3]]]
        [sound] = ask(f"audio/audio?{of}sound")
        assert ask(f"audio/individualAudio?{sound['query']}") in files_of(trained, "audio")


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # its own way with pandas
def test_tbparse_reads_it(trained, kind, sync):
    sync()
    found = SummaryReader(str(kind.folder), extra_columns={"dir_name"}, pivot=False)
    losses = found.scalars[found.scalars["tag"] == "loss"]
    assert losses["value"].tolist()[:3] == pytest.approx([1.1, 0.1, -0.9])
    assert set(losses["dir_name"]) == {"p/first"}
    assert found.hparams.set_index("tag")["value"]["lr"] == 0.1
    assert "w1" in found.text["value"].tolist()


def test_rewind_shows_only_what_came_after_it(source, kind, sync):
    run = make_run(source)
    sync()
    resume(run, line(20, _rewind=9) + line(10, loss=7.0) + line(11, loss=8.0), "finished")
    notes = sync()["first"].notes
    assert any(note.startswith("2 late rows: TensorBoard drops") for note in notes)
    assert [step for step, _ in kind.scalars("first")["loss"]].count(10) == 2
    with tensorboard(kind.folder) as ask:
        found = ask("scalars/scalars?run=p/first&tag=loss", lambda found: len(found) > 11)
    assert [step for _, step, _ in found] == [*range(12)]
    assert [value for *_, value in found[-2:]] == [7.0, 8.0]


def test_tensorboard_that_looks_on_sees_what_comes(source, kind, sync):
    run = make_run(source, state="preempted")
    sync()
    with tensorboard(kind.folder) as ask:
        ask("scalars/scalars?run=p/first&tag=loss", lambda found: len(found) == 21)
        resume(run, rows(21, 5), "finished")
        sync()
        ask("scalars/scalars?run=p/first&tag=loss", lambda found: len(found) == 26)


def test_runs_of_one_id_stay_apart(source, kind, sync):
    for place in ("a", "b"):
        make_run(source / place, "first", count=3 if place == "a" else 5)
    sync()
    found = {path.parent.name: len(path.read_bytes()) for path in kind.folder.glob("p/*/*.rows")}
    assert len(found) == 2
    assert "first" in found
    sync()
    assert kind.count() == 2


@pytest.mark.parametrize("name", ["", "a/b", "..", "é ü", "ü" * 200])
@pytest.mark.parametrize("key", ["project", "id"])
def test_project_and_id_of_any_name_are_one_folder_each(source, kind, sync, key, name):
    write((run := make_run(source)) / "run.json", {**read(run / "run.json"), key: name})
    assert sync()["first"].status == "synced"
    [kept] = kind.folder.glob("*/*/.runfmt.json")
    assert kept.parent.resolve() == kept.parent


def test_event_files_of_others_are_left_alone(source, kind, sync):
    theirs = kind.folder / "p" / "first" / "events.out.tfevents.1.host"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    make_run(source)
    sync()
    assert [*theirs.parent.iterdir()] == [theirs]
    assert kind.count() == 1


def test_what_a_kill_left_behind_the_cursor_is_cut_off(source, kind, sync):
    run = make_run(source, state="preempted")
    sync()
    [path] = kind.folder.glob("p/first/*.rows")
    append(path, b"half a record" * 1000)
    resume(run, rows(21, 5), "finished")
    sync()
    assert [step for step, _ in kind.scalars("first")["loss"]] == [*range(26)]


@pytest.mark.parametrize("what", ["p/first/*.rows", "."])
def test_what_was_removed_comes_again(source, kind, sync, monkeypatch, tmp_path, what):
    make_run(source)
    sync()
    whole = kind.scalars("first")
    if what == ".":
        kind.folder.rename(tmp_path / "away")
    else:
        next(kind.folder.glob(what)).unlink()
        (kind.folder / ".runfmt.json").unlink()
    assert sync()["first"].rows == 21
    assert kind.scalars("first") == whole


def test_number_beyond_32_bits_is_said(source, kind, sync):
    run = make_run(source, count=0)
    resume(run, line(1, huge=1e300, tiny=1e-300, third=1 / 3), "finished")
    assert sync()["first"].notes == ["2 numbers that 32 bits do not hold"]
    found = kind.scalars("first")
    assert (found["huge"], found["tiny"]) == ([(1, math.inf)], [(1, 0.0)])


@pytest.mark.parametrize(
    "value",
    [
        {"_type": "histogram"},
        {"_type": "histogram", "bins": ["a", "b"], "values": [1]},
        {"_type": 3},
        {"_type": "images/separated", "images": [1]},
        {"_type": "images/separated", "images": []},
        {"_type": "image-file", "path": 3},
    ],
)
def test_value_of_another_form_stops_no_run(source, kind, sync, value):
    run = make_run(source, count=0)
    resume(run, line(1, odd=value, loss=0.5), "finished")
    outcome = sync()["first"]
    assert outcome.status == "synced"
    assert outcome.notes == ["1 values that have not the form of their type"]
    assert kind.scalars("first")["loss"] == [(0, 1.0), (1, 0.5)]


def test_path_that_leads_out_of_the_run_is_not_read(source, kind, sync, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    run = make_run(source, count=0)
    value = {"_type": "image-file", "path": "../../secret.png", "sha256": "0" * 64, "size": 6}
    resume(run, line(1, x=value), "finished")
    assert "1 media that are not there" in sync()["first"].notes
    assert not any(b"secret" in path.read_bytes() for path in kind.folder.rglob("*.rows"))


def test_state_of_a_run_that_goes_on_is_replaced(source, kind, sync):
    run = make_run(source, state="failed")
    sync()
    append(run / "system.jsonl", line(0, cpu=1).replace(str(OLD).encode(), b"99999999999"))  # alive
    write(run / "run.json", {**read(run / "run.json"), "state": "running"})
    sync()
    assert kind.state("first") == "running"
    assert "_hparams_/session_end_info" not in kind.read("first").PluginTagToContent("hparams")


def test_same_rows_make_the_same_bytes(source, kind, sync, tmp_path):
    make_run(source, count=50)
    sync()
    other = TensorBoardFiles(tmp_path / "there" / "other")
    other.folder.parent.mkdir()
    Track(other.tracker()).run([source / "first"])
    ours, theirs = ([*k.folder.glob("p/first/*.rows")] for k in (kind, other))
    assert ours[0].name == theirs[0].name
    assert ours[0].read_bytes() == theirs[0].read_bytes()
