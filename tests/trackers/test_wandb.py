"""W&B: values beside what W&B's own classes make of them, the service out of order, and `wandb sync`."""

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import runfmt
from remotes.checks import append
from runfmt.errors import CommError, UsageError
from runfmt.reading import find_runs
from runfmt_sync.remotes import open_place
from runfmt_sync.track import Track
from runmaker import OLD, make_run, read, rows, write
from trackers.test_contract import line, resume, start
from trackers.wandbkinds import Offline, Served

MADE = """
import sys
import numpy as np
import {library} as library
from pathlib import Path

grey = np.full((4, 6, 3), 200, np.uint8)
position = {"minX": 0.1, "maxX": 0.2, "minY": 0.1, "maxY": 0.3}
box = {"position": position, "class_id": 1, "box_caption": "a cat", "scores": {"sure": 0.5}}
shapes = {
    "boxes": {"found": {"box_data": [box], "class_labels": {1: "cat"}}},
    "masks": {"true": {"mask_data": np.ones((4, 6), np.uint8), "class_labels": {1: "cat"}}},
}
sound = np.zeros(80, np.float32)
cloud = np.zeros((3, 3))
(page := Path(sys.argv[1], "page.html")).write_text("<b>x</b>")
(film := Path(sys.argv[1], "film.mp4")).write_bytes(b"no film")
with library.init(project="p", id="media", dir=sys.argv[1], mode="offline") as run:
    run.log(
        {
            "picture": library.Image(grey, caption="one", **shapes),
            "pictures": [library.Image(grey, caption="one", **shapes), library.Image(grey // 2)],
            "sound": library.Audio(sound, sample_rate=8000, caption="hum"),
            "sounds": [library.Audio(sound, sample_rate=8000, caption="hum")] * 2,
            "film": library.Video(str(film), caption="short", format="mp4"),
            "page": library.Html("<b>x</b>"),
            "pages": [library.Html("<b>x</b>"), library.Html("<i>x</i>")],
            "cloud": library.Object3D(cloud),
            "clouds": [library.Object3D(cloud)] * 2,
            "bins": library.Histogram(np_histogram=([1, 2], [0.0, 1.0, 4.0])),
            "table": library.Table(columns=["a", "b"], data=[[1, "x"]]),
            "deep": {"picture": library.Image(grey)},
        }
    )
"""
STORED = ("path", "sha256", "size", "artifact_path", "_latest_artifact_path", "log_mode", "filenames")
"""What says where W&B's classes stored a file."""


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The service of ours, and what brings runs there."""
    yield from opened(Served(tmp_path), monkeypatch)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A folder of offline runs."""
    yield from opened(Offline(tmp_path), monkeypatch)


@pytest.fixture(params=[Offline, Served])
def either(request, tmp_path, monkeypatch):
    """Both."""
    yield from opened(request.param(tmp_path), monkeypatch)


def opened(kind, monkeypatch):
    for name, value in kind.environment.items():
        monkeypatch.setenv(name, value)
    yield kind
    kind.close()


def bring(source, kind):
    """Sync the runs of a folder; gives the outcomes."""
    track = Track(kind.tracker())
    outcomes = track.run(list(find_runs(source)))
    if track.fault:
        raise track.fault
    return outcomes


def steps(kind, name="first"):
    return [row["_step"] for row in kind.rows(name)]


def made_by(library, folder):
    folder.mkdir()
    code = MADE.replace("{library}", library)
    subprocess.run([sys.executable, "-c", code, folder], check=True, capture_output=True)


def assert_says(found, expected, where):
    """A value has all that another has, but for where its files are."""
    if isinstance(expected, dict):
        for key in expected.keys() - STORED:
            assert_says(found[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for number, item in enumerate(expected):
            assert_says(found[number], item, f"{where}/{number}")
    else:
        assert (found or None) == (expected or None), where


def stored(value):
    """The paths of files that a value names."""
    if isinstance(value, dict):
        own = [value["path"]] if "path" in value else value.get("filenames", [])
        own = [path for path in own if "/" in path]
        return own + [path for item in value.values() for path in stored(item)]
    return [path for item in value for path in stored(item)] if isinstance(value, list) else []


def test_media_are_said_as_w_and_b_says_them(offline, tmp_path):
    made_by("runfmt", tmp_path / "ours")
    made_by("wandb", tmp_path / "theirs")
    [outcome] = bring(tmp_path / "ours", offline)
    theirs = Offline(tmp_path / "theirs")
    [found], [expected] = offline.rows("media"), theirs.rows("media")
    for key in expected.keys() - {"_timestamp", "_runtime"}:
        assert_says(found[key], expected[key], key)
    labels = offline.config("media")["_wandb"]["mask/class_labels"]
    assert labels == theirs.config("media")["_wandb"]["mask/class_labels"]
    [folder] = {path.parent for path in offline.logs("media")}
    for path in stored(found):
        assert (folder / "files" / path).is_file(), path
    boxes = read(folder / "files" / found["picture"]["boxes"]["found"]["path"])
    assert (boxes["class_labels"], boxes["box_data"][0]["box_caption"]) == ({"1": "cat"}, "a cat")
    assert outcome.notes == []


def test_what_describes_a_run_arrives_and_follows(served, source):
    about = {"name": "n", "tags": ["a"], "notes": "so", "group": "g", "job_type": "train"}
    config = {"lr": 0.1, "opt": {"eps": 1e-8}}
    with runfmt.init(project="p", id="first", dir=source, config=config, **about) as run:
        run.define_metric("loss", step_metric="epoch", summary="min,best", goal="maximize")
        run.define_metric("secret", summary="none", hidden=True)
        for step in range(3):
            run.log({"loss": 3.0 - step, "epoch": step, "secret": step, "eval": {"acc": 0.5}})
        run.summary["set"] = 7
        run.alert("first", "of two", level="WARN")
        run.alert("second", "of two")
    [outcome] = bring(source, served)
    assert outcome.notes == []
    there = served.service.buckets["first"]
    about = {key: there.about[key] for key in ("displayName", "notes", "tags", "groupName", "jobType")}
    assert about == {"displayName": "n", "notes": "so", "tags": ["a"], "groupName": "g", "jobType": "train"}
    assert {key: there.config[key] for key in ("lr", "opt")} == {"lr": 0.1, "opt": {"eps": 1e-8}}
    assert (there.config["runfmt"]["state"], there.config["runfmt"]["uid"]) == ("finished", outcome.uid)
    told = {key: value for key, value in there.summary.items() if not key.startswith("_")}
    assert told == {"loss": {"min": 1.0, "best": 3.0}, "epoch": 2, "eval": {"acc": 0.5}, "set": 7}
    defined = {item.pop("1"): item for item in there.config["_wandb"]["m"]}
    assert {"loss", "epoch", "secret"} <= defined.keys()
    assert defined["loss"] != defined["epoch"] != defined["secret"]
    assert [(alert["title"], alert["severity"]) for alert in there.alerts] == [
        ("first", "WARN"), ("second", "INFO")
    ]  # fmt: skip
    edits = {"/tags": ["c", "b" * 65], "/name": "m", "/config/opt": 1}
    said = {key: {"value": value, "time": OLD, "author": "x"} for key, value in edits.items()}
    write(source / "first" / "edits.json", said)
    assert bring(source, served)[0].notes == ["1 tags that are too long"]
    assert (there.about["tags"], there.about["displayName"], there.config["opt"]) == (["c"], "m", 1)
    assert (len(there.alerts), len(there.rows()), there.state) == (2, 3, "finished")


def test_files_arrive_as_they_are(served, source):
    run = make_run(source)
    bring(source, served)
    files = served.service.buckets["first"].files
    for name in ("run.json", "config.json", "metrics.jsonl", "console.log", "files/requirements.txt"):
        assert files[name] == (run / name).read_bytes(), name
    [picture] = (run / "media" / "image").iterdir()
    assert files[f"media/image/{picture.name}"] == picture.read_bytes()
    assert served.rows("first")[0]["x"]["path"] == f"media/image/{picture.name}"


def test_ranks_are_runs_of_one_group(served, source):
    run = make_run(source, count=0)
    (run / "metrics.rank1.jsonl").write_bytes(line(0, loss=2.0) + line(1, loss=1.0))
    bring(source, served)
    main, rank = (served.service.buckets[name] for name in ("first", "first-rank1"))
    assert (main.about["groupName"], rank.about["groupName"], rank.about["jobType"]) == (
        "first", "first", "rank1"
    )  # fmt: skip
    assert (main.state, rank.state) == ("finished", "finished")
    assert [row["loss"] for row in rank.rows()] == [2.0, 1.0]


def test_run_of_another_with_this_id_is_left_alone(served, source):
    make_run(source)
    there = served.service.buckets
    served.service.answer("POST", "/graphql", json.dumps({
        "query": "mutation UpsertBucket", "variables": {"name": "first", "config": "{}"}
    }).encode())  # fmt: skip
    before = dict(there["first"].about)
    [outcome] = bring(source, served)
    assert there.keys() == {"first", f"first-{outcome.uid}"}
    assert (there["first"].about, there["first"].rows()) == (before, [])
    assert steps(served, f"first-{outcome.uid}") == [*range(21)]
    append(source / "first" / "metrics.jsonl", rows(21, 2))
    bring(source, served)
    assert steps(served, f"first-{outcome.uid}") == [*range(23)]


def test_nothing_of_this_machine_is_told_and_nothing_runs_on(either, source, capfd):
    make_run(source)
    bring(source, either)
    if isinstance(either, Served):
        there = either.service.buckets["first"]
        told, files = json.dumps(there.about), there.files.keys()
        assert not there.about.get("host")
    else:
        [log] = either.logs()
        told, files = str(log.read_bytes()), {path.name for path in (log.parent / "files").iterdir()}
        assert {record.host for record in either.records("first", "run")} == {""}
    assert str(Path.cwd()) not in told
    assert not {"wandb-metadata.json", "diff.patch", "output.log", "requirements.txt"} & files
    assert "wandb" not in "".join(capfd.readouterr())
    assert not children_named("wandb-core")
    assert not Path(tempfile.gettempdir(), "e").exists()


def children_named(name):
    """The processes that this one has started and that have a name."""
    status = (path.read_text() for path in Path("/proc").glob("[0-9]*/status") if path.exists())
    return [text for text in status if name in text and f"PPid:\t{os.getpid()}\n" in text]


@pytest.mark.parametrize("call", ["file_stream", "CreateRunFiles", "PUT file"])
def test_what_w_and_b_refuses_stops_the_sync_and_comes_with_the_next(served, source, call):
    make_run(source)
    served.service.broken = lambda name: 403 if name == call else None
    with pytest.raises(CommError, match=r"gave up: .*403"):
        bring(source, served)
    served.service.broken = lambda name: None
    [outcome] = bring(source, served)
    assert outcome.status == "synced"
    assert steps(served) == [*range(21)]
    assert "run.json" in served.service.buckets["first"].files


@pytest.mark.parametrize("point", ["wandb.arrived", "wandb.kept", "wandb.moved"])
def test_killed_while_the_cursor_is_kept_doubles_nothing(offline, source, point):
    run = make_run(source, state="preempted")
    (run / "metrics.rank1.jsonl").write_bytes(line(0, loss=2.0))
    bring(source, offline)
    resume(run, rows(21, 4), "finished")
    (run / "metrics.rank1.jsonl").write_bytes(line(0, loss=2.0) + line(1, loss=1.0))
    assert start(source, offline, RUNFMT_FAULT=point).wait(120) == -signal.SIGKILL
    bring(source, offline)
    assert (steps(offline), steps(offline, "first-rank1")) == ([*range(25)], [0, 1])


def test_killed_when_all_has_arrived_nothing_is_doubled_even_if_the_service_resumes_too_low(
    served, source, monkeypatch
):
    (make_run(source) / "metrics.jsonl").write_bytes(b"".join(line(10 * step, loss=1.0) for step in range(9)))
    assert start(source, served, RUNFMT_FAULT="wandb.arrived").wait(120) == -signal.SIGKILL
    assert steps(served) == [*range(0, 90, 10)]
    # W&B's package goes on behind the highest of three; of which two may be old, and the third counts lines.
    answer = served.service._RunResumeStatus({"name": "first"})
    answer["model"]["bucket"] |= {"historyTail": "[]", "summaryMetrics": "{}"}
    monkeypatch.setattr(served.service, "_RunResumeStatus", lambda asked: answer)
    bring(source, served)
    assert steps(served) == [*range(0, 90, 10)]


def test_offline_runs_go_to_w_and_b_by_its_own_command(offline, source, tmp_path, monkeypatch):
    service = Served(tmp_path / "service")
    run = make_run(source, state="preempted")
    bring(source, offline)
    resume(run, rows(21, 4), "finished")
    bring(source, offline)
    folders = sorted({path.parent for path in offline.logs()})
    assert len(folders) == 2
    command = [Path(sys.executable).with_name("wandb"), "sync", *folders]
    environment = os.environ | service.environment
    subprocess.run(command, check=True, env=environment, cwd=tmp_path, capture_output=True)
    assert steps(service) == [*range(25)]
    assert service.state("first") == "finished"
    service.close()


def test_two_runs_of_one_id_are_two(either, tmp_path):
    for number in range(2):
        (tmp_path / f"s{number}").mkdir()
        make_run(tmp_path / f"s{number}", count=number)
        bring(tmp_path / f"s{number}", either)
    assert (either.count(), steps(either)) == (2, [0])


def test_another_module_of_that_name_is_said(tmp_path):
    script = "import runfmt; runfmt.install_as_wandb(); from runfmt_sync.remotes import open_place\n"
    script += "open_place('wandb://e/p').prepare()"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "not W&B's package" in done.stderr
    script = "import sys; sys.modules['wandb'] = None; from runfmt_sync.cli import main\n"
    script += "main(['sync', '.', '--remote', 'wandb://e/p'])"
    make_run(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "pip install 'runfmt[wandb]'" in done.stderr) == (2, True), done.stderr


def test_no_key_is_said_and_nothing_is_asked_of_a_person(served, source, monkeypatch):
    make_run(source)
    monkeypatch.delenv("WANDB_API_KEY")
    ours, theirs = pty.openpty()
    tests = str(Path(__file__).parents[1])
    process = subprocess.run(
        [sys.executable, "-m", "runfmt", "sync", source, "--remote", served.url],
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False,
        env=os.environ | {"PYTHONPATH": tests},
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, "wandb login" in process.stderr) == (3, True), process.stderr


@pytest.mark.parametrize("url", ["wandb://e", "wandb:///p", "wandb://e/p/q", "wandb://e/p?mod=offline"])
def test_url_that_names_no_project_is_refused(url):
    with pytest.raises(UsageError, match="ENTITY/PROJECT"):
        open_place(url)
