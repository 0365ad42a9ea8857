"""The power goes after any call of a training: what was durable is there, whatever of the rest is.

The calls of a training that is resumed are recorded and replayed, see :mod:`powercut`, and the run goes on
from each state of the disk. ``RUNFMT_TEST_CUTS`` says how often, each time with other parts of what was not
durable yet.
"""

import hashlib
import os
import shutil
import warnings
from random import Random

import pytest

import powercut
import runfmt
from powercut import Recorder
from runfmt.reading import StoredRun
from systemcalls import SystemCalls

CUTS = int(os.environ.get("RUNFMT_TEST_CUTS", "1"))


def trained(root, recorder):
    """Train under the recorder; gives after which change each row was acknowledged."""
    acknowledged = []
    with SystemCalls() as calls:
        calls.decide, calls.done = recorder.decide, recorder.done
        for begin in (0, 3):
            with runfmt.init(
                dir=root / "runs", id="one", project="p", config={"lr": 0.1, "begin": begin}, resume="allow",
                durability="fsync", console="off", silent=True, allow_val_change=True,
            ) as run:  # fmt: skip
                for value in range(begin, begin + 3):
                    media = runfmt.Html(f"<p>{value}") if value % 2 else None
                    run.log({"v": value, "page": media})
                    acknowledged.append((len(recorder.changes), value))
                run.config["more"] = begin
                run.tags = ["t"]
    return acknowledged


def faults(path, wanted):
    """What is lacking in a run of which these values were acknowledged."""
    if not path.is_dir():
        return [f"no run, and {wanted} were acknowledged"] if wanted else []
    stored = StoredRun(path)
    stored.describe()
    rows = stored.history().rows
    found = [row["v"] for row in rows]
    said = (
        [] if found[: len(wanted)] == wanted and len({*found}) == len(found) else [f"{found}, not {wanted}"]
    )
    if wanted:  # then the documents are durable too
        said += [str(one) for one in stored.problems if one.path.endswith(".json")]
    for row in rows[: len(wanted)]:
        if page := row.get("page"):
            file = path / page["path"]
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != page["sha256"]:
                said.append(f"{page['path']} is not there")
    return said


def goes_on(root):
    """The values in a run once it was resumed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the power took
        with runfmt.init(dir=root, id="one", resume="allow", console="off", silent=True) as run:
            run.log({"v": 99})
    return [row["v"] for row in StoredRun(run.directory).history().rows]


@pytest.mark.soak
def test_durable_rows_outlive_a_power_cut_at_any_call(tmp_path, counted):
    training, folder = tmp_path / "training", tmp_path / "after"
    training.mkdir()
    recorder = Recorder(training)
    acknowledged = trained(training, recorder)
    found, states, rows = [], 0, 0
    for seed in range(CUTS):
        for change, disk in powercut.cuts(recorder, Random(seed)):
            wanted = [value for at, value in acknowledged if at <= change]
            disk.write(recorder.root, folder)
            found += [f"{change}: {fault}" for fault in faults(folder / "runs" / "one", wanted)]
            there = goes_on(folder / "runs")
            found += [] if {*wanted, 99} <= {*there} else [f"{change}: resumed, {there} of {wanted}"]
            states, rows = states + 1, rows + len(wanted)
            shutil.rmtree(folder)
    counted(calls=len(recorder.changes), states=states, rows=rows, faults=len(found))
    assert found == []
