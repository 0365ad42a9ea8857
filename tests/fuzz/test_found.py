"""Inputs that once did harm."""

import json
import sqlite3
import zlib

import pytest

from asking import Client
from runfmt.errors import Error, UsageError
from runfmt.queries import MISSING, condition
from runfmt.reading import describe
from runfmt_sync.configuration import known_remotes
from runfmt_sync.importing import import_runs
from runfmt_sync.remotes.notes import Note, decode_note
from runfmt_sync.wandb_log import HEADER, MAGIC, records
from runmaker import make_run, write
from serving import serving


def test_edit_that_leads_a_thousand_keys_down_is_ignored_and_said(tmp_path):  # R094
    """It made an object so deep that nothing could write it as JSON, for all runs of a list."""
    run = make_run(tmp_path)
    write(run / "edits.json", {"/config" + "/d" * 1000: {"value": 1, "time": 1, "author": "a"}})
    seen = describe(run)
    assert seen["config"] == {"lr": 0.1}
    assert [problem["rule"] for problem in seen["problems"]] == ["R094"]


@pytest.mark.parametrize("name", [".".join("a" * 2000), "a" * 2000])
@pytest.mark.parametrize("row", ['"_summary":{%s:1}', '"_define":{"name":%s,"summary":["max"]},%s:1'])
def test_path_of_a_thousand_keys_is_read(tmp_path, name, row):
    run = make_run(tmp_path)
    told = row.replace("%s", json.dumps(name))
    (run / "metrics.jsonl").write_text(f'{{"_step":1,"_timestamp":1,{told}}}\n')
    json.dumps(describe(run))


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_time_before_all_times_is_no_time(time):
    with pytest.raises(UsageError, match="is no time"):
        condition({"created_at": {"$lt": time}})


@pytest.mark.parametrize("pattern", ["a{1,99999999999999999999}", "(" * 5000])
def test_pattern_beyond_all_bounds_is_no_pattern(pattern):
    with pytest.raises(UsageError, match="no regular expression"):
        condition({"name": {"$regex": pattern}})(lambda _: MISSING)


def test_note_of_an_infinite_file_is_no_note():
    assert (
        decode_note({"runfmt": 1, "files": {"a": [float("inf"), "", ""]}, "large": {}, "streams": {}})
        == Note()
    )


@pytest.mark.parametrize("default", [[], {}, 7])
def test_default_that_is_no_name_is_said(tmp_path, monkeypatch, default):
    write(tmp_path / "r.json", {"default": default, "remotes": {}})
    monkeypatch.setenv("RUNFMT_CONFIG", str(tmp_path / "r.json"))
    with pytest.raises(Error, match="no remote: correct or remove it"):
        known_remotes()


def test_many_ends_of_one_record_are_no_more_than_the_file(tmp_path):
    """Each gave all of the pieces before it once more: of a log of 100 MB, terabytes."""

    def piece(data, kind):
        return HEADER.pack(zlib.crc32(data, zlib.crc32(bytes([kind]))), len(data), kind) + data

    path = tmp_path / "run-a.wandb"
    path.write_bytes(MAGIC + piece(b"x" * 1000, 2) + 100 * piece(b"", 4))
    assert sum(map(len, records(path))) == 1000


def test_limit_of_five_thousand_digits_is_refused(tmp_path):
    with serving(tmp_path / "data") as server:
        client = Client(server.url)
        with client.session:
            client("GET", "/v1/runs?limit=" + 5000 * "9", status=400)


def test_files_of_other_tools_in_which_other_things_stand_stop_no_others(tmp_path):
    (tmp_path / "old" / "bad").mkdir(parents=True)
    (tmp_path / "old" / "tracks").mkdir()
    (tmp_path / "old" / "bad" / "meta.yaml").write_text("run_id: a\nrun_uuid: a\nstart_time: 1" + 500 * "0")
    with sqlite3.connect(tmp_path / "old" / "tracks" / "demo.db") as database:
        database.execute("create table metrics (id, run_id, run_name, timestamp, step, metrics)")
        database.execute("create table configs (run_id, config)")
        database.execute("insert into metrics values (1, 'r', 'n', null, 1, '{}')")
    database.close()
    (tmp_path / "old" / "good.csv").write_text("step,loss\n1,2\n")
    outcomes, fault = import_runs(
        [str(tmp_path / "old"), str(tmp_path / "old" / "good.csv")], tmp_path / "runs"
    )
    assert fault is None
    assert sorted(outcome.status for outcome in outcomes) == ["failed", "failed", "synced"]
