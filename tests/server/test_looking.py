"""A server shows its runs to whom a token lets in, and only those of the token's project (H005, H070)."""

import json
import os
import sys

import pytest

from asking import Client
from runmaker import make_run, picture, read, rows

EDITS = {"/notes": {"value": "x", "time": 1.0, "author": "ann"}}


@pytest.fixture
def both(data):
    """The uids of two runs of two projects."""
    mine, other = make_run(data, "mine", project="p"), make_run(data, "other", project="q")
    with open(other / "metrics.jsonl", "ab") as stream:
        stream.write(rows(21, 1, secret=1) + picture(other, 22, 3))
    return tuple(read(run / "run.json")["uid"] for run in (mine, other))


def answers(client, uids):
    """All that may be asked about runs."""
    ask = lambda where, **said: client.json("POST", where, json=said)  # noqa: E731
    return {
        "rows": client.json("GET", "/v1/runs")["runs"],
        "some": client.json("GET", "/v1/runs?" + "&".join(f"uid={uid}" for uid in uids))["runs"],
        "keys": ask("/v1/keys", uids=uids),
        "curves": ask("/v1/curves", curves=[{"uid": uid, "key": "loss"} for uid in uids]),
        "objects": ask("/v1/objects", uids=uids, key="x"),
        "pulse": ask("/v1/pulse", uids=uids)["runs"],
    }


def test_page_is_served_before_anybody_logs_in(with_token, server):
    with_token("read")
    stranger = Client(server.url)
    with stranger.session:
        page = stranger("GET", "/")
        assert page.headers["Content-Type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        stranger("GET", "/web/index.html")
        for where in ("/v1", "/v1/runs"):
            stranger("GET", where, status=401)
        stranger("POST", "/v1/pulse", status=401, json={"uids": []})


@pytest.mark.parametrize(
    ("scopes", "may"),
    [(["read"], ["read"]), (["append"], ["append"]), (["admin"], ["read", "append", "admin"])],
)
def test_caller_is_told_what_he_may(with_token, scopes, may):  # H070
    assert with_token(*scopes).json("GET", "/v1")["may"] == may


def test_who_may_only_read_edits_nothing(with_token, both, data):
    reader, writer = with_token("read"), with_token("read", "append")
    reader("PATCH", f"/v1/runs/{both[0]}/edits", status=403, json=EDITS)
    assert not (data / "mine" / "edits.json").exists()
    assert writer.json("PATCH", f"/v1/runs/{both[0]}/edits", json=EDITS) == EDITS
    log = [json.loads(line) for line in (data / ".runfmt" / "audit.jsonl").read_text().splitlines()]
    assert [(line["caller"], line["what"], line["uid"]) for line in log] == [("ann", "edit", both[0])]


def test_who_may_only_append_looks_at_nothing(with_token, both):
    blind = with_token("append")
    for where in ("keys", "pulse"):
        blind("POST", f"/v1/{where}", status=403, json={"uids": [both[0]]})
    blind("GET", f"/v1/runs/{both[0]}/about", status=403)


def test_token_of_a_project_sees_only_that(with_token, both):  # H005
    mine, other = both
    said = answers(with_token("read", "append", project="p"), [mine, other])
    assert [row["uid"] for row in said["rows"]] == [row["uid"] for row in said["some"]] == [mine]
    assert {key["key"]: key["runs"] for key in said["keys"]["keys"]} == {"loss": 1, "x": 1}
    first, second = said["curves"]["curves"]
    assert (first["count"], second["count"]) == (21, 0)
    assert said["objects"]["runs"][other]["steps"] == []
    assert said["pulse"].keys() == {mine}
    with_all = answers(with_token("read"), [mine, other])
    assert with_all["curves"]["curves"][1]["count"] == 23
    assert with_all["pulse"].keys() == {mine, other}


def test_what_is_not_his_is_told_from_nothing_by_no_answer(with_token, both):  # H005
    _, other = both
    nobody = other[:-1] + ("0" if other[-1] != "0" else "1")
    his = with_token("read", "append", project="p")
    for uid in (other, nobody):
        his("GET", f"/v1/runs/{uid}/about", status=404)
        his("GET", f"/v1/runs/{uid}/files/metrics.jsonl", status=404)
        his("PATCH", f"/v1/runs/{uid}/edits", status=404, json=EDITS)
    said = [json.dumps(answers(his, [uid])).replace(uid, "") for uid in (other, nobody)]
    assert said[0] == said[1]


def test_project_is_the_recorded_one_and_followed_when_it_is_another(with_token, both, data):  # H005
    mine, other = both
    his = with_token("read", "append", project="p")
    assert answers(his, [mine, other])["pulse"].keys() == {mine}
    document = read(data / "other" / "run.json") | {"project": "p"}
    (data / "other" / "run.json").write_text(json.dumps(document))
    assert answers(his, [mine, other])["pulse"].keys() == {mine, other}
    (data / "other" / "edits.json").write_text(json.dumps({"/project": {**EDITS["/notes"], "value": "q"}}))
    assert answers(his, [mine, other])["pulse"].keys() == {mine, other}


def test_server_knows_of_no_remotes_of_its_user(with_token, both):
    assert "remotes" not in with_token("read").json("GET", f"/v1/runs/{both[0]}/about")


def test_questions_write_only_what_is_the_servers_own(with_token, both, data):
    client = with_token("read")
    before = {path: path.lstat().st_mtime_ns for path in data.rglob("*") if ".runfmt" not in path.parts}
    answers(client, [*both])
    client.json("GET", f"/v1/runs/{both[0]}/about")
    after = {path: path.lstat().st_mtime_ns for path in data.rglob("*") if ".runfmt" not in path.parts}
    assert after == before


def test_pulse_for_one_project_opens_no_run(with_token, both, data):
    his = with_token("read", project="p")
    ask = lambda: his.json("POST", "/v1/pulse", json={"uids": [*both]})  # noqa: E731
    ask()
    opened = []
    WATCHED.append(opened)
    ask()
    WATCHED.remove(opened)
    assert [path for path in opened if os.fsdecode(path).endswith("run.json")] == []


WATCHED: list[list[str]] = []


def _opened(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        for paths in WATCHED:
            paths.append(arguments[0])


sys.addaudithook(_opened)
