"""Syncing whole runs to a directory."""

import os
import shutil
import threading

import pytest

from runfmt.errors import CommError
from runfmt_sync import extents, push
from runfmt_sync.receipts import Receipts
from runfmt_sync.remotes import open_remote
from runmaker import assert_same, contents, make_run, picture, read, rows, write


def moved(outcomes):
    return sum(o.extents for o in outcomes.values()), sum(o.size for o in outcomes.values())


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def test_sync_makes_both_sides_equal_and_gives_receipts(source, remote, sync):
    runs = [make_run(source, f"r{number}") for number in range(3)]
    outcomes = sync()
    assert {outcome.status for outcome in outcomes.values()} == {"synced"}
    assert_same(source, remote)
    receipts = Receipts(open_remote(str(remote)).store_id)
    for run in runs:
        receipt = receipts.get(read(run / "run.json")["uid"])
        assert {path: proof.size for path, proof in receipt.files.items()} == {
            path: len(data) for path, data in contents(run).items()
        }


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


def test_grown_stream_moves_only_what_is_new(source, remote, sync):
    run = make_run(source)
    sync()
    new = rows(21, 5)
    append(run / "metrics.jsonl", new + b'{"_step":26,"_ti')
    assert moved(sync()) == (1, len(new))
    assert_same(source, remote)
    assert not (remote / "first" / "metrics.jsonl").read_bytes().endswith(b"_ti")


def test_replaced_and_new_files_move_whole(source, remote, sync):
    run = make_run(source, state="running")
    sync()
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    append(run / "metrics.jsonl", picture(run, 21, 7))
    (run / "unknown.bin").write_bytes(b"from the future")
    assert moved(sync())[0] == 4
    assert_same(source, remote)


def test_second_sync_of_an_unsettled_remote_moves_nothing(source, remote, sync):
    make_run(source)
    sync()
    assert moved(sync()) == (0, 0)


def test_lost_state_costs_only_reading(source, remote, sync, state):
    make_run(source)
    sync()
    shutil.rmtree(state)
    assert moved(sync()) == (0, 0)


def test_remote_made_anew_is_asked_anew(source, remote, sync):
    make_run(source)
    sync()
    shutil.rmtree(remote)
    sync()
    assert_same(source, remote)


@pytest.mark.parametrize("path", ["metrics.jsonl", "files/requirements.txt", "summary.json"])
def test_file_lost_at_the_remote_comes_again(source, remote, sync, path):
    make_run(source)
    sync()
    (remote / "first" / path).unlink()
    assert moved(sync())[0] == 1
    assert_same(source, remote)


def test_verify_finds_rot_that_times_hide(source, remote, sync):
    make_run(source)
    sync()
    rotten = remote / "first" / "files" / "requirements.txt"
    os.utime(rotten, (1, 1))
    sync()
    with rotten.open("r+b") as file:
        file.write(b"T")
    os.utime(rotten, (1, 1))
    assert sync()["first"].status == "unchanged"
    assert sync(believe=False)["first"].extents == 1
    assert_same(source, remote)


def test_large_file_goes_on_where_its_pieces_stop(source, remote, sync, monkeypatch):
    monkeypatch.setattr(extents, "MAX_EXTENT", 1000)
    run = make_run(source)
    (run / "files" / "model.pt").write_bytes(os.urandom(10_500))
    original, taken = extents.Extent.__init__, []

    def dying(self, uid, path, offset, *rest):
        taken.append(offset)
        if path.endswith("model.pt") and offset == 5000:
            raise CommError("cable pulled")
        original(self, uid, path, offset, *rest)

    monkeypatch.setattr(extents.Extent, "__init__", dying)
    with pytest.raises(CommError):
        sync()
    monkeypatch.setattr(extents.Extent, "__init__", original)
    outcome = sync()["first"]
    assert outcome.size < 10_500
    assert_same(source, remote)
    assert [path.name for path in (remote / ".incoming").iterdir() if list(path.iterdir())] == []


def test_ahead_and_diverged_move_nothing_of_the_run_and_name_the_ways_out(source, remote, sync):
    ahead, diverged, good = (make_run(source, name) for name in ("ahead", "diverged", "good"))
    sync()
    append(remote / "ahead" / "metrics.jsonl", rows(21, 1))
    append(remote / "diverged" / "metrics.jsonl", rows(99, 1))
    append(diverged / "metrics.jsonl", rows(21, 2))
    for run in (ahead, diverged, good):
        write(run / "summary.json", {"loss": 0})
    before = contents(remote / "ahead"), contents(remote / "diverged")
    outcomes = sync()
    assert (contents(remote / "ahead"), contents(remote / "diverged")) == before
    assert outcomes["good"].status == "synced"
    text = "".join(outcomes["ahead"].problems)
    assert f"ahead by {len(rows(21, 1))} bytes" in text
    assert f"runfmt recover {ahead} --from REMOTE" in text
    assert "--new-uid" in text
    text = "".join(outcomes["diverged"].problems)
    assert "metrics.jsonl has diverged" in text
    assert f"runfmt recover {diverged} --new-uid" in text


def test_ahead_is_told_from_diverged_across_blocks(source, remote, sync):
    run = make_run(source)
    long = rows(21, 1, text="x" * 3_000_000)
    append(run / "metrics.jsonl", long * 3)
    sync()
    append(remote / "first" / "metrics.jsonl", long)
    assert "ahead" in sync()["first"].problems[0]
    with (remote / "first" / "metrics.jsonl").open("r+b") as file:
        file.seek(4_000_000)
        file.write(b"y")
    assert "diverged" in sync()["first"].problems[0]


@pytest.mark.parametrize(
    ("change", "rule"), [({"runfmt": 2}, "R011"), ({"requires": ["crypt"]}, "R012"), ({"uid": "x"}, "R010")]
)
def test_bad_run_is_reported_and_the_others_go_on(source, remote, sync, change, rule):
    make_run(source, "bad", **change)
    make_run(source, "good")
    outcomes = sync()
    assert (outcomes["bad"].status, outcomes["good"].status) == ("failed", "synced")
    assert f"[{rule}]" in outcomes["bad"].problems[0]
    assert not (remote / "bad").exists()


@pytest.mark.parametrize("change", [{"runfmt": 2}, {"requires": ["crypt"]}])
def test_remote_run_of_another_format_is_left_alone(source, remote, sync, change):
    run = make_run(source)
    sync()
    write(remote / "first" / "run.json", {**read(run / "run.json"), **change})
    append(run / "metrics.jsonl", rows(21, 1))
    before = contents_of_any(remote / "first")
    assert "upgrade" in sync()["first"].problems[0]
    assert contents_of_any(remote / "first") == before


def contents_of_any(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_damaged_run_names_recover(source, sync):
    run = make_run(source)
    (run / "run.json").write_text("{")
    assert f"`runfmt recover {run}`" in sync()["first"].problems[0]


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b"\xff\xfe\n\n\r\n\0\n", b"x" * 3_000_000], ids=len)
def test_any_bytes_may_be_a_stream(source, remote, sync, data):
    run = make_run(source)
    (run / "metrics.jsonl").write_bytes(data)
    assert sync()["first"].status == "synced"
    assert (remote / "first" / "metrics.jsonl").read_bytes() == data[: data.rfind(b"\n") + 1]


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


def test_link_at_the_remote_is_not_written_through(source, remote, sync, tmp_path):
    run = make_run(source)
    sync()
    shutil.rmtree(remote / "first" / "files")
    (tmp_path / "elsewhere").mkdir()
    (remote / "first" / "files").symlink_to(tmp_path / "elsewhere")
    append(run / "metrics.jsonl", rows(21, 1))
    assert "symbolic link" in sync()["first"].problems[0]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_id_that_another_run_has_gets_a_folder_of_its_own(source, remote, sync):
    for folder in ("a", "b"):
        make_run(source / folder, "same")
    sync()
    assert_same(source, remote)
    assert len(list(remote.glob("*/same"))) == 1
    assert moved(sync()) == (0, 0)


def test_id_that_differs_by_case_only_is_taken(source, remote, sync):
    make_run(source / "a", "Same")
    make_run(source / "b", "same")
    sync()
    assert len({path.name.lower() for path in remote.iterdir() if not path.name.startswith(".")}) == 2
    assert_same(source, remote)


def test_renamed_run_stays_where_it_is(source, remote, sync):
    run = make_run(source, "old")
    sync()
    run.rename(source / "new")
    write(source / "new" / "run.json", {**read(source / "new" / "run.json"), "id": "new"})
    sync()
    assert (remote / "old").exists()
    assert not (remote / "new").exists()


@pytest.mark.parametrize("bad", ["../../escape", "CON", ""])
def test_id_that_is_no_name_is_refused(source, remote, sync, tmp_path, bad):
    make_run(source, "fine", id=bad)
    assert "R013" in sync()["fine"].problems[0]
    assert not (tmp_path / "escape").exists()


def edit(run, pointer, value, time):
    path = run / "edits.json"
    before = read(path) if path.exists() else {}
    write(path, {**before, pointer: {"value": value, "time": time, "author": "a"}})


def test_edits_of_both_sides_are_merged_on_both(source, remote, sync):
    run = make_run(source)
    sync()
    edit(run, "/name", "ours", 1)
    edit(run, "/notes", "old", 1)
    edit(remote / "first", "/notes", "new", 2)
    edit(remote / "first", "/tags", ["theirs"], 1)
    assert sync()["first"].status == "synced"
    merged = read(run / "edits.json")
    assert {pointer: entry["value"] for pointer, entry in merged.items()} == {
        "/name": "ours",
        "/notes": "new",
        "/tags": ["theirs"],
    }
    assert_same(source, remote)
    assert moved(sync()) == (0, 0)


def test_edits_that_only_the_remote_has_come_here(source, remote, sync):
    run = make_run(source)
    sync()
    edit(remote / "first", "/name", "theirs", 1)
    sync()
    assert_same(source, remote)
    assert read(run / "edits.json")["/name"]["value"] == "theirs"


def test_edits_that_are_no_json_stop_only_their_run(source, remote, sync):
    make_run(source, "good")
    run = make_run(source, "bad")
    sync()
    (run / "edits.json").write_text("[")
    edit(remote / "bad", "/name", "x", 1)
    assert "edits.json" in sync()["bad"].problems[0]
    assert (run / "edits.json").read_text() == "["


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


def test_two_pushers_at_once_double_nothing(source, remote, sync):
    for number in range(20):
        make_run(source, f"r{number}")
    failures = []

    def work():
        outcomes = sync(jobs=3)
        failures.extend(o.problems for o in outcomes.values() if o.status == "failed")

    for _ in range(3):
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for run in source.iterdir():
            append(run / "metrics.jsonl", picture(run, 30, 1))
    sync()
    assert failures == []
    assert_same(source, remote)


def test_run_that_is_just_being_made_is_no_damaged_run(source, remote, sync):
    (source / "new").mkdir()
    (source / "new" / "metrics.jsonl").touch()
    assert sync() == {}
