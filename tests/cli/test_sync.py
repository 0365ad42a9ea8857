"""`runfmt sync` as a person, a script and a terminal meet it."""

import os
import re
import signal

import pytest

from runmaker import assert_same, contents, make_run, read, rows, runs_in, write


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def test_sync_says_a_line_a_run_and_what_was_proved(runfmt, runs, stick):
    run = make_run(runs)
    size = f"{sum(map(len, contents(run).values())) / 1000:.1f} kB"
    assert runfmt("sync").stdout.splitlines() == [
        f"first: {size} sent, {size} in 8 files proved",
        f"1 synced: 8 extents, {size} sent; 8 files, {size} proved by SHA-256 at {stick}",
    ]
    assert_same(runs, stick)


def test_second_sync_is_one_line(runfmt, runs, stick):
    make_run(runs)
    runfmt("sync")
    [line] = runfmt("sync").stdout.splitlines()
    assert line.startswith("1 unchanged: 0 extents, 0 B sent; 8 files, ")


def test_sync_without_a_remote_says_the_line_that_adds_one(runfmt, runs):
    text = runfmt.error("sync")
    command = re.search("`runfmt (remote add .*)`", text)[1]
    runfmt(*command.split())
    assert "/mnt/stick" in runfmt("remote", "list").stdout


@pytest.mark.parametrize(
    ("remote", "code", "text"),
    [
        ("unknown", 2, "there is no remote unknown, and no such folder: `runfmt remote add"),
        ("gone/stick", 3, "there is no folder gone for the remote gone/stick: mount it, or make it"),
        ("x://host/y", 2, "no remote for x: is installed (there is: a folder, "),
        ("file://other/x", 2, "names another host (other): write file:///path"),
        ("a-file", 3, "the remote a-file is a file: name a folder"),
    ],
)  # fmt: skip
def test_remote_that_is_none_is_told(runfmt, runs, work, remote, code, text):
    (work / "a-file").touch()
    make_run(runs)
    assert text in runfmt.error("sync", "--remote", remote, code=code)


@pytest.mark.parametrize("remote", ["stick", "./other", "{work}/third", "file://{work}/fourth%20place"])
def test_remote_is_a_name_a_folder_or_a_url(runfmt, runs, work, stick, remote):
    make_run(runs)
    runfmt("sync", "--remote", remote.format(work=work))
    [made] = {path.parent.parent for path in work.glob("*/*/run.json")} - {runs}
    assert_same(runs, made)


def test_paths_are_runs_or_folders_each_once(runfmt, runs, work, stick):
    for name in ("a", "b"):
        make_run(runs, name)
    make_run(work / "nested" / "deeper", "c")
    runfmt("sync", "runs/a", "runs", "nested", runs / "a")
    assert {path.name for path in runs_in(stick).values()} == {"a", "b", "c"}
    assert runfmt("sync", "runs/a").stdout.startswith("1 unchanged")


def test_path_that_is_not_there_is_called_wrongly(runfmt, runs, stick):
    make_run(runs)
    for path in ("nowhere", "runs/first/run.json"):
        assert runfmt.error("sync", path) == f"there is no folder {path}: name runs, or folders of runs"
    assert not stick.exists()


@pytest.mark.parametrize("path", ["runs", "runs/first"])
def test_runs_of_the_remote_itself_are_called_wrongly(runfmt, runs, path):
    make_run(runs)
    assert "name the folder of your own runs" in runfmt.error("sync", path, "--remote", "runs")
    assert [path.name for path in runs.iterdir()] == ["first"]


def test_remote_inside_the_folder_of_runs_is_left_out(runfmt, runs, work):
    make_run(runs)
    for _ in range(2):
        runfmt("sync", ".", "--remote", "./stick")
    assert_same(runs, work / "stick")


@pytest.mark.parametrize("command", ["sync", "verify", "ls", "validate"])
def test_no_runs_are_told(runfmt, runs, stick, command):
    assert runfmt(command).stdout == "no runs in runs\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--project", "p"], {"a1", "a2"}),
        (["--include", "a*"], {"a1", "a2"}),
        (["--include", "*1", "--include", "b2"], {"a1", "b1", "b2"}),
        (["--exclude", "*2"], {"a1", "b1"}),
        (["--include", "a*", "--exclude", "*2"], {"a1"}),
        (["--include", "group/*"], {"b1", "b2"}),
        (["--project", "q", "--exclude", "b1"], {"b2"}),
        (["--project", "none"], set()),
    ],
)
def test_options_choose_runs(runfmt, runs, stick, options, expected):
    for name in ("a1", "a2"):
        make_run(runs, name)
    for name in ("b1", "b2"):
        make_run(runs / "group", name, project="q")
    assert {run["id"] for run in runfmt.json("sync", *options)["runs"]} == expected
    assert {path.name for path in runs_in(stick).values()} == expected


def test_dry_run_says_what_would_move_and_makes_nothing(runfmt, runs, stick):
    run = make_run(runs)
    size = f"{sum(map(len, contents(run).values())) / 1000:.1f} kB"
    assert runfmt("sync", "--dry-run").stdout.splitlines() == [
        f"first: {size} in 8 files to send",
        f"1 planned: {size} in 8 files to send to {stick}",
    ]
    assert not stick.exists()
    runfmt("sync")
    append(run / "metrics.jsonl", rows(21, 1))
    [planned] = runfmt.json("sync", "--dry-run")["runs"]
    assert (planned["extents"], planned["size"]) == (1, len(rows(21, 1)))
    assert (stick / "first" / "metrics.jsonl").stat().st_size + planned["size"] == (
        run / "metrics.jsonl"
    ).stat().st_size


def test_json_has_remote_fault_and_all_of_each_run(runfmt, runs, stick):
    run = make_run(runs)
    (run / "files" / "link").symlink_to("x")
    (run / "files" / os.fsdecode(b"\xff")).touch()
    found = runfmt.json("sync")
    assert found["remote"] == str(stick)
    assert found["store"] == read(stick / ".runfmt" / "store.json")["id"]
    assert found["fault"] is None
    [outcome] = found["runs"]
    size = sum(map(len, contents(run).values()))
    notes = outcome.pop("notes")
    assert outcome == {
        "folder": "runs/first", "id": "first", "uid": read(run / "run.json")["uid"], "status": "synced",
        "extents": 8, "size": size, "files": 8, "proved": size, "rows": None, "problems": [],
    }  # fmt: skip
    assert [note[-6:] for note in notes] == ["[R006]", "[R007]"]


def test_names_that_are_no_text_are_printed(runfmt, runs, stick):
    run = make_run(runs)
    (run / "files" / os.fsdecode(b"\xff")).touch()
    process = runfmt.start("sync")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "  note: files/\ufffd: " in out


def test_bad_run_fails_and_the_others_go_on(runfmt, runs, stick):
    make_run(runs, "good")
    make_run(runs, "future", requires=["crypt"])
    damaged = make_run(runs, "damaged")
    (damaged / "run.json").write_text("{")
    out = runfmt("sync", code=1).stdout
    assert "upgrade runfmt" in out
    assert "`runfmt recover runs/damaged`" in out
    assert "1 synced, 2 failed" in out
    assert {path.name for path in runs_in(stick).values()} == {"good"}


@pytest.mark.parametrize("jobs", ["1", "3", "64"])
def test_jobs_bring_the_same(runfmt, runs, stick, jobs):
    for number in range(7):
        make_run(runs, f"r{number}")
    runfmt("sync", "--jobs", jobs)
    assert_same(runs, stick)


@pytest.mark.parametrize("words", [["--jobs", "0"], ["--jobs", "many"], ["--no-such"], ["--remote"]])
def test_wrong_options_are_called_wrongly(runfmt, runs, words):
    assert "Error: " in runfmt("sync", *words, code=2).stderr


def test_verify_option_reads_every_byte(runfmt, runs, stick):
    make_run(runs)
    runfmt("sync")
    rotten = stick / "first" / "files" / "requirements.txt"
    os.utime(rotten, (1, 1))
    runfmt("sync")
    rotten.write_bytes(b"Torch\n")
    os.utime(rotten, (1, 1))
    assert runfmt("sync").stdout.startswith("1 unchanged")
    assert runfmt("sync", "--verify").stdout.startswith("first: ")
    assert_same(runs, stick)


def test_another_store_behind_the_same_path_is_told(runfmt, runs, stick, work):
    make_run(runs)
    runfmt("sync")
    stick.rename(work / "first-stick")
    done = runfmt("sync")
    assert done.stderr == f"{stick} is not the store that it was last time: it is asked anew\n"
    assert_same(runs, stick)


def test_script_gets_lines_and_a_terminal_a_bar(runfmt, runs, stick):
    run = make_run(runs)
    (run / "files" / "model.pt").write_bytes(os.urandom(20 * 2**20))
    code, sent = runfmt.on_terminal("sync")
    assert code == 0
    assert re.search(r"sync.*━.*21\.0 MB", sent.replace("\r", "\n")), sent
    assert "first: 21.0 MB sent" in sent
    write(run / "summary.json", {})
    process = runfmt.start("sync")
    out, err = process.communicate(timeout=60)
    assert ("━" in out, "\x1b" in out, err) == (False, False, "")
    assert len(out.splitlines()) == 2


def test_terminal_and_json_give_json_alone(runfmt, runs, stick):
    make_run(runs)
    code, sent = runfmt.on_terminal("sync", "--json")
    assert (code, sent[0], "\x1b" in sent) == (0, "{", False)


def test_interrupted_sync_says_so_and_is_finished_by_the_next(runfmt, runs, stick):
    run = make_run(runs)
    (run / "files" / "model.pt").write_bytes(os.urandom(50 * 2**20))
    process = runfmt.start("sync")
    parts = (stick / ".incoming").glob
    # Until a piece is whole.
    while sum(part.stat().st_size for part in parts("*.parts/*")) <= 2**23 and process.poll() is None:
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "runfmt: interrupted: what is done stays, call it again for the rest\n"
    assert not (stick / "first").exists()
    [outcome] = runfmt.json("sync")["runs"]
    assert outcome["size"] < 50 * 2**20
    assert_same(runs, stick)


def test_error_shows_where_it_comes_from_only_when_asked(runfmt, runs):
    assert "resolve" in runfmt("-v", "sync", code=2).stderr
    assert "no remote is known" in runfmt("-v", "sync", code=2).stderr


def test_reader_that_has_enough_is_no_error(runfmt, runs):
    make_run(runs, count=100_000)
    process = runfmt.start("show", "--raw", "runs/first")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(60)
