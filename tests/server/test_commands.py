"""The commands about servers, as a user types them."""

import json
import re
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager

import pytest

from program import RUNFMT
from runmaker import assert_same, make_run, read


@contextmanager
def served(runfmt, *words):
    """`runfmt serve` as a process of its own; gives its address."""
    process = runfmt.start("serve", "--data", "data", "--port", 0, *words)
    try:
        yield re.fullmatch(r"data is served at (http://\S+)\n", process.stdout.readline())[1]
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (-signal.SIGTERM, "", "")


def login(runfmt, url, token):
    """`runfmt login`, the token on its standard input."""
    command = [RUNFMT, "login", url]
    return subprocess.run(
        command, env=runfmt.environment, input=token, capture_output=True, text=True, check=False
    )


def test_runs_go_from_here_to_there_and_back(runfmt, work):
    make_run(work / "runs", "first")
    make_run(work / "runs", "second", project="q")
    token = runfmt("token", "add", "ann", "--data", "data").stdout.strip()
    assert re.fullmatch(r"runfmt_[0-9a-f]{8}_[\w-]{43}", token)
    with served(runfmt) as url:
        assert "runfmt login" in runfmt.error("sync", "--remote", url, code=3)
        assert login(runfmt, url, token + "\n").stdout == f"logged in to {url}\n"
        assert token in (work.parent / "home" / ".config" / "runfmt" / "tokens.json").read_text()
        assert "2 synced" in runfmt("sync", "--remote", url).stdout
        assert_same(work / "runs", work / "data")
        listed = runfmt("ls", url).stdout
        assert "first" in listed
        assert "second" in listed
        assert [row["id"] for row in runfmt.json("ls", f"{url}/q")] == ["second"]
        assert "loss:" in runfmt("show", f"{url}/q/second").stdout
        assert (
            runfmt("show", "--raw", f"{url}/q/second").stdout_bytes
            == (work / "runs" / "second" / "metrics.jsonl").read_bytes()
        )
        assert "is not one run but 2" in runfmt.error("show", url)
        assert "2 runs verified" in runfmt("verify", "--remote", url).stdout
        for words in ((), ("--runs",)):
            runfmt("export", f"{url}/p/first", "-o", "theirs.jsonl", *words)
            runfmt("export", "runs/first", "-o", "ours.jsonl", *words)
            ours, theirs = (work / "ours.jsonl").read_text(), (work / "theirs.jsonl").read_text()
            assert theirs == ours.replace("runs/first", f"{url}/p/first")
        runfmt("remote", "add", "lab", url)
        assert "1 synced" in runfmt("pull", "lab", "first", "-o", "back").stdout
        assert "1 synced, 1 unchanged" in runfmt("pull", "lab", "-o", "back").stdout
        assert runfmt.json("pull", url, "-o", "back")["runs"][0]["status"] == "unchanged"
        assert "no run none" in runfmt.error("pull", "lab", "none", "-o", "back")
    assert_same(work / "runs", work / "back")


def test_what_a_server_refuses_was_not_sent(runfmt, work):
    make_run(work / "runs", "first")
    token = runfmt("token", "add", "bob", "--data", "data", "--scope", "read").stdout.strip()
    with served(runfmt) as url:
        login(runfmt, url, token)
        done = runfmt("sync", "--remote", url, code=3)
    assert "1 waiting: 0 extents, 0 B sent" in done.stdout
    assert "lacks the scope append" in done.stderr


def test_tokens_are_made_listed_and_revoked(runfmt, work):
    first = runfmt("token", "add", "ann", "--data", "data").stdout.strip()
    runfmt("token", "add", "bob", "--data", "data", "--project", "p", "--scope", "read")
    listed = runfmt.json("token", "list", "--data", "data")
    assert {(one["name"], one["project"], *one["scopes"]) for one in listed} == {
        ("ann", None, "append", "read"), ("bob", "p", "read"),
    }  # fmt: skip
    assert first not in json.dumps(listed)
    assert "sha256" not in json.dumps(listed)
    lines = runfmt("token", "list", "--data", "data").stdout.splitlines()
    assert {line.split("\t")[1] for line in lines} == {"ann", "bob"}
    assert runfmt("token", "revoke", "ann", "--data", "data").stdout == "1 revoked\n"
    assert "no token ann" in runfmt.error("token", "revoke", "ann", "--data", "data")
    assert "scopes are some of" in runfmt.error("token", "add", "x", "--data", "data", "--scope", "all")
    assert "must match" in runfmt.error("token", "add", "../x", "--data", "data")
    assert len(read(work / "data" / ".runfmt" / "tokens.json")) == 1


def test_token_that_the_server_does_not_know_is_not_kept(runfmt, work):
    good = runfmt("token", "add", "ann", "--data", "data").stdout.strip()
    kept = work.parent / "home" / ".config" / "runfmt" / "tokens.json"
    with served(runfmt) as url:
        for wrong in ("", "a b\n", good[:-1] + ("x" if good[-1] != "x" else "y")):
            assert login(runfmt, url, wrong).returncode in (2, 3)
            assert not kept.exists()
        assert login(runfmt, url, good).returncode == 0
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    kept.chmod(0o644)
    assert "chmod 600" in runfmt.error("ls", url)


def test_server_for_others_says_what_is_missing(runfmt):
    assert "runfmt token add" in runfmt.error("serve", "--data", "data", "--host", "0.0.0.0")
    assert "No such file" in runfmt.error("serve", "--data", "no/where", code=1)


@pytest.mark.parametrize("words", [["serve", "--data", "data"], ["ls", "http://127.0.0.1:9"]])
def test_missing_extra_is_one_line(work, words):
    """With starlette and requests hidden, as if they were not installed."""
    code = "import sys; sys.modules.update(dict.fromkeys(['starlette', 'uvicorn', 'requests']))\n"
    code += "from runfmt_sync.cli import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"runfmt: .*: pip install 'runfmt\[\w+\]'\n", done.stderr)
