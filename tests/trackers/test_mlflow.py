"""MLflow: what its own reader gives back, what it takes and refuses, and what stays whole on the way."""

import base64
import contextlib
import json
import math
import re
import signal
import sqlite3
import subprocess
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
import requests

import runfmt
from house.test_docs import Page, blocks
from remotes.checks import append
from remotes.proxy import FAULTS, BadProxy
from runfmt.errors import CommError, UsageError
from runfmt.reading import StoredRun, find_runs
from runfmt.rows import leaves
from runfmt_sync.extents import Refused
from runfmt_sync.remotes import open_place
from runfmt_sync.track import Track
from runfmt_sync.trackers.mlflow import MLflow
from runfmt_sync.trackers.mlflow_server import batches
from runfmt_sync.trackers.mlflow_values import key
from runmaker import OLD, make_run, read, rows, write
from trackers.mlflowkinds import PROGRAMS, MLflowServer
from trackers.test_contract import line, losses, resume, start

REFUSED = [
    "a@b=[c]",
    "../x",
    "a//b",
    "a/",
    "/a",
    "./a",
    "..a",
    ".",
    "a\\b",
    "x" * 251,
    "tab\tbed",
    "",
    "a/../b",
]
TAKEN = ["a b", " a ", "é ü", "中", "a.b", "a:b", "a/b", "A", "a-_1", "x" * 230]


@pytest.fixture
def mlflow(tmp_path):
    """An experiment of its own."""
    return MLflowServer(tmp_path)


def bring(source, kind, **options):
    """Sync the runs of a folder; gives the outcomes."""
    track = Track(kind.tracker(), **options)
    outcomes = track.run(list(find_runs(source)))
    if track.fault:
        raise track.fault
    return outcomes


def edit(run, **values):
    """Change what describes a run, as people do later."""
    path = run / "edits.json"
    known = read(path) if path.exists() else {}
    new = {pointer: {"value": value, "time": OLD, "author": "x"} for pointer, value in values.items()}
    write(path, {**known, **new})


def requested(kind, what):
    """How often something was asked of the server, by its own log."""
    return len(re.findall(what, (kind.server.folder / "log").read_text()))


def assert_refused(kind, run_id, **items):
    body = {"run_id": run_id, **items}
    answer = requests.post(f"{kind.server.url}/api/2.0/mlflow/runs/log-batch", json=body, timeout=60)
    assert answer.status_code == 400, items


def point(name, value=1.0, step=0):
    return {"key": name, "value": value, "step": step, "timestamp": 0}


def test_page_works_as_printed_and_its_own_reader_gives_back_what_was_logged(mlflow, tmp_path):
    with Page(tmp_path) as page:
        for kind, name, text in blocks("mlflow.md", "python", "console", "text"):
            here = text.replace("http://127.0.0.1:5000", mlflow.server.url)
            if text.startswith("from mlflow"):
                subprocess.run([PROGRAMS / "python", "-c", here], check=True)
            elif text.startswith("$ ") or kind != "text":
                page.play("console" if kind == "text" else kind, name, here)


def test_what_describes_a_run_arrives_and_follows(mlflow, source):
    about = {"name": "n", "tags": ["a", "b=c"], "notes": "so", "group": "g", "job_type": "train"}
    config = {"lr": 0.1, "opt": {"eps": 1e-8, "on": True, "none": None}, "many": [1, "é"], "word": "1"}
    with runfmt.init(project="p", id="first", dir=source, config=config, **about) as run:
        run.define_metric("loss", summary="min")
        for step in range(3):
            run.log({"loss": 3.0 - step, "word": f"w{step}"})
        run.summary["set"] = 7
    bring(source, mlflow)
    there, stored = mlflow.run(), StoredRun(source / "first")
    assert there["info"]["run_name"] == "n"
    assert mlflow.texts(there, "params") == {
        "lr": "0.1", "opt.eps": "1e-08", "opt.on": "True", "opt.none": "None", "many": '[1, "é"]', "word": "1"
    }  # fmt: skip
    tags = mlflow.texts(there)
    expected = {
        "mlflow.note.content": "so", "mlflow.runName": "n", "tag.a": "a", f"tag.{key('b=c')}": "b=c",
        "runfmt.uid": stored.uid, "runfmt.id": "first", "runfmt.project": "p", "runfmt.group": "g",
        "runfmt.job_type": "train", "runfmt.state": "finished", "summary.word": "w2",
        "mlflow.user": stored.document["environment"]["user"],
    }  # fmt: skip
    assert {name: tags.get(name) for name in expected} == expected
    found = mlflow.scalars("first")
    assert (found["loss.min"], found["set"]) == ([(2, 1.0)], [(2, 7.0)])
    edit(
        source / "first", **{"/tags": ["d"], "/name": "m", "/notes": "", "/summary/set": 6, "/config/new": 1}
    )
    edit(source / "first", **{"/config/lr": 0.2, "/summary/word": None})
    [outcome] = bring(source, mlflow)
    assert outcome.notes == ["3 texts, lists and histograms in rows, which are in metrics.jsonl only",
                             "1 config values that changed, and cannot at MLflow"]  # fmt: skip
    there = mlflow.run()
    tags, params = mlflow.texts(there), mlflow.texts(there, "params")
    assert [name for name in tags if name.startswith(("tag.", "summary."))] == ["tag.d"]
    assert (there["info"]["run_name"], tags["mlflow.note.content"]) == ("m", "")
    assert (params["lr"], params["new"]) == ("0.1", "1")
    latest = {item["key"]: item["value"] for item in there["data"]["metrics"]}
    assert (latest["set"], len(mlflow.scalars("first")["set"])) == (6, 2)
    assert mlflow.scalars("first")["loss.min"] == [(2, 1.0)]
    assert "1 config values that changed" in tags["runfmt.unsaid"]


def test_times_of_the_past_stay_and_a_run_that_goes_on_runs_again(mlflow, source):
    about = {"created_at": "2024-11-24T03:05:54.000000Z", "finished_at": "2024-11-24T04:00:00.500000Z"}
    run = make_run(source, state="preempted", **about)
    bring(source, mlflow)
    info = mlflow.run()["info"]
    assert (info["status"], info["start_time"], info["end_time"]) == ("KILLED", 1732417554000, 1732420800500)
    resume(run, rows(21, 2))
    append(run / "system.jsonl", b'{"_step":0,"_timestamp":99999999999}\n')  # alive
    bring(source, mlflow)
    assert mlflow.run()["info"]["status"] == "RUNNING"
    resume(run, b"", "failed")
    bring(source, mlflow)
    assert mlflow.run()["info"]["status"] == "FAILED"


def test_project_is_the_experiment_unless_the_url_names_one(mlflow, source):
    make_run(source, project=f"{mlflow.experiment} of é/ü")
    mlflow.url = f"mlflow+{mlflow.server.url}"
    bring(source, mlflow)
    [run] = mlflow.runs(f"{mlflow.experiment} of é/ü")
    assert mlflow.texts(run)["runfmt.id"] == "first"


def test_names_that_mlflow_refuses_become_others_that_tell_of_them(mlflow, source):
    names = REFUSED + TAKEN
    values = {name: float(number) for number, name in enumerate(names, 1)}
    run = make_run(source, count=0, tags=[name for name in names if name])
    write(run / "config.json", {**values, "only@here": 7})
    resume(run, line(1, **values), "finished")
    bring(source, mlflow)
    there = mlflow.run()
    for name in REFUSED:  # that it does so
        assert_refused(mlflow, there["info"]["run_id"], metrics=[point(name)])
        assert_refused(mlflow, there["info"]["run_id"], params=[{"key": name, "value": "1"}])
    tags, params, found = mlflow.texts(there), mlflow.texts(there, "params"), mlflow.scalars("first")
    paths = dict(zip(names, [path for path, _ in leaves(values)], strict=True))
    for name, value in values.items():
        known = key(paths[name])
        assert (found[known], params[known]) == ([(1, value)], str(value)), name
        assert tags.get(f"runfmt.name.{known}", known) == paths[name]
    assert (params[key("only@here")], tags[f"runfmt.name.{key('only@here')}"]) == ("7", "only@here")
    assert [key(name) for name in TAKEN] == TAKEN
    own = {value for name, value in tags.items() if name.startswith("tag.")}
    assert own == {name for name in names if name}


def test_no_two_names_become_one():
    alike = ["a@b", "a=b", "a[b", "a_b", "a\nb", "a_b\n", "x" * 231, "x" * 232, "../a", "/a", "a/", "a//"]
    assert len({key(name) for name in alike}) == len(alike)
    assert max(len(key(name)) for name in alike) <= 230


def test_numbers_stay_what_they_are_and_what_cannot_is_said(mlflow, source):
    run = make_run(source, count=0)
    names = {"/nan": "NaN", "/up": "Infinity", "/down": "-Infinity"}
    values = {"truth": True, "lie": False, "big": 2**53 + 1, "tiny": 5e-324, "third": 1 / 3}
    resume(run, line(7, nan=None, up=None, down=None, _nonfinite=names, **values), "finished")
    [outcome] = bring(source, mlflow)
    found = {name: points[-1] for name, points in mlflow.scalars("first").items()}
    assert found["nan"][0] == 7
    assert math.isnan(found["nan"][1])
    assert (found["up"], found["down"]) == ((7, 1.7976931348623157e308), (7, -1.7976931348623157e308))
    assert (found["truth"], found["lie"], found["big"]) == ((7, 1.0), (7, 0.0), (7, 2.0**53))
    assert (found["tiny"], found["third"]) == ((7, 5e-324), (7, 1 / 3))
    said = [
        "2 infinities, which come back as ±1.797e308",
        "1 whole numbers that 64 bits of a float do not hold",
    ]
    assert sorted(outcome.notes) == sorted(said)
    tags = mlflow.texts(mlflow.run())
    assert sorted(tags["runfmt.unsaid"].splitlines()) == sorted(said)
    assert (tags["summary.up"], tags["summary.down"]) == ("inf", "-inf")


def test_more_than_one_request_may_have_arrives(mlflow, source):
    many = {f"{'é' * 200 * (number > 1500)} {number}": number + 0.5 for number in range(2500)}
    run = make_run(source, count=0, tags=[f"t{number}" for number in range(150)])
    write(run / "config.json", {f"p{number}": number for number in range(250)})
    resume(run, line(1, **many), "finished")
    bring(source, mlflow)
    there = mlflow.run()
    latest = {item["key"]: item["value"] for item in there["data"]["metrics"]}
    assert {name: latest.get(name) for name in many} == many
    assert len(mlflow.texts(there, "params")) == 250
    assert len([name for name in mlflow.texts(there) if name.startswith("tag.")]) == 150
    for what, most in (("metrics", 1000), ("params", 100), ("tags", 100)):  # that it takes no more
        items = [point(f"m{number}") if what == "metrics" else {"key": f"m{number}", "value": ""}
                 for number in range(most + 1)]  # fmt: skip
        assert_refused(mlflow, there["info"]["run_id"], **{what: items})


def test_no_request_is_longer_than_mlflow_says():
    items = [point(f"{'é' * 230 * (number % 3)} {number}") for number in range(2000)]
    made = list(batches(items, 1000))
    assert [item for batch in made for item in batch] == items
    assert max(len(json.dumps(batch)) for batch in made) < 1_000_000 < len(json.dumps(items[:1000]))


def test_long_texts_are_cut_and_said(mlflow, source):
    run = make_run(source, notes="n" * 8001)
    write(run / "config.json", {"long": "c" * 6001, "fits": "f" * 6000})
    [outcome] = bring(source, mlflow)
    there = mlflow.run()
    assert outcome.notes == ["2 texts that are too long, and are cut"]
    assert mlflow.texts(there, "params") == {"long": "c" * 6000, "fits": "f" * 6000}
    assert mlflow.texts(there)["mlflow.note.content"] == "n" * 8000
    body = {"run_id": there["info"]["run_id"], "params": [{"key": "more", "value": "c" * 6001}],
            "tags": [{"key": "more", "value": "n" * 8001}]}  # fmt: skip
    mlflow.server.ask("runs/log-batch", **body)
    edit(run, **{"/name": "m"})
    assert bring(source, mlflow)[0].notes == outcome.notes  # what was cut is no other value
    again = mlflow.run()  # and MLflow would have said nothing
    assert (len(mlflow.texts(again, "params")["more"]), len(mlflow.texts(again)["more"])) == (6000, 8000)


def artifact(kind, path):
    """The bytes of an artifact of the run, as its page gives them."""
    asked = {"run_uuid": kind.run()["info"]["run_id"], "path": path}
    answer = requests.get(f"{kind.server.url}/get-artifact", params=asked, timeout=60)
    return answer.content if answer.ok else None


def test_files_arrive_as_they_are_and_replaced_ones_too(mlflow, source):
    run = make_run(source)
    names = ["100%.txt", "é ü.txt", "empty", "a+b&c.txt", "who?", "deep/er/x"]
    (run / "files" / "deep" / "er").mkdir(parents=True)
    for number, name in enumerate(names):
        (run / "files" / name).write_bytes(b"x" * number if name != "empty" else b"")
    for name in ("a#b", "%41"):
        (run / "files" / name).write_bytes(b"odd")
    [outcome] = bring(source, mlflow)
    assert outcome.notes == ["2 files that MLflow does not take"]
    [picture] = (run / "media" / "image").iterdir()
    paths = ["run.json", "config.json", "metrics.jsonl", "console.log", f"media/image/{picture.name}"]
    for path in [*paths, *(f"files/{name}" for name in names)]:
        assert artifact(mlflow, path) == (run / path).read_bytes(), path
    assert artifact(mlflow, "files/A") is None
    write(run / "config.json", {"lr": 0.2})  # as long as it was
    (run / "files" / "c#d").write_bytes(b"odd")
    assert bring(source, mlflow)[0].notes[0] == "3 files that MLflow does not take"
    assert artifact(mlflow, "config.json") == (run / "config.json").read_bytes()


def test_cursor_of_many_files_is_kept_whole_but_not_with_each(mlflow, source, monkeypatch, tmp_path):
    run = make_run(source)
    folder = run / "media" / "image"
    for number in range(100):
        (folder / f"y_{number:020x}.png").write_bytes(b"x" * number)
    bring(source, mlflow)
    cursor = artifact(mlflow, ".runfmt.json")
    assert len(cursor) > 8000  # more than a tag has
    run_id = mlflow.run()["info"]["run_id"]
    assert requested(mlflow, rf"PUT \S+{run_id}/artifacts/media") == 101
    assert requested(mlflow, rf"PUT \S+{run_id}/artifacts/.runfmt.json") < 20
    (run / "files" / "small").write_bytes(b"x")
    bring(source, mlflow)
    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "another"))
    assert bring(source, mlflow)[0].status == "unchanged"
    assert requested(mlflow, rf"PUT \S+{run_id}/artifacts/files/small") == 1
    lose_cursor(mlflow)
    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "third"))
    assert bring(source, mlflow)[0].rows == 21
    assert requested(mlflow, rf"PUT \S+{run_id}/artifacts/media") == 101
    assert mlflow.scalars("first")["loss"] == losses(0, 21)


def lose_cursor(kind):
    """Leave half of the cursor, as a server does that dies while it writes."""
    [path] = (kind.server.folder / "artifacts").glob(
        f"*/{kind.run()['info']['run_id']}/artifacts/.runfmt.json"
    )
    path.write_bytes(path.read_bytes()[:100])


def test_late_rows_are_beside_what_stood_there_and_the_summary_has_what_holds(mlflow, source):
    run = make_run(source, state="preempted")
    bring(source, mlflow)
    resume(run, line(20, _rewind=9) + line(10, loss=7.0), "failed")
    [outcome] = bring(source, mlflow)
    said = ["1 late rows: what stood at their steps stays beside them", "1 rewinds of rows that were sent"]
    assert sorted(outcome.notes) == said
    tags = mlflow.texts(mlflow.run())
    assert sorted(tags["runfmt.unsaid"].splitlines()) == said
    assert sorted(mlflow.scalars("first")["loss"]) == sorted([*losses(0, 21), (10, 7.0)])
    assert tags["summary.loss"] == "7.0"
    resume(run, line(30, loss=0.25), "finished")
    bring(source, mlflow)
    assert "summary.loss" not in mlflow.texts(mlflow.run())


def test_through_a_bad_network_all_arrives_once(mlflow, source, counted):
    run, gave_up = make_run(source, count=0), 0
    with BadProxy(mlflow.server.url, seed=7) as proxy:
        for first in range(1, 201, 20):
            resume(run, rows(first, 20), "finished" if first > 180 else "preempted")
            write(run / "config.json", {f"p{number}": number for number in range(first)})
            for _ in range(20):
                track = Track(MLflow(f"mlflow+{proxy.url}/{mlflow.experiment}", sleep=lambda _: None))
                [outcome] = track.run([run])
                assert outcome.problems == []
                if track.fault is None:
                    break
                gave_up += 1
    assert {fault for fault in FAULTS if proxy.met[fault]} == {*FAULTS}
    assert mlflow.count() == 1
    assert mlflow.scalars("first")["loss"] == losses(0, 201)
    assert artifact(mlflow, "metrics.jsonl") == (run / "metrics.jsonl").read_bytes()
    counted(
        requests=sum(proxy.met.values()), faults=sum(proxy.met.values()) - proxy.met["fine"], gave_up=gave_up
    )


def test_requests_that_arrive_twice_make_one_experiment_and_one_run(mlflow, source, monkeypatch):
    make_run(source)
    with BadProxy(mlflow.server.url, seed=1) as proxy:
        monkeypatch.setattr(proxy, "next_fault", lambda: "twice")
        mlflow.url = f"mlflow+{proxy.url}/{mlflow.experiment}"
        bring(source, mlflow)
    assert mlflow.count() == 1
    assert mlflow.scalars("first")["loss"] == losses(0, 21)


def test_killed_when_the_run_was_made_the_next_sync_finds_it(mlflow, source):
    make_run(source)
    assert start(source, mlflow, RUNFMT_FAULT="mlflow.made").wait(120) == -signal.SIGKILL
    before = mlflow.run()["info"]["run_id"]
    bring(source, mlflow)
    assert (mlflow.run()["info"]["run_id"], mlflow.count()) == (before, 1)


def test_of_runs_that_were_made_at_once_the_first_stays(mlflow, source):
    make_run(source)
    bring(source, mlflow)
    there = mlflow.run()
    for made in ("0", "9"):
        tags = [{"key": "runfmt.uid", "value": mlflow.texts(there)["runfmt.uid"]},
                {"key": "runfmt.id", "value": "first"}, {"key": "runfmt.made", "value": made}]  # fmt: skip
        mlflow.server.ask("runs/create", experiment_id=there["info"]["experiment_id"], tags=tags)
    resume(source / "first", rows(21, 1), "finished")
    assert bring(source, mlflow)[0].rows == 22
    assert mlflow.texts(mlflow.run())["runfmt.made"] == "0"
    assert mlflow.scalars("first")["loss"] == losses(0, 22)


def test_two_machines_at_once_make_one_run(mlflow, source, tmp_path):
    make_run(source, count=300)
    both = [start(source, mlflow, RUNFMT_STATE=str(tmp_path / f"machine{number}")) for number in range(2)]
    assert 0 in [process.wait(120) for process in both]  # one may see its own run taken away
    bring(source, mlflow)
    assert mlflow.count() == 1
    assert mlflow.scalars("first")["loss"] == losses(0, 301)


def test_run_that_was_deleted_there_stays_away_until_it_is_restored(mlflow, source):
    run = make_run(source)
    bring(source, mlflow)
    run_id = mlflow.run()["info"]["run_id"]
    mlflow.server.ask("runs/delete", run_id=run_id)
    resume(run, rows(21, 1), "finished")
    assert "was deleted there" in bring(source, mlflow)[0].problems[0]
    mlflow.server.ask("runs/restore", run_id=run_id)
    assert bring(source, mlflow)[0].rows == 1
    mlflow.server.ask("experiments/delete", experiment_id=mlflow.run()["info"]["experiment_id"])
    resume(run, rows(22, 1), "finished")
    assert "experiment" in (problem := bring(source, mlflow)[0].problems[0])
    assert "deleted there: restore it" in problem


def test_run_that_is_deleted_meanwhile_fails_alone(mlflow, source):
    make_run(source)
    tracked = mlflow.tracker().open(StoredRun(source / "first"))
    mlflow.server.ask("runs/delete", run_id=mlflow.run()["info"]["run_id"])
    with pytest.raises(Refused, match=r"MLflow refuses it: .*deleted"):
        tracked.describe(StoredRun(source / "first"))


def test_server_that_was_emptied_gets_everything_again(mlflow, source):
    make_run(source)
    bring(source, mlflow)
    with contextlib.closing(sqlite3.connect(mlflow.server.folder / "runs.db")) as database, database:
        uid = (mlflow.texts(mlflow.run())["runfmt.uid"],)
        database.execute("update tags set value = 'none' where key = 'runfmt.uid' and value = ?", uid)
    assert bring(source, mlflow)[0].status == "unchanged"
    with contextlib.closing(sqlite3.connect(mlflow.server.folder / "runs.db")) as database, database:
        database.execute("update experiments set creation_time = creation_time + 1 where experiment_id = 0")
    assert bring(source, mlflow)[0].rows == 21


def test_artifacts_that_only_clients_reach_are_said(mlflow, source):
    mlflow.server.ask("experiments/create", name=mlflow.experiment, artifact_location="s3://bucket/there")
    make_run(source)
    with pytest.raises(CommError, match="--serve-artifacts"):
        bring(source, mlflow)


class Asking(BaseHTTPRequestHandler):
    """Answers nobody, and remembers who called."""

    callers: ClassVar = Counter()

    def do_POST(self):
        self.callers[self.headers.get("Authorization", "")] += 1
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def asking():
    Asking.callers.clear()
    with HTTPServer(("127.0.0.1", 0), Asking) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"mlflow+http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, ""),
        ({"MLFLOW_TRACKING_TOKEN": "t", "RUNFMT_TOKEN": "ours"}, "Bearer t"),
        (
            {"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"},
            "Basic " + base64.b64encode(b"u:p").decode(),
        ),
        ({"RUNFMT_TOKEN": "ours"}, ""),
    ],
)
def test_who_calls_is_said_as_mlflow_has_it(environment, said, monkeypatch):
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with asking() as url, pytest.raises(CommError, match=r"401.*MLFLOW_TRACKING_TOKEN"):
        open_place(url).store_id  # noqa: B018
    assert Asking.callers == {said: 1}


def test_secrets_go_over_no_open_network_and_stand_in_no_url(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    with pytest.raises(UsageError, match="use https"):
        open_place("mlflow+http://192.0.2.1:5000").store_id  # noqa: B018
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_USERNAME") as refused:
        open_place("mlflow+https://user:secret@host/e")
    assert "secret" not in str(refused.value)


def test_server_that_does_not_answer_is_asked_again_and_then_said():
    waits = []
    with pytest.raises(CommError, match="does not answer"):
        MLflow("mlflow+http://127.0.0.1:9", sleep=waits.append).store_id  # noqa: B018
    assert len(waits) == 5


@pytest.mark.parametrize("url", ["mlflow+http:///e", "mlflow+http:x", "mlflow+https://h/e?a=b"])
def test_url_that_names_no_server_is_refused(url):
    with pytest.raises(UsageError, match=r"no server of MLflow|is installed"):
        open_place(url)
