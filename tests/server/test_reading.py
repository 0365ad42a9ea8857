"""Runs behind a URL are read, edited and pulled as those of a folder."""

import gzip
import io
import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import runfmt
from asking import Client
from runfmt.errors import CommError, RunNotFound, UsageError
from runfmt_sync.pull import chosen, pull
from runfmt_sync.remotes import http, open_remote
from runfmt_sync.remotes.directory import DirectoryRemote
from runfmt_sync.remotes.http import HttpRemote
from runfmt_sync.server import serve
from runfmt_sync.server.app import make_app
from runmaker import assert_same, contents, make_run, picture, read, rows, runs_in, settle, write
from serving import serving


@pytest.fixture
def some(data):
    """Four runs: of two projects, of two writers, with edits and odd numbers."""
    a = make_run(data, "a", project="p", tags=["t"], entity="team")
    make_run(data, "b", project="p", created_at="2025-01-01T00:00:00.000000Z")
    c = make_run(data, "c", project="q", state="failed", exit_code=1)
    d = make_run(data, "d d".replace(" ", "-"), project="ä / b")
    (a / "metrics.rank1.jsonl").write_bytes(rows(0, 5))
    with open(c / "metrics.jsonl", "ab") as stream:
        stream.write(b'{"_step":50,"_timestamp":1,"loss":null,"_nonfinite":{"/loss":"NaN"}}\n{"torn')
    write(d / "config.json", {"lr": None, "_nonfinite": {"/lr": "Infinity"}, "nested": {"a.b": [1, 2]}})
    write(a / "edits.json", {"/config/lr": {"value": 9, "time": 1.0, "author": "x"}})
    (a / "system.jsonl").write_bytes(b'{"_timestamp":1732417700,"cpu":{"percent":3}}\n')
    settle(data)
    return data


def same_runs(url, folder):
    theirs, ours = runfmt.read_runs(url), runfmt.read_runs(folder)
    assert set(theirs["path"]) == {f"{url}/{p}/{i}" for p, i in zip(ours["project"], ours["id"], strict=True)}
    key = lambda table: table.drop(columns="path").sort_values("id").reset_index(drop=True)  # noqa: E731
    pd.testing.assert_frame_equal(key(theirs), key(ours), check_dtype=True)


def test_table_of_runs_is_that_of_the_folder(some, server):
    same_runs(server.url, some)


def test_metrics_are_those_of_the_folder(some, server):
    for writers in ("main", "all"):
        ours = runfmt.read_metrics(some, writers=writers).sort_index()
        theirs = runfmt.read_metrics(server.url, writers=writers).sort_index()
        pd.testing.assert_frame_equal(theirs, ours)
    pd.testing.assert_frame_equal(
        runfmt.read_metrics([f"{server.url}/p/b", some / "c"], keys=["loss"]).sort_index(),
        runfmt.read_metrics([some / "b", some / "c"], keys=["loss"]).sort_index(),
    )


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("", "abcd"),
        ("/", "abcd"),
        ("/p", "ab"),
        ("/team/p", "ab"),
        ("/other/p", "b"),
        ("/q/", "c"),
        ("/%C3%A4%20%2F%20b", "d"),
    ],
)
def test_url_of_a_project_means_its_runs(some, server, path, ids):
    found = runfmt.read_metrics(server.url + path)
    assert {name[0] for name in found.index.get_level_values("run")} == set(ids)


@pytest.mark.parametrize("path", ["/a", "/p/a", "/team/p/a", "/any/p/b"])
def test_url_of_a_run_means_that_alone(some, server, path):
    expected = runfmt.read_metrics(some / path[-1])
    pd.testing.assert_frame_equal(runfmt.read_metrics(server.url + path), expected)


@pytest.mark.parametrize("path", ["/none", "/q/a", "/other/p/a", "/p/a/x/y"])
def test_url_of_nothing_is_said(some, server, path):
    with pytest.raises(RunNotFound, match="name a run or a folder of runs"):
        runfmt.read_metrics(server.url + path)


def test_run_that_must_be_refused_is_left_out_with_a_warning(some, server):
    write(some / "b" / "run.json", read(some / "b" / "run.json") | {"requires": ["magic"]})
    with pytest.warns(RuntimeWarning, match="magic"):
        assert set(runfmt.read_runs(server.url)["id"]) == {"a", "c", "d-d"}


def test_only_what_is_needed_is_fetched(some, server):
    """A table of runs opens no file; metrics fetch documents and metrics, and nothing large."""
    client = Client(server.url)
    with client.session:
        runfmt.read_runs(server.url)
        asked = lambda: float(client("GET", "/metrics").text.partition('"GET",status="200"} ')[2].split()[0])  # noqa: E731
        before = asked()
        runfmt.read_runs(server.url)
        assert asked() - before <= 3 + 1
        before = asked()
        runfmt.read_metrics(f"{server.url}/p/a")
        assert asked() - before <= 10


def test_api_reads_and_changes_runs_of_a_server(some, server):
    theirs, ours = runfmt.Api(server.url), runfmt.Api(some)
    for filters in (
        {},
        {"config.lr": 9},
        {"summary_metrics.loss": {"$lt": 1}},
        {"state": "failed"},
        {"tags": "t"},
    ):
        found = [run.id for run in theirs.runs(filters=filters)]
        assert sorted(found) == sorted(run.id for run in ours.runs(filters=filters))
    one, same = theirs.run("p/a"), ours.run("p/a")
    for name in (
        "id",
        "project",
        "entity",
        "path",
        "state",
        "created_at",
        "heartbeat_at",
        "name",
        "tags",
        "config",
    ):
        assert getattr(one, name) == getattr(same, name), name
    assert dict(one.summary) == dict(same.summary)
    pd.testing.assert_frame_equal(one.history(), same.history())
    assert list(one.scan_history(["loss"])) == list(same.scan_history(["loss"]))
    assert one.history(stream="system", pandas=False) == same.history(stream="system", pandas=False)
    assert [(f.name, f.path, f.size) for f in one.files()] == [(f.name, f.path, f.size) for f in same.files()]
    one.config["lr"], one.tags, one.notes = 32, ["x", "y"], "seen"
    one.summary["best"] = float("nan")
    one.update()
    again = ours.run("p/a")
    assert (again.config["lr"], again.tags, again.notes) == (32, ["x", "y"], "seen")
    assert again.summary["best"] != again.summary["best"]
    assert read(some / "a" / "config.json") == {"lr": 0.1}
    again.config["lr"] = 33
    again.update()
    assert one.load().config["lr"] == 33


def test_api_downloads_and_deletes(some, server, tmp_path):
    run = runfmt.Api(server.url).run("a")
    with run.file("requirements.txt").download(tmp_path / "copies") as file:
        assert file.read() == "torch\n"
    assert (tmp_path / "copies" / "requirements.txt").read_bytes() == b"torch\n"
    run.delete()
    assert not (some / "a").exists()
    for method in (run.load, run.history, lambda: run.file("x")):
        with pytest.raises(RunNotFound, match="gone"):
            method()
    run.notes = "x"
    with pytest.raises(RunNotFound, match="gone"):
        run.update()
    with pytest.raises(RunNotFound, match="there is no run 'a'"):
        runfmt.Api(server.url).run("a")


def test_api_does_not_delete_a_run_that_is_written(data, server):
    import time

    run = make_run(data, state="running")
    (run / "system.jsonl").write_bytes(b'{"_timestamp":%d}\n' % time.time())
    with pytest.raises(UsageError, match="end the training first"):
        runfmt.Api(server.url).run("first").delete()
    assert runfmt.Api(server.url).run("first").state == "running"


def test_server_below_a_path_is_found(some, monkeypatch):
    """As behind a reverse proxy that gives each service a folder."""

    def below(*arguments, **options):
        return Starlette(routes=[Mount("/tools/runs", make_app(*arguments, **options))])

    monkeypatch.setattr(serve, "make_app", below)
    with serving(some) as server:
        assert set(runfmt.read_runs(f"{server.url}/tools/runs/p")["id"]) == {"a", "b"}
        with pytest.raises(CommError, match="nothing there speaks runfmt"):
            runfmt.read_runs(f"{server.url}/elsewhere")


def test_scheme_that_nobody_reads_is_said():
    with pytest.raises(UsageError, match=r"there is: .*http://, https://"):
        runfmt.read_runs("gopher://host/x")


def test_folder_is_read_without_what_a_server_needs(some):
    code = "import runfmt, sys; runfmt.Api(sys.argv[1]).runs(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, some], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"runfmt_sync", "requests", "starlette", "uvicorn", "socket"}


@pytest.mark.parametrize(
    "words",
    [
        ["ls", "RUNS"],
        ["sync", "RUNS", "--remote", "OTHER"],
        ["show", "RUNS/a"],
        ["--help"],
        ["token", "list", "--data", "OTHER"],
    ],
)
def test_commands_on_folders_load_no_server_and_no_client(some, tmp_path, words):
    words = [word.replace("RUNS", str(some)).replace("OTHER", str(tmp_path / "other")) for word in words]
    code = "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    code += "from runfmt_sync.cli import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & {"requests", "starlette", "uvicorn", "anyio", "zstandard"}


# Tokens


def test_token_is_asked_for_and_used(some, server, monkeypatch):
    token = server.service.tokens.add("ann", ["read"])
    with pytest.raises(CommError, match="runfmt login"):
        runfmt.read_runs(server.url)
    monkeypatch.setenv("RUNFMT_TOKEN", token)
    assert len(runfmt.read_runs(server.url)) == 4
    run = runfmt.Api(server.url).run("a")
    run.notes = "x"
    with pytest.raises(CommError, match="scope"):
        run.update()


def test_token_counts_for_its_days(some, server, monkeypatch):
    monkeypatch.setenv("RUNFMT_TOKEN", server.service.tokens.add("ann", ["read"], days=30))
    assert len(runfmt.read_runs(server.url)) == 4
    path = server.service.store.private / "tokens.json"
    [(token_id, kept)] = read(path).items()
    made, until = (datetime.fromisoformat(kept[name][:-1]) for name in ("created_at", "expires_at"))
    assert until - made == timedelta(days=30)
    write(path, {token_id: {**kept, "expires_at": kept["created_at"]}})
    with pytest.raises(CommError, match="runfmt login"):
        runfmt.read_runs(server.url)


@pytest.mark.parametrize("days", [0, -1, 10**9])
def test_token_without_a_life_is_refused(server, days):
    with pytest.raises(UsageError, match="days"):
        server.service.tokens.add("ann", ["read"], days=days)
    assert not server.service.tokens.all()


def test_netrc_does_not_replace_the_token(some, server, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("RUNFMT_TOKEN", server.service.tokens.add("ann", ["read"]))
    assert len(runfmt.read_runs(server.url)) == 4


def test_token_goes_over_no_open_network(monkeypatch):
    monkeypatch.setenv("RUNFMT_TOKEN", "secret")
    monkeypatch.setattr(socket, "getaddrinfo", None)
    with pytest.raises(UsageError, match="ssh -L"):
        HttpRemote("http://host.example").json("GET", "/v1")


def test_password_in_a_url_is_refused():
    with pytest.raises(UsageError, match="runfmt login"):
        HttpRemote("https://me:secret@host.example")


class Odd(BaseHTTPRequestHandler):
    """Answers everything in one way, which is none of a server of runs."""

    status, headers_sent, body = 200, {}, b"<html>"

    def do_GET(self):
        self.send_response(self.status)
        for name, value in {**self.headers_sent, "Content-Length": str(len(self.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"body": b"<html>"}, "nothing there speaks runfmt"),
        ({"body": b"[]"}, "nothing there speaks runfmt"),
        ({"body": b'{"runfmt": 2}'}, "nothing there speaks runfmt"),
        ({"status": 301, "headers_sent": {"Location": "https://new/"}}, "use https://new/"),
        ({"status": 418, "body": b"{}"}, "answers 418"),
        ({"body": b'{"runfmt": 1}'}, "runs is missing"),
    ],
)
def test_address_of_something_else_is_said(answer, text):
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Odder", (Odd,), answer)) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(CommError, match=text):
            runfmt.read_runs(f"http://127.0.0.1:{other.server_port}")
        other.shutdown()


def test_answer_that_unpacks_to_more_than_memory_is_refused(monkeypatch):  # S067
    monkeypatch.setattr(http, "MOST", 2**20)
    bomb = {"body": gzip.compress(bytes(64 * 2**20)), "headers_sent": {"Content-Encoding": "gzip"}}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Bomb", (Odd,), bomb)) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        tracemalloc.start()
        with pytest.raises(CommError, match="more than 1,048,576 bytes"):
            HttpRemote(f"http://127.0.0.1:{other.server_port}").json("GET", "/v1")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        other.shutdown()
    assert peak < 16 * 2**20


# Pulling


def pulled(url, folder, *names):
    remote = open_remote(str(url))
    outcomes, fault = pull(remote, chosen(remote, names), folder)
    assert fault is None
    return {outcome.id: outcome for outcome in outcomes}


@pytest.mark.parametrize("kind", ["http", "folder"])
def test_pull_brings_every_byte_once(some, server, runs, kind):
    (some / "a" / "files" / "big.bin").write_bytes(os.urandom(9 * 2**20))
    with open(some / "b" / "metrics.jsonl", "ab") as stream:
        stream.write(rows(100, 120_000))  # more than one extent
    url = server.url if kind == "http" else some
    assert {outcome.status for outcome in pulled(url, runs).values()} == {"synced"}
    assert_same(some, runs)
    again = pulled(url, runs)
    assert {(outcome.status, outcome.size) for outcome in again.values()} == {("unchanged", 0)}
    with open(some / "b" / "metrics.jsonl", "ab") as stream:
        stream.write(rows(900_000, 3) + picture(some / "b", 900_003, 5))
    write(some / "b" / "summary.json", {"loss": 3})
    more = pulled(url, runs)
    assert more["b"].size < 3000
    assert [name for name, outcome in more.items() if outcome.status == "synced"] == ["b"]
    assert_same(some, runs)


def test_pull_takes_the_runs_that_are_named(some, server, runs):
    uid = read(some / "c" / "run.json")["uid"]
    assert set(pulled(server.url, runs, "a*", uid)) == {"a", "c"}
    assert {path.name for path in runs_in(runs).values()} == {"a", "c"}
    with pytest.raises(RunNotFound, match="runfmt ls"):
        pulled(server.url, runs, "a", "none")


def test_pull_merges_edits_and_keeps_what_is_more_here(some, server, runs):
    pulled(server.url, runs)
    write(runs / "a" / "edits.json", {"/notes": {"value": "here", "time": 5.0, "author": "x"}})
    with open(runs / "b" / "metrics.jsonl", "ab") as stream:
        stream.write(rows(500, 2))
    before = contents(runs / "b")
    outcomes = pulled(server.url, runs)
    assert read(runs / "a" / "edits.json").keys() == {"/notes", "/config/lr"}
    assert outcomes["a"].status == "synced"
    assert outcomes["b"].status == "failed"
    assert "runfmt sync" in outcomes["b"].problems[0]
    assert contents(runs / "b") == before


def test_pull_that_was_killed_is_gone_on_with(some, server, runs):
    (some / "a" / "files" / "big.bin").write_bytes(os.urandom(17 * 2**20))
    code = """
import sys
from pathlib import Path
from runfmt_sync.pull import chosen, pull
from runfmt_sync.remotes import http, open_remote
remote = open_remote(sys.argv[1])
pull(remote, chosen(remote, ()), Path(sys.argv[2]))
"""
    for hit in (1, 5, 12, 20):
        environment = os.environ | {"RUNFMT_FAULT": f"pull.extent:{hit}"}
        done = subprocess.run([sys.executable, "-c", code, server.url, runs], env=environment, check=False)
        assert done.returncode == -9
        for uid, run in runs_in(runs).items():
            assert contents(run) == contents(runs_in(some)[uid])
    pulled(server.url, runs)
    assert_same(some, runs)


class Breaking:
    """A way to a server that breaks off every answer after so many bytes, so many times."""

    def __init__(self, url, after, times):
        host, _, port = url.removeprefix("http://").partition(":")
        self.there, self.after, self.left = (host, int(port)), after, times
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(connection,), daemon=True).start()

    def _carry(self, connection):
        with connection, socket.create_connection(self.there) as server:
            threading.Thread(target=self._forward, args=(connection, server), daemon=True).start()
            sent = 0
            while chunk := server.recv(65536):
                if sent + len(chunk) > self.after and self.left:
                    self.left -= 1
                    connection.sendall(chunk[: self.after - sent])
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.sendall(chunk)
                sent += len(chunk)

    @staticmethod
    def _forward(source, target):
        try:
            while chunk := source.recv(65536):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side was broken off


def test_answer_that_breaks_off_is_asked_for_from_there(some, server, runs):
    (some / "a" / "files" / "big.bin").write_bytes(os.urandom(5 * 2**20))
    way = Breaking(server.url, 2**20, 3)
    waits = []
    remote = HttpRemote(way.url, sleep=waits.append)
    with way.listener:
        outcomes, fault = pull(remote, chosen(remote, ["a"]), runs)
    assert (fault, [outcome.status for outcome in outcomes]) == (None, ["synced"])
    assert way.left == 0
    client = Client(server.url)
    with client.session:
        assert 'method="GET",status="206"}' in client("GET", "/metrics").text
    assert contents(runs / "a") == contents(some / "a")


@pytest.mark.parametrize("after", [0, 5, 20, 40, 140])
def test_answer_that_breaks_off_in_its_head_is_asked_for_again(some, server, after):
    way = Breaking(server.url, after, 2)
    with way.listener:
        assert HttpRemote(way.url, sleep=lambda _: None).store_id == server.service.store.id
    assert way.left == 0


def test_bytes_that_arrive_wrong_are_never_seen(some, runs, monkeypatch):
    remote = DirectoryRemote(str(some))
    honest = remote.read

    def wrong(uid, path, offset=0):
        return io.BytesIO(b"TORCH\n") if path == "files/requirements.txt" else honest(uid, path, offset)

    monkeypatch.setattr(remote, "read", wrong)
    outcomes, _ = pull(remote, chosen(remote, ["a"]), runs)
    assert [outcome.status for outcome in outcomes] == ["failed"]
    assert runs_in(runs) == {}
    monkeypatch.undo()
    outcomes, _ = pull(remote, chosen(remote, ["a"]), runs)
    assert [outcome.status for outcome in outcomes] == ["synced"]
    assert contents(runs / "a") == contents(some / "a")


def test_run_that_was_deleted_here_is_not_pulled(some, server, runs):
    pulled(server.url, runs)
    uid = read(some / "a" / "run.json")["uid"]
    DirectoryRemote(str(runs)).store.delete(uid, "me")
    outcome = pulled(server.url, runs)["a"]
    assert (outcome.status, not (runs / "a").exists()) == ("deleted", True)
    assert "deleted" in outcome.notes[0]


def test_run_that_is_not_whole_at_the_server_leaves_nothing(some, server, runs):
    remote = open_remote(server.url)
    names = chosen(remote, ["a", "b"])
    server.service.store.delete(next(uid for uid, run_id in names.items() if run_id == "a"), "x")
    outcomes, _ = pull(remote, names, runs)
    assert {outcome.id: outcome.status for outcome in outcomes} == {"a": "failed", "b": "synced"}
    assert {path.name for path in runs_in(runs).values()} == {"b"}


def test_recover_brings_rows_from_a_server(some, server, runs):
    from runfmt_sync.recover import recover

    pulled(server.url, runs)
    (runs / "b" / "metrics.jsonl").write_bytes((some / "b" / "metrics.jsonl").read_bytes()[:300])
    assert "restored" in " ".join(recover(runs / "b", remote=open_remote(server.url)))
    assert contents(runs / "b")["metrics.jsonl"] == contents(some / "b")["metrics.jsonl"]


def test_push_says_what_was_deleted_there(some, runs, data, server):
    from runfmt_sync.push import Push

    pulled(server.url, runs)
    uid = read(runs / "a" / "run.json")["uid"]
    server.service.store.delete(uid, "x")
    outcomes = {
        outcome.id: outcome for outcome in Push(open_remote(server.url)).run([runs / n for n in "abc"])
    }
    assert outcomes["a"].status == "deleted"
    assert "deleted at the remote" in outcomes["a"].notes[0]
    assert {outcomes[name].status for name in "bc"} == {"unchanged"}
    assert not (data / "a").exists()


def test_torn_stream_of_a_server_is_read_as_far_as_it_is(data):
    run = make_run(data)
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(b'{"_step":')
    with serving(data) as server:
        assert len(runfmt.read_metrics(f"{server.url}/first")) == 21
