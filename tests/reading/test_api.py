"""``runfmt.Api`` does what W&B's users know, on runs that are finished, live, broken, edited by several."""

import errno
import fcntl
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock, SoftFileLock
from hypothesis import given, settings
from hypothesis import strategies as st

import runfmt
from runfmt import editing, reading
from runfmt.api import Folder
from runfmt.edits import are_same, differences, merge_edits, overlay, stamped
from runfmt.errors import FormatError, MissingLibrary, RunNotFound, UsageError
from runfmt.queries import KEYS
from runfmt.reading import StoredRun
from runfmt.rows import encode
from runfmt.stores import locks_of
from runfmt_sync.store import Store
from runmaker import contents, make_run, read, write

STARTED = 1_732_417_554.0
"""``created_at`` of the runs that runmaker makes."""


def metrics(run, *rows, first=0):
    """Replace the metrics of a run."""
    lines = [
        encode({"_step": step, "_timestamp": STARTED + step, **row}, normal=True)
        for step, row in enumerate(rows, first)
    ]
    (run / "metrics.jsonl").write_bytes(b"".join(lines))


@pytest.fixture
def root(tmp_path):
    """Three runs of two projects."""
    root = tmp_path / "runs"
    for run_id, config, tags, loss, about in [
        ("a", {"lr": 0.1, "opt": {"name": "adam"}}, ["base"], 0.3, {"project": "p", "entity": "ann"}),
        ("b", {"lr": 1, "flag": True, "gone": None}, ["base", "good"], 0.1, {"project": "p", "group": "g"}),
        ("c", {"lr": "auto", "layers": [64, 32]}, [], math.nan, {"project": "q", "state": "failed"}),
    ]:
        day = 1 + "abc".index(run_id)
        about |= {"tags": tags, "name": f"{run_id}-name", "created_at": f"2024-11-0{day}T10:00:00.500000Z"}
        run = make_run(root, run_id, **about)
        write(run / "config.json", config)
        metrics(run, {"loss": 1.0}, {"loss": loss, "eval": {"acc": 1 - loss}})
    return root


@pytest.fixture
def api(root):
    return runfmt.Api(root)


def ids(runs):
    return "".join(run.id for run in runs)


# Finding


@pytest.mark.parametrize("path", ["a", "p/a", "ann/p/a", "/p/a", "ann/p/runs/a"])
def test_run_is_found_by_each_form_of_its_path(api, path):
    run = api.run(path)
    assert (run.path, run.project, run.entity) == (["ann", "p", "a"], "p", "ann")
    assert api.run("/".join(run.path)).id == "a"


def test_run_without_an_entity_is_found_under_any(api):
    assert api.run("whoever/p/b").id == "b"
    assert ids(api.runs("ann/p")) == "ab"
    assert ids(api.runs("bob/p")) == "b"


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("d", RunNotFound, "no run 'd'.*runs"),
        ("q/a", RunNotFound, "no run 'q/a'"),
        ("bob/p/a", RunNotFound, "no run"),
        ("", UsageError, "names no run"),
        ("a/b/c/d/e", UsageError, "too many parts"),
        (None, UsageError, "is no text"),
    ],
)
def test_run_that_is_not_there_is_said_with_what_was_looked_for(api, path, error, text):
    with pytest.raises(error, match=text):
        api.run(path)


def test_ambiguous_id_names_the_candidates(api, root):
    make_run(root / "copies", "a", project="other")
    with pytest.raises(UsageError, match=r"ann/p/a \(.*runs/a\).*/other/a \(.*copies/a\)"):
        api.run("a")
    assert api.run("other/a").project == "other"


def test_folder_is_the_one_of_the_environment_or_runs(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    monkeypatch.delenv("RUNFMT_DIR", raising=False)
    monkeypatch.delenv("WANDB_DIR", raising=False)
    assert ids(runfmt.Api().runs()) == "abc"
    monkeypatch.setenv("RUNFMT_DIR", str(root / "a"))
    assert ids(runfmt.Api(timeout=30).runs()) == "a"
    assert ids(runfmt.Api(root.as_uri()).runs()) == "abc"


def test_folder_that_is_none_is_said(tmp_path):
    with pytest.raises(RunNotFound, match="no folder"):
        runfmt.Api(tmp_path / "none").runs()
    with pytest.raises(UsageError, match="neither a folder nor a server"):
        runfmt.Api("gopher://host/runs")
    assert runfmt.Api(tmp_path).runs() == []


def test_broken_run_is_left_out_of_many_and_raises_alone(api, root):
    write(root / "b" / "run.json", read(root / "b" / "run.json") | {"runfmt": 2})
    with pytest.warns(RuntimeWarning, match=r"runs/b was left out: .*upgrade") as warned:
        assert ids(api.runs()) == "ac"
    assert [warning.filename for warning in warned] == [__file__]
    assert api.run("a").id == "a"
    with pytest.raises(FormatError, match="R011"):
        api.run("b")


def test_run_that_vanishes_while_it_is_looked_at_is_left_out(api, root, monkeypatch):
    found = Folder.runs

    def runs(self):
        for run in found(self):
            if run.id == "b":
                os.rename(root / "b", root / ".b")
            yield run

    monkeypatch.setattr(Folder, "runs", runs)
    with pytest.warns(RuntimeWarning, match="b was left out: the run b is gone"):
        assert ids(api.runs(order="-summary_metrics.loss")) == "ac"


def test_damaged_run_is_read_as_far_as_it_is_there(api, root):
    (root / "b" / "run.json").write_text("{")
    with pytest.warns(RuntimeWarning, match=r"runs/b is damaged: `runfmt recover"):
        assert ids(api.runs(filters={"state": "damaged"})) == "b"
    run = api.run("b")
    assert (run.state, run.created_at, run.config["lr"]) == ("damaged", "", 1)
    assert list(run.history()["loss"]) == [1.0, 0.1]


def test_runs_are_a_list(api):
    runs = api.runs(per_page=1000)
    assert (len(runs), runs[0].id, runs[-1].id, ids(runs[1:])) == (3, "a", "c", "bc")


# Filters and order


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, "abc"),
        ({"config.lr": 0.1}, "a"),
        ({"config.lr": {"$eq": 1}}, "b"),
        ({"config.lr": {"$ne": 1}}, "ac"),
        ({"config.lr": {"$gt": 0.1}}, "b"),  # a text is not greater
        ({"config.lr": {"$gte": 0.1, "$lt": 1}}, "a"),
        ({"config.lr": {"$lte": 1}}, "ab"),
        ({"config.lr": {"$gt": "aa"}}, "c"),
        ({"config.lr.value": {"$lte": 1}}, "ab"),
        ({"config.opt.name": "adam"}, "a"),
        ({"config.opt": {"name": "adam"}}, "a"),
        ({"config.layers": 64}, "c"),
        ({"config.layers": [64, 32]}, "c"),
        ({"config.layers": {"$lt": 40}}, "c"),
        ({"config.flag": True}, "b"),
        ({"config.flag": 1}, ""),
        ({"config.flag": {"$exists": True}}, "b"),
        ({"config.flag": {"$exists": False}}, "ac"),
        ({"config.gone": {"$exists": True}}, "b"),
        ({"config.gone": None}, "abc"),
        ({"config.opt": {"$ne": None}}, "a"),
        ({"summary_metrics.loss": {"$lt": 0.2}}, "b"),
        ({"summary_metrics.eval.acc": {"$gt": 0}}, "ab"),
        ({"summary.loss": {"$exists": True}}, "abc"),
        ({"state": {"$in": ["failed", "crashed"]}}, "c"),
        ({"state": {"$nin": ["failed", "crashed"]}}, "ab"),
        ({"tags": "good"}, "b"),
        ({"tags": {"$in": ["good", "base"]}}, "ab"),
        ({"tags": {"$nin": ["good"]}}, "ac"),
        ({"tags": {"$ne": "base"}}, "c"),
        ({"group": "g"}, "b"),
        ({"group": None}, "ac"),
        ({"group": ""}, "ac"),
        ({"group": {"$exists": True}}, "b"),
        ({"name": "a"}, "a"),
        ({"display_name": {"$regex": "^[ab]-"}}, "ab"),
        ({"displayName": {"$not": {"$regex": "^[ab]-"}}}, "c"),
        ({"created_at": {"$gt": "2024-11-02"}}, "bc"),
        ({"createdAt": {"$gt": "2024-11-02T10:00:00Z"}}, "bc"),
        ({"createdAt": {"$gte": "2024-11-02T12:00:00.5+02:00", "$lt": "2024-11-03"}}, "b"),
        ({"created_at": {"$lt": datetime(2024, 11, 2, tzinfo=timezone.utc)}}, "a"),
        ({"heartbeat_at": {"$gt": "2024-11-01"}}, "abc"),
        ({"$or": [{"config.lr": 1}, {"state": "failed"}]}, "bc"),
        ({"$nor": [{"config.lr": 1}, {"state": "failed"}]}, "a"),
        ({"$and": [{"project": "p"}, {"config.lr": {"$lt": 1}}]}, "a"),
        ({"$not": {"project": "p"}}, "c"),
        ({"project": "p", "config.lr": 0.1}, "a"),
        ({"entity": "ann"}, "a"),
        ({"username": "nobody"}, ""),
    ],
)  # fmt: skip
def test_filters_find(api, filters, found):
    assert ids(api.runs(filters=filters)) == found


def test_literal_key_with_dots_is_found_where_nothing_is_nested_so(api, root):
    write(root / "a/config.json", {"x.y": 1})
    write(root / "b/config.json", {"x.y": 2, "x": {"y": 3}})
    metrics(root / "c", {"train.loss": 1})
    assert ids(api.runs(filters={"config.x.y": 1})) == "a"
    assert ids(api.runs(filters={"config.x.y": 3})) == ids(api.runs(filters={r"config.x\.y": 2})) == "b"
    assert ids(api.runs(filters={"summary_metrics.train.loss": {"$lt": 2}})) == "c"


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"config.lr": {"$near": 1}}, r"operator '\$near' of 'config.lr' is unknown: use one of \$gt"),
        ({"config.lr": {"$gt": 1, "lt": 2}}, "operator 'lt'"),
        ({"$xor": []}, "xor"),
        ({"lr": 1}, "'lr' is nothing.*config.<key>"),
        ({"config": {}}, "'config' is nothing"),
        ({"config.lr": {"$in": "adam"}}, "takes a list"),
        ({"$or": {"state": "failed"}}, "takes a list"),
        ({"$or": [1]}, "filters=1"),
        ({"config.lr": {"$gt": None}}, "number or a text"),
        ({"config.lr": {"$regex": "("}}, "no regular expression"),
        ({"created_at": {"$gt": "yesterday"}}, "is no time"),
        ([], "filters="),
    ],
)
def test_wrong_filters_raise_also_where_there_is_no_run(tmp_path, filters, text):
    if filters == []:
        filters = ["state"]
    with pytest.raises(UsageError, match=text):
        runfmt.Api(tmp_path).runs(filters=filters)


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("created_at", "abc"),
        ("-created_at", "cba"),
        ("+summary_metrics.loss", "bac"),  # NaN is no rank
        ("-summary_metrics.loss", "abc"),
        ("-config.lr", "cba"),
        ("config.lr.value", "abc"),
        ("-config.opt.name", "abc"),
        ("-display_name", "cba"),
    ],
)
def test_order(api, order, found):
    assert ids(api.runs(order=order)) == found


@pytest.mark.parametrize("order", ["acc", "", "--created_at", None, "summary_metrics."])
def test_wrong_order_raises(tmp_path, order):
    with pytest.raises(UsageError):
        runfmt.Api(tmp_path).runs(order=order)


def test_every_key_can_be_asked_for(api):
    for key in KEYS:
        assert len(api.runs(filters={key: {"$exists": True}}, order=key)) <= 3


def test_metrics_are_read_only_where_the_summary_is_asked_for(api, monkeypatch):
    looked = []
    honest = reading.LiveSummary
    monkeypatch.setattr(reading, "LiveSummary", lambda path: looked.append(path) or honest(path))
    api.runs("p", {"config.lr": {"$gt": 0}, "state": "finished"}, order="-config.lr")
    assert looked == []
    assert ids(api.runs("p", {"summary_metrics.loss": {"$lt": 1}, "config.lr": 1})) == "b"
    assert len(looked) == 1
    api.runs(order="-summary_metrics.loss")
    assert len(looked) == 4


# Reading


def test_run_says_what_it_is(api, root):
    run = api.run("b")
    assert (run.id, run.name, run.display_name, run.state, run.tags) == (
        "b", "b-name", "b-name", "finished", ["base", "good"],
    )  # fmt: skip
    assert (run.notes, run.group, run.job_type, run.metadata) == ("", "g", "", {})
    assert run.created_at == "2024-11-02T10:00:00.500000Z"
    assert run.heartbeat_at == "2024-11-24T03:05:55.000000Z"
    assert run.url == (root / "b").as_uri()
    assert repr(run) == "<Run p/b (finished)>"
    assert (run.config, run.summary) == (
        {"lr": 1, "flag": True, "gone": None},
        {"loss": 0.1, "eval": {"acc": 0.9}},
    )
    assert run.summary._json_dict == run.summary


def test_history_has_every_row(api):
    frame = api.run("a").history()
    assert list(frame.columns) == ["_step", "_timestamp", "_runtime", "eval.acc", "loss"]
    assert list(frame["loss"]) == [1.0, 0.3]
    assert math.isnan(frame["eval.acc"][0])
    assert list(frame["_runtime"].diff())[1:] == [1.0]


@pytest.mark.parametrize(
    ("keys", "columns", "steps"),
    [
        (["loss"], ["_step", "loss"], [0, 1]),
        (["eval.acc"], ["_step", "eval.acc"], [1, 2]),
        (["loss", "eval.acc"], ["_step", "loss", "eval.acc"], [1]),  # rows that have both, as in W&B
        (("eval.acc", "_step", "loss"), ["eval.acc", "_step", "loss"], [1]),
        (["_timestamp", "loss"], ["_step", "_timestamp", "loss"], [0, 1]),
        (["loss", "_runtime"], ["_step", "loss", "_runtime"], [0, 1]),
        (["_runtime"], ["_step", "_runtime"], [0, 1, 2, 3]),
        ([], ["_step", "_timestamp", "_runtime", "epoch", "eval.acc", "loss"], [0, 1, 2, 3]),
    ],
)
def test_history_of_keys_has_the_rows_that_have_all(api, root, keys, columns, steps):
    both = {"loss": 2.0, "eval": {"acc": 0.5}}
    metrics(root / "a", {"loss": math.nan}, both, {"eval": {"acc": 1}}, {"epoch": 1})
    run = api.run("a")
    frame = run.history(keys=keys)
    assert list(frame.columns) == columns
    assert list(frame["_step"]) == steps
    rows = pd.DataFrame(run.history(keys=keys, pandas=False), columns=columns)
    pd.testing.assert_frame_equal(rows, frame, check_dtype=False)


def test_history_over_another_axis(api, root):
    metrics(root / "a", {"loss": 3.0}, {"loss": 2.0, "epoch": 1}, {"loss": 1.0, "epoch": 2})
    frame = api.run("a").history(keys=["loss"], x_axis="epoch")
    assert frame.to_dict("list") == {"epoch": [1, 2], "loss": [2.0, 1.0]}


@pytest.mark.parametrize(
    ("samples", "steps"),
    [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, list(range(10))), (500, list(range(10)))],
)
def test_samples_are_spread_evenly_with_both_ends(api, root, samples, steps):
    metrics(root / "a", *({"loss": 1.0} for _ in range(10)))
    run = api.run("a")
    assert list(run.history(samples=samples)["_step"]) == steps
    assert [row["_step"] for row in run.history(samples, pandas=False)] == steps


def test_scan_history_gives_dicts_between_steps(api, root):
    metrics(root / "a", *({"loss": float(step)} for step in range(5)), {"other": 1})
    run = api.run("a")
    scan = run.scan_history(keys=["loss"], page_size=2, min_step=1, max_step=3)
    assert next(scan) == {"loss": 1.0}
    assert list(scan) == [{"loss": 2.0}]
    assert list(run.scan_history(["loss", "other"])) == []
    assert set(next(run.scan_history())) == {"_step", "_timestamp", "_runtime", "loss"}


def test_history_of_unknown_keys_is_empty_and_warns(api):
    run = api.run("a")
    with pytest.warns(RuntimeWarning, match="no run has a value of no"):
        frame = run.history(keys=["no"])
    assert (list(frame.columns), len(frame)) == (["_step", "no"], 0)
    with pytest.warns(RuntimeWarning, match="no row of a has a value for all of no, loss") as warned:
        assert run.history(keys=["no", "loss"]).empty
    assert warned[0].filename == __file__
    assert run.history(keys=["no"], pandas=False) == []


def test_history_refuses_what_cannot_be_meant(api):
    run = api.run("a")
    for wrong in ({"keys": "loss"}, {"samples": 0}, {"stream": "gpu"}):
        with pytest.raises(UsageError):
            run.history(**wrong)
    with pytest.raises(UsageError):
        run.scan_history("loss")


def test_history_of_the_system_is_flat(api, root):
    (root / "a" / "system.jsonl").write_text('{"_timestamp":5,"cpu":{"percent":3}}\n')
    assert api.run("a").history(stream="system").to_dict("records") == [{"_timestamp": 5, "cpu.percent": 3}]


def test_history_without_pandas_says_what_to_install(api, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingLibrary, match="pandas"):
        api.run("a").history()
    assert len(api.run("a").history(pandas=False)) == 2


def test_api_loads_no_pandas_until_asked_for(root):
    code = (
        "import runfmt, sys; run = runfmt.Api(sys.argv[1]).runs(order='-summary_metrics.loss')[0]\n"
        "run.config['x'] = 1; run.update(); list(run.scan_history())\n"
        "assert not {'pandas', 'numpy', 'click'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(root)], check=True)


def test_live_run_is_read_as_it_grows(tmp_path):
    with runfmt.init(project="p", id="live", dir=tmp_path) as live:
        live.log({"loss": 2.0})
        run = runfmt.Api(tmp_path).run("live")
        assert (run.state, run.summary["loss"]) == ("running", 2.0)
        live.log({"loss": 1.0})
        assert list(run.history()["loss"]) == [2.0, 1.0]
        assert run.summary["loss"] == 2.0
        assert run.load().summary["loss"] == 1.0
    assert (run.state, run.load(force=True).state) == ("running", "finished")


# Changing


def edits(run):
    return {pointer: entry.get("value", "deleted") for pointer, entry in read(run / "edits.json").items()}


def test_update_writes_what_changed_and_nothing_of_the_trainers(api, root):
    trainers = contents(root / "a")
    run = api.run("a")
    run.config["x"] = {"y": [1, None]}
    run.config["opt"]["name"] = "sgd"
    del run.config["lr"]
    run.summary["best"] = {"acc": 0.9}
    run.tags.append("good")
    run.name, run.notes, run.group, run.job_type = "new", "why\n", "g", "train"
    before = time.time()
    run.update()
    assert edits(root / "a") == {
        "/config/x/y": [1, None], "/config/opt/name": "sgd", "/config/lr": "deleted",
        "/summary/best/acc": 0.9, "/tags": ["base", "good"], "/name": "new",
        "/notes": "why\n", "/group": "g", "/job_type": "train",
    }  # fmt: skip
    for entry in read(root / "a" / "edits.json").values():
        assert before - 1 < entry["time"] < time.time() + 1
        assert entry["author"]
    now = contents(root / "a")
    assert now.pop("edits.json")
    assert now == trainers
    again = api.run("a")
    assert again.config == {"x": {"y": [1, None]}, "opt": {"name": "sgd"}}
    assert (again.name, again.notes, again.tags, again.group) == ("new", "why\n", ["base", "good"], "g")
    assert again.summary == run.summary
    assert StoredRun(root / "a").problems == []
    assert runfmt.read_runs(root)["config.opt.name"][0] == "sgd"


def test_update_without_a_change_writes_nothing(api, root):
    run = api.run("c")
    assert math.isnan(run.summary["loss"])
    run.config["lr"] = "auto"
    run.update()
    assert not (root / "c" / "edits.json").exists()


def test_second_update_writes_only_what_is_new(api, root):
    run = api.run("a")
    run.config["x"] = 1
    run.update()
    first = read(root / "a" / "edits.json")
    run.config["y"] = math.nan
    run.update()
    run.save()
    second = read(root / "a" / "edits.json")
    assert second["/config/x"] == first["/config/x"]
    assert math.isnan(api.run("a").config["y"])
    bytes_before = (root / "a" / "edits.json").read_bytes()
    run.update()
    assert (root / "a" / "edits.json").read_bytes() == bytes_before


def test_change_of_type_is_a_change(api, root):
    run = api.run("b")
    run.config["lr"] = 1.0
    run.config["flag"] = 1
    run.update()
    assert (root / "b" / "edits.json").read_bytes().count(b'"value": 1') == 2
    assert type(api.run("b").config["lr"]) is float


def test_summary_update_saves_at_once(api):
    summary = api.run("a").summary
    summary["best"] = 1
    summary.update({"loss": 0.2}, worst=9)
    summary.update(more=True)
    assert api.run("a").summary == {"loss": 0.2, "eval": {"acc": 0.7}, "best": 1, "worst": 9, "more": True}


def test_attribute_that_is_none_is_empty(api):
    run = api.run("b")
    run.group = run.notes = run.tags = None
    run.update()
    assert (api.run("b").group, api.run("b").tags) == ("", [])


def test_values_become_json(api, root):
    run = api.run("a")
    run.config.update(path=root, when=datetime(2024, 1, 2), both={2, 1}, nested={"t": (1, 2)})
    run.update()
    assert api.run("a").config["nested"] == {"t": [1, 2]}
    assert api.run("a").config["path"] == str(root)
    run.update()
    assert run.load().config["when"].startswith("2024-01-02")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 5},
        {"notes": ["x"]},
        {"tags": [""]},
        {"tags": [1]},
        {"tags": ["x" * 65]},
        {"config": {"_nonfinite": 1}},
        {"config": {"deep": json.loads("[" * 70 + "]" * 70)}},
    ],
    ids=str,
)
def test_value_that_may_not_be_is_refused_whole(api, root, wrong):
    run = api.run("a")
    run.job_type = "fine"
    for name, value in wrong.items():
        setattr(run, name, value)
    with pytest.raises((UsageError, FormatError)):
        run.update()
    assert not (root / "a" / "edits.json").exists()


def test_tags_that_were_there_need_not_be_ours(api, root):
    write(root / "a" / "run.json", read(root / "a" / "run.json") | {"tags": ["x" * 100, "y", "y"]})
    run = api.run("a")
    run.name = "new"
    run.update()
    assert edits(root / "a") == {"/name": "new"}


def test_update_works_on_a_run_that_is_being_written(tmp_path):
    with runfmt.init(project="p", id="live", dir=tmp_path, config={"lr": 1}, tags=["t"]) as live:
        run = runfmt.Api(tmp_path).run("live")
        run.config["lr"], run.name = 2, "by hand"
        run.summary["best"] = 5
        run.update()
        live.log({"loss": 1.0})
        live.config.update({"more": 3})
        live.name = "by the trainer"
    assert live.config["lr"] == 1
    run.load()
    assert (run.config, run.name) == ({"lr": 2, "more": 3}, "by hand")
    assert run.summary == {"loss": 1.0, "best": 5}


def test_edit_prevails_over_one_of_a_clock_ahead(api, root):
    ahead = time.time() + 1e6
    write(
        root / "a" / "edits.json",
        {
            "/config/opt/name": {"value": "theirs", "time": ahead, "author": "bob"},
            "/config/late": {"value": {"x": 1}, "time": ahead, "author": "bob"},
            "/config/far": {"value": 1, "time": 1.7e308, "author": "bob"},
            "/notes": {"value": "theirs", "time": ahead, "author": "bob"},
        },
    )
    run = api.run("a")
    run.config["opt"]["name"], run.config["far"] = "ours", 2
    del run.config["late"]
    run.name = "ours"
    run.update()
    again = api.run("a")
    assert again.config == {"lr": 0.1, "opt": {"name": "ours"}, "far": 2}
    assert (again.notes, again.name) == ("theirs", "ours")
    entries = read(root / "a" / "edits.json")
    assert ahead < entries["/config/opt/name"]["time"] < ahead + 1
    assert entries["/name"]["time"] < ahead - 1e5  # what others said elsewhere does not move our clock


def test_others_edits_are_kept(api, root):
    one, other = api.run("a"), runfmt.Api(root).run("a")
    one.config["new"] = {"one": 1}
    other.config["new"] = {"other": 2}
    other.tags.append("x")
    one.update()
    other.update()
    assert api.run("a").config["new"] == {"one": 1, "other": 2}
    assert one.load().tags == ["base", "x"]


@pytest.mark.parametrize(
    "data", [b"[1]", b'{"/name":', b"\0\0\0", b'{"/name":{"value":"x","time":1,"author":"a"}}{}', b"\xff{}"]
)
def test_edits_that_cannot_be_read_are_refused_and_stay(api, root, data):
    (root / "a" / "edits.json").write_bytes(data)
    run = api.run("a")
    run.name = "new"
    with pytest.raises(FormatError, match=r"correct or remove it.*edits\.json.*R091"):
        run.update()
    assert (root / "a" / "edits.json").read_bytes() == data
    (root / "a" / "edits.json").unlink()
    run.update()  # the change is still here
    assert edits(root / "a") == {"/name": "new"}


def test_empty_edits_hold_nothing_to_lose(api, root):
    (root / "a" / "edits.json").touch()
    run = api.run("a")
    run.name = "new"
    run.update()
    assert edits(root / "a") == {"/name": "new"}


def test_entries_of_other_forms_are_kept(api, root):
    odd = {
        "/uid": {"value": 1, "time": 1, "author": "a"},
        "no pointer": 5,
        "/name": {"value": 3},
        "/notes": None,
    }
    write(root / "a" / "edits.json", odd)
    run = api.run("a")
    run.name = "new"
    run.update()
    assert read(root / "a" / "edits.json").items() >= {k: v for k, v in odd.items() if k != "/name"}.items()
    assert api.run("a").name == "new"


def test_edits_are_never_written_through_a_link(api, root, tmp_path):
    write(tmp_path / "elsewhere", {"kept": 1})
    (root / "a" / "edits.json").symlink_to(tmp_path / "elsewhere")
    run = api.run("a")
    run.name = "new"
    with pytest.raises(FormatError, match="R006"):
        run.update()
    assert read(tmp_path / "elsewhere") == {"kept": 1}


def test_run_that_is_gone_is_not_made_again(api, root):
    run = api.run("a")
    run.name = "new"
    os.rename(root / "a", root / ".gone")
    for act in (run.update, run.load, run.history, run.delete):
        with pytest.raises(RunNotFound, match="gone"):
            act()
    assert not (root / "a").exists()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(width=16) | st.text("ab/~._é", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "_type", "a/b"]), inner)
    ),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["a", "b", "~", ""]), json_values, max_size=3)
entries = st.builds(
    lambda value, time: ({} if value == "del" else {"value": value}) | {"time": time, "author": "a"},
    st.just("del") | json_values,
    st.sampled_from([0, 1.5, 1.5, 2e9, 1e300]),
)
pointers = st.sampled_from(
    ["/config/a", "/config/b", "/config/a/b", "/config/a/a", "/config/a/b/a", "/config/~0", "/config/"]
)


@settings(max_examples=400, deadline=None)
@given(objects, st.dictionaries(pointers, entries, max_size=4), objects)
def test_differences_lead_from_any_state_to_any_other(recorded, there, wanted):
    seen = overlay({"config": recorded}, there)[0]["config"]
    changes = differences(seen, wanted, "/config")
    merged = merge_edits(there, stamped(changes, there, 3.0, "me"))
    found, ignored = overlay({"config": recorded}, merged)
    assert are_same(found, {"config": wanted})
    assert not ignored
    assert differences(found["config"], wanted) == {}


# Several who write


EDITOR = """
import sys, runfmt
{preamble}
root, who, count = sys.argv[1:]
run = runfmt.Api(root).run("a")
for number in range(int(count)):
    run.config[f"{{who}}{{number}}"] = number
    run.update()
"""
NO_LOCKS = """
import errno, fcntl
def flock(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


@contextmanager
def editors(*given, preamble=""):
    """Processes that each edit a run so many times."""
    code = EDITOR.format(preamble=preamble)
    running = [
        subprocess.Popen([sys.executable, "-c", code, *map(str, each)], stderr=subprocess.PIPE)
        for each in given
    ]
    yield running
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()


def names(*prefixes, count=100):
    return {f"{prefix}{number}" for prefix in prefixes for number in range(count)}


def test_editors_here_and_there_and_syncs_lose_nothing(api, root, tmp_path, monkeypatch):
    from runfmt_sync.push import Push
    from runfmt_sync.remotes import open_remote

    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "state"))
    remote = tmp_path / "remote"

    def sync():
        return {outcome.id: outcome for outcome in Push(open_remote(str(remote))).run([root / "a"])}["a"]

    assert sync().status == "synced"
    with editors((root, "x", 100), (root, "y", 100), (remote, "z", 100)) as running:
        while any(process.poll() is None for process in running):
            sync()
    for _ in range(3):
        last = sync()
    assert last.status in ("synced", "unchanged"), last.problems
    wanted = names("x", "y", "z")
    assert wanted <= api.run("a").config.keys()
    assert wanted <= runfmt.Api(remote).run("a").config.keys()
    assert (root / "a" / "edits.json").read_bytes() == (remote / "a" / "edits.json").read_bytes()


def test_editors_lose_nothing_where_there_are_no_locks(api, root):
    with editors((root, "x", 30), (root, "y", 30), preamble=NO_LOCKS):
        pass
    assert names("x", "y", count=30) <= api.run("a").config.keys()


def test_file_that_only_one_can_make_stands_in_for_a_lock(api, root, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    run = api.run("a")
    run.name = "new"
    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(editing, "WAIT", 0.01)
    with SoftFileLock(root / "a" / ".edits.lock.soft"), pytest.raises(TimeoutError, match="remove it"):
        run.update()
    run.update()
    assert edits(root / "a") == {"/name": "new"}


def test_disk_that_fails_at_the_lock_is_no_disk_without_locks(api, root, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.EIO, "Input/output error")

    run = api.run("a")
    run.name = "new"
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"):
        run.update()
    assert not (root / "a" / "edits.json").exists()


def test_lock_that_nobody_gives_back_is_said(api, root, monkeypatch):
    monkeypatch.setattr(editing, "WAIT", 0.01)
    run = api.run("a")
    run.name = "new"
    with (
        FileLock(root / "a" / ".edits.lock"),
        pytest.raises(TimeoutError, match=r"another process.*edits\.lock"),
    ):
        run.update()
    assert not (root / "a" / "edits.json").exists()
    run.update()


def test_what_a_lock_let_through_is_put_right(api, root, monkeypatch):
    """Another machine, for which our lock is none, replaces the file right after us."""
    honest, others = editing.replace, [{"/notes": {"value": "theirs", "time": 1, "author": "bob"}}]

    def replace(path, data):
        honest(path, data)
        if others:
            write(path, others.pop())

    monkeypatch.setattr(editing, "replace", replace)
    run = api.run("a")
    run.name = "ours"
    run.update()
    assert edits(root / "a") == {"/notes": "theirs", "/name": "ours"}


def test_edits_of_another_side_that_are_the_same_change_nothing():
    ours = {"/config/x": {"value": math.nan, "time": 1, "author": "a"}}
    assert are_same(ours, {"/config/x": {"value": math.nan, "time": 1.0, "author": "a"}}) is False
    assert are_same(ours, {"/config/x": {"value": float("nan"), "time": 1, "author": "a"}})
    assert not are_same({"/name": 1}, {"/name": True})


# Files and deletion


def test_files_are_named_as_they_were_saved(api, root, tmp_path):
    (root / "a" / "files" / "sub").mkdir()
    (root / "a" / "files" / "sub" / "model.pt").write_bytes(b"\x80weights")
    (root / "a" / "files" / "config.json").write_text("mine")
    (root / "a" / ".lock").touch()
    (root / "a" / "linked").symlink_to(root / "b" / "run.json")
    run = api.run("a")
    found = {file.name: file.path for file in run.files()}
    assert found["sub/model.pt"] == "files/sub/model.pt"
    assert (found["config.json"], found["files/config.json"]) == ("config.json", "files/config.json")
    assert not {".lock", "linked"} & found.keys()
    assert [file.size for file in run.files(names=["sub/model.pt"])] == [8]
    assert run.file("sub/model.pt") == run.file("files/sub/model.pt")
    assert run.file("sub/model.pt").url == (root / "a/files/sub/model.pt").as_uri()
    with pytest.raises(FileNotFoundError, match="no such file"):
        run.file("../b/run.json")


def test_download_copies_and_never_replaces_unasked(api, root, tmp_path):
    file = api.run("a").file("requirements.txt")
    with file.download(tmp_path / "to") as copy:
        assert (copy.read(), Path(copy.name)) == ("torch\n", tmp_path / "to" / "requirements.txt")
    (tmp_path / "to" / "requirements.txt").write_text("mine")
    with pytest.raises(UsageError, match="replace=True"):
        file.download(tmp_path / "to")
    with file.download(tmp_path / "to", exist_ok=True) as copy:
        assert copy.read() == "mine"
    with file.download(tmp_path / "to", replace=True) as copy:
        assert copy.read() == "torch\n"


def test_delete_removes_the_run_and_only_it(api, root):
    api.run("b").delete()
    assert sorted(os.listdir(root)) == ["a", "c"]
    assert ids(api.runs()) == "ac"


def test_delete_is_remembered_by_the_store_in_which_the_run_lies(root):
    """Also by one above the folder that was opened, and while it has another copy, which stays."""
    uid = read(root / "a" / "run.json")["uid"]
    copy = shutil.copytree(root, root / "sub")
    store = Store(root)
    store.prepare()
    runfmt.Api(root / "sub").run("a").delete()
    time = store.deleted(uid)
    assert time
    assert store.seen(uid) == root / "a"
    runfmt.Api(root).run("a").delete()
    assert store.deleted(uid) == time
    store.look()
    assert uid not in store.runs
    assert not list(copy.glob(".*"))


def _is_waited_for(path):
    """Whether somebody waits for a lock on a file (``proc_locks(5)``)."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any(" -> " in line and f":{path.stat().st_ino} " in line for line in lines)


def test_delete_waits_for_who_writes_to_the_store(root):
    """A sync that is at the run ends first."""
    Store(root).prepare()
    run = runfmt.Api(root).run("b")
    removed = threading.Thread(target=run.delete)
    with locks_of(root).take(read(root / "b" / "run.json")["uid"]):
        removed.start()
        while removed.is_alive() and not _is_waited_for(root / ".runfmt" / ".lock"):
            pass
        assert (root / "b" / "run.json").exists()
    removed.join(60)
    assert not (root / "b").exists()


def test_delete_refuses_a_run_that_is_written(tmp_path):
    with runfmt.init(project="p", id="live", dir=tmp_path) as live:
        live.log({"loss": 1})
        run = runfmt.Api(tmp_path).run("live")
        with pytest.raises(UsageError, match="is being written"):
            run.delete()
        # Its writer is busy with one long step: only the lock tells.
        for stream in ("metrics", "events", "system"):
            (tmp_path / "live" / f"{stream}.jsonl").write_text("")
        write(tmp_path / "live" / "run.json", read(tmp_path / "live" / "run.json") | {"state": "finished"})
        with pytest.raises(UsageError, match="is being written"):
            run.delete()
        assert (tmp_path / "live" / "config.json").exists()


@pytest.mark.parametrize("age", [10, 1000])
def test_delete_takes_a_crashed_run_but_none_that_runs_elsewhere(root, api, age):
    run = root / "a"
    write(
        run / "run.json", read(run / "run.json") | {"state": "running", "environment": {"host": "elsewhere"}}
    )
    (run / "system.jsonl").write_bytes(encode({"_timestamp": time.time() - age}))
    (run / ".lock").touch()
    if age < 300:
        with pytest.raises(UsageError, match="end the training first"):
            api.run("a").delete()
    else:
        assert api.run("a").state == "crashed"
        api.run("a").delete()
    assert run.exists() == (age < 300)
