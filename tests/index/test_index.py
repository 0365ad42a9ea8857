"""What the index reads, keeps, and believes."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexing import assert_exact, points, said
from runfmt.reading import StoredRun
from runfmt.rows import encode
from runfmt_sync.index import RunIndex, forget_unused, keep_only, streams
from runmaker import OLD, make_run

PICTURE = {"_type": "image-file", "path": "media/image/x.png", "sha256": "0" * 64, "size": 1}


def text(*steps, **extra):
    return b"".join(
        encode({"_step": step, "_timestamp": 1.5 + step, "loss": step / 7, **extra}) for step in steps
    )


def append(run, data, name="metrics.jsonl"):
    with open(run / name, "ab") as stream:
        stream.write(data)


def files(cache):
    return {path.name: path for path in sorted(cache.rglob("*-*-*")) if path.is_file()}


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of so few bytes that a short stream has several, and a tail in a file."""
    monkeypatch.setattr(streams, "BLOCK", 1000)
    monkeypatch.setattr(streams, "KEPT", 1)


@pytest.fixture
def reads(run, monkeypatch):
    """How many bytes of the stream were read, line by line."""
    seen = []
    read_lines = streams.read_lines

    def counted(stream):
        for offset, line in read_lines(stream):
            seen.append(len(line or b""))
            yield offset, line

    monkeypatch.setattr(streams, "read_lines", counted)
    return seen


def test_growing_stream_is_read_once(run, index, reads):
    for first in range(0, 100, 10):
        new = text(*range(first, first + 10))
        append(run, new)
        assert index.refresh()
        assert not index.refresh()
        reads.clear()
        assert len(index.column("loss").step) == first + 10
        assert index.numbers() == ["loss"]
        assert sum(reads) == len(new)


def test_blocks_and_tail_are_not_read_again_by_the_next_process(run, index, cache, reads, small_blocks):
    data = text(*range(100))
    append(run, data)
    index.refresh()
    assert_exact(index, data)
    assert len(files(cache)) > 3
    reads.clear()
    again = RunIndex(run, cache)
    again.refresh()
    assert_exact(again, data)
    assert reads in ([], [0])
    new = text(*range(100, 103))
    append(run, new)
    again.refresh()
    assert_exact(again, data + new)
    assert sum(reads) <= len(new) + 1000


def test_rewind_reads_no_block_again(run, index, reads, small_blocks):
    data = text(*range(100))
    append(run, data)
    index.refresh()
    index.numbers()
    new = encode({"_step": 20, "_timestamp": 9, "_rewind": 20}) + text(*range(21, 30))
    append(run, new)
    reads.clear()
    index.refresh()
    assert_exact(index, data + new)
    assert index.rewinds() == [(20, 9)]
    assert sum(reads) <= len(new) + 2000


def test_small_stream_has_no_files(run, index, cache):
    append(run, text(*range(10)))
    index.refresh()
    assert index.numbers() == ["loss"]
    assert not cache.exists()


def test_shorter_and_replaced_streams_are_noticed(run, index, small_blocks):
    for data in (
        text(*range(100)),
        text(*range(30)),
        text(*range(30), other=1),
        text(*range(200), other=2),
        b"",
    ):
        (run / "metrics.jsonl").write_bytes(data)
        index.refresh()
        assert_exact(index, data)
    (run / "metrics.jsonl").unlink()
    assert index.refresh()
    assert index.writers() == []
    assert index.numbers() == []


def test_copy_that_went_on_otherwise_has_blocks_of_its_own(tmp_path, cache, small_blocks):
    document = json.dumps(
        {
            "runfmt": 1,
            "requires": [],
            "uid": "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77",
            "id": "a",
            "state": "running",
        }
    )
    for _ in range(2):
        for name, data in {
            "a": text(*range(100)),
            "b": text(*range(50)) + text(*range(50, 120), x=1),
        }.items():
            run = tmp_path / name
            run.mkdir(exist_ok=True)
            (run / "run.json").write_text(document)
            (run / "metrics.jsonl").write_bytes(data)
            index = RunIndex(run, cache)
            index.refresh()
            assert_exact(index, data)


DAMAGES = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "foreign": lambda data: b"something else\n" * 200,
    "head": lambda data: data[:60] + b"!" + data[61:],
    "last value": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "longer": lambda data: data + b"x",
    "another version": lambda data: data.replace(b"index 2", b"index 1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("is_open", [False, True])
def test_damaged_file_is_made_anew(run, index, cache, small_blocks, damage, is_open):
    data = text(*range(100))
    append(run, data)
    index.refresh()
    assert_exact(index, data)
    good = {name: path.read_bytes() for name, path in files(cache).items()}
    for path in files(cache).values():
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    if not is_open:
        index = RunIndex(run, cache)
        index.refresh()
    assert_exact(index, data)
    RunIndex(run, cache)
    if damage != "longer":
        index.refresh()
        again = RunIndex(run, cache)
        again.refresh()
        assert_exact(again, data)
        now = {name: path.read_bytes() for name, path in files(cache).items()}
        assert {name: now[name] for name in good if not name.startswith("tail")} == {
            n: d for n, d in good.items() if not n.startswith("tail")
        }


def test_removed_files_are_made_anew(run, index, cache, small_blocks):
    data = text(*range(100))
    append(run, data)
    index.refresh()
    assert_exact(index, data)
    for path in files(cache).values():
        path.unlink()
    assert_exact(index, data)


def test_indexes_of_runs_that_are_gone_are_removed(tmp_path, cache, small_blocks):
    kept = make_run(tmp_path / "runs", "kept", count=50)
    for run in (kept, make_run(tmp_path / "runs", "gone", count=50)):
        index = RunIndex(run, cache)
        index.refresh()
        assert index.size
    uid = StoredRun(kept).uid
    keep_only(cache, [uid])
    assert [path.name for path in cache.iterdir()] == [uid]
    assert files(cache)
    keep_only(tmp_path / "nowhere", [])


def test_indexes_that_nobody_asked_for_long_are_removed(tmp_path, cache, small_blocks):
    asked, gone, young = (make_run(tmp_path / "runs", name, count=50) for name in ("asked", "gone", "young"))
    for run in (asked, gone, young):
        RunIndex(run, cache).refresh()
    for run in (asked, gone):
        os.utime(cache / StoredRun(run).uid, (OLD, OLD))
    RunIndex(asked, cache)
    forget_unused(cache)
    assert {path.name for path in cache.iterdir()} == {StoredRun(run).uid for run in (asked, young)}
    forget_unused(tmp_path / "nowhere")


def test_where_nothing_can_be_kept_the_index_is_in_memory(run, cache, small_blocks):
    data = text(*range(100))
    append(run, data)
    cache.write_text("no folder")
    index = RunIndex(run, cache)
    with pytest.warns(RuntimeWarning, match="no index can be kept in"):
        index.refresh()
    assert_exact(index, data)


def test_fifty_thousand_keys_in_a_row(run, index, cache):
    rows = [{f"key/{number}": number / 7 + step for number in range(50_000)} for step in range(5)]
    data = b"".join(encode({"_step": step, "_timestamp": 1, **row}) for step, row in enumerate(rows))
    append(run, data)
    index.refresh()
    assert len(index.numbers()) == 50_000
    assert index.column("key/49999").value.tolist() == [49_999 / 7 + step for step in range(5)]
    assert index.size < len(data)


def test_keys_that_are_in_few_rows_take_no_room_in_others(run, index, cache):
    data = b"".join(
        encode({"_step": step, "_timestamp": 1, f"a/{step}": 0.5, "pad": "x" * 300}) for step in range(20_000)
    )
    append(run, data)
    index.refresh()
    assert len(index.numbers()) == 20_000
    assert index.column("a/777").step.tolist() == [777]
    assert 0 < index.size < len(data) / 4


@pytest.fixture
def views(monkeypatch):
    """The views of the stream, as they come."""
    seen = []

    class Seen(streams.View):
        def __init__(self, blocks):
            super().__init__(blocks)
            seen.append(self)

    monkeypatch.setattr(streams, "View", Seen)
    return seen


def test_step_of_several_rows_stays_in_one_block(run, index, views, small_blocks):
    data = b"".join(text(step, x=number) for step in range(40) for number in range(3))
    append(run, data)
    index.refresh()
    assert_exact(index, data)
    assert len(views[-1].blocks) > 5
    assert not views[-1].overlaps


def test_stream_that_grows_by_rows_is_not_in_as_many_pieces(run, index, views):
    for step in range(100):
        append(run, text(step))
        index.refresh()
        assert len(index.column("loss").step) == step + 1
    assert len(views) == 100
    assert max(len(view.blocks) for view in views) <= 16


def test_number_that_meets_a_text_costs_the_reading_of_the_tail(run, index, reads, small_blocks):
    data = text(*range(100)) + text(200, x=1)
    append(run, data)
    index.refresh()
    assert_exact(index, data)
    reads.clear()
    new = text(200, x="text")
    append(run, new)
    index.refresh()
    assert_exact(index, data + new)
    assert sum(reads) < 2000


def test_line_longer_than_a_block(run, index, small_blocks):
    data = text(1) + text(2, note="x" * 5000) + text(3) + text(4, note="x" * 5000) + text(*range(5, 30))
    for cut in (3000, 6000, 9000, len(data)):
        (run / "metrics.jsonl").write_bytes(data[:cut])
        index.refresh()
        assert_exact(index, data[:cut])


def test_objects_say_which_line_holds_them(run, index, small_blocks):
    data = b"".join(
        text(step, **({"samples": PICTURE | {"size": step}} if step % 10 == 0 else {})) for step in range(100)
    )
    append(run, data)
    index.refresh()
    assert_exact(index, data)
    assert [one.step for one in index.objects()] == [*range(0, 100, 10)]
    assert {one.type for one in index.objects()} == {"image-file"}


def test_samples_are_columns_over_time(run, index):
    lines = [
        {"_timestamp": 10.0 + i, "cpu": {"percent": 5 * i}, "gpu": [{"memory": i}, {"memory": 2 * i}]}
        for i in range(3)
    ]
    append(run, b"".join(json.dumps(line).encode() + b"\n" for line in lines) + b"junk\n", "system.jsonl")
    append(run, b'{"_timestamp":13,"cpu":{"_type":"x"},"_step":7}\n', "system.jsonl")
    index.refresh()
    assert index.numbers("system") == ["cpu.percent", "gpu.0.memory", "gpu.1.memory"]
    column = index.column("gpu.1.memory", "system")
    assert (column.time.tolist(), column.value.tolist()) == ([10, 11, 12], [0, 2, 4])
    assert (column.step[1:] > column.step[:-1]).all()
    assert index.numbers() == []


def test_writers_are_apart(run, index):
    append(run, text(1, 2))
    append(run, text(5, x=1), "metrics.rank1.jsonl")
    index.refresh()
    assert index.writers() == ["main", "rank1"]
    assert said(index, writer="rank1") == {"loss": [("5", "6.5", str(5 / 7))], "x": [("5", "6.5", "1.0")]}
    assert len(points(index, "loss")) == 2


def test_threads_see_whole_rows_while_the_stream_grows(run, index, small_blocks):
    append(run, text(0))
    index.refresh()
    ends, seen = threading.Event(), []

    def look():
        while not ends.is_set():
            steps, values = index.column("loss")[::2]
            seen.append(len(steps))
            assert steps.tolist() == [*range(len(steps))]
            assert values.tolist() == [step / 7 for step in steps.tolist()]

    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(look) for _ in range(4)]
        for step in range(1, 300):
            append(run, text(step))
            index.refresh()
        ends.set()
        for each in looks:
            each.result()
    assert len(set(seen)) > 1
    assert index.column("loss").step.tolist() == [*range(300)]


FILL = """
import sys
from pathlib import Path
from runfmt_sync.index import RunIndex, streams
print("begins", flush=True)
streams.BLOCK, streams.KEPT = 1000, 1
sys.stdin.readline()
for _ in range(20):
    index = RunIndex(Path(sys.argv[1]), Path(sys.argv[2]))
    index.refresh()
    assert len(index.column("loss").step) == 500
"""


def test_processes_fill_one_cache_at_once(run, cache, small_blocks):
    data = text(*range(500))
    append(run, data)
    command = [sys.executable, "-c", FILL, str(run), str(cache)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in started] == [0, 0]
    index = RunIndex(run, cache)
    index.refresh()
    assert_exact(index, data)
    assert not list(cache.rglob(".*"))
