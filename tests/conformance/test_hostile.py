"""Runs that nobody should have written: each is read as far as it can be, and says what is wrong."""

import json
import math
import tracemalloc

import pytest

from runfmt.edits import merge_edits, overlay
from runfmt.history import read_history, read_lines
from runfmt.reading import StoredRun, describe, find_runs
from runfmt.summary import Aggregate, Definition, Definitions, HandValues, summarise

GOOD = b'{"_step":0,"_timestamp":1.5,"a":1}\n'
RUN = {
    "runfmt": 1,
    "requires": [],
    "uid": "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77",
    "id": "one",
    "state": "finished",
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(RUN))
    (folder / "metrics.jsonl").write_bytes(GOOD)
    return folder


def rules(problems):
    return [problem.rule for problem in problems]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"\0" * 512, "R023"),
        (b"[1]", "R023"),
        (b'{"_step":1,"_timestamp":NaN}', "R023"),
        (b'{"_step":1,"_timestamp":1,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "R023"),
        (b'{"_step":1,"_timestamp":1,"a":' + b'{"b":' * 70 + b"1" + b"}" * 71, "R023"),
        (b'{"_step":-1,"_timestamp":1}', "R030"),
        (b'{"_step":1,"_timestamp":true,"b":2}', "R031"),
        (b'{"_step":1,"_timestamp":1,"b":null,"_nonfinite":{"/b":"nan"}}', "R036"),
        (b'{"_step":1,"_timestamp":1,"b":{"\\u005ftype":"image-file","path":"../x"}}', "R070"),
        (b'{"_step":1,"_timestamp":1,"_define":{"name":"a","goal":7}}', "R054"),
        (b'{"_step":1,"_timestamp":1,"_summary":{"set":[]}}', "R053"),
        (b'{"_step":1,"_timestamp":1,"_rewind":-2}', "R050"),
    ],
)
def test_bad_line_is_reported_where_it_begins_and_costs_no_other(line, rule):
    history = read_history(GOOD + line + b"\n" + GOOD.replace(b"0", b"9", 1))
    assert [(problem.rule, problem.offset) for problem in history.problems] == [(rule, len(GOOD))]
    assert {0, 9} <= {row["_step"] for row in history.rows}


def test_every_cut_of_a_stream_gives_the_whole_rows_before_it():
    rows = [
        {"_step": step, "_timestamp": step / 7, "k\n/~é": [step, None], "e": {"a": step}}
        for step in range(40)
    ]
    data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    for cut in range(len(data) + 1):
        history = read_history(data[:cut])
        whole = data[:cut].count(b"\n")
        assert history.rows == rows[:whole]
        torn = cut > data[:cut].rfind(b"\n") + 1
        assert rules(history.problems) == ["R020"] * torn


def test_line_without_an_end_is_never_held_whole(tmp_path):
    path = tmp_path / "endless"
    with path.open("wb") as file:
        file.truncate(300 * 2**20)
    tracemalloc.start()
    with path.open("rb") as stream:
        assert list(read_lines(stream)) == [(0, b"")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


@pytest.mark.parametrize(
    ("change", "state", "rule"),
    [
        ({"runfmt": 2}, "refused", "R011"),
        ({"requires": ["gzip"]}, "refused", "R012"),
        ({"uid": "7"}, "damaged", "R010"),
        ({"state": "asleep"}, "damaged", "R010"),
        ({"id": "two"}, "finished", "R014"),
    ],
)
def test_run_document_decides_the_state(run, change, state, rule):
    (run / "run.json").write_text(json.dumps({**RUN, **change}))
    seen = describe(run)
    assert seen["state"] == state
    assert [problem["rule"] for problem in seen["problems"]] == [rule]
    assert ("rows" in seen) == (state != "refused")


def test_links_and_unreadable_streams_hide_nothing_else(run):
    (run / "files").symlink_to("/etc")
    (run / "system.jsonl").write_bytes(b"\xff\xfe binary \n")
    stored = StoredRun(run)
    assert rules(stored.problems) == ["R006", "R023"]
    assert len(stored.history().rows) == 1


def test_run_that_vanished_is_empty_not_an_error(run):
    stored = StoredRun(run)
    for path in run.iterdir():
        path.unlink()
    run.rmdir()
    assert stored.history().rows == []
    assert rules(stored.problems) == ["R002"]
    assert list(find_runs(run.parent)) == []


def test_edit_may_delete_an_attribute(run):
    (run / "edits.json").write_text(json.dumps({"/notes": {"time": 1.0, "author": "ann"}}))
    assert StoredRun(run).attributes["notes"] == ""
    assert StoredRun(run).problems == []


def test_edits_that_differ_in_infinity_only_merge_alike_from_both_sides():
    ours, theirs = ({"/config/a": {"value": v, "time": 1.0, "author": "x"}} for v in (math.inf, -math.inf))
    assert merge_edits(ours, theirs) == merge_edits(theirs, ours)
    wrong = overlay({"config": {}, "summary": {}}, {"/a~2": {"value": 1, "time": 1.0, "author": "x"}})[1]
    assert wrong == ["/a~2"]


def test_mean_of_huge_numbers_is_finite():
    definitions = Definitions()
    definitions.add(Definition("a", summary=("mean",)))
    aggregate = Aggregate(definitions)
    for step in range(4):
        aggregate.add({"_step": step, "a": 1.7e308})
    assert summarise(aggregate, HandValues()) == {"a": {"mean": 1.7e308}}
