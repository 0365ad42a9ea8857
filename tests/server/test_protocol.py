"""Every rule of spec/remote.md, asked of a real server; each test names its rules."""

import errno
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import zstandard

from asking import Client, asked_about, bundle_of
from runfmt.layout import is_stream
from runfmt.reading import StoredRun
from runfmt_sync import applying, bundle
from runfmt_sync.digests import KnownDigests, Proof
from runfmt_sync.inventory import take_inventory
from runfmt_sync.push import Push
from runfmt_sync.remotes import open_remote
from runfmt_sync.remotes.http import HttpRemote
from runmaker import assert_same, contents, make_run, read, rows, settle, write
from serving import ServerProcess, serving

SPEC = Path(__file__).parents[2] / "spec" / "remote.md"
RULES = re.findall(r"^- \[(H\d{3})\] ", SPEC.read_text(), re.MULTILINE)
NOBODY = str(uuid.UUID(int=7))


def test_every_rule_has_a_test_that_names_it():
    assert sorted(set(RULES)) == RULES
    named = set()
    tests = Path(__file__).parents[1]
    of_others = [path for topic in ("remotes", "view") for path in tests.glob(f"{topic}/*.py")]
    small = tests.parent / "examples" / "remote_server.py"  # passes the contract of tests/remotes
    for path in (*tests.glob("server/*.py"), *of_others, small):
        named |= set(re.findall(r"\bH\d{3}\b", path.read_text()))
    assert named == set(RULES)


# 1. In general


def test_unknown_keys_are_ignored(client, runs):  # H001
    ask = asked_about(make_run(runs))
    said = client.json("POST", "/v1/have", json={"runs": [ask | {"new": 1}], "newer": [], "verify": False})
    assert said["runs"][ask["uid"]]["entries"] == {}


@pytest.mark.parametrize(
    "where", ["/web/", "/v2", "/v1/", "/v1/run", "/v1/runs/", "/v1/have/x", f"/v1/runs/{NOBODY}", "/docs"]
)
def test_what_is_not_there_is_a_problem(client, where):  # H002
    client("GET", where, status=404)


@pytest.mark.parametrize(("method", "where"), [("PUT", "/v1/runs"), ("GET", "/v1/have"), ("POST", "/v1")])
def test_another_method_is_a_problem(client, method, where):  # H002
    assert client(method, where, status=405).headers["Allow"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '{"runs": 1}',
        '{"runs": [{}]}',
        "[" * 100_000,
        '{"runs": [{"uid": "../x", "digest": "", "streams": {}}]}',
        json.dumps({"runs": [{"uid": NOBODY, "digest": "", "streams": {"a": -1}}]}),
    ],
)
def test_malformed_question_is_a_problem(client, body):  # H001, H002
    client("POST", "/v1/have", data=body, status=400)


def test_repeated_bundle_changes_nothing(client, data, runs):  # H003, H006
    body = bundle_of(make_run(runs))
    assert client.send(body) == {}
    before = {path: path.stat().st_ino for path in (data / "first").rglob("metrics*")}
    assert client.send(body) == {}
    assert {path: path.stat().st_ino for path in (data / "first").rglob("metrics*")} == before
    assert_same(runs, data)


def test_answer_that_got_lost_costs_nothing(runs, data, tmp_path):
    """A server that dies after applying: ``have`` says what is there (H003, H006)."""
    run = make_run(runs)
    with ServerProcess(data) as process:
        process.kill()
        process.start(RUNFMT_FAULT="store.published")
        with pytest.raises(requests.ConnectionError):
            requests.post(f"{process.url}/v1/bundles", data=bundle_of(run), timeout=60)
        assert process.wait() == -9
        process.start()
        assert [outcome.extents for outcome in Push(open_remote(process.url)).run([run])] == [0]
    assert_same(runs, data)


def test_caller_needs_a_token_once_there_is_one(client, with_token):  # H004
    assert client.json("GET", "/v1")["runfmt"] == 1
    his = with_token("read")
    assert client("GET", "/v1", status=401).headers["WWW-Authenticate"] == "Bearer"
    assert his.json("GET", "/v1")["runfmt"] == 1
    for wrong in ("x", "Bearer", "Bearer x", f"Bearer runfmt_00000000_{'x' * 43}", "Basic eDp5"):
        client("GET", "/v1", headers={"Authorization": wrong}, status=401)


REQUESTS = {
    "read": [
        ("GET", "/v1/runs"),
        ("GET", "/v1/runs/{uid}"),
        ("GET", "/v1/runs/{uid}/files/run.json"),
        ("GET", "/metrics"),
    ],
    "append": [
        ("POST", "/v1/bundles"),
        ("PATCH", "/v1/runs/{uid}/edits"),
        ("GET", "/v1/runs/{uid}/files/edits.json"),
    ],
    "admin": [("DELETE", "/v1/runs/{uid}")],
}


@pytest.mark.parametrize("scope", REQUESTS)
def test_scopes_say_what_a_token_may(with_token, data, runs, uid, scope):  # H004, H005
    [run] = data.glob("*/run.json")
    write(run.with_name("edits.json"), {})
    body = {"POST": bundle_of(make_run(runs, "second")), "PATCH": b"{}"}
    theirs = with_token(scope)
    for needed, asked in REQUESTS.items():
        for method, where in asked:
            may = (needed, "admin", *["read"] * where.endswith("/edits.json"))
            status = 200 if scope in may else 403
            theirs(method, where.format(uid=uid), data=body.get(method), status=status)


def test_token_of_a_project_sees_and_changes_only_that(with_token, data, runs):  # H005
    mine, other = make_run(data, "mine", project="a"), make_run(data, "other", project="b")
    mine_uid, other_uid = read(mine / "run.json")["uid"], read(other / "run.json")["uid"]
    his = with_token("admin", project="a")
    before = contents(other)
    assert [row["path"] for row in his.json("GET", "/v1/runs")["runs"]] == ["mine"]
    his("GET", f"/v1/runs/{mine_uid}")
    for method, where in (("GET", ""), ("GET", "/files/run.json"), ("PATCH", "/edits"), ("DELETE", "")):
        his(method, f"/v1/runs/{other_uid}{where}", data="{}", status=404)
    assert his.have(other_uid)["refused"]
    copy = shutil.copytree(other, runs / "other")
    with open(copy / "metrics.jsonl", "ab") as stream:
        stream.write(rows(50, 1))
    assert [
        *his.send(bundle_of(copy, make_run(runs, "new", project="a"), make_run(runs, "odd", project="b")))
    ] != []
    assert contents(other) == before
    assert {path.name for path in data.iterdir() if path.name[0] != "."} == {"mine", "other", "new"}


def test_edit_of_the_project_moves_no_run_to_another_token(with_token, data):  # H005
    run = make_run(data, project="a")
    anybody = with_token("admin")
    his, theirs = with_token("admin", project="a"), with_token("admin", project="b")
    edit = {"/project": {"value": "b", "time": 1.0, "author": "x"}}
    anybody("PATCH", f"/v1/runs/{read(run / 'run.json')['uid']}/edits", json=edit)
    assert [row["attributes"]["project"] for row in his.json("GET", "/v1/runs")["runs"]] == ["b"]
    assert theirs.json("GET", "/v1/runs")["runs"] == []


@pytest.mark.parametrize("value", ["b", 1, None])
def test_token_of_a_project_shows_no_run_in_another(with_token, data, runs, value):  # H005
    run, anybody, his = make_run(data, project="a"), with_token("admin"), with_token("append", project="a")
    where = f"/v1/runs/{read(run / 'run.json')['uid']}/edits"
    edits = {"/notes": {"value": "n"}, "/project": {"value": value, "time": 1.0, "author": "x"}}
    his("PATCH", where, json=edits, status=409)
    assert not (run / "edits.json").exists()
    copy = shutil.copytree(run, runs / "copy")
    write(copy / "edits.json", edits)
    assert [*his.send(bundle_of(copy))] == [read(run / "run.json")["uid"]]
    assert not (run / "edits.json").exists()
    his("PATCH", where, json={"/notes": {"value": "n"}, "/project": {"value": "a"}})
    if value == "b":  # what others moved may be said again: both sides' edits are laid together
        anybody("PATCH", where, json={"/project": {"value": "b"}})
        his("PATCH", where, json=read(run / "edits.json"))


def test_sync_with_a_token_that_only_appends_takes_edits_along(with_token, server, data, runs):  # H005
    for name in "ab":
        make_run(runs, name)
    token = server.service.tokens.add("trainer", ("append",), None)

    def sync():
        push = Push(HttpRemote(server.url, token=token))
        return [(outcome.id, outcome.status) for outcome in push.run(sorted(runs.iterdir()))], push.fault

    assert sync() == ([("a", "synced"), ("b", "synced")], None)
    where = f"/v1/runs/{read(runs / 'a' / 'run.json')['uid']}/edits"
    with_token("admin")("PATCH", where, json={"/name": {"value": "of the page"}})
    with open(runs / "b" / "metrics.jsonl", "ab") as stream:
        stream.write(rows(50, 1))
    assert sync() == ([("a", "unchanged"), ("b", "synced")], None)
    assert read(runs / "a" / "edits.json")["/name"]["value"] == "of the page"
    assert_same(runs, data)


# 2. Who the server is


def test_server_says_who_it_is(client, server, data):  # H010, H011, H012
    said = client.json("GET", "/v1")
    assert said["runfmt"] == 1
    assert "identity" in said["codings"]
    assert said["max_body"] >= 33_554_432
    assert said["store"] == read(data / ".runfmt" / "store.json")["id"]


def test_store_keeps_its_id(data):  # H011
    with serving(data) as one:
        known = one.service.store.id
    with serving(data) as two:
        assert two.service.store.id == known


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_bundle_comes_in_each_coding(client, data, runs, coding):  # H012
    body = bundle_of(make_run(runs))
    body = {"gzip": gzip.compress, "zstd": zstandard.compress, "identity": bytes}[coding](body)
    assert client.send(body, coding=coding) == {}
    assert_same(runs, data)


# 3. What is there


def test_have_answers_only_what_differs(client, run, runs):  # H020
    ask, new = asked_about(run), asked_about(make_run(runs, "new"))
    said = client.json("POST", "/v1/have", json={"runs": [ask, new]})["runs"]
    assert said == {new["uid"]: {"entries": {}, "staged": {}, "refused": "", "deleted": ""}}
    other = client.have(ask["uid"], "0" * 64)
    assert other["entries"].keys() == contents(run).keys()
    for path, bytes_ in contents(run).items():
        entry = other["entries"][path]
        assert (entry["length"], entry["tail"]) == (len(bytes_), hashlib.sha256(bytes_).hexdigest())


def test_longer_stream_is_proved_as_far_as_asked(client, run, uid):  # H021
    first = rows(0, 3)
    (run / "metrics.jsonl").write_bytes(first + rows(3, 3))
    entry = client.have(uid, streams={"metrics.jsonl": len(first)})["entries"]["metrics.jsonl"]
    assert entry["length"] == len(first + rows(3, 3))
    assert (entry["size"], entry["tail"]) == (len(first), hashlib.sha256(first).hexdigest())


def test_pieces_of_a_file_are_told_by_its_digest(client, runs):  # H022
    run = make_run(runs)
    big = os.urandom(9 * 2**20)
    (run / "files" / "big.bin").write_bytes(big)
    only_first = bundle_of(
        run, change=lambda piece: piece if piece[0].offset == 0 and piece[0].path == "files/big.bin" else None
    )
    assert client.send(only_first) == {}
    uid = read(run / "run.json")["uid"]
    assert client.have(uid)["staged"] == {hashlib.sha256(big).hexdigest(): 8 * 2**20}


def test_run_of_the_future_is_refused(data):  # H023, H040
    run = make_run(data, requires=["magic"])
    uid = read(run / "run.json")["uid"]
    with serving(data) as server:
        client = Client(server.url)
        with client.session:
            assert "magic" in client.have(uid)["refused"]
            (row,) = client.json("GET", "/v1/runs")["runs"]
            assert row.keys() == {"uid", "path", "refused"}
            client("GET", f"/v1/runs/{uid}", status=409)


def test_verify_reads_all_bytes_again(client, run, uid):  # H024
    old = client.have(uid)["entries"]["files/requirements.txt"]
    (run / "files" / "requirements.txt").write_bytes(b"TORCH\n")
    settle(run)  # size and time are as they were: a rotten disk
    assert client.have(uid)["entries"]["files/requirements.txt"] == old
    assert (
        client.have(uid, verify=True)["entries"]["files/requirements.txt"]["tail"]
        == hashlib.sha256(b"TORCH\n").hexdigest()
    )


def test_run_on_its_way_is_told_without_run_json(client, data, runs):  # H025
    run = make_run(runs)
    uid = read(run / "run.json")["uid"]
    client.send(bundle_of(run, change=lambda piece: None if piece[0].path == "run.json" else piece))
    assert client.have(uid)["entries"].keys() == contents(run).keys() - {"run.json"}
    assert client.json("GET", "/v1/runs")["runs"] == []
    client("GET", f"/v1/runs/{uid}", status=404)
    client("GET", f"/v1/runs/{uid}/files/metrics.jsonl", status=404)


# 4. Bundles


def test_bundle_of_another_version_is_refused(client):  # H030
    file = io.BytesIO()
    bundle.write(file, {"bundle": 2}, [])
    client.send(file.getvalue(), status=400)


@pytest.mark.parametrize(
    "harm",
    [
        lambda body: b"",
        lambda body: body[:-1025],
        lambda body: body[: len(body) // 2],
        lambda body: b"x" * len(body),
        lambda body: body.replace(b'"_step": 3', b'"_step": 4', 1),
    ],
)
def test_bundle_that_is_not_whole_leaves_nothing(client, data, runs, harm):  # H030
    client.send(harm(bundle_of(make_run(runs))), status=400)
    assert not [path for path in data.rglob("*") if path.is_file() and ".runfmt" not in path.parts]


def test_bundle_in_another_coding_is_refused(client, runs):  # H030
    client.send(bundle_of(make_run(runs)), coding="br", status=415)


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_bundle_that_is_too_large_is_refused(client, data, coding):  # H030
    limit = client.json("GET", "/v1")["max_body"]
    run = make_run(data.parent, "big")
    with open(run / "files" / "zeros", "wb") as file:
        file.truncate(limit + 1)
    body = bundle_of(run, coding="zstd" if coding == "zstd" else "identity")
    body = gzip.compress(body, 1) if coding == "gzip" else body
    client.send(body, coding=coding, status=413)
    assert not (data / "big").exists()


def test_runs_are_durable_and_whole_when_it_answers(client, data, runs):  # H031
    for name in ("a", "b", "c"):
        make_run(runs, name)
    assert client.send(bundle_of(*sorted(runs.iterdir()))) == {}
    assert_same(runs, data)
    assert not (data / ".incoming").exists() or not any((data / ".incoming").iterdir())


def test_refused_run_touches_no_other(client, data, runs):  # H032
    good, late, other = make_run(runs, "good"), make_run(runs, "late"), make_run(runs, "other")
    shutil.copytree(other, data / "other")
    (data / "other" / "metrics.jsonl").write_bytes(rows(70, 9))
    late_uid = read(late / "run.json")["uid"]
    refused = client.send(bundle_of(good, late, other, change=lambda piece: _moved(piece, late_uid)))
    assert {uid: one["again"] for uid, one in refused.items()} == {
        late_uid: True,
        read(other / "run.json")["uid"]: True,
    }
    assert contents(data / "good") == contents(good)
    assert not (data / "late").exists()


def _moved(piece, uid):
    """The piece; a stream's of one run begins where nothing is before it."""
    extent, body = piece
    return (replace(extent, offset=7) if extent.uid == uid and is_stream(extent.path) else extent), body


def test_run_document_cannot_make_a_run_another(client, data, runs):  # H032
    run, other = make_run(runs, "first"), make_run(runs, "other")
    assert client.send(bundle_of(run, other)) == {}
    uid, victim = (read(path / "run.json")["uid"] for path in (run, other))
    before = contents(data / "first")
    for document in (read(other / "run.json"), {"uid": None}, {}):
        said = json.dumps(document).encode()
        proof = Proof(len(said), (), hashlib.sha256(said).hexdigest())

        def take_over(piece, said=said, proof=proof):
            if piece[0].path != "run.json":
                return None
            return replace(piece[0], length=len(said), sha256=proof.tail, whole=proof), (said,)

        assert client.send(bundle_of(run, change=take_over)).keys() == {uid}
        assert contents(data / "first") == before
    assert client.have(victim)["entries"]


def test_full_disk_is_said_and_what_was_taken_stays(server, client, data, runs, monkeypatch):  # H033
    make_run(runs)
    client.send(bundle_of(runs / "first"))
    before = contents(data / "first")
    with open(runs / "first" / "metrics.jsonl", "ab") as stream:
        stream.write(rows(30, 5))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(applying, "_write", full)
        client.send(bundle_of(runs / "first"), status=507)
    assert contents(data / "first") == before
    assert client.send(bundle_of(runs / "first")) == {}
    assert_same(runs, data)


# 5. Reading


def test_row_says_what_lists_need(client, run, uid):  # H040
    write(run / "edits.json", {"/config/lr": {"value": 7, "time": 1.0, "author": "x"}})
    write(
        run / "config.json",
        {
            "lr": None,
            "_nonfinite": {"/lr": "NaN"},
            "x": None,
        },
    )
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(
            b'{"_step":99,"_timestamp":1732419999.5,"loss":null,"_nonfinite":{"/loss":"-Infinity"}}\n'
        )
    (row,) = client.json("GET", "/v1/runs")["runs"]
    found = StoredRun(run)
    assert (row["uid"], row["path"], row["state"]) == (uid, "first", "finished")
    assert (row["time"], row["rows"]) == (1732419999.5, len(found.history().rows))
    assert row["attributes"] == {**found.attributes, "id": "first"}
    assert row["config"] == {"lr": 7, "x": None}
    assert (row["summary"]["loss"], row["summary"]["_nonfinite"]) == (None, {"/loss": "-Infinity"})


def test_state_of_a_run_is_as_of_now(client, data):  # H040
    make_run(data, "dead", state="running")
    live = make_run(data, "live", state="running")
    with open(live / "system.jsonl", "ab") as stream:
        stream.write(json.dumps({"_timestamp": time.time()}).encode() + b"\n")
    said = client.json("GET", "/v1/runs")["runs"]
    assert {row["path"]: row["state"] for row in said} == {"dead": "crashed", "live": "running"}


def test_rows_come_page_by_page(client, data):  # H041
    for number in range(7):
        make_run(data, f"r{number}", count=1, project="ab"[number % 2])
    pages, after = [], ""
    while after is not None:
        said = client.json("GET", f"/v1/runs?limit=3&after={after}")
        pages.append([row["uid"] for row in said["runs"]])
        after = said["next"]
    assert [len(page) for page in pages] == [3, 3, 1]
    found = [uid for page in pages for uid in page]
    assert found == sorted(found)
    of_a = client.json("GET", "/v1/runs?project=a")["runs"]
    assert {row["path"] for row in of_a} == {"r0", "r2", "r4", "r6"}
    assert [row["path"] for row in client.json("GET", "/v1/runs?id=r3")["runs"]] == ["r3"]


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "１", "9" * 30])
def test_limit_of_another_kind_is_a_problem(client, limit):  # H041
    client("GET", "/v1/runs", params={"limit": limit}, status=400)


def test_run_tells_its_files(client, run, uid):  # H042
    said = client.json("GET", f"/v1/runs/{uid}")
    ours = take_inventory(run, KnownDigests(None))
    assert said == {
        "uid": uid,
        "id": "first",
        "digest": ours.digest,
        "files": {p: {"size": e.proof.size, "sha256": e.proof.digest} for p, e in ours.entries.items()},
    }


def test_files_are_served_as_they_are_and_never_to_be_run(client, run, uid):  # H043
    for path, bytes_ in contents(run).items():
        answer = client("GET", f"/v1/runs/{uid}/files/{path}")
        assert answer.content == bytes_
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_stream_ends_at_its_last_lf(client, run, uid):  # H043
    whole = (run / "metrics.jsonl").read_bytes()
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(b'{"_step":9')
    where = f"/v1/runs/{uid}/files/metrics.jsonl"
    assert client("GET", where).content == whole
    assert client("HEAD", where).headers["Content-Length"] == str(len(whole))
    client("GET", where, headers={"Range": f"bytes={len(whole)}-"}, status=416)
    (run / "metrics.jsonl").write_bytes(b'{"_step":9')
    assert client("GET", where).content == b""


RANGES = {
    "bytes=0-0": (0, 1),
    "bytes=5-": (5, 20),
    "bytes=5-7": (5, 8),
    "bytes=-3": (17, 20),
    "bytes=-99": (0, 20),
    "bytes=0-99": (0, 20),
    "bytes=19-19": (19, 20),
}


@pytest.mark.parametrize("asked", RANGES)
def test_range_is_answered_with_what_was_asked(client, run, uid, asked):  # H043
    (run / "files" / "x").write_bytes(bytes(range(20)))
    first, end = RANGES[asked]
    status = 200 if end - first == 20 else 206
    answer = client("GET", f"/v1/runs/{uid}/files/files/x", headers={"Range": asked}, status=status)
    assert answer.content == bytes(range(first, end))
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/20"


@pytest.mark.parametrize("asked", ["bytes=20-", "bytes=99-100", "bytes=-0"])
def test_range_behind_the_end_is_not_satisfiable(client, run, uid, asked):  # H043
    (run / "files" / "x").write_bytes(bytes(range(20)))
    answer = client("GET", f"/v1/runs/{uid}/files/files/x", headers={"Range": asked}, status=416)
    assert answer.headers["Content-Range"] == "bytes */20"


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "bytes=-", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b", "bytes=" + "9" * 99]
)
def test_range_of_another_form_means_all(client, run, uid, asked):  # H043
    (run / "files" / "x").write_bytes(bytes(range(20)))
    assert client("GET", f"/v1/runs/{uid}/files/files/x", headers={"Range": asked}).content == bytes(
        range(20)
    )


def test_entity_tags_spare_and_guard(client, run, uid):  # H045
    where = f"/v1/runs/{uid}/files/"
    bytes_ = (run / "config.json").read_bytes()
    tag = client("GET", where + "config.json").headers["ETag"]
    assert tag == f'"sha256-{hashlib.sha256(bytes_).hexdigest()}"'
    assert client("GET", where + "config.json", headers={"If-None-Match": tag}, status=304).content == b""
    assert client("GET", where + "config.json", headers={"If-None-Match": '"x"'}).content == bytes_
    guarded = {"Range": "bytes=1-2", "If-Range": tag}
    assert client("GET", where + "config.json", headers=guarded, status=206).content == bytes_[1:3]
    write(run / "config.json", {"lr": 7})
    assert client("GET", where + "config.json", headers=guarded).json() == {"lr": 7}
    assert "ETag" not in client("GET", where + "metrics.jsonl").headers
    old = client("GET", where + "files/requirements.txt").headers["ETag"]
    (run / "files" / "requirements.txt").write_bytes(b"jax\n")
    assert client("GET", where + "files/requirements.txt").headers["ETag"] != old


# 6. Edits and deleting


def test_edits_of_both_sides_are_merged(client, run, uid):  # H050
    write(run / "edits.json", {"/notes": {"value": "a", "time": 5.0, "author": "x"}})
    theirs = {
        "/notes": {"value": "b", "time": 4.0, "author": "y"},
        "/name": {"value": "c", "time": 4.0, "author": "y"},
    }
    said = client.json("PATCH", f"/v1/runs/{uid}/edits", json=theirs)
    assert said == {"/notes": {"value": "a", "time": 5.0, "author": "x"}, "/name": theirs["/name"]}
    assert read(run / "edits.json") == said
    assert client.json("PATCH", f"/v1/runs/{uid}/edits", json=theirs) == said


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '{"/notes": 1}',
        '{"/uid": {"value": "x", "time": 1, "author": "x"}}',
        '{"/notes": {"value": "x", "time": "now", "author": "x"}}',
    ],
)
def test_edits_that_are_none_are_a_problem(client, run, uid, body):  # H050
    client("PATCH", f"/v1/runs/{uid}/edits", data=body, status=400)
    assert not (run / "edits.json").exists()


def test_deleted_run_is_gone_and_stays_away(client, data, runs, run, uid):  # H023, H051, H052
    copy = shutil.copytree(run, runs / "first")
    when = client.json("DELETE", f"/v1/runs/{uid}")["deleted"]
    assert not run.exists()
    assert client.json("GET", "/v1/runs")["runs"] == []
    assert client.have(uid) == {"entries": {}, "staged": {}, "refused": "", "deleted": when}
    refused = client.send(bundle_of(copy, make_run(runs, "other")))
    assert list(refused) == [uid]
    assert {path.name for path in data.iterdir() if path.name[0] != "."} == {"other"}
    assert client.json("DELETE", f"/v1/runs/{uid}") == {"deleted": when}
    client("DELETE", f"/v1/runs/{NOBODY}", status=404)
    shutil.copytree(copy, data / "first")  # by hand: it is wanted again
    with serving(data) as later:
        assert later.service.store.seen(uid)


def test_all_copies_of_a_deleted_run_are_gone(client, data, runs, run, uid):  # H052
    for where in (data / "copy", data / "sub" / "first", runs / "first"):
        shutil.copytree(run, where)
    make_run(data, "other")
    client.json("DELETE", f"/v1/runs/{uid}")
    assert [path.parent.name for path in data.rglob("run.json")] == ["other"]
    shutil.copytree(runs / "first", data / "again")  # by hand, afterwards
    assert uid in {row["uid"] for row in client.json("GET", "/v1/runs")["runs"]}
    client.json("DELETE", f"/v1/runs/{uid}")
    with serving(data) as later:
        assert uid not in later.service.store.runs


def test_copy_of_a_run_that_was_removed_by_hand_takes_its_place(client, data, run, uid):
    shutil.copytree(run, data / "second")
    client.json("GET", "/v1/runs")
    shutil.rmtree(run)
    (row,) = client.json("GET", "/v1/runs")["runs"]
    assert (row["uid"], row["path"]) == (uid, "second")


def test_run_on_its_way_is_deleted_too(client, server, data, runs):  # H051
    run = make_run(runs)
    client.send(bundle_of(run, change=lambda piece: None if piece[0].path == "run.json" else piece))
    uid = read(run / "run.json")["uid"]
    server.service.store.delete(uid, "ann")
    assert not any(path.name == uid for path in data.rglob("*"))
    assert client.send(bundle_of(run)).keys() == {uid}


def test_running_run_is_not_deleted(client, data):  # H052
    run = make_run(data, state="running")
    with open(run / "events.jsonl", "ab") as stream:
        stream.write(json.dumps({"_timestamp": time.time()}).encode() + b"\n")
    client("DELETE", f"/v1/runs/{read(run / 'run.json')['uid']}", status=409)
    assert run.exists()


# Who asks (H007) is in test_guard.py; paths (H044) are in test_hostile.py.
