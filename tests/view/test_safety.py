"""Nobody else sees the runs that are shown, nothing in them is run as the page, and they stay as they are."""

import os

import pytest
import requests

from asking import Client
from runmaker import make_run, read, rows
from viewing import showing

QUESTIONS = [
    ("GET", "/v1"),
    ("GET", "/v1/runs"),
    ("GET", "/v1/runs/{uid}/about"),
    ("GET", "/v1/runs/{uid}/files/metrics.jsonl"),
    ("PATCH", "/v1/runs/{uid}/edits"),
    ("POST", "/v1/keys"),
    ("POST", "/v1/curves"),
    ("POST", "/v1/objects"),
    ("POST", "/v1/pulse"),
]
BODIES = {
    "PATCH": {"/notes": {"value": "x", "time": 1.0, "author": "a"}},
    "/v1/keys": {"uids": ["UID"]},
    "/v1/curves": {"curves": [{"uid": "UID", "key": "loss"}, {"uid": "UID", "key": "x"}], "points": 3},
    "/v1/objects": {"uids": ["UID"], "key": "x"},
    "/v1/pulse": {"uids": ["UID"]},
}


@pytest.fixture
def uid(runs):
    run = make_run(runs)
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(rows(21, 30) + b"torn")
    return read(run / "run.json")["uid"]


def ask(client, uid, method, where, **options):
    body = BODIES.get(where, BODIES.get(method))
    said = {} if body is None else {"data": requests.compat.json.dumps(body).replace("UID", uid)}
    return client(method, where.format(uid=uid), **said, **options)


# Who is heard


@pytest.mark.parametrize(("method", "where"), QUESTIONS)
@pytest.mark.parametrize("token", [None, "", "wrong", "runfmt_00000000_" + 43 * "a"])
def test_nobody_without_the_token_is_answered(client, uid, method, where, token):
    stranger = Client(client.url, token)
    with stranger.session:
        answer = ask(stranger, uid, method, where, status=401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert uid not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", ""])
@pytest.mark.parametrize("where", ["/", "/web/index.html", "/v1/runs"])
def test_name_that_was_bound_to_this_machine_is_not_heard(client, host, where):  # DNS rebinding, H007
    client("GET", where, status=421, headers={"Host": host})


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_page_of_another_site_is_not_heard(client, uid, origin):  # H007
    ask(client, uid, "POST", "/v1/curves", status=403, headers={"Origin": origin})
    client("PATCH", f"/v1/runs/{uid}/edits", status=403, headers={"Origin": origin}, json=BODIES["PATCH"])


def test_its_own_page_is_heard(client, uid):
    ask(client, uid, "POST", "/v1/curves", headers={"Origin": client.url})


def test_other_machines_do_not_reach_it(client):
    host, _, port = client.url.removeprefix("http://").partition(":")
    assert host == "127.0.0.1"
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.2:{port}/", timeout=60)


def test_what_only_a_server_does_is_not_there(client, uid):
    for method, where in [("DELETE", f"/v1/runs/{uid}"), ("POST", "/v1/bundles"), ("POST", "/v1/have")]:
        client(method, where, status=404)


def test_each_viewer_has_a_token_of_its_own(runs, uid):
    with showing(runs) as one, showing(runs) as other:
        assert len(one.session.headers["Authorization"]) > 40
        other.session.headers["Authorization"] = one.session.headers["Authorization"]
        other("GET", "/v1/runs", status=401)


# What a browser may do


def test_page_may_load_only_what_is_its_own(client):
    policy = client("GET", "/").headers["Content-Security-Policy"]
    said = dict(part.split(" ", 1) for part in policy.split("; "))
    assert said["default-src"] == "'none'"
    assert said["script-src"] == said["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy
    assert said["frame-ancestors"] == said["base-uri"] == said["form-action"] == "'none'"


def test_files_of_runs_are_never_run_as_the_page(client, runs, uid):
    (runs / "first" / "files" / "page.html").write_text("<script>alert(1)</script>")
    answer = client("GET", f"/v1/runs/{uid}/files/files/page.html")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "name", ["../looking.py", "%2e%2e/cli/__init__.py", "..%2fcli%2f__init__.py", "", ".", "x"]
)
def test_page_has_no_other_files(client, name):
    client("GET", f"/web/{name}", status=404)


def test_page_is_asked_for_again_and_comes_only_if_it_is_another(client):
    """So that after an upgrade no file of the version before is used."""
    for where in ("/", "/web/plotly.min.js"):
        first = client("GET", where)
        assert first.headers["Cache-Control"] == "no-cache"
        tag = first.headers["ETag"]
        assert client("GET", where, status=304, headers={"If-None-Match": tag}).content == b""
        assert client("GET", where, headers={"If-None-Match": '"other"'}).content == first.content


def test_answers_about_runs_are_not_kept_by_a_browser(client, uid):
    for method, where in [("GET", "/v1/runs"), ("POST", "/v1/curves"), ("POST", "/v1/pulse")]:
        assert ask(client, uid, method, where).headers["Cache-Control"] == "no-store"


def test_large_files_of_the_page_come_compressed(client):
    answer = client("GET", "/web/plotly.min.js", stream=True)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) < len(answer.content) / 2
    plain = client("GET", "/web/plotly.min.js", headers={"Accept-Encoding": "identity"})
    assert plain.content == answer.content
    assert "javascript" in plain.headers["Content-Type"]


# What stays as it is


def tree(folder):
    """All that is in a folder, with bytes, times and modes; when something was only read is not looked at."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else None
        found[path] = (status.st_mode, status.st_mtime_ns, status.st_ino, status.st_size, data)
    return found


def test_nothing_is_written_where_the_runs_are(runs, uid, state):
    """By no question, no second viewer, and also where a stream is large enough for an index in files."""
    with open(runs / "first" / "metrics.jsonl", "ab") as stream:
        stream.truncate(stream.tell() - len("torn"))
        stream.write(rows(100, 60_000, pad="x" * 60) + b"torn")
    make_run(runs, "other", state="running")
    before = tree(runs)
    for _ in range(2):
        with showing(runs) as client:
            for method, where in QUESTIONS:
                if method != "PATCH":
                    ask(client, uid, method, where)
            client("GET", "/")
    assert tree(runs) == before
    assert any(state.rglob("*"))


def test_edits_are_all_that_is_written(runs, uid):
    before = tree(runs)
    with showing(runs) as client:
        ask(client, uid, "PATCH", "/v1/runs/{uid}/edits")
    after = tree(runs)
    new = {path.name for path in after.keys() - before.keys()}
    assert "edits.json" in new
    assert new <= {"edits.json", ".edits.lock"}
    changed = {path for path in before if path.is_file() and before[path] != after[path]}
    assert changed == set()


def test_folder_that_cannot_be_written_is_shown_and_not_edited(runs, uid, monkeypatch):
    """As on a read-only mount: what the disk says is passed on."""

    def refuse(*_):
        raise OSError(30, os.strerror(30), str(runs))

    with showing(runs) as client:
        from runfmt import editing

        monkeypatch.setattr(editing, "replace", refuse)
        answer = ask(client, uid, "PATCH", "/v1/runs/{uid}/edits", status=500)
        assert answer.json()["detail"] == "Read-only file system"
        assert client.json("GET", "/v1/runs")["runs"][0]["uid"] == uid


def test_state_that_cannot_be_written_keeps_nobody_from_looking(runs, uid, state, tmp_path):
    state.write_text("no folder")
    with showing(runs) as client:
        assert client.json("GET", "/v1/runs")["runs"][0]["uid"] == uid
        assert ask(client, uid, "POST", "/v1/curves").json()["curves"][0]["count"] == 51
    assert state.read_text() == "no folder"


def test_copy_of_a_store_is_shown_without_becoming_one(runs, uid):
    """The folder of a server or a remote has what is its own, which is left alone."""
    (runs / ".runfmt").mkdir()
    (runs / ".runfmt" / "store.json").write_text('{"id": "x"}')
    before = tree(runs)
    with showing(runs) as client:
        assert len(client.json("GET", "/v1/runs")["runs"]) == 1
    assert tree(runs) == before


def test_frame_for_what_runs_hold_is_of_no_origin_and_loads_nothing(client):
    policy = client("GET", "/web/frame.html").headers["Content-Security-Policy"]
    said = dict(part.split(" ", 1) for part in policy.split("; "))
    assert said["sandbox"] == "allow-scripts"
    assert said["default-src"] == "'none'"
    assert said["frame-ancestors"] == "'self'"
    assert "connect-src" not in said
    assert "http" not in policy
    assert "'self'" not in policy.replace("frame-ancestors 'self'", "")
