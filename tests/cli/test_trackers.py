"""`runfmt sync` to a tracker, as a person and a script meet it; with one that a package brings."""

import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from runmaker import make_run, read, rows, write

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def tb(work):
    return f"tensorboard:{work / 'tb'}"


def test_sync_says_a_line_a_run_and_counts_rows(runfmt, runs, tb):
    make_run(runs)
    assert runfmt("sync", "--remote", "tensorboard:tb").stdout.splitlines() == [
        "first: 21 rows and what belongs to them sent",
        f"1 synced: 21 rows sent to {tb}",
    ]
    assert runfmt("sync", "--remote", tb).stdout == f"1 unchanged: 0 rows sent to {tb}\n"


def test_what_a_tracker_cannot_express_is_a_note(runfmt, runs, tb):
    run = make_run(runs)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(rows(21, 3, many=[1, 2]))
    assert "  note: 3 lists and empty objects\n" in runfmt("sync", "--remote", tb).stdout


def test_machines_are_told_rows_and_notes(runfmt, runs, tb):
    make_run(runs)
    said = runfmt.json("sync", "--remote", tb)
    assert said["remote"] == tb
    [run] = said["runs"]
    assert (run["id"], run["status"], run["rows"], run["problems"]) == ("first", "synced", 21, [])


def test_dry_run_says_what_is_new_and_writes_nothing(runfmt, runs, work, tb):
    make_run(runs)
    assert runfmt("sync", "--remote", tb, "--dry-run").stdout.endswith(f"in 8 files to send to {tb}\n")
    assert not (work / "tb").exists()
    runfmt("sync", "--remote", tb)
    assert (
        runfmt("sync", "--remote", tb, "--dry-run").stdout == f"1 planned: 0 B in 0 files to send to {tb}\n"
    )


def test_keys_and_every_choose_rows(runfmt, runs, tb):
    make_run(runs)
    said = runfmt.json("sync", "--remote", tb, "--keys", "lo*", "--every", "10")
    assert [run["rows"] for run in said["runs"]] == [3]


def test_named_tracker_is_synced_to(runfmt, runs, work):
    make_run(runs)
    runfmt("remote", "add", "board", f"tensorboard:{work}/tb")
    assert runfmt("sync").stdout.startswith("first: 21 rows")


@pytest.mark.parametrize("options", [["--keys", "loss"], ["--every", "2"]])
def test_rows_of_a_mirror_are_not_chosen(runfmt, runs, stick, options):
    make_run(runs)
    text = runfmt.error("sync", *options)
    assert text == f"--keys and --every are for trackers; {stick} takes runs as they are"
    assert not stick.exists()


def test_tracker_is_not_verified(runfmt, runs, work, tb):
    make_run(runs)
    text = runfmt.error("sync", "--remote", tb, "--verify")
    assert text == f"{tb} is a tracker, which gives no bytes back: nothing can be verified"
    assert not (work / "tb").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["pull", "{tb}"],
        ["verify", "--remote", "{tb}"],
        ["verify", "--against", "{tb}"],
        ["recover", "runs", "--from", "{tb}"],
        ["sync", "x.runfmt", "--remote", "{tb}"],
    ],
)
def test_what_needs_bytes_says_that_a_tracker_gives_none(runfmt, runs, tb, words):
    make_run(runs)
    text = runfmt.error(*(word.format(tb=tb) for word in words))
    assert text == f"{tb} is a tracker: `runfmt sync` brings runs there, and nothing brings them back"


@pytest.mark.parametrize(
    ("remote", "code", "text"),
    [
        ("nobody://x", 2, "no remote for nobody: is installed (there is: a folder, "),
        ("tensorboard:gone/tb", 3, "there is no folder {work}/gone for {work}/gone/tb: mount it, or make it"),
        ("tensorboard:a-file", 3, "{work}/a-file is a file: name a folder"),
    ],
)
def test_tracker_that_is_none_is_told(runfmt, runs, work, remote, code, text):
    (work / "a-file").touch()
    make_run(runs)
    assert text.format(work=work) in runfmt.error("sync", "--remote", remote, code=code)


def test_folder_that_was_removed_gets_everything_again(runfmt, runs, work, tb):
    make_run(runs)
    runfmt("sync", "--remote", tb)
    shutil.rmtree(work / "tb")
    done = runfmt("sync", "--remote", tb)
    assert done.stdout.startswith("first: 21 rows")
    assert "is not the store that it was last time" in done.stderr


@pytest.fixture
def plugin(runfmt, work):
    """The tracker of the examples as an installed package brings it."""
    site = work.parent / "site"
    about = site / "sqlite_tracker-1.dist-info"
    about.mkdir(parents=True)
    shutil.copy(PROJECT / "examples" / "tracker.py", site)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sqlite-tracker\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[runfmt.remotes]\nsqlite = tracker:Database\n")
    runfmt.environment["PYTHONPATH"] = str(site)
    return work / "runs.db"


def ask(path, question):
    database = sqlite3.connect(path, timeout=60)
    try:
        return database.execute(question).fetchall()
    finally:
        database.close()


def test_tracker_of_a_package_is_found_by_its_scheme(runfmt, runs, work, plugin):
    make_run(runs)

    def sync(*words):
        out, err = (
            process := runfmt.start("sync", "runs", "--remote", "sqlite:runs.db", *words)
        ).communicate()
        assert (process.returncode, err) == (0, "")
        return out.splitlines()

    url = f"sqlite:{plugin}"
    assert sync("--dry-run")[-1].endswith(f"in 8 files to send to {url}")
    assert not plugin.exists()
    assert sync() == ["first: 21 rows and what belongs to them sent", f"1 synced: 21 rows sent to {url}"]
    assert sync() == [f"1 unchanged: 0 rows sent to {url}"]
    assert sync("--dry-run") == [f"1 planned: 0 B in 0 files to send to {url}"]
    assert ask(plugin, "select count(*) from points where name = 'loss'") == [(21,)]


def test_tracker_of_a_package_is_watched_for(runfmt, runs, plugin):
    run = make_run(runs, state="running")
    (run / "system.jsonl").write_bytes(b'{"_timestamp":99999999999,"cpu":1}\n')  # alive
    watch = ["sync", "runs", "--remote", "sqlite:runs.db", "--watch", "--interval", "0.1"]
    process = runfmt.start(*watch)
    assert "first: " in process.stdout.readline()
    assert ask(plugin, "select state from runs") == [("running",)]
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(rows(21, 5))
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    while ask(plugin, "select state from runs") != [("finished",)]:
        assert process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    assert ask(plugin, "select count(*) from points where name = 'loss'") == [(26,)]


def test_page_shows_the_example_as_it_is():
    page = (PROJECT / "docs" / "trackers.md").read_text()
    assert f"```python tracker.py\n{(PROJECT / 'examples' / 'tracker.py').read_text()}```\n" in page
