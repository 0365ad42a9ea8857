"""What was brought to a mirror comes back from it, whether or not it has many files in one answer."""

import os

from remotes.checks import append
from runfmt_sync.pull import chosen, pull
from runmaker import assert_same, make_run, rows


def pulled(kind, folder):
    remote = kind.remote()
    outcomes, fault = pull(remote, chosen(remote, ()), folder)
    assert fault is None
    return {outcome.id: outcome.status for outcome in outcomes}


def test_runs_come_back_as_they_were(source, kind, sync, tmp_path):
    back = tmp_path / "back"
    runs = [make_run(source, name) for name in "abc"]
    (runs[0] / "files" / "model").write_bytes(os.urandom(2**20 + 1))
    (runs[1] / "files" / "empty").touch()
    sync()
    assert pulled(kind, back) == dict.fromkeys("abc", "synced")
    assert_same(source, back)
    append(runs[2] / "metrics.jsonl", rows(21, 3))
    sync()
    assert pulled(kind, back) == {"a": "unchanged", "b": "unchanged", "c": "synced"}
    assert_same(source, back)
