"""The tool's own state, the names of remotes, the choice of runs, and extents in any order."""

import os
import random
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfmt.errors import Error, UsageError
from runfmt.layout import is_stream, phase
from runfmt_sync import extents, state
from runfmt_sync.configuration import add_remote, known_remotes, remove_remote, resolve
from runfmt_sync.digests import KnownDigests, prove_bytes
from runfmt_sync.durability import Disk
from runfmt_sync.extents import Span, cut
from runfmt_sync.plan import Ask
from runfmt_sync.selection import select_runs
from runfmt_sync.state import Journal
from runfmt_sync.store import Store
from runmaker import contents, make_run, read

folders = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
keys = st.sampled_from("abc")
puts = st.lists(st.tuples(keys, st.integers(-9, 9) | st.text(max_size=5)), max_size=20)


# State


@folders
@given(puts, st.integers(0, 400), puts)
def test_journal_cut_anywhere_holds_earlier_values_and_goes_on(tmp_path, before, end, after):
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    for key, value in before:
        journal.put(key, value)
    assert dict(Journal(path).items()) == dict(before) == dict(journal.items())
    if path.exists():
        os.truncate(path, min(end, path.stat().st_size))
    found = dict(Journal(path).items())
    assert found in [dict(before[:count]) for count in range(len(before) + 1)]
    journal = Journal(path)
    for key, value in after:
        journal.put(key, value)
    assert dict(Journal(path).items()) == found | dict(after)


@pytest.mark.parametrize(
    "line", [b"\xff", b"{}", b"[1]", b'["a"]', b"null", b'["a",', b"[[],1]", b'[{"a":1},2]', b'{"c":1,"d":2}']
)
def test_journal_skips_lines_that_are_none(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'["a",1]\n' + line + b'\n["b",2]\n')
    assert dict(Journal(path).items()) == {"a": 1, "b": 2}


def test_journal_stays_short(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for number in range(3000):
        journal.put(str(number % 3), number)
    assert dict(Journal(path).items()) == {"0": 2997, "1": 2998, "2": 2999}
    assert len(path.read_bytes().splitlines()) == 3


def test_journal_takes_lines_of_several_processes(tmp_path):
    code = (
        "import sys; from pathlib import Path; from runfmt_sync.state import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for n in range(300): journal.put(sys.argv[2] + str(n), 'x' * 50)"
    )
    path = tmp_path / "journal.jsonl"
    processes = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "ab"]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(dict(Journal(path).items())) == 600


def test_journal_without_a_place_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    journal.put("a", 1)
    assert (journal.get("a"), Journal(None).get("a"), os.listdir(tmp_path)) == (1, None, [])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"RUNFMT_STATE": "/s", "XDG_STATE_HOME": "/x"}, "/s"),
        ({"XDG_STATE_HOME": "/x"}, "/x/runfmt"),
        ({"HOME": "/h"}, "/h/.local/state/runfmt"),
    ],
)
def test_state_lies_where_the_environment_says(monkeypatch, variables, expected):
    for name in ("RUNFMT_STATE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(state.state_folder()) == expected


# Names of remotes


@folders
@given(st.lists(st.tuples(st.booleans(), keys), max_size=12))
def test_remotes_are_an_ordered_map_with_a_default(state, tmp_path, steps):
    (tmp_path / "remotes.json").unlink(missing_ok=True)
    model, default = {}, None
    for adds, name in steps:
        if adds and name not in model:
            model[name] = add_remote(name, f"/{name}")
            default = default or name
        elif not adds and name in model:
            remove_remote(name)
            del model[name]
            default = next(iter(model), None) if default == name else default
        else:
            with pytest.raises(UsageError):
                add_remote(name, "/x") if adds else remove_remote(name)
        assert known_remotes() == (model, default)
        assert list(known_remotes()[0]) == list(model)


def test_path_of_a_remote_is_made_absolute_and_a_url_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    assert add_remote("a", "x/y") == f"{tmp_path}/x/y"
    assert add_remote("b", "~/y") == "/home/ann/y"
    assert add_remote("c", "s3://bucket/x") == "s3://bucket/x"
    assert (resolve("a"), resolve("b"), resolve(None)) == (
        f"{tmp_path}/x/y",
        "/home/ann/y",
        f"{tmp_path}/x/y",
    )
    assert resolve("some/path") == "some/path"


def test_unknown_keys_of_the_remotes_are_kept(tmp_path):
    (tmp_path / "remotes.json").write_text('{"new": 1, "remotes": {"a": {"url": "/a", "token": "t"}}}')
    add_remote("b", "/b")
    document = read(tmp_path / "remotes.json")
    assert document["new"] == 1
    assert document["remotes"]["a"] == {"url": "/a", "token": "t"}


def test_remotes_that_are_none_are_refused(tmp_path):
    (tmp_path / "remotes.json").write_text('{"remotes": {"a": {}}}')
    with pytest.raises(Error, match="correct or remove it"):
        known_remotes()


# Selection


def test_runs_are_found_once_and_in_order(source, tmp_path):
    made = [make_run(source, name) for name in ("b", "a")] + [make_run(source / "z" / "y", "c")]
    (tmp_path / "link").symlink_to(source)
    expected = [made[1], made[0], made[2]]
    assert select_runs([str(source)]) == expected
    assert select_runs([str(source), str(made[0]), str(tmp_path / "link")]) == expected
    assert select_runs([str(tmp_path / "link")]) == [
        tmp_path / "link" / run.relative_to(source) for run in expected
    ]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], [], "abc"), (["a"], [], "a"), (["*"], [], "abc"), (["z/*"], [], "c"), (["z/y/c"], [], "c"),
        (["[ab]"], [], "ab"), ([], ["a"], "bc"), (["a", "b"], ["b"], "a"), ([], ["*"], ""), (["A"], [], ""),
    ],
)  # fmt: skip
def test_patterns_are_of_ids_and_paths(source, include, exclude, expected):
    for folder in (source / "a", source / "b", source / "z" / "y" / "c"):
        make_run(folder.parent, folder.name)
    found = select_runs([str(source)], include=include, exclude=exclude)
    assert "".join(path.name for path in found) == expected


def test_pattern_of_an_id_holds_for_a_run_that_is_named_itself(source):
    run = make_run(source, "a")
    assert select_runs([str(run)], include=["a"]) == [run]
    assert select_runs([str(run)], exclude=["a"]) == []


def test_project_is_the_one_that_people_see(source):
    make_run(source, "a")
    run = make_run(source, "b")
    (run / "edits.json").write_text('{"/project": {"value": "q", "time": 1, "author": ""}}')
    (make_run(source, "c") / "run.json").write_text("{")
    assert [path.name for path in select_runs([str(source)], project="p")] == ["a"]
    assert [path.name for path in select_runs([str(source)], project="q")] == ["b"]


def test_remote_is_apart_and_naming_it_is_a_mistake(source, remote):
    run = make_run(source)
    make_run(remote, "copy")
    assert select_runs([str(source.parent)], apart=remote) == [run]
    for path in (remote, remote / "copy", source.parent / "runs" / ".." / "remote"):
        with pytest.raises(UsageError, match="name the folder of your own runs"):
            select_runs([str(path)], apart=remote)


# Extents in any order


@pytest.fixture(scope="module")
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extents, "MAX_EXTENT", 400)
        patch.setattr(Disk, "make_durable", lambda *_: None)
        yield


def pieces_of(run):
    """All extents of a run in the order of committing."""
    uid = read(run / "run.json")["uid"]
    found = []
    for path, data in sorted(contents(run).items(), key=lambda item: phase(item[0])):
        span = Span(path, 0, len(data), None if is_stream(path) else prove_bytes(data))
        with (run / path).open("rb") as file:
            found += [(extent, tuple(body)) for extent, body in cut(uid, span, file)]
    return uid, found


@pytest.mark.usefixtures("_small")
@settings(folders, max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_extents_in_any_order_repeated_and_interrupted_give_the_same_bytes(tmp_path_factory, seed):
    draw = random.Random(seed)
    folder = tmp_path_factory.mktemp("any")
    run = make_run(folder / "source", count=draw.randrange(60))
    (run / "files" / "model.pt").write_bytes(draw.randbytes(draw.randrange(3000)))
    uid, pieces = pieces_of(run)
    (folder / "remote").mkdir()
    store = Store(folder / "remote")
    whole = contents(run)
    while True:
        for piece in draw.choices(pieces, k=draw.randrange(1, 40)):
            store.apply([piece])
            if draw.random() < 0.05:
                store = Store(folder / "remote")
            for path, data in seen(store, uid).items():
                assert whole[path].startswith(data) if is_stream(path) else whole[path] == data
        if draw.random() < 0.3:
            store.apply(pieces)
        if store.have([Ask(uid, "", {})], KnownDigests(None))[uid].entries.keys() == whole.keys():
            break
    store.apply(pieces)
    assert seen(store, uid) == whole
    assert [path for path in (folder / "remote" / ".incoming").rglob("*") if path.is_file()] == []


def seen(store, uid):
    """What a reader sees of a run."""
    return contents(store.runs[uid]) if uid in store.runs else {}
