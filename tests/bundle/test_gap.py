"""Runs carried in files: with a way back (receipts) and without (channels), in any order, with losses."""

import os
import random
import resource
import shutil

import pytest

from forging import orders, statuses, tree
from runfmt.errors import CommError, FormatError, UsageError
from runfmt_sync import bundle
from runfmt_sync.channels import Outbox
from runfmt_sync.extents import Extent
from runfmt_sync.places import open_receipt
from runfmt_sync.remotes import open_remote
from runfmt_sync.sneakernet import parse_size, write_bundle
from runfmt_sync.unbundle import unbundle
from runfmt_sync.verify import verify
from runmaker import (
    assert_same,
    assert_true_prefix,
    contents,
    make_run,
    picture,
    read,
    rows,
    runs_in,
    settle,
    write,
)
from serving import serving

MB = 2**20


def grow(run, seed, *, state="running"):
    """A run goes on: a picture, rows, documents."""
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(picture(run, 100 * seed, seed) + rows(100 * seed + 1, 5))
    write(run / "summary.json", {"seed": seed})
    write(run / "run.json", {**read(run / "run.json"), "state": state})


def heavy(run, seed, size=700_000):
    """A file that no compression makes smaller."""
    (run / "files" / f"heavy{seed}.bin").write_bytes(random.Random(seed).randbytes(size))


def story(gap, numbers=4, **options):
    """Several bundles of runs that go on and of new ones; gives their files."""
    files = []
    for number in range(numbers):
        for run in [*gap.source.iterdir()]:
            grow(run, number, state="finished" if number == numbers - 1 else "running")
        heavy(make_run(gap.source, f"run{number}", state="running"), number)
        heavy(gap.source / "run0", 10 + number)
        files += gap.bundle(**options).paths
    return files


def test_everything_arrives_in_any_order_of_files(gap, source, far):
    files = story(gap, max_size=MB)
    assert len(files) > 5
    for order in orders(files, random.Random(1), 6):
        shutil.rmtree(far, ignore_errors=True)
        done = gap.unbundle(order)
        assert done.is_good, (done.missing, [a.problems for a in done.arrivals])
        assert_same(source, far)
        assert gap.parked() == []


def test_everything_arrives_in_any_order_of_calls(gap, source, far):
    files = story(gap, max_size=MB)
    for order in orders(files, random.Random(2), 4):
        shutil.rmtree(far, ignore_errors=True)
        for file in order:
            gap.unbundle([file])
            assert_true_prefix(source, far)
        assert_same(source, far)
        assert gap.parked() == []
        assert gap.unbundle(files).missing == {"lab": []}


def test_applying_twice_changes_nothing(gap, far):
    files = story(gap, max_size=MB)
    gap.unbundle()
    before = tree(far)
    assert set(statuses(gap.unbundle(reversed(files)))) == {"known"}
    assert tree(far) == before


def test_file_that_is_parked_and_comes_once_more_is_applied_once(gap, source, far):
    first, second, *_ = story(gap)
    assert statuses(gap.unbundle([second, shutil.copy(second, gap.root / "copy.runfmt")])) == [
        "parked",
        "known",
    ]
    assert statuses(gap.unbundle([first, second])) == ["applied", "applied", "known"]
    assert gap.parked() == []


def test_replayed_old_bundle_changes_nothing_after_newer_ones(gap, source, far):
    first, *later = story(gap)
    gap.unbundle([first, *later])
    before = tree(far)
    for file in (first, *later):
        assert statuses(gap.unbundle([file])) == ["known"]
    assert tree(far) == before


def test_channel_sends_only_what_it_has_not_sent(gap, source):
    run = make_run(source, "a", state="running")
    heavy(run, 1)
    assert gap.bundle().number == 1
    assert gap.bundle().paths == []
    grow(run, 7)
    written = gap.bundle()
    assert written.number == 2
    assert written.paths[0].stat().st_size < 5000


def test_without_channel_or_receipt_everything_is_sent_and_nothing_is_missed(gap, source, far):
    heavy(make_run(source, "a"), 1)
    first, second = gap.bundle(None), gap.bundle(None)
    assert (first.number, second.number) == (1, 2)
    assert second.paths[0].stat().st_size > 700_000
    done = gap.unbundle(second.paths)
    assert statuses(done) == ["applied"]
    assert done.is_good, done.missing
    assert_same(source, far)


def test_receipt_spares_what_it_says_is_there(gap, source, far):
    run = make_run(source, "a", state="running")
    heavy(run, 1)
    gap.unbundle(gap.bundle(None).paths)
    assert gap.bundle(None, since=gap.receipt()).paths == []
    grow(run, 3)
    make_run(source, "b")
    written = gap.bundle(None, since=gap.receipt())
    assert written.paths[0].stat().st_size < 6000
    assert statuses(gap.unbundle(written.paths)) == ["applied"]
    assert_same(source, far)


def test_receipt_says_in_verify_what_became_of_each_file(gap, source, far):
    run = make_run(source, "a", state="running")
    gap.unbundle(gap.bundle(None).paths)
    receipt = gap.receipt()
    [verdict] = verify([run], receipt, since=receipt.made_at)
    assert set(verdict.files.values()) == {"equal"}
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(rows(50, 1))
    write(run / "summary.json", {})
    (run / "files" / "new.txt").write_text("x")
    (run / "config.json").write_text('{"lr":7}')
    os.utime(run / "config.json", (1, 1))  # older than the receipt: it cannot have been replaced since
    [verdict] = verify([run], receipt, since=receipt.made_at)
    told = {path: word for path, word in verdict.files.items() if word != "equal"}
    assert told == {
        "metrics.jsonl": "grown",
        "summary.json": "replaced",
        "files/new.txt": "missing",
        "config.json": "different",
    }
    assert not verdict.is_good


def test_stream_shorter_than_the_receipt_says_is_told(gap, source, far):
    run = make_run(source, "a", state="running")
    gap.unbundle(gap.bundle(None).paths)
    receipt = gap.receipt()
    (run / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes()[: -len(rows(20, 1))])
    [outcome] = gap.bundle(None, since=receipt).outcomes
    assert "ahead" in outcome.problems[0]
    [verdict] = verify([run], receipt, since=receipt.made_at)
    assert verdict.files["metrics.jsonl"] == "different"


def test_bundle_since_another_places_receipt_is_refused(gap, source, far):
    run = make_run(source, "a", state="running")
    gap.unbundle(gap.bundle(None).paths)
    receipt = gap.receipt()
    grow(run, 1)
    written = gap.bundle(None, since=receipt)
    gap.far = gap.root / "elsewhere"
    done = gap.unbundle(written.paths)
    assert statuses(done) == ["refused"]
    assert "receipt of another place" in done.arrivals[0].problems[0]
    assert runs_in(gap.far) == {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"receipt":2}', '{"receipt":1,"store":"","made_at":"x","runs":{}}']
)
def test_receipt_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(FormatError, match="B030"):
        open_receipt(tmp_path / "r.json")


def test_lost_number_is_told_made_again_and_all_is_there(gap, source, far):
    first, second, third, fourth = story(gap)
    gap.unbundle([first])
    second.unlink()
    done = gap.unbundle([third, fourth])
    assert statuses(done) == ["parked", "parked"]
    assert done.missing == {"lab": [(2, "all of it")]}
    assert len(runs_in(far)) == 3  # the run that only number 2 began waits
    assert_true_prefix(source, far)
    third.unlink()
    written = gap.bundle(again=2)
    assert (written.number, [path.name for path in written.paths]) == (2, [second.name])
    done = gap.unbundle(written.paths)
    assert done.is_good, (done.missing, [a.problems for a in done.arrivals])
    assert_same(source, far)
    assert gap.parked() == []


def test_lost_volume_is_told_and_made_again(gap, source, far):
    for number in range(3):
        heavy(make_run(source, f"run{number}"), number)
    one, two, three = gap.bundle(max_size=MB).paths
    two.unlink()
    assert gap.unbundle([one, three]).missing == {"lab": [(1, "volume 2")]}
    assert gap.unbundle([one]).missing == {"lab": [(1, "volume 2")]}
    heavy(make_run(source, "later"), 9)  # of another number: not made again
    assert gap.unbundle(gap.bundle(again=1, max_size=MB).paths).is_good
    assert len(runs_in(far)) == 3


def test_lost_last_volume_is_told(gap, source, far):
    for number in range(3):
        heavy(make_run(source, f"run{number}"), number)
    *files, _ = gap.bundle(max_size=MB).paths
    assert gap.unbundle(files).missing == {"lab": [(1, "volume all after 2")]}


def test_bundle_made_again_is_not_undone_by_older_ones(gap, source, far):
    run = make_run(source, "a", state="running")
    first = gap.bundle().paths
    grow(run, 1)
    second = gap.bundle().paths
    grow(run, 2, state="finished")
    first[0].rename(gap.root / "late.runfmt")
    again = gap.bundle(again=1).paths
    gap.unbundle(again)
    assert_same(source, far)
    gap.unbundle([*second, gap.root / "late.runfmt"])
    assert_same(source, far)


def test_file_that_went_back_to_what_was_sent_is_sent_after_a_bundle_was_made_again(gap, source, far):
    run = make_run(source, "a", state="running")
    gap.bundle()
    before = (run / "config.json").read_bytes()
    write(run / "config.json", {"lr": 7})
    gap.bundle(again=1)
    (run / "config.json").write_bytes(before)
    settle(run)
    gap.bundle()
    gap.unbundle()
    assert_same(source, far)


def test_number_whose_runs_are_as_they_were_before_it_is_made_again(gap, source, far):
    run = make_run(source, "a", state="running")
    before = read(run / "config.json")
    gap.unbundle(gap.bundle().paths)
    write(run / "config.json", {"lr": 7})
    lost = gap.bundle().paths
    write(run / "config.json", {"lr": 8})
    assert statuses(gap.unbundle(gap.bundle().paths)) == ["parked"]
    write(run / "config.json", before)
    lost[0].unlink()
    assert gap.unbundle(gap.bundle(again=2).paths).is_good
    assert gap.unbundle(gap.bundle().paths).is_good
    assert_same(source, far)
    assert gap.parked() == []


def test_again_says_which_numbers_there_are_and_what_was_not_found(gap, source):
    run = make_run(source, "a")
    gap.bundle()
    with pytest.raises(UsageError, match="no number 7: its last one is 1"):
        gap.bundle(again=7)
    shutil.rmtree(run)
    assert gap.bundle(again=1).absent == 1


def test_no_file_reaches_the_size_and_all_are_used(gap, source, far):
    for number in range(12):
        heavy(make_run(source, f"run{number}"), number, 150_000)
    paths = gap.bundle(max_size=MB).paths
    sizes = [path.stat().st_size for path in paths]
    assert max(sizes) < MB
    assert len(sizes) == 2
    gap.unbundle()
    assert_same(source, far)


@pytest.mark.parametrize("max_size", range(60_000, 61_000, 97))
def test_no_file_reaches_the_size_however_small_the_runs(gap, source, max_size):
    draw = random.Random(max_size)
    for number in range(30):
        heavy(make_run(source, f"run{number}"), number, draw.randrange(10_000))
    paths = gap.bundle(max_size=max_size).paths
    sizes = [path.stat().st_size for path in paths]
    assert max(sizes) < max_size
    assert len(sizes) < 2 * sum(sizes) / max_size + 1


def test_group_holds_no_more_extents_than_a_reader_takes():
    pieces = [(Extent("", "files/x", 0, 0, ""), (b"",))] * 20_000
    assert [len(group.extents) for group in bundle.groups(pieces)] == [8192, 8192, 3616]


def test_volumes_left_of_a_number_that_was_made_again_are_removed(gap, source, far):
    for number in range(3):
        heavy(make_run(source, f"run{number}"), number)
    assert len(gap.bundle(max_size=MB).paths) == 3
    gap.bundle(again=1)
    assert [path.name for path in gap.files()] == ["lab-000001-1.runfmt"]
    assert gap.unbundle().is_good
    assert_same(source, far)


@pytest.mark.parametrize("size", [1000, 9 * MB])
def test_file_that_was_written_over_in_place_costs_only_its_run(gap, source, far, size):
    run = make_run(source, "a")
    heavy(run, 1, size)
    settle(run)
    make_run(source, "b")
    gap.bundle(None)
    (run / "files" / "heavy1.bin").write_bytes(bytes(size))
    settle(run)  # so that it looks as it did, and what is known of it is believed
    gap.stick = gap.root / "second"
    written = gap.bundle(None)
    assert [outcome.status for outcome in written.outcomes] == ["failed", "synced"]
    gap.unbundle()
    assert [run.name for run in runs_in(far).values()] == ["b"]


def test_large_file_goes_over_several_volumes(gap, source, far):
    heavy(make_run(source, "a"), 1, 20 * MB)
    make_run(source, "b")
    paths = gap.bundle(max_size=9 * MB).paths
    assert len(paths) == 3
    gap.unbundle(paths[::-1])
    assert_same(source, far)
    assert set(statuses(gap.unbundle())) == {"known"}
    (far / ".runfmt" / "channels" / "lab.json").unlink()  # applied, and killed before it was written down
    done = gap.unbundle()
    assert done.is_good, [a.problems for a in done.arrivals]
    assert_same(source, far)


@pytest.mark.parametrize("end", ["running", "finished"])
def test_piece_that_was_applied_and_not_written_down_is_applied_again(gap, source, far, end):
    run = make_run(source, "a", state="running")
    gap.unbundle(gap.bundle().paths)
    heavy(run, 1, 20 * MB)
    write(run / "run.json", {**read(run / "run.json"), "state": end})
    first, *rest = gap.bundle(max_size=9 * MB).paths
    gap.unbundle([first])
    book = far / ".runfmt" / "channels" / "lab.json"
    before = book.read_bytes()
    gap.unbundle(rest)
    book.write_bytes(before)  # as after a kill between the two
    assert set(statuses(gap.unbundle(rest))) == {"applied"}
    assert_same(source, far)


def test_line_that_no_volume_holds_costs_only_its_run(gap, source, far):
    run = make_run(source, "long")
    with (run / "console.log").open("ab") as stream:
        stream.write(b"x" * 2 * MB + b"\n")
    make_run(source, "b")
    written = gap.bundle(max_size=MB)
    assert not written.is_good
    assert "take a larger --max-size" in str([outcome.problems for outcome in written.outcomes])
    gap.unbundle()
    assert [run.name for run in runs_in(far).values()] == ["b"]
    gap.bundle()
    gap.unbundle()
    assert_same(source, far)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4G", 2**32), ("700M", 700 * MB), ("2097152", 2 * MB), ("1 g", None), ("1K", None), ("", None)],
)
def test_size_is_read_or_refused(text, size):
    if size is None:
        with pytest.raises(UsageError, match="size"):
            parse_size(text)
    else:
        assert parse_size(text) == size


def fill_stick_at(monkeypatch, name):
    """From the file of this name on, the stick is full."""
    real = os.fsync

    def fsync(descriptor):
        if f"{name}.runfmt" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device", name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("channel", ["lab", None])
@pytest.mark.parametrize("full", [1, 2, 3])
def test_full_stick_keeps_what_is_whole_and_the_next_call_goes_on(
    gap, source, far, channel, full, monkeypatch
):
    for number in range(3):
        heavy(make_run(source, f"run{number}", state="running"), number)
    with monkeypatch.context() as patch:
        fill_stick_at(patch, f"-000001-{full}")
        with pytest.raises(CommError, match="goes on with the next file"):
            gap.bundle(channel, max_size=MB)
    assert [path.name[-8:-7] for path in gap.files()] == [str(n) for n in range(1, full)]
    assert [*gap.stick.glob(".*")] == []
    grow(source / "run0", 1)
    written = gap.bundle(channel, max_size=MB, folder=gap.root / "stick2")
    assert written.number == 1
    assert written.paths[0].name.endswith(f"-{full}.runfmt")
    done = gap.unbundle([*written.paths, *gap.files()])
    assert done.is_good, (done.missing, [a.problems for a in done.arrivals])
    assert_same(source, far)


def test_stick_that_takes_no_more_bytes_is_told_and_keeps_nothing(gap, source):
    run = make_run(source, "a")
    (run / "files" / "noise").write_bytes(os.urandom(9000))
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, allowed[1]))
    try:
        with pytest.raises(CommError, match="goes on with the next file"):
            gap.bundle()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert [*gap.stick.iterdir()] == []
    assert gap.bundle().is_good


def test_lost_book_makes_new_numbers_and_overwrites_nothing(gap, source, far, state):
    run = make_run(source, "a", state="running")
    [first] = gap.bundle().paths
    before = first.read_bytes()
    shutil.rmtree(state / "channels")
    grow(run, 1)
    assert gap.bundle().number == 2
    assert first.read_bytes() == before
    assert gap.unbundle().is_good
    assert_same(source, far)


def test_clock_that_goes_back_makes_no_older_bundles(gap, source, far, state):
    run = make_run(source, "a", state="running")
    book = state / "channels" / "lab" / "sent.json"
    gap.bundle()
    write(book, {**read(book), "last": "2999-01-01T00:00:00.000000Z"})
    for seed in (1, 2):
        grow(run, seed)
        gap.bundle()
    assert gap.unbundle().is_good
    assert_same(source, far)
    assert read(book)["last"] == "2999-01-01T00:00:00.000002Z"


def test_two_bundles_of_one_channel_at_once_are_refused(gap, source):
    make_run(source, "a")
    with Outbox("lab"), pytest.raises(Exception, match="another bundle of channel lab"):
        gap.bundle()


def test_leftovers_are_removed_but_not_what_another_channel_is_writing(gap, source):
    gap.stick.mkdir()
    names = [f".{channel}-000001-1.runfmt.0123abcd.tmp" for channel in ("lab", "lab-2")]
    for name in names:
        (gap.stick / name).touch()
    gap.bundle()
    assert [path.name for path in gap.stick.glob(".*")] == names[1:]


def test_bundle_of_a_run_that_diverged_there_costs_only_that_run(gap, source, far):
    runs = [make_run(source, name, state="running") for name in "ab"]
    gap.unbundle(gap.bundle().paths)
    for run in runs:
        grow(run, 1)
    with (far / "a" / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"_step":999,"_timestamp":1.0}\n')
    there = contents(far / "a")
    done = gap.unbundle(gap.bundle().paths)
    assert statuses(done) == ["refused"]
    assert "diverged" in done.arrivals[0].problems[0]
    assert contents(far / "a")["metrics.jsonl"] == there["metrics.jsonl"]
    assert contents(far / "b") == contents(source / "b")
    grow(runs[0], 2)
    done = gap.unbundle(gap.bundle().paths)
    assert statuses(done) == ["refused"]  # not parked: what it waits for will not come
    assert gap.parked() == []


def test_run_that_was_removed_by_hand_comes_again(gap, source, far):
    make_run(source, "a")
    gap.bundle()
    gap.unbundle()
    shutil.rmtree(far / "a")
    assert statuses(gap.unbundle()) == ["applied"]
    assert_same(source, far)


def test_edits_of_both_sides_are_kept(gap, source, far):
    run = make_run(source, "a", state="running")
    gap.unbundle(gap.bundle().paths)
    write(run / "edits.json", {"/name": {"value": "x", "time": 1, "author": "a"}})
    write(far / "a" / "edits.json", {"/notes": {"value": "y", "time": 1, "author": "b"}})
    assert gap.unbundle(gap.bundle(since=gap.receipt()).paths).is_good
    assert read(far / "a" / "edits.json").keys() == {"/name", "/notes"}


def test_two_channels_do_not_know_of_each_other(gap, source, far):
    make_run(source, "a")
    gap.bundle("one")
    gap.bundle("two")
    done = gap.unbundle()
    assert done.missing == {"one": [], "two": []}
    assert_same(source, far)


def test_manifest_says_where_it_is_from(gap, source):
    make_run(source, "a")
    gap.bundle()
    make_run(source, "b")
    [path] = gap.bundle().paths
    with path.open("rb") as file:
        found = bundle.check(bundle.unpacked(file), bundle.MAX_UNPACKED)
    said = {key: value for key, value in found.manifest.items() if key != "created_at"}
    assert said == {"bundle": 1, "channel": "lab", "number": 2, "edition": 0, "volume": 1, "follows": 1}
    assert found.end["last"] is True


def test_folder_that_is_not_there_is_told(gap, source):
    make_run(source, "a")
    with pytest.raises(CommError, match="mount it, or make it"):
        write_bundle([source / "a"], gap.root / "no" / "stick")


def test_server_takes_bundles(gap, source, state):
    files = story(gap)
    with serving(gap.root / "served") as server:
        late = unbundle(files[2:], open_remote(server.url), {})
        assert not late.is_good
        assert unbundle(files[:2], open_remote(server.url), {}).is_good
        assert_same(source, gap.root / "served")
    [book] = state.rglob("lab.json")
    assert read(book)["numbers"].keys() == {"1", "2", "3", "4"}
