"""What every mirror does when both sides have something to say, and when one of them lies."""

import os
import shutil

import pytest

import runfmt
from remotes.checks import append, assert_quiet, edit, everything, extent, moved
from runfmt.reading import find_runs
from runfmt_sync.digests import Proof
from runfmt_sync.extents import Extent
from runfmt_sync.push import Push
from runmaker import assert_same, contents, make_run, read, rows, write


def test_edits_of_both_sides_are_merged_on_both(source, kind, sync):
    run = make_run(source)
    sync()
    edit(run, "/name", "ours", 1)
    edit(run, "/notes", "old", 1)
    with kind.by_hand():
        edit(kind.run("first"), "/notes", "new", 2)
        edit(kind.run("first"), "/tags", ["theirs"], 1)
    assert sync()["first"].status == "synced"
    assert {pointer: entry["value"] for pointer, entry in read(run / "edits.json").items()} == {
        "/name": "ours",
        "/notes": "new",
        "/tags": ["theirs"],
    }
    assert_quiet(source, kind, sync)


def test_edits_at_the_remote_between_merging_and_sending_are_kept(source, kind, sync):
    run = make_run(source)
    sync()
    edit(run, "/name", "ours", 1)
    edit_there(kind, "/notes", "theirs", 1)
    push = Push(Crossed(kind.remote(), lambda: edit_there(kind, "/tags", ["late"], 2)), jobs=1)
    [outcome] = push.run(list(find_runs(source)))
    assert (outcome.status, outcome.problems) == ("synced", [])
    assert read(run / "edits.json").keys() == {"/name", "/notes", "/tags"}
    assert_quiet(source, kind, sync)


def edit_there(kind, *what):
    with kind.by_hand():
        edit(kind.run("first"), *what)


class Crossed:
    """A remote where something happens just before it takes extents for the first time."""

    def __init__(self, remote, happens):
        self.remote, self.due = remote, [happens]

    def __getattr__(self, name):
        return getattr(self.remote, name)

    def apply(self, pieces):
        if self.due:
            self.due.pop()()
        return self.remote.apply(pieces)


def test_edits_of_one_time_are_merged_alike_on_both_sides(source, kind, sync):
    run = make_run(source)
    sync()
    edit(run, "/name", "é", 1)
    edit_there(kind, "/name", "z", 1)
    sync()
    assert read(run / "edits.json")["/name"]["value"] == "é"
    assert_quiet(source, kind, sync)


def test_edits_that_are_not_finite_are_merged(source, kind, sync):
    run = make_run(source)
    sync()
    entry = {"time": 1, "author": "a"}
    write(run / "edits.json", {
        "/config/lr": {"value": None, **entry}, "_nonfinite": {"/~1config~1lr/value": "NaN"}
    })  # fmt: skip
    with kind.by_hand():
        write(kind.run("first") / "edits.json", {
            "/config/a": {"value": [None], **entry}, "/config/b": {"value": None, **entry},
            "_nonfinite": {"/~1config~1a/value/0": "Infinity"},
        })  # fmt: skip
    sync()
    assert read(run / "edits.json")["_nonfinite"] == {
        "/~1config~1lr/value": "NaN",
        "/~1config~1a/value/0": "Infinity",
    }
    assert_quiet(source, kind, sync)


def test_edits_that_only_the_remote_has_come_here(source, kind, sync):
    run = make_run(source)
    sync()
    edit_there(kind, "/name", "theirs", 1)
    sync()
    assert read(run / "edits.json")["/name"]["value"] == "theirs"
    assert_quiet(source, kind, sync)


def test_edits_that_are_no_json_stop_only_their_run(source, kind, sync):
    bad, good = make_run(source, "bad"), make_run(source, "good")
    sync()
    edit(bad, "/name", "ours", 1)
    with kind.by_hand():
        (kind.run("bad") / "edits.json").write_text("{")
    append(good / "metrics.jsonl", rows(21, 1))
    outcomes = sync()
    assert (outcomes["bad"].status, outcomes["good"].status) == ("failed", "synced")
    assert (kind.run("bad") / "edits.json").read_text() == "{"


def test_ahead_and_diverged_move_nothing_of_the_run_and_name_the_ways_out(source, kind, sync):
    ahead, diverged, good = (make_run(source, name) for name in ("ahead", "diverged", "good"))
    sync()
    with kind.by_hand():
        append(kind.run("ahead") / "metrics.jsonl", rows(21, 1))
        append(kind.run("diverged") / "metrics.jsonl", rows(99, 1))
    append(diverged / "metrics.jsonl", rows(21, 2))
    for run in (ahead, diverged, good):
        write(run / "summary.json", {"loss": 0})
    before = contents(kind.run("ahead")), contents(kind.run("diverged"))
    outcomes = sync()
    assert (contents(kind.run("ahead")), contents(kind.run("diverged"))) == before
    assert outcomes["good"].status == "synced"
    text = "".join(outcomes["ahead"].problems)
    assert f"ahead by {len(rows(21, 1))} bytes" in text
    assert f"runfmt recover {ahead} --from REMOTE" in text
    assert "--new-uid" in text
    text = "".join(outcomes["diverged"].problems)
    assert "metrics.jsonl has diverged" in text
    assert f"runfmt recover {diverged} --new-uid" in text


def test_ahead_is_told_from_diverged_across_blocks(source, kind, sync):
    run = make_run(source)
    long = rows(21, 1, text="x" * 3_000_000)
    append(run / "metrics.jsonl", long * 3)
    sync()
    with kind.by_hand():
        append(kind.run("first") / "metrics.jsonl", long)
    assert "ahead" in sync()["first"].problems[0]
    with kind.by_hand(), (kind.run("first") / "metrics.jsonl").open("r+b") as file:
        file.seek(4_000_000)
        file.write(b"y")
    assert "diverged" in sync()["first"].problems[0]


@pytest.mark.parametrize(
    ("change", "rule"), [({"runfmt": 2}, "R011"), ({"requires": ["crypt"]}, "R012"), ({"uid": "x"}, "R010")]
)
def test_bad_run_is_reported_and_the_others_go_on(source, kind, sync, change, rule):
    make_run(source, "bad", **change)
    make_run(source, "good")
    outcomes = sync()
    assert (outcomes["bad"].status, outcomes["good"].status) == ("failed", "synced")
    assert f"[{rule}]" in outcomes["bad"].problems[0]
    assert not kind.run("bad").exists()


@pytest.mark.parametrize("change", [{"runfmt": 2}, {"requires": ["crypt"]}])
def test_remote_run_of_another_format_is_left_alone(source, kind, sync, change):
    run = make_run(source)
    sync()
    with kind.by_hand():
        write(kind.run("first") / "run.json", {**read(run / "run.json"), **change})
    append(run / "metrics.jsonl", rows(21, 1))
    kind.restart()
    before = everything(kind.run("first"))
    outcome = sync()["first"]
    if "looking into runs" in kind.lacks:
        assert_quiet(source, kind, sync)
        return
    assert "upgrade" in outcome.problems[0]
    assert everything(kind.run("first")) == before


def test_links_and_private_names_stay(source, kind, sync):
    run = make_run(source)
    (run / "files" / "link").symlink_to("/etc/passwd")
    (run / ".lock").touch()
    (run / "files" / ".cache").mkdir()
    (run / "files" / ".cache" / "x").touch()
    sync()
    assert os.listdir(kind.run("first") / "files") == ["requirements.txt"]
    assert_quiet(source, kind, sync)


def test_link_at_the_remote_is_not_written_through(source, kind, sync, tmp_path):
    kind.needs("folders")
    run = make_run(source)
    sync()
    shutil.rmtree(kind.run("first") / "files")
    (tmp_path / "elsewhere").mkdir()
    (kind.run("first") / "files").symlink_to(tmp_path / "elsewhere")
    append(run / "metrics.jsonl", rows(21, 1))
    assert "symbolic link" in sync()["first"].problems[0]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_odd_names_that_every_system_can_hold_move(source, kind, sync):
    run = make_run(source)
    for name in ("a b", "ü%2F?#", "日本", "x.jsonl", "-rf", "a&b=c;d+e", "'\"$(x)`"):
        (run / "files" / name).write_text(name)
    assert sync()["first"].status == "synced"
    for path, data in contents(run).items():
        with kind.remote().read(read(run / "run.json")["uid"], path) as file:
            assert file.read() == data
    assert_quiet(source, kind, sync)


def test_ids_that_are_taken_or_differ_by_case_only_get_folders_of_their_own(source, kind, sync):
    for folder, run_id in (("a", "same"), ("b", "same"), ("c", "Same")):
        make_run(source / folder, run_id)
    sync()
    names = [path.name.lower() for path in kind.root.iterdir() if not path.name.startswith(".")]
    assert len(names) == len(set(names)) == 3
    assert_quiet(source, kind, sync)


@pytest.mark.parametrize("kind", ["directory", "http", "bundle"], indirect=True)
def test_run_that_was_deleted_at_the_remote_stays_away(source, kind, sync):
    for name in ("first", "second"):
        make_run(source, name)
    sync()
    runfmt.Api(kind.url).run("first").delete()
    for _ in range(2):
        outcomes = sync()
        assert {name: outcome.status for name, outcome in outcomes.items()} == {
            "first": "deleted",
            "second": "unchanged",
        }
        assert "was deleted at the remote" in outcomes["first"].notes[0]
        assert [path.parent.name for path in kind.root.rglob("run.json")] == ["second"]
    assert (source / "first").is_dir()


def test_renamed_run_stays_where_it_is(source, kind, sync):
    kind.needs("folders")
    run = make_run(source, "old")
    sync()
    run.rename(source / "new")
    write(source / "new" / "run.json", {**read(source / "new" / "run.json"), "id": "new"})
    sync()
    assert kind.run("old").exists()
    assert not kind.run("new").exists()
    assert_same(source, kind.root)


@pytest.mark.parametrize("bad", ["../../escape", "CON", "", "a.", "x" * 129])
def test_id_that_is_no_name_is_refused(source, kind, sync, tmp_path, bad):
    make_run(source, "fine", id=bad)
    assert "R013" in sync()["fine"].problems[0]
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../escape",
        "/tmp/escape",
        "files/../../escape",
        "a\\b",
        "C:x",
        ".runfmt/x",
        "files/.x",
        "",
        "a//b",
        "a\nb",
    ],
)
def test_path_that_leads_elsewhere_is_refused(source, kind, sync, path):
    run = make_run(source)
    sync()
    uid = read(run / "run.json")["uid"]

    def meant():  # not all that is there: that may be gigabytes of an object store's
        paths = kind.root.parent.parent.rglob("*")
        named = (path for path in paths if "escape" in path.name or "first" in path.parts)
        return {path: path.read_bytes() for path in named if path.is_file()}

    before = meant()
    assert kind.remote().apply([extent(uid, path, b"x")]).keys() == {uid}
    assert {path for path, data in meant().items() if before.get(path) != data} == set()


@pytest.mark.parametrize(
    ("sent", "again"),
    [
        (extent("", "metrics.jsonl", b"{}\n", 1), True),  # not there
        (extent("", "metrics.jsonl", b"{}\n", 10**6), True),  # behind the end
        (extent("", "metrics.jsonl", b"{}\n"), True),  # other bytes
        (extent("", "files/x", b"{}\n", whole=None), False),  # no stream
        (
            extent("", "files/x", b"xyz", 5, whole=Proof(8, (), "0" * 64)),
            True,
        ),  # a piece before it is missing
    ],
)
def test_extent_that_does_not_fit_is_refused_and_changes_nothing(source, kind, sync, sent, again):
    run = make_run(source)
    make_run(source, "other")
    sync()
    before = contents(kind.run("first"))
    uid = read(run / "run.json")["uid"]
    [(one, data)] = [sent]
    refused = kind.remote().apply([(Extent(**{**vars(one), "uid": uid}), data)])
    assert {uid: error.again for uid, error in refused.items()} == {uid: again}
    assert contents(kind.run("first")) == before
    assert moved(sync()) == (0, 0)


def test_refused_run_of_a_bundle_is_no_matter_of_the_others(source, kind, sync):
    runs = [make_run(source, name) for name in ("a", "b")]
    sync()
    new = rows(21, 1)
    uids = sorted((read(run / "run.json")["uid"], run) for run in runs)
    wrong = extent(uids[0][0], "metrics.jsonl", b"{}\n", 10**6)
    size = len(contents(uids[1][1])["metrics.jsonl"])
    good = extent(uids[1][0], "metrics.jsonl", new, size)
    assert kind.remote().apply([wrong, good]).keys() == {uids[0][0]}
    append(uids[1][1] / "metrics.jsonl", new)
    assert moved(sync()) == (0, 0)
    assert_same(source, kind.root)


def test_repeated_and_overlapping_extents_change_nothing(source, kind, sync):
    run = make_run(source)
    sync()
    uid, data = read(run / "run.json")["uid"], contents(run)
    lines = data["metrics.jsonl"].splitlines(keepends=True)
    pieces = [
        extent(uid, "files/requirements.txt", data["files/requirements.txt"]),
        extent(uid, "metrics.jsonl", lines[0] + lines[1]),
        extent(uid, "metrics.jsonl", lines[1] + lines[2], len(lines[0])),
        extent(uid, "run.json", data["run.json"]),
    ]
    assert kind.remote().apply(pieces) == {}
    assert_quiet(source, kind, sync)
