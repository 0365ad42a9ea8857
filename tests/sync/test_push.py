"""How a sync goes about it; what every mirror does is in the contract (tests/remotes)."""

import os
import shutil

import pytest

from runfmt.reading import find_runs
from runfmt_sync import push
from runfmt_sync.push import Push
from runfmt_sync.receipts import is_another_store
from runfmt_sync.recover import recover
from runfmt_sync.remotes import open_remote
from runmaker import assert_same, contents, make_run, read, rows, write


def moved(outcomes):
    return sum(o.extents for o in outcomes.values()), sum(o.size for o in outcomes.values())


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def test_second_sync_moves_nothing_and_opens_no_file(source, remote, sync, monkeypatch):
    make_run(source)
    sync()
    for path in remote.rglob("*"):
        os.utime(path, (1, 1))
    sync()
    opened = []
    monkeypatch.setattr(
        push.take_inventory.__globals__["_Look"], "open", lambda self, path: opened.append(path)
    )
    outcomes = sync()
    assert outcomes["first"].status == "unchanged"
    assert (moved(outcomes), opened) == ((0, 0), [])


def test_second_sync_of_an_unsettled_remote_moves_nothing(source, remote, sync):
    make_run(source)
    sync()
    assert moved(sync()) == (0, 0)


def test_damaged_run_names_recover(source, sync):
    run = make_run(source)
    (run / "run.json").write_text("{")
    assert f"`runfmt recover {run}`" in sync()["first"].problems[0]


def test_links_and_private_names_stay_and_odd_names_are_reported(source, remote, sync):
    run = make_run(source)
    (run / "files" / "link").symlink_to("/etc/passwd")
    (run / "metrics.rank1.jsonl").symlink_to("metrics.jsonl")
    (run / ".lock").touch()
    (run / "files" / ".cache").mkdir()
    (run / "files" / ".cache" / "x").touch()
    (run / "files" / "a\\b").touch()
    (run / "files" / os.fsdecode(b"\xff")).touch()
    notes = sync()["first"].notes
    assert sorted(note[-5:-1] for note in notes) == ["R006", "R006", "R007", "R007"]
    assert sorted(os.listdir(remote / "first" / "files")) == ["requirements.txt"]
    assert not (remote / "first" / "metrics.rank1.jsonl").exists()


def test_copies_of_a_run_go_one_after_the_other(source, remote, sync):
    run = make_run(source, "first")
    shutil.copytree(run, source / "copy")
    append(source / "copy" / "metrics.jsonl", rows(21, 2))
    outcomes = sync()
    assert outcomes["copy"].status == "synced"
    assert "ahead" in outcomes["first"].problems[0]


def test_file_that_never_stands_still_is_left_out(source, remote, sync, monkeypatch):
    run = make_run(source)
    busy = run / "files" / "busy.bin"
    busy.write_bytes(b"0")
    original = push.take_inventory

    def restless(*args, **options):
        found = original(*args, **options)
        write(busy, str(os.urandom(4)))
        return found

    monkeypatch.setattr(push, "take_inventory", restless)
    outcome = sync()["first"]
    assert outcome.status == "failed"
    assert "files/busy.bin changes while it is read" in outcome.problems[0]
    assert (remote / "first" / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()


def test_dry_run_says_and_moves_nothing(source, remote, sync):
    run = make_run(source)
    outcome = sync(dry_run=True)["first"]
    assert (outcome.status, outcome.size) == ("planned", sum(map(len, contents(run).values())))
    assert not (remote / "first").exists()


def test_run_that_is_just_being_made_is_no_damaged_run(source, remote, sync):
    (source / "new").mkdir()
    (source / "new" / "metrics.jsonl").touch()
    assert sync() == {}


def test_document_that_nobody_can_read_never_replaces_a_good_one(sync, source, remote):
    run = make_run(source)
    sync()
    for name in ("config.json", "summary.json"):
        (run / name).write_bytes(b'{"lr": ')
    make_run(source, "second")
    outcomes = sync()
    assert (outcomes["first"].status, outcomes["second"].status) == ("failed", "synced")
    named = [problem.split(":")[0] for problem in outcomes["first"].problems]
    assert named == ["config.json", "summary.json"]
    assert read(remote / "first" / "config.json") == {"lr": 0.1}
    restored = recover(run, remote=open_remote(str(remote)))
    assert restored[:2] == ["config.json restored", "summary.json restored"]
    assert sync()["first"].problems == []
    assert_same(source, remote)


def test_document_that_nobody_can_read_is_put_aside_where_it_can_be_mended(sync, source, remote):
    run = make_run(source)
    (run / "config.json").write_bytes(b'{"lr": 0.1')
    assert sync()["first"].status == "failed"
    assert recover(run)[0].startswith("config.json: could not be read")
    assert (run / ".config.json.damaged").read_bytes() == b'{"lr": 0.1'
    assert sync()["first"].status in ("synced", "unchanged")
    assert_same(source, remote)


def test_remote_among_the_runs_is_not_read_as_runs(sync, source, monkeypatch):
    make_run(source)
    push = Push(open_remote(str(source / "backup")))
    push.run(list(find_runs(source)))
    assert [path.name for path in find_runs(source)] == ["first"]
    assert [path.name for path in find_runs(source / "backup")] == ["first"]


def test_link_to_a_run_is_left_out_aloud(source, tmp_path):
    run = make_run(tmp_path / "scratch")
    (source / "first").symlink_to(run)
    with pytest.warns(RuntimeWarning, match="symbolic link to a run"):
        assert list(find_runs(source)) == []
    assert list(find_runs(source / "first")) == [source / "first"]


def test_junk_that_a_remote_has_is_told_when_it_is_restored(sync, source, remote):
    run = make_run(source)
    sync()
    append(remote / "first" / "metrics.jsonl", b"junk\n" + rows(50, 1))
    told = recover(run, remote=open_remote(str(remote)))
    assert "of which 1 lines cannot be read" in told[0]


def test_one_relative_path_is_two_stores_in_two_folders(source, tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert not is_another_store("./stick", name)
    assert is_another_store("./stick", "c")
