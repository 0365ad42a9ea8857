"""Tables below each other are what pandas makes of them, at a fraction of its work."""

import tracemalloc

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import runfmt
from runfmt.columns import as_array, ordered
from runfmt.stacked import TOGETHER, stack
from runmaker import write

values = {
    "integers": st.integers(-9, 9), "large": st.sampled_from([2**53 + 1, -(2**63), 3]), "texts": st.just("x"),
    "floats": st.floats(), "truths": st.booleans(), "gaps": st.sampled_from([None, 1, 0.5]),
    "large gaps": st.sampled_from([None, 2**60 + 1]), "lists": st.just([1]),
}  # fmt: skip


@st.composite
def tables(draw):
    count = draw(st.integers(0, 3))
    kinds = draw(st.dictionaries(st.sampled_from("abc"), st.sampled_from([*values]), max_size=3))
    columns = {
        name: draw(st.lists(values[kind], min_size=count, max_size=count)) for name, kind in kinds.items()
    }
    step = np.arange(count)
    return {"_step": step, "_timestamp": step + 0.5, **{n: as_array(v) for n, v in columns.items() if count}}


@settings(max_examples=400, deadline=None)
@given(st.lists(tables(), min_size=1, max_size=4))
def test_stack_is_what_pandas_concatenates(tables):
    labels = [f"r{number}" for number in range(len(tables))]
    filled = [number for number, table in enumerate(tables) if len(table["_step"])] or [*range(len(tables))]
    everywhere = set.intersection(*({*tables[number]} for number in filled))
    frames = [pd.DataFrame(tables[number]) for number in filled]
    for frame in frames:  # a missing value beside an integer that no float holds
        for name in {*frame} - everywhere:
            if frame[name].dtype == "int64" and not frame[name].between(-(2**53), 2**53).all():
                frame[name] = frame[name].astype("Int64")
    expected = pd.concat(frames, keys=[labels[number] for number in filled], names=["run", None])
    found = stack(tables, {"run": labels})
    for name in found:  # of texts and missing ones pandas may make objects
        if isinstance(found[name].dtype, pd.StringDtype):
            expected[name] = expected[name].astype(found[name].dtype)
    pd.testing.assert_frame_equal(found, expected[ordered(expected.columns)], check_index_type=False)


def test_memory_is_that_of_the_table_and_some_streams(tmp_path):
    rows, runs, width = 2000, 20, 40
    line = ",".join(f'"m{number}":0.{number:015}1' for number in range(width))
    data = b"".join(
        b'{"_step":%d,"_timestamp":%d.5,%s}\n' % (step, step, line.encode()) for step in range(rows)
    )
    assert len(data) > TOGETHER
    for number in range(runs):
        folder = tmp_path / f"r{number}"
        folder.mkdir()
        uid = f"0193572c-7c8e-7cc1-a4a5-{number:012x}"
        write(
            folder / "run.json",
            {"runfmt": 1, "requires": [], "uid": uid, "id": folder.name, "state": "failed"},
        )
        (folder / "metrics.jsonl").write_bytes(data)
    tracemalloc.start()
    try:
        frame = runfmt.read_metrics(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(frame) == rows * runs
    table = (width + 2) * 8 * rows * runs
    assert peak < 1.3 * table + 5 * len(data) < 0.7 * runs * len(data)
