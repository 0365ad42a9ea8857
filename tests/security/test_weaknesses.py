"""What SECURITY.md says and no other test shows; each test names its line."""

import ast
import http.server
import json
import threading
from pathlib import Path

import pytest

import runfmt
import runfmt_sync
from asking import Client, bundle_of
from runfmt.errors import CommError, UsageError
from runfmt_sync.credentials import keep_token, token_for
from runfmt_sync.importing import import_runs
from runfmt_sync.push import Push
from runfmt_sync.remotes import open_remote
from runfmt_sync.remotes.http import HttpRemote
from runmaker import contents, make_run, read, rows, write
from serving import serving

ROOT = Path(__file__).parents[2]


@pytest.fixture
def places(tmp_path):
    """A server with a run, an append token for it, and a copy of the run as the trainer has it."""
    runs, data = tmp_path / "runs", tmp_path / "data"
    run = make_run(runs, "first")
    with serving(data) as server:
        assert Push(open_remote(server.url)).run([run])[0].status == "synced"
        yield run, data, server


def test_s013_redirect_is_not_followed_so_no_token_goes_elsewhere(monkeypatch):
    asked = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/stolen")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            remote = HttpRemote(f"http://127.0.0.1:{server.server_port}", token="secret")
            with pytest.raises(CommError, match="is elsewhere"):
                remote.json("GET", "/v1")
            for session in remote._idle:
                session.close()
        finally:
            server.shutdown()
            thread.join()
    assert asked == [("/v1", "Bearer secret")]


def test_s021_kept_token_is_private_and_goes_to_its_own_server_only(tmp_path):
    keep_token("https://runs.example.org", "secret")
    kept = tmp_path / "tokens.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert token_for("https://runs.example.org/demo") == "secret"
    for other in (
        "http://runs.example.org",
        "https://runs.example.org:8338",
        "https://runs.example.org.evil.example",
    ):
        assert token_for(other) is None
    kept.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        token_for("https://runs.example.org")


def test_s025_stolen_append_token_reads_nothing_and_deletes_nothing(places):
    run, data, server = places
    uid, before = read(run / "run.json")["uid"], contents(data / "first")
    thief = Client(server.url, server.service.tokens.add("node", ["append"]))
    with thief.session:
        for method, where in [("GET", ""), ("GET", "/about"), ("GET", "/files/run.json"), ("DELETE", "")]:
            thief(method, f"/v1/runs/{uid}{where}", status=403)
        thief("GET", "/v1/runs", status=403)
    assert contents(data / "first") == before


def test_s026_stolen_append_token_changes_no_row_that_is_there(places, tmp_path):
    """It can add rows and replace documents: of that an audit line and the name of the token remain."""
    run, data, server = places
    thief = Client(server.url, server.service.tokens.add("node", ["append"]))
    forged = make_run(tmp_path / "forged", "first", uid=read(run / "run.json")["uid"])
    (forged / "metrics.jsonl").write_bytes(rows(0, 30, loss=0))
    before = (data / "first" / "metrics.jsonl").read_bytes()
    with thief.session:
        assert thief.send(bundle_of(forged)) != {}
        assert (data / "first" / "metrics.jsonl").read_bytes() == before
        (run / "metrics.jsonl").write_bytes(before + rows(50, 1))
        write(run / "config.json", {"lr": 666})
        assert thief.send(bundle_of(run)) == {}
    assert (data / "first" / "metrics.jsonl").read_bytes() == before + rows(50, 1)
    assert read(data / "first" / "config.json") == {"lr": 666}
    last = json.loads((data / ".runfmt" / "audit.jsonl").read_text().splitlines()[-1])
    assert (last["caller"], last["what"]) == ("node", "append")


def test_s027_token_is_in_no_file_but_its_own(places, tmp_path, monkeypatch):
    run, _, server = places
    token = server.service.tokens.add("ann", ["admin"])
    monkeypatch.setenv("RUNFMT_TOKEN", token)
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(rows(60, 1))
    assert Push(open_remote(server.url)).run([run])[0].status == "synced"
    runfmt.read_runs(server.url)
    secret = token[len("runfmt_00000000_") :].encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if secret in path.read_bytes()] == []
    assert any(path.name == "receipts.jsonl" for path in files)


def test_s035_nothing_is_kept_in_cookies_and_no_other_origin_may_read(places):
    run, _, server = places
    uid = read(run / "run.json")["uid"]
    client = Client(server.url)
    with client.session:
        for where in ("/", "/v1/runs", f"/v1/runs/{uid}/files/run.json", "/web/index.html"):
            headers = {name.lower() for name in client("GET", where).headers}
            assert "set-cookie" not in headers
            assert not any(name.startswith("access-control-") for name in headers)


DANGEROUS = {"eval", "exec", "compile"}
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "xml", "lxml", "telnetlib"}


def _sources():
    for package in (runfmt, runfmt_sync):
        yield from Path(package.__file__).parent.rglob("*.py")


def test_s051_nothing_that_runs_data_is_called():
    found = []
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found += [(path.name, name) for name in names if name.partition(".")[0] in MODULES]
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else ""
                shell = any(word.arg in ("shell", "allow_pickle") for word in node.keywords)
                found += [(path.name, called)] if called in DANGEROUS or shell else []
                if isinstance(node.func, ast.Attribute) and node.func.attr in ("system", "popen"):
                    found.append((path.name, node.func.attr))
    assert found == []


def test_s060_yaml_of_others_makes_no_objects(tmp_path):
    folder = tmp_path / "version_0"
    folder.mkdir()
    touched = tmp_path / "touched"
    (folder / "metrics.csv").write_text("step,loss\n1,2\n")
    (folder / "hparams.yaml").write_text(f"lr: !!python/object/apply:os.mkdir ['{touched}']\n")
    import_runs([str(tmp_path / "version_0")], tmp_path / "runs")
    assert not touched.exists()


def test_s066_audit_fails_where_nothing_was_asked():
    """`pip-audit` passes over packages that it cannot ask about, unless it is strict."""
    recipe = (ROOT / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    assert "pip-audit --strict" in recipe
    assert ".[all" in recipe
    assert "||" not in recipe


def test_s018_redirecting_name_in_a_run_makes_no_request(tmp_path, monkeypatch):
    """URLs in notes, configs and media are text to every reader."""
    import socket

    run = make_run(tmp_path, "first", notes="![x](http://evil.example/x.png) http://evil.example")
    write(run / "config.json", {"url": "http://evil.example", "path": "file:///etc/passwd"})

    def refuse(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert len(runfmt.read_runs(tmp_path)) == 1
    from runfmt_sync.report.template import notes_html

    assert "<img" not in notes_html("![x](http://evil.example/x.png)")
