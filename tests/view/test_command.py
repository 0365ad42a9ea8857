"""`runfmt view` as a user types it."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from asking import Client, bundle_of
from runmaker import make_run, read, rows
from viewing import showing


@contextmanager
def viewed(runfmt, *words, ended_by=signal.SIGTERM, shown=r"runs"):
    """`runfmt view` as a process of its own; gives its address, and sees that it ends cleanly."""
    process = runfmt.start("view", *words)
    try:
        line = process.stdout.readline()
        yield re.fullmatch(rf"{shown} is shown at (http://127\.0\.0\.1:\d+)/#token=([\w-]{{43}})\n", line)
    finally:
        process.send_signal(ended_by)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def paths(address):
    client = Client(address[1], address[2])
    with client.session:
        return [row["path"] for row in client.json("GET", "/v1/runs")["runs"]]


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_folder_is_shown_until_told_to_stop(runfmt, work, ended_by):
    make_run(work / "runs")
    with viewed(runfmt, ended_by=ended_by) as address:
        assert paths(address) == ["first"]
        assert "<html" in requests.get(address[1], timeout=60).text
    with pytest.raises(requests.ConnectionError):
        requests.get(address[1], timeout=60)


def test_who_listens_long_is_not_waited_for(runfmt, work):
    """A browser keeps its connections open: the command ends all the same."""
    make_run(work / "runs")
    with viewed(runfmt) as address:
        kept = socket.create_connection(("127.0.0.1", int(address[1].rpartition(":")[2])), timeout=60)
        kept.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert kept.recv(100).startswith(b"HTTP/1.1 200")
    kept.close()


def test_one_run_is_shown(runfmt, work):
    run = make_run(work / "runs")
    make_run(work / "runs", "other")
    with viewed(runfmt, run, shown=re.escape(str(run))) as address:
        assert paths(address) == ["."]


def test_empty_folder_is_shown_and_runs_that_come(runfmt, work):
    (work / "runs").mkdir()
    with viewed(runfmt, "runs") as address:
        assert paths(address) == []


def test_folder_that_is_not_there_is_said_with_what_to_do(runfmt, work):
    assert runfmt.error("view") == "there is no runs: name a folder of runs, a run, a bundle or a URL"
    assert "there is no none" in runfmt.error("view", "none")


def test_port_that_is_taken_is_said(runfmt, work):
    (work / "runs").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert "take another --port" in runfmt.error("view", "--port", port, code=3)
    with viewed(runfmt, "--port", port) as address:
        assert address[1].endswith(f":{port}")


def test_other_address_is_not_to_be_had(runfmt, work):
    """Others come in by a server, with tokens."""
    (work / "runs").mkdir()
    assert "No such option" in runfmt("view", "--host", "0.0.0.0", code=2).stderr


# Bundles


def temporary(folder):
    return [path for path in folder.iterdir() if path.name.startswith("runfmt-view-")]


def test_bundle_is_unpacked_shown_and_gone(runfmt, work, tmp_path):
    run = make_run(work / "runs")
    (work / "some.runfmt").write_bytes(bundle_of(run, make_run(work / "runs", "other"), coding="zstd"))
    (tmp_path / "tmp").mkdir()
    runfmt.environment["TMPDIR"] = str(tmp_path / "tmp")
    with viewed(runfmt, "some.runfmt", shown=r"some\.runfmt") as address:
        assert sorted(paths(address)) == ["first", "other"]
        folders = temporary(tmp_path / "tmp")
        assert folders
        assert all(stat.S_IMODE(folder.stat().st_mode) == 0o700 for folder in folders)
        client = Client(address[1], address[2])
        with client.session:
            uid = read(run / "run.json")["uid"]
            assert client.json("GET", "/v1")["may"] == ["read"]
            edits = {"/notes": {"value": "x", "time": 1.0, "author": "a"}}
            client("PATCH", f"/v1/runs/{uid}/edits", status=403, json=edits)
            curves = {"curves": [{"uid": uid, "key": "loss"}]}
            assert client.json("POST", "/v1/curves", json=curves)["curves"][0]["count"] == 21
    assert temporary(tmp_path / "tmp") == []
    assert not [*(tmp_path / "home").rglob("*sqlite*")]


def test_bundle_of_what_is_new_says_which_runs_it_cannot_show(work, capfd):
    """It builds on what the other side has."""
    run, other = make_run(work / "runs"), make_run(work / "runs", "other")

    def without_beginning(piece):
        extent, body = piece
        is_late = extent.uid == read(run / "run.json")["uid"] and extent.path == "metrics.jsonl"
        return None if is_late and extent.offset == 0 else (extent, body)

    with open(run / "metrics.jsonl", "ab") as stream:
        for first in range(21, 140_021, 1000):
            stream.write(rows(first, 1000, pad="x" * 50))
    (work / "new.runfmt").write_bytes(bundle_of(run, other, change=without_beginning, coding="zstd"))
    with showing(work / "new.runfmt") as client:
        assert [row["path"] for row in client.json("GET", "/v1/runs")["runs"]] == ["other"]
    assert "is not shown: " in capfd.readouterr().err


@pytest.mark.parametrize("data", [b"", b"no bundle", b"\x28\xb5\x2f\xfd" + bytes(100)])
def test_file_that_is_no_bundle_is_said(runfmt, work, data):
    (work / "file").write_bytes(data)
    assert runfmt.error("view", "file", code=1).endswith("(file) [B001]")


def test_browser_is_opened_when_asked_for_and_nobody_sees_the_token(runfmt, work):
    """What a program is called with is seen by all users of a machine."""
    make_run(work / "runs")
    os.mkfifo(work / "opened")
    (work / "xdg-open").write_text(f'#!/bin/sh\necho "$1" > {work}/opened\n')
    (work / "xdg-open").chmod(0o755)
    runfmt.environment["PATH"] = f"{work}{os.pathsep}{os.environ['PATH']}"
    with viewed(runfmt, "--open") as address:
        called = (work / "opened").read_text().strip()
        assert address[2] not in called
        path = Path(called.removeprefix("file://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert f"{address[1]}/#token={address[2]}" in path.read_text()
    assert not path.exists()


def test_missing_extra_is_one_line(work):
    code = "import sys; sys.modules.update(dict.fromkeys(['starlette', 'uvicorn']))\n"
    code += "from runfmt_sync.cli import main; main(['view'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "runfmt: the viewer needs 'runfmt[view]': pip install 'runfmt[view]'\n",
    )
