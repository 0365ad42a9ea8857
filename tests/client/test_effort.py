"""What a call of ``log`` costs, counted: a change that makes it slower must change a number here."""

import gc
import sys
from pathlib import Path

import pytest

import runfmt

PLAIN = {
    "log": 1, "keys": 1, "isdisjoint": 1, "now": 1, "monotonic_ns": 1,  # the reserved keys, the time
    "encode": 1, "dumps": 1, "search": 1, "len": 2,  # the line, nulls in it, its length
    "append": 1, "_write": 1, "write": 1,
}  # fmt: skip
"""Every function that is called for a row of plain numbers, and how often."""


@pytest.fixture
def run(tmp_path):
    with runfmt.init(project="p", dir=tmp_path, console="off") as run:
        run.log({"warm": 1})
        yield run


def calls(call):
    """The functions that a call calls, Python's and C's, and how often."""
    found = {}

    def note(frame, event, argument):
        if event in ("call", "c_call"):
            name = frame.f_code.co_name if event == "call" else argument.__name__
            found[name] = found.get(name, 0) + 1

    gc.disable()  # else it may come in between
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        gc.enable()
    aside = ("<lambda>", "setprofile", "__exit__")  # of a lock some versions of Python tell, others do not
    return {name: count for name, count in found.items() if name not in aside}


@pytest.mark.parametrize("scalars", [1, 10, 1000])
def test_row_costs_a_few_calls_however_wide_it_is(run, scalars):
    row = {f"m{number}": number / 7 for number in range(scalars)}
    assert calls(lambda: run.log(row)) == PLAIN


def test_statistics_cost_log_nothing(run):
    run.define_metric("*", summary="min,max,mean,best,first,last")
    assert calls(lambda: run.log({"a": 1.5, "b": 2})) == PLAIN


def test_row_at_a_step_costs_little_more(run):
    more = {"valid_step": 1, "isinstance": 1, "index": 1, "_advance": 1}
    assert calls(lambda: run.log({"a": 1.5}, step=7)) == PLAIN | more


def test_tensors_cost_one_call_of_item_each(run):
    torch = pytest.importorskip("torch", reason="comes with the examples, not with the tests alone")
    row = {f"m{number}": torch.tensor(number / 7) for number in range(10)}
    run.log(row)
    found = calls(lambda: run.log(row))
    assert found["item"] == 10
    assert found["write"] == 1
    assert sum(found.values()) <= 120


def test_row_is_one_system_call(run):
    def count():
        return {
            name: int(value)
            for name, value in (
                line.split(": ") for line in Path("/proc/thread-self/io").read_text().splitlines()
            )
            if name.startswith("sysc")
        }

    nothing = count()
    before = count()
    for step in range(100):
        run.log({"a": step})
    after = count()
    asking = before["syscr"] - nothing["syscr"]
    assert after["syscw"] - before["syscw"] == 100
    assert after["syscr"] - before["syscr"] == asking
