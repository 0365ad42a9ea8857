"""What is large is shown at a cost that is small: counted in calls, bytes and rows, never in seconds."""

import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from runfmt_sync.server import reading
from runmaker import make_run, picture, read, rows
from viewing import showing

RUNS = 1000


def uid_of(run):
    return read(run / "run.json")["uid"]


@pytest.fixture
def counted(monkeypatch):
    """Counts the calls of the operating system that tell or read files, as far as Python makes them."""
    counts = Counter()

    def count(name):
        true = getattr(os, name)

        def counting(*arguments, **options):
            counts[name] += 1
            return true(*arguments, **options)

        monkeypatch.setattr(os, name, counting)

    for name in ("stat", "lstat", "scandir", "listdir"):
        count(name)
    OPENED.append(counts)
    yield counts
    OPENED.remove(counts)


OPENED: list[Counter] = []
"""Who counts what is opened."""


def _opened(event, _):
    if event == "open":
        for counts in OPENED:
            counts[event] += 1


sys.addaudithook(_opened)


def test_pulse_of_a_thousand_runs_opens_nothing(runs, counted):
    folders = [make_run(runs, f"r{number}") for number in range(RUNS)]
    for folder in folders:
        os.utime(folder, (1e9, 1e9))  # as old as its files
    uids = [uid_of(folder) for folder in folders]
    with showing(runs) as client:
        ask = lambda: client.json("POST", "/v1/pulse", json={"uids": uids})  # noqa: E731
        first = ask()
        assert len(first["runs"]) == RUNS
        counted.clear()
        assert ask() == first
        assert counted["open"] == 0
        assert counted["listdir"] == 0
        at_the_top = len([*folders[0].iterdir()])
        assert counted["lstat"] + counted["stat"] <= RUNS * (at_the_top + 5)
        assert counted["scandir"] <= 2

        with open(folders[7] / "metrics.jsonl", "ab") as stream:
            stream.write(rows(21, 1))
        counted.clear()
        marks = ask()["runs"]
        assert [uid for uid in uids if marks[uid] != first["runs"][uid]] == [uids[7]]
        assert counted["open"] == 0


def test_run_that_lives_is_not_opened_for_its_state(runs, counted):
    """Only when its newest line that is known is old."""
    import time

    run = make_run(runs, state="running")
    now = time.time()
    with open(run / "system.jsonl", "ab") as stream:
        stream.write(json.dumps({"_timestamp": now}).encode() + b"\n")
    with showing(runs) as client:
        ask = lambda: client.json("POST", "/v1/pulse", json={"uids": [uid_of(run)]})  # noqa: E731
        ask()
        uid = uid_of(run)
        counted.clear()
        for step in range(21, 26):
            with open(run / "metrics.jsonl", "ab") as stream:
                stream.write(rows(step, 1))
            client.json("POST", "/v1/pulse", json={"uids": [uid]})
        assert counted["open"] == 5  # those of this test


def test_list_of_runs_that_stand_opens_no_run(runs, counted):
    for number in range(50):
        make_run(runs, f"r{number}")
    with showing(runs) as client:
        client.json("GET", "/v1/runs")
        counted.clear()
        assert len(client.json("GET", "/v1/runs")["runs"]) == 50
        assert counted["open"] == 0


def test_run_of_fifty_thousand_keys_is_shown(runs):
    run = make_run(runs, count=0)
    with open(run / "metrics.jsonl", "ab") as stream:
        for step in (1, 2):
            row = {"_step": step, "_timestamp": 1.0, **{f"layer{key}/norm": key / 7 for key in range(50_000)}}
            stream.write(json.dumps(row).encode() + b"\n")
    with showing(runs) as client:
        uid = uid_of(run)
        said = client.json("POST", "/v1/keys", json={"uids": [uid]})
        assert (len(said["keys"]), said["left"]) == (20_000, 30_002)
        wanted = [{"uid": uid, "key": f"layer{key}/norm"} for key in range(0, 50_000, 25)]
        found = client.json("POST", "/v1/curves", json={"curves": wanted})["curves"]
        assert len(found) == 2_000
        assert all(curve["x"] == [1.0, 2.0] for curve in found)


def test_run_of_five_thousand_pictures_is_shown(runs):
    run = make_run(runs, count=0)
    with open(run / "metrics.jsonl", "ab") as stream:
        for step in range(1, 5_001):
            stream.write(picture(run, step, step))
    with showing(runs) as client:
        uid = uid_of(run)
        said = client.json("POST", "/v1/objects", json={"uids": [uid], "key": "x", "step": 2_500})
        value = said["runs"][uid]
        assert (len(value["steps"]), value["step"]) == (5_001, 2_500)
        assert client("GET", f"/v1/runs/{uid}/files/{value['value']['path']}").content
        about = client.json("GET", f"/v1/runs/{uid}/about")
        assert (len(about["files"]), about["files_left"]) == (5_000, 5_001 + 7 - 5_000)


def test_console_of_a_gigabyte_is_read_where_it_is_asked_for(runs, counted):
    run = make_run(runs)
    with open(run / "console.log", "wb") as stream:
        stream.truncate(2**30)  # a hole
        stream.seek(2**30)
        stream.write(b"the end\n")
    with showing(runs) as client:
        uid = uid_of(run)
        about = client.json("GET", f"/v1/runs/{uid}/about")
        assert {"path": "console.log", "size": 2**30 + 8} in about["files"]
        before = _bytes_read()
        answer = client("GET", f"/v1/runs/{uid}/files/console.log", status=206, headers={"Range": "bytes=-8"})
        assert answer.content == b"the end\n"
        assert _bytes_read() - before < 2**20


def _bytes_read():
    with open("/proc/self/io") as said:
        return int(re.search(r"rchar: (\d+)", said.read())[1])


PROGRAM = """
import json, re, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from runfmt_sync.server import reading
from viewing import showing
from runmaker import read
runs = Path(sys.argv[2])
with showing(runs) as client:
    uid = read(runs / "first" / "run.json")["uid"]
    curve = {"uid": uid, "key": "loss"}
    said = {"pending": True}
    while "pending" in said:  # it is read in the background
        said = client.json("POST", "/v1/curves", json={"curves": [curve], "points": 100})["curves"][0]
    client.json("GET", f"/v1/runs/{uid}/about")
    # What getrusage says may be of the process that started this one.
    most = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]
    print(said["count"], len(said["x"]), most)
"""


@pytest.fixture
def memory_of(tmp_path):
    """The most memory, in MiB, that showing runs needs in a process of its own."""

    def measure(runs):
        command = [sys.executable, "-c", PROGRAM, os.path.dirname(os.path.dirname(__file__)), runs]
        count, shown, size = map(
            int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        )
        return count, shown, size / 1024

    return measure


def test_long_run_is_shown_without_holding_its_rows(runs, tmp_path, memory_of):
    """Half a million rows of ten metrics are 100 MB on disk, and more than 500 MB as rows in memory."""
    make_run(tmp_path / "small")
    base = memory_of(tmp_path / "small")[2]
    run = make_run(runs, count=0)
    more = "".join(f',"m{key}":0.12345678' for key in range(9))
    with open(run / "metrics.jsonl", "a") as stream:
        for first in range(1, 500_001, 10_000):
            stream.write(
                "".join(
                    f'{{"_step":{step},"_timestamp":{1732417554 + step},"loss":{1 / step}{more}}}\n'
                    for step in range(first, first + 10_000)
                )
            )
    count, shown, size = memory_of(runs)
    assert (count, shown) == (500_001, 100)
    print(size, base)
    assert size - base < 150


def test_list_that_takes_long_comes_in_pieces(runs, monkeypatch):  # H041
    """So that a page shows the first runs while others are still read."""
    uids = sorted(uid_of(make_run(runs, f"r{number}", count=1)) for number in range(250))
    monkeypatch.setattr(reading, "PATIENCE", -1.0)
    with showing(runs) as client:
        after, pages = "", []
        while after is not None:
            said = client.json("GET", f"/v1/runs?after={after}")
            after = said["next"]
            pages.append([row["uid"] for row in said["runs"]])
    assert [len(page) for page in pages] == [100, 100, 50]
    assert [uid for page in pages for uid in page] == uids
