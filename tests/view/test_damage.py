"""What is wrong with one run is said of it, and the rest is shown; what is asked too much is refused."""

import os
import shutil
import threading

import pytest

from runmaker import make_run, picture, read, rows
from viewing import showing

NOBODY = "00000000-0000-0000-0000-000000000000"


def uid_of(run):
    return read(run / "run.json")["uid"]


def append(path, data):
    with open(path, "ab") as stream:
        stream.write(data)


@pytest.fixture
def good(runs):
    return uid_of(make_run(runs, "good"))


def listed(client):
    """The runs that are shown by their paths, and why others are not."""
    given = client.json("GET", "/v1/runs")["runs"]
    return {row["path"]: row.get("refused", "") for row in given}


def curve(client, uid, key="loss"):
    while True:
        (found,) = client.json("POST", "/v1/curves", json={"curves": [{"uid": uid, "key": key}]})["curves"]
        if "pending" not in found:  # H079
            return found


def problems(client, uid):
    return {(one["rule"], one["path"]) for one in client.json("GET", f"/v1/runs/{uid}/about")["problems"]}


# Runs that are none


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b'{"runfmt": 1}', b"\xff"])
def test_damaged_run_is_listed_with_what_to_do(client, runs, good, document):
    bad = make_run(runs, "bad")
    (bad / "run.json").write_bytes(document)
    said = listed(client)
    assert said["good"] == ""
    assert "runfmt recover" in said["bad"] or "JSON" in said["bad"]
    assert [row["uid"] for row in client.json("GET", "/v1/runs")["runs"]] == [good, None]


def test_run_of_a_future_version_is_refused_by_name(client, runs, good):
    new = make_run(runs, "new", requires=["magic"])
    assert "magic" in listed(client)["new"]
    uid = uid_of(new)
    said = client.json("GET", f"/v1/runs/{uid}/about")
    assert said["row"]["refused"]
    assert [one["rule"] for one in said["problems"]] == ["R012"]
    assert curve(client, uid)["problem"]
    answer = client.json("POST", "/v1/keys", json={"uids": [uid, good]})
    assert "magic" in answer["problems"][uid]
    assert {key["key"] for key in answer["keys"]} == {"loss", "x"}
    assert client.json("POST", "/v1/pulse", json={"uids": [uid]})["runs"][uid]["state"] == "refused"


def test_run_that_is_mended_is_shown(client, runs, good):
    bad = make_run(runs, "bad")
    document = (bad / "run.json").read_bytes()
    (bad / "run.json").write_bytes(b"{")
    assert listed(client)["bad"]
    (bad / "run.json").write_bytes(document)
    assert listed(client)["bad"] == ""
    assert curve(client, uid_of(bad))["count"] == 21


def test_second_copy_of_a_run_is_named_as_one(client, runs, good):
    shutil.copytree(runs / "good", runs / "other")
    said = listed(client)
    assert said["good"] == ""
    assert "a copy of good" in said["other"]
    shutil.rmtree(runs / "good")
    assert listed(client) == {"other": ""}
    assert curve(client, good)["count"] == 21


def test_links_are_not_followed_and_said(client, runs, good, tmp_path):
    other = make_run(tmp_path / "elsewhere", "other")
    os.symlink(other, runs / "link")
    os.symlink(other, runs / "second")
    os.symlink("/etc/passwd", runs / "good" / "files" / "passwd")
    os.symlink("/etc", runs / "good" / "media" / "etc")
    said = listed(client)
    assert [name in said[str(runs)] for name in ("link", "second")] == [True, True]
    assert client.json("GET", f"/v1/runs/{good}/about")["links"] == ["files/passwd", "media/etc"]
    assert ("R006", "files/passwd") in problems(client, good)
    for path in ("files/passwd", "media/etc/passwd"):
        client("GET", f"/v1/runs/{good}/files/{path}", status=404)


def test_names_that_are_no_text_are_shown_as_such(client, runs, good):
    os.rename(runs / "good", runs / os.fsdecode(b"b\xff"))
    (runs / os.fsdecode(b"b\xff") / "files" / os.fsdecode(b"\xfe")).write_bytes(b"")
    os.symlink("x", runs / os.fsdecode(b"b\xff") / os.fsdecode(b"\xfd"))
    assert [*listed(client)] == ["b\ufffd"]
    said = client.json("GET", f"/v1/runs/{good}/about")
    assert "files/\ufffd" in [file["path"] for file in said["files"]]
    assert said["links"] == ["\ufffd"]


def test_folder_that_goes_away_is_said(client, runs, good):
    os.rename(runs, runs.with_name("gone"))
    (text,) = listed(client).values()
    assert "No such file" in text
    assert curve(client, good)["problem"]
    os.rename(runs.with_name("gone"), runs)
    assert listed(client) == {"good": ""}


# Runs that are broken


def test_stream_that_is_torn_is_shown_up_to_its_last_row(client, runs, good):
    append(runs / "good" / "metrics.jsonl", b'{"_step":21,"_timestamp":1,"lo')
    append(runs / "good" / "console.log", b"half a li")
    assert curve(client, good)["count"] == 21
    assert {("R020", "metrics.jsonl"), ("R020", "console.log")} <= problems(client, good)
    append(runs / "good" / "metrics.jsonl", b'ss":7}\n')
    assert curve(client, good)["y"][-1] == 7.0
    assert problems(client, good) == {("R020", "console.log")}


def test_lines_that_are_no_rows_cost_nothing_else(client, runs, good):
    append(
        runs / "good" / "metrics.jsonl",
        b"\0" * 50 + b'\nnot json\n[1]\n{"_step":-1}\n' + rows(30, 1)
        + b'{"_step":31,"_timestamp":1,"_gap":{"rows":3,"reason":"No space left on device"}}\n',
    )  # fmt: skip
    found = curve(client, good)
    assert (found["count"], found["x"][-1]) == (22, 30.0)
    said = client.json("GET", f"/v1/runs/{good}/about")
    assert [one["rule"] for one in said["problems"]].count("R023") == 3
    assert {one["rule"] for one in said["problems"]} == {"R023", "R030", "R052"}
    assert said["gaps"] == 1


@pytest.mark.parametrize(
    "name", ["config.json", "edits.json", "summary.json", "system.jsonl", "events.jsonl"]
)
@pytest.mark.parametrize("data", [b"{", b"\xff\n", b'{"a":' * 3000 + b"\n"])
def test_broken_file_is_named(client, runs, good, name, data):
    (runs / "good" / name).write_bytes(data)
    assert name in {path for _, path in problems(client, good)}
    assert listed(client) == {"good": ""}
    assert curve(client, good)["count"] == 21


def test_run_that_is_deleted_while_it_is_shown(client, runs, good):
    other = make_run(runs, "other")
    uid = uid_of(other)
    assert curve(client, uid)["count"] == 21
    shutil.rmtree(other)
    assert curve(client, uid)["problem"]
    assert curve(client, good)["count"] == 21
    client("GET", f"/v1/runs/{uid}/about", status=404)
    client("GET", f"/v1/runs/{uid}/files/metrics.jsonl", status=404)
    client("PATCH", f"/v1/runs/{uid}/edits", status=404, json={})
    assert not other.exists()
    assert client.json("POST", "/v1/pulse", json={"uids": [uid, good]})["runs"].keys() == {good}


def test_stream_that_is_replaced_is_read_anew(client, runs, good):
    assert curve(client, good)["count"] == 21
    (runs / "good" / "metrics.jsonl").write_bytes(rows(100, 5))
    assert curve(client, good)["x"] == [100.0, 101.0, 102.0, 103.0, 104.0]


def test_value_whose_file_has_not_come_is_shown_when_it_is_there(client, runs, good):
    run = runs / "good"
    append(run / "metrics.jsonl", picture(run, 40, 7))
    value = client.json("POST", "/v1/objects", json={"uids": [good], "key": "x"})["runs"][good]["value"]
    data = (run / value["path"]).read_bytes()
    (run / value["path"]).unlink()
    client("GET", f"/v1/runs/{good}/files/{value['path']}", status=404)
    (run / value["path"]).write_bytes(data)
    assert client("GET", f"/v1/runs/{good}/files/{value['path']}").content == data


# Requests that are none


CURVE = {"uid": NOBODY, "key": "loss"}


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("keys", []),
        ("keys", {}),
        ("keys", {"uids": "x"}),
        ("keys", {"uids": [1]}),
        ("keys", {"uids": [], "stream": "events"}),
        ("keys", {"uids": [NOBODY] * 10_001}),  # H078
        ("curves", {"curves": {}}),
        ("curves", {"curves": [{}]}),
        ("curves", {"curves": [CURVE | {"stream": "x"}]}),
        ("curves", {"curves": [CURVE | {"writer": None}]}),
        ("curves", {"curves": [CURVE], "points": 0}),
        ("curves", {"curves": [CURVE], "points": 10_001}),
        ("curves", {"curves": [CURVE], "points": True}),
        ("curves", {"curves": [CURVE], "from": "1"}),
        ("curves", {"curves": [CURVE], "x": 1}),
        ("curves", {"curves": [CURVE] * 2_001, "points": 1}),
        ("curves", {"curves": [CURVE] * 101, "points": 10_000}),
        ("objects", {"uids": [NOBODY]}),
        ("objects", {"uids": [NOBODY], "key": "x", "step": -1}),
        ("objects", {"uids": [NOBODY], "key": "x", "step": 1.5}),
        ("pulse", {"uids": None}),
    ],
)
def test_question_that_is_none_is_refused_with_the_reason(client, where, said):  # H073
    detail = client("POST", f"/v1/{where}", status=400, json=said).json()["detail"]
    assert "[H07" in detail


def test_body_that_is_too_long_or_no_json_is_refused(client):
    client("POST", "/v1/pulse", status=413, data=b" " * (8 * 2**20 + 1))
    for data in (b"", b"{", b"\xff", b"[" * 100_000, b'{"uids": [], "x": 1e999999}x'):
        client("POST", "/v1/pulse", status=400, data=data)


def test_numbers_beyond_all_bounds_are_answered(client, good):
    ask = {"curves": [CURVE | {"uid": good}], "points": 10}
    for low, high in ((-1.7e308, 1.7e308), (5, 1), (0, 0), (1e300, 1e308)):
        said = client.json("POST", "/v1/curves", json={**ask, "from": low, "to": high})
        assert len(said["curves"][0]["x"]) <= min(said["curves"][0]["count"], 10)
        assert said["from"] <= max(low, high)


def test_questions_at_once_disturb_nobody(client, runs, good):
    """Also while the run is written."""
    uid, said = good, []

    def ask():
        said.append(curve(client, uid)["count"])

    for step in range(21, 40):
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        append(runs / "good" / "metrics.jsonl", rows(step, 1))
        for thread in threads:
            thread.join()
    assert len(said) == 19 * 4
    assert set(said) <= set(range(21, 41))
    assert curve(client, uid)["count"] == 40


def test_other_viewer_of_the_same_runs_has_the_same_answers(runs, good):
    append(runs / "good" / "metrics.jsonl", rows(100, 60_000, pad="x" * 60))
    with showing(runs) as one, showing(runs) as other:
        assert curve(one, good) == curve(other, good)
        append(runs / "good" / "metrics.jsonl", rows(70_000, 1))
        assert curve(other, good)["count"] == curve(one, good)["count"] == 60_022
