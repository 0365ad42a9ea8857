"""What the page asks, and what it is answered (spec/remote.md, "Looking")."""

import getpass
import json
import math
import shutil
import time

import pytest

from runmaker import make_run, picture, read, rows, write
from viewing import showing

NAN = b'{"_step":7,"_timestamp":1732417561,"loss":null,"_nonfinite":{"/loss":"NaN"}}\n'


def uid_of(run):
    return read(run / "run.json")["uid"]


def append(path, data):
    with open(path, "ab") as stream:
        stream.write(data)


def line(step, /, at=0.0, **values):
    return json.dumps({"_step": step, "_timestamp": 1732417554.0 + at, **values}).encode() + b"\n"


@pytest.fixture
def run(runs):
    return make_run(runs)


@pytest.fixture
def uid(run):
    return uid_of(run)


def curves(client, *curves, **asked):
    said = client.json("POST", "/v1/curves", json={"curves": [*curves], **asked})
    return said["curves"], (said["from"], said["to"])


# Lists


def test_caller_is_told_what_he_may(client):  # H070
    assert client.json("GET", "/v1") == {"runfmt": 1, "may": ["read", "append"]}


def test_rows_of_some_runs_are_given(client, runs):  # H040
    uids = sorted(uid_of(make_run(runs, name)) for name in "abc")
    given = client.json("GET", f"/v1/runs?uid={uids[2]}&uid={uids[0]}&uid=x")["runs"]
    assert [row["uid"] for row in given] == [uids[0], uids[2]]
    assert given[0]["summary"]["loss"] == pytest.approx(1 / 21)


def test_runs_come_and_go_while_they_are_shown(client, runs):
    ask = lambda: client.json("POST", "/v1/pulse", json={"uids": []})["all"]  # noqa: E731
    assert client.json("GET", "/v1/runs") == {"runs": [], "next": None}
    before = ask()
    run = make_run(runs)
    assert [row["path"] for row in client.json("GET", "/v1/runs")["runs"]] == ["first"]
    assert (then := ask()) != before
    assert ask() == then
    run.rename(runs / "second")
    assert ask() != then
    assert [row["path"] for row in client.json("GET", "/v1/runs")["runs"]] == ["second"]
    shutil.rmtree(runs / "second")
    assert client.json("GET", "/v1/runs")["runs"] == []


# One run


def test_about_says_what_is_in_a_run_besides_its_rows(client, run, uid):  # H071
    append(run / "metrics.rank1.jsonl", rows(0, 3))
    append(run / "system.jsonl", b'{"_timestamp":1732417554,"cpu":{"percent":3}}\n')
    append(run / "console.rank1.log", b"x\n")
    append(run / "metrics.jsonl", line(21, _define={"name": "loss", "summary": ["min"], "goal": "minimize"}))
    append(run / "metrics.jsonl", line(10, at=5, _rewind=10))
    append(run / "events.jsonl", b'{"_timestamp":2,"event":"alert","title":"t","text":"x","level":"WARN"}\n')
    said = client.json("GET", f"/v1/runs/{uid}/about")
    assert said["row"] == client.json("GET", f"/v1/runs?uid={uid}")["runs"][0]
    assert said["writers"] == {
        "metrics": ["main", "rank1"],
        "system": ["main"],
        "console": ["main", "rank1"],
    }
    assert said["definitions"] == [{"name": "loss", "summary": ["min"], "goal": "minimize"}]
    assert [event["event"] for event in said["events"]] == ["start", "alert"]
    assert said["rewinds"] == [{"step": 10, "time": 1732417559.0}]
    assert (said["problems"], said["gaps"], said["links"], said["files_left"]) == ([], 0, [], 0)
    assert {"path": "console.log", "size": 6} in said["files"]
    assert {file["path"] for file in said["files"]} == {
        path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()
    }


def test_about_counts_the_files_that_it_does_not_name(client, run, uid):  # H071
    for number in range(5_005):
        (run / "files" / f"{number}.txt").write_bytes(b"")
    said = client.json("GET", f"/v1/runs/{uid}/about")
    there = sum(path.is_file() for path in run.rglob("*"))
    assert (len(said["files"]), said["files_left"]) == (5_000, there - 5_000)


def test_about_says_which_remotes_have_the_run(runs, run, uid, tmp_path, runfmt):  # H071
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNFMT_STATE", str(tmp_path / "home/.local/state/runfmt"))
        patch.setenv("RUNFMT_CONFIG", str(tmp_path / "home/.config/runfmt/remotes.json"))
        with showing(runs) as client:
            remotes = lambda: client.json("GET", f"/v1/runs/{uid}/about")["remotes"]  # noqa: E731
            assert remotes() == []
            runfmt("remote", "add", "stick", tmp_path / "stick")
            stick = {"name": "stick", "url": str(tmp_path / "stick")}
            assert remotes() == [{**stick, "synced": False, "time": None}]
            runfmt("sync", runs)
            (said,) = remotes()
            assert said["synced"] is True
            assert said["time"] == pytest.approx(time.time(), abs=600)
            write(run / "config.json", {"lr": 0.2})  # of the same size
            (said,) = remotes()
            assert said["synced"] is False
            runfmt("sync", runs)
            assert remotes()[0]["synced"] is True
            append(run / "metrics.jsonl", rows(21, 1))
            assert remotes()[0]["synced"] is False
            runfmt("sync", runs, "--remote", tmp_path / "plain")
            plain = {"name": str(tmp_path / "plain"), "url": str(tmp_path / "plain"), "synced": True}
            assert [plain.items() <= said.items() for said in remotes()] == [False, True]


def test_files_come_in_ranges(client, run, uid):  # H043
    (run / "console.log").write_bytes(b"0123456789\n" * 100 + b"torn")
    answer = client(
        "GET", f"/v1/runs/{uid}/files/console.log", status=206, headers={"Range": "bytes=1089-2000"}
    )
    assert answer.content == b"0123456789\n"
    assert answer.headers["Content-Range"] == "bytes 1089-1099/1100"


# Keys and curves


def test_keys_are_those_of_all_runs_and_writers(client, runs, run, uid):  # H072
    other = make_run(runs, "other")
    append(other / "metrics.rank1.jsonl", line(0, acc=1, ok=True))
    append(other / "metrics.jsonl", line(30, **{"a.b": 1}, eval={"acc": 2}, note="text"))
    append(other / "metrics.jsonl", line(31, _define={"name": "eval.*", "step_metric": "epoch"}))
    said = client.json("POST", "/v1/keys", json={"uids": [uid, uid_of(other), "gone"]})
    assert {key["key"]: (key["kind"], key["runs"]) for key in said["keys"]} == {
        "loss": ("number", 2),
        "x": ("image-file", 2),
        "acc": ("number", 1),
        "ok": ("number", 1),
        "a\\.b": ("number", 1),
        "eval.acc": ("number", 1),
    }
    assert [key["key"] for key in said["keys"]] == sorted(key["key"] for key in said["keys"])
    assert said["definitions"] == [{"name": "eval.*", "step_metric": "epoch"}]
    assert said["writers"] == ["main", "rank1"]
    assert said["left"] == 0
    assert said["problems"].keys() == {"gone"}


def test_keys_of_the_machine_are_apart(client, run, uid):  # H072
    append(
        run / "system.jsonl",
        b'{"_timestamp":1732417554,"cpu":{"percent":3},"gpu":[{"percent":1},{"percent":2}]}\n',
    )
    said = client.json("POST", "/v1/keys", json={"uids": [uid], "stream": "system"})
    assert [key["key"] for key in said["keys"]] == ["cpu.percent", "gpu.0.percent", "gpu.1.percent"]
    ((curve,), _) = curves(
        client, {"uid": uid, "key": "gpu.1.percent", "stream": "system"}, x="_runtime", points=5
    )
    assert (curve["x"], curve["y"]) == ([0.0], [2.0])


def test_curve_of_few_points_has_them_all(client, uid):  # H073
    (curve,), ends = curves(client, {"uid": uid, "key": "loss"})
    assert curve["x"] == [float(step) for step in range(21)]
    assert curve["count"] == len(curve["x"]) == len(curve["y"])
    assert {"min", "max", "bucket"}.isdisjoint(curve)
    assert ends == (curve["x"][0], curve["x"][-1])
    assert curve["y"] == [1 / (x + 1) for x in curve["x"]]


def test_curve_of_many_points_is_told_in_buckets(client, run, uid):  # H074
    append(run / "metrics.jsonl", rows(21, 979))
    (curve,), ends = curves(client, {"uid": uid, "key": "loss"}, points=10)
    assert (curve["count"], ends) == (1000, (0.0, 999.0))
    values = {step: 1 / (step + 1) for step in range(1000)}
    for place, bucket in enumerate(curve["bucket"]):
        inside = [step for step in values if min(int(step / 99.9), 9) == bucket]
        assert curve["x"][place] == inside[0]
        assert curve["min"][place] == min(values[step] for step in inside)
        assert curve["max"][place] == max(values[step] for step in inside)
        assert curve["y"][place] == pytest.approx(math.fsum(values[s] for s in inside) / len(inside))
    assert curve["bucket"] == [*range(10)]


def test_curves_of_a_question_share_their_buckets_and_keep_their_order(client, runs, run, uid):  # H074
    other = make_run(runs, "other", count=0)
    append(other / "metrics.jsonl", rows(500, 500))
    found, ends = curves(
        client, {"uid": uid_of(other), "key": "loss"}, {"uid": uid, "key": "loss"}, points=10
    )
    assert [curve["uid"] for curve in found] == [uid_of(other), uid]
    assert ends == (0.0, 999.0)
    assert found[0]["bucket"] == [0, 5, 6, 7, 8, 9]
    assert found[1]["bucket"] == [0]


def test_range_of_curves_may_be_given(client, run, uid):  # H074
    (curve,), ends = curves(client, {"uid": uid, "key": "loss"}, **{"from": 3, "to": 5.5})
    assert (curve["x"], ends) == ([3.0, 4.0, 5.0], (3.0, 5.5))
    (curve,), ends = curves(client, {"uid": uid, "key": "loss"}, **{"from": 18})
    assert (curve["x"], ends) == ([18.0, 19.0, 20.0], (18.0, 20.0))


def test_curves_over_time_running_time_and_another_metric(client, run, uid):  # H073
    append(run / "metrics.jsonl", b"".join(line(step, at=step, epoch=step / 4) for step in range(0, 20, 4)))
    wanted = {"uid": uid, "key": "loss"}
    (curve,), _ = curves(client, wanted, x="_timestamp")
    assert curve["x"][0] == 1732417554.0
    (curve,), _ = curves(client, wanted, x="_runtime")
    assert curve["x"][:3] == [0.0, 1.0, 2.0]
    (curve,), _ = curves(client, wanted, x="epoch")
    assert curve["x"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert curve["y"] == [1 / (step + 1) for step in range(0, 20, 4)]


def test_values_that_are_not_finite_are_marks(client, run, uid):  # H075
    append(run / "metrics.jsonl", NAN)
    (curve,), _ = curves(client, {"uid": uid, "key": "loss"})
    assert curve["marks"] == [[7.0, "NaN", 1]]
    assert 7.0 not in curve["x"]
    assert curve["count"] == len(curve["x"]) + 1


def test_rewinds_are_told_where_the_axis_has_them(client, run, uid):  # H075
    append(run / "metrics.jsonl", line(5, at=100, _rewind=5) + rows(6, 2))
    wanted = {"uid": uid, "key": "loss"}
    for x, place in (("_step", 5.0), ("_timestamp", 1732417654.0), ("_runtime", 100.0)):
        (curve,), _ = curves(client, wanted, x=x)
        assert curve["rewinds"] == [place]
        assert curve["count"] == 8


def test_other_writers_have_their_own_curves(client, run, uid):  # H073
    append(run / "metrics.rank1.jsonl", line(3, loss=9))
    found, _ = curves(
        client, {"uid": uid, "key": "loss", "writer": "rank1"}, {"uid": uid, "key": "loss", "writer": "none"}
    )
    assert [(curve["writer"], curve["y"]) for curve in found] == [("rank1", [9.0]), ("none", [])]


def test_what_is_not_there_has_no_points(client, uid):  # H075
    found, _ = curves(client, {"uid": uid, "key": "none"}, {"uid": "gone", "key": "loss"})
    assert [(curve["count"], curve["x"], "problem" in curve) for curve in found] == [
        (0, [], False),
        (0, [], True),
    ]


# Values


def test_value_is_the_last_at_or_below_a_step(client, run, uid):  # H076
    for step, seed in ((30, 1), (40, 2)):
        append(run / "metrics.jsonl", picture(run, step, seed))

    def ask(**wanted):
        return client.json("POST", "/v1/objects", json={"uids": [uid, "gone"], "key": "x", **wanted})["runs"]

    said = ask()[uid]
    assert said["steps"][-2:] == [30, 40]
    assert (said["step"], said["time"]) == (40, 1732417594.0)
    assert said["value"]["_type"] == "image-file"
    assert (run / said["value"]["path"]).is_file()
    assert ask(step=39)[uid]["step"] == 30
    assert ask(step=30)[uid]["value"] != said["value"]
    assert "problem" in ask()["gone"]
    assert ask(writer="rank1")[uid] == {"steps": [], "step": None}


@pytest.mark.parametrize(
    ("many", "steps"), [(1, [39]), (2, [34, 39]), (4, [30, 33, 36, 39]), (10, [*range(30, 40)])]
)
def test_values_are_evenly_chosen_and_end_with_the_last(client, run, uid, many, steps):  # H076
    for step in range(30, 41):
        value = {"_type": "histogram", "bins": [0, 1], "values": [step]}
        append(run / "metrics.jsonl", rows(step, 1, h=value))
    asked = {"uids": [uid], "key": "h", "step": 39, "many": many}
    values = client.json("POST", "/v1/objects", json=asked)["runs"][uid]["values"]
    assert [value["step"] for value in values] == steps
    assert [value["value"]["values"] for value in values] == [[step] for step in steps]


def test_value_that_is_not_finite_is_marked(client, run, uid):  # H076, R035
    append(
        run / "metrics.jsonl",
        b'{"_step":50,"_timestamp":1,"h":{"_type":"histogram","bins":[0,null],"values":[1]},'
        b'"_nonfinite":{"/h/bins/1":"Infinity"}}\n',
    )
    said = client.json("POST", "/v1/objects", json={"uids": [uid], "key": "h"})["runs"][uid]
    assert said["value"]["bins"] == [0, None]
    assert said["_nonfinite"] == {"/value/bins/1": "Infinity"}


# Changes


def pulse(client, *uids):
    return client.json("POST", "/v1/pulse", json={"uids": [*uids]})["runs"]


@pytest.mark.parametrize(
    "change",
    [
        lambda run: append(run / "metrics.jsonl", rows(21, 1)),
        lambda run: append(run / "console.log", b"x\n"),
        lambda run: write(run / "edits.json", {"/notes": {"value": "n", "time": 1.0, "author": "a"}}),
        lambda run: write(run / "config.json", {"lr": 0.2}),
        lambda run: append(run / "metrics.rank1.jsonl", rows(0, 1)),
        lambda run: (run / "summary.json").unlink(),
    ],
)
def test_pulse_changes_when_anything_of_a_run_does(client, run, uid, change):  # H077
    before = pulse(client, uid)
    assert pulse(client, uid) == before
    change(run)
    assert pulse(client, uid)[uid]["mark"] != before[uid]["mark"]


def test_row_that_is_written_is_in_the_next_answer(client, run, uid):
    """Also after an answer was given a moment ago, with the last row of it gone on."""
    for step in range(21, 30):
        append(run / "metrics.jsonl", rows(step, 1))
        (curve,), _ = curves(client, {"uid": uid, "key": "loss"})
        assert curve["x"][-1] == step
    append(run / "metrics.jsonl", line(29, at=29, acc=1))
    (curve,), _ = curves(client, {"uid": uid, "key": "acc"})
    assert curve["x"] == [29.0]


def test_pulse_says_the_state(client, runs):  # H077
    live = make_run(runs, "live", state="running")
    append(live / "system.jsonl", json.dumps({"_timestamp": time.time()}).encode() + b"\n")
    crashed = make_run(runs, "crashed", state="running")
    done = make_run(runs, "done")
    said = pulse(client, uid_of(live), uid_of(crashed), uid_of(done), "gone")
    assert [one["state"] for one in said.values()] == ["running", "crashed", "finished"]
    append(crashed / "system.jsonl", json.dumps({"_timestamp": time.time()}).encode() + b"\n")
    write(live / "run.json", read(live / "run.json") | {"state": "failed"})
    said = pulse(client, uid_of(live), uid_of(crashed))
    assert [one["state"] for one in said.values()] == ["failed", "running"]


# Edits


def test_edit_is_kept_in_the_run_and_shown(client, run, uid):  # H050
    edits = {"/notes": {"value": "good", "time": 5.0, "author": "ann"}}
    assert client.json("PATCH", f"/v1/runs/{uid}/edits", json=edits) == edits
    assert read(run / "edits.json") == edits
    assert client.json("GET", f"/v1/runs?uid={uid}")["runs"][0]["attributes"]["notes"] == "good"
    client(
        "PATCH", f"/v1/runs/{uid}/edits", json={"/uid": {"value": 1, "time": 1.0, "author": "a"}}, status=400
    )


def test_edit_without_a_time_prevails_over_those_there(client, run, uid):  # H053
    """However the clocks of those who edit go."""
    late = time.time() + 1e6
    write(run / "edits.json", {"/notes": {"value": "old", "time": late, "author": "bob"}})
    made = {
        "/notes": {"value": "new"},
        "/config/lr": {},
        "/tags": {"value": ["t"], "time": 1.0, "author": "ann"},
    }
    said = client.json("PATCH", f"/v1/runs/{uid}/edits", json=made)
    assert said == read(run / "edits.json")
    assert said["/notes"]["value"] == "new"
    assert said["/notes"]["time"] > late
    assert said["/notes"]["author"] == getpass.getuser()
    assert said["/tags"] == made["/tags"]
    (row,) = client.json("GET", f"/v1/runs?uid={uid}")["runs"]
    assert (row["attributes"]["notes"], row["attributes"]["tags"], row["config"]) == ("new", ["t"], {})
    for entry in ({"value": 1}, {"value": "x", "time": 1.0}, {"value": "x", "author": "a"}, 1):
        client("PATCH", f"/v1/runs/{uid}/edits", json={"/notes": entry}, status=400)
    assert read(run / "edits.json") == said
