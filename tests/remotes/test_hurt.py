"""What every mirror does when the world is unkind: away, full, restored, replaced, raced, watched, rotten."""

import os
import shutil
import subprocess
import sys
import threading

import pytest

from remotes.checks import append, assert_quiet, edit, moved, start
from remotes.kinds import Carried
from runfmt.errors import CommError
from runfmt.reading import find_runs
from runfmt_sync.push import Push
from runfmt_sync.receipts import Receipts
from runfmt_sync.verify import verify
from runmaker import OLD, assert_same, assert_true_prefix, make_run, picture, read, rows, runs_in, write


@pytest.mark.parametrize("how", ["absent", "full"])
def test_sync_to_a_hurt_mirror_says_so_and_the_next_finishes(source, kind, sync, how):
    run = make_run(source, "old", state="running")
    sync()
    append(run / "metrics.jsonl", picture(run, 21, 1) + rows(22, 5))
    make_run(source, "new")
    remote = kind.remote()
    Push(remote)  # it knows the store
    with kind.hurt(how):
        push = Push(remote)
        outcomes = push.run(list(find_runs(source)))
        assert push.fault is not None
        assert {outcome.status for outcome in outcomes} <= {"waiting", "unchanged"}
        with pytest.raises(CommError):
            sync()
    assert_true_prefix(source, kind.root)
    assert {outcome.status for outcome in sync().values()} == {"synced"}
    assert_quiet(source, kind, sync)


def test_full_mirror_makes_no_receipt_and_shows_no_new_run(source, kind, sync):
    kind.needs("folders")
    run = make_run(source, "old")
    sync()
    uid = read(run / "run.json")["uid"]
    digest = Receipts(kind.remote().store_id).digest(uid)
    append(run / "metrics.jsonl", rows(21, 5))
    make_run(source, "new")
    with kind.hurt("full"), pytest.raises(CommError, match="space"):
        sync()
    assert Receipts(kind.remote().store_id).digest(uid) == digest
    assert runs_in(kind.root).keys() == {uid}


@pytest.mark.parametrize("restarts", [True, False])
def test_mirror_restored_from_yesterdays_backup_is_repaired(source, kind, sync, restarts, tmp_path):
    run, other = make_run(source, "first", state="running"), make_run(source, "other")
    sync()
    shutil.copytree(kind.root, tmp_path / "backup", symlinks=True)
    append(run / "metrics.jsonl", picture(run, 21, 1) + rows(22, 9))
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    (other / "files" / "more").write_text("more")
    edit(run, "/name", "ours", 1)
    make_run(source, "today")
    sync()
    with kind.by_hand():
        for path in kind.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(tmp_path / "backup", kind.root, symlinks=True, dirs_exist_ok=True)
    if restarts:
        kind.restart()
    assert [(outcome.status, outcome.problems) for outcome in sync().values()] == [("synced", [])] * 3
    assert_quiet(source, kind, sync)


def test_copy_restored_from_yesterdays_backup_says_that_the_mirror_is_ahead(source, kind, sync):
    run = make_run(source)
    before = (run / "metrics.jsonl").read_bytes()
    append(run / "metrics.jsonl", rows(21, 1))
    sync()
    (run / "metrics.jsonl").write_bytes(before)
    assert f"ahead by {len(rows(21, 1))} bytes" in sync()["first"].problems[0]
    append(run / "metrics.jsonl", rows(50, 3))
    assert "diverged" in sync()["first"].problems[0]
    assert (kind.run("first") / "metrics.jsonl").read_bytes() == before + rows(21, 1)


def test_lost_state_costs_only_asking(source, kind, sync, state):
    make_run(source)
    sync()
    shutil.rmtree(state)
    assert moved(sync()) == (0, 0)
    assert_quiet(source, kind, sync)


def test_store_replaced_by_another_is_asked_anew(source, kind, sync):
    make_run(source)
    sync()
    before = kind.remote().store_id
    kind.close()
    kind.clear()
    kind.start()
    assert moved(sync())[0] > 0
    assert kind.remote().store_id != before
    assert_quiet(source, kind, sync)


def test_run_taken_away_or_moved_by_hand_comes_again_or_is_found(source, kind, sync):
    kind.needs("folders")
    make_run(source, "gone")
    make_run(source, "moved")
    sync()
    shutil.rmtree(kind.run("gone"))
    (kind.root / "archive").mkdir()
    kind.run("moved").rename(kind.root / "archive" / "moved")
    kind.restart()
    outcomes = sync()
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "gone": "synced",
        "moved": "synced" if "looking for runs" in kind.lacks else "unchanged",
    }
    assert_quiet(source, kind, sync)


@pytest.mark.parametrize("path", ["metrics.jsonl", "files/requirements.txt", "summary.json"])
def test_file_lost_at_the_mirror_comes_again(source, kind, sync, path):
    make_run(source)
    sync()
    with kind.by_hand():
        (kind.run("first") / path).unlink()
    assert moved(sync())[0] == 1
    assert_quiet(source, kind, sync)


def test_verify_finds_rot_that_times_hide_and_a_sync_that_believes_nothing_mends_files(source, kind, sync):
    run = make_run(source)
    sync()
    kind.settle()
    sync()
    assert [verdict.is_good for verdict in verify([run], kind.remote())] == [True]
    with kind.by_hand():
        rotten = kind.run("first") / "files" / "requirements.txt"
        with rotten.open("r+b") as file:
            file.write(b"T")
        os.utime(rotten, (OLD, OLD))
    [verdict] = verify([run], kind.remote())
    assert verdict.files["files/requirements.txt"] == "different"
    assert sync(believe=False)["first"].extents == 1
    assert [verdict.is_good for verdict in verify([run], kind.remote())] == [True]
    assert_quiet(source, kind, sync)


def test_two_pushers_at_once_double_nothing(source, kind, sync, state):
    for number in range(12):
        make_run(source, f"r{number}", state="running")
    (source / "r0" / "files" / "model.pt").write_bytes(os.urandom(9 * 2**20))
    for turn in range(3):
        pushers = [start(source, kind) for _ in range(2)]
        assert [pusher.wait(60) for pusher in pushers] == [0, 0]
        assert_true_prefix(source, kind.root)
        for run in source.iterdir():
            append(run / "metrics.jsonl", picture(run, 30 + turn, turn) + rows(40 + turn, 1))
            write(run / "summary.json", {"turn": turn})
    sync()
    assert_quiet(source, kind, sync)
    channels = [*state.glob("channels/*")]
    # Of two, one may find that the other has brought everything, and need none.
    assert len(channels) >= 4 if isinstance(kind, Carried) else channels == []


def test_pushers_of_two_copies_with_edits_of_their_own_end_equal(source, kind, sync, tmp_path):
    run = make_run(source)
    shutil.copytree(source, tmp_path / "copy")
    edit(run, "/name", "ours", 1)
    edit(tmp_path / "copy" / "first", "/notes", "theirs", 1)
    for folder in (source, tmp_path / "copy", source):
        assert start(folder, kind).wait(60) == 0
    assert_same(source, tmp_path / "copy")
    assert_quiet(source, kind, sync)


WRITER = """
import sys, runfmt
with runfmt.init(dir=sys.argv[1], project="live", console="off") as run:
    for step in range(int(sys.argv[2])):
        run.log({"loss": 1 / (step + 1), "page": runfmt.Html(f"<p>{step}</p>")})
        if step % 100 == 0:
            run.config.update({"step": step}, allow_val_change=True)
"""


def test_live_run_is_a_true_prefix_at_every_moment(source, kind, sync):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, source, "1200"], stderr=subprocess.DEVNULL)
    looks, wrong, stop = 0, [], threading.Event()

    def watch():
        nonlocal looks
        while not stop.is_set() and not wrong:
            try:
                if kind.root.exists() and runs_in(kind.root):
                    assert_true_prefix(source, kind.root)
                    looks += 1
            except BaseException as error:
                wrong.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        syncs, problems = 0, []
        while writer.poll() is None:
            problems += [problem for outcome in sync().values() for problem in outcome.problems]
            syncs += 1
    finally:
        writer.kill()
        stop.set()
        watcher.join()
    if wrong:
        raise wrong[0]
    assert problems == []
    assert writer.returncode == 0
    sync()
    print(f"{looks} looks during {syncs} syncs")
    assert min(looks, syncs) > 0
    assert_quiet(source, kind, sync)
