"""Curves in a terminal: as wide as it is, in colours where there are some, and what is left out is said."""

import fcntl
import json
import math
import os
import pty
import re
import struct
import termios

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from runfmt_sync.terminal import Frame, chart, line_of, smoothed, sparkline
from runmaker import OLD, make_run
from serving import serving

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def metrics(run, rows, key="loss"):
    """Replace the metrics of a run; NaN as the format writes it."""
    lines = []
    for step, value in enumerate(rows):
        row = {"_step": step, "_timestamp": OLD + 10 * step, key: value, "epoch": step / 100}
        if not math.isfinite(value):
            word = "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
            row |= {key: None, "_nonfinite": {f"/{key}": word}}
        lines.append(json.dumps(row) + "\n")
    (run / "metrics.jsonl").write_text("".join(lines))


@pytest.fixture
def falling(runs):
    """A run whose loss falls from 1000 to 1."""
    run = make_run(runs, "falling", name="down")
    metrics(run, [1000 - step for step in range(1000)])
    return run


def frame(output):
    """The part of a chart within its axes, as rows."""
    return [re.split("[┤│]", line, maxsplit=1)[1] for line in output.splitlines() if re.search("[┤│]", line)]


def heights(output):
    """The row of the topmost dot of each column, None for an empty column."""
    rows = frame(output)
    width = max(map(len, rows))
    rows = [row.ljust(width) for row in rows]
    return [next((n for n, row in enumerate(rows) if row[column] != " "), None) for column in range(width)]


def test_curve_falls_from_corner_to_corner(runfmt, falling):
    lines = runfmt("plot", "runs/falling", "loss", "--width", 60, "--height", 10).stdout
    drawn = heights(lines)
    assert drawn == sorted(drawn)
    assert (drawn[0], drawn[-1]) == (0, 9)
    assert lines.splitlines()[0] == "loss over step"
    assert lines.splitlines()[-1] == "─ down  1"
    labels = [line.split("┤")[0].strip() for line in lines.splitlines() if "┤" in line]
    assert labels == ["1k", "500"]


@pytest.mark.parametrize("width", [10, 17, 24, 33, 80, 300])
def test_no_line_is_wider_than_asked(runfmt, falling, runs, width):
    make_run(runs, "wide", name="漢字" * 40)
    output = runfmt("plot", "runs", "loss", "--width", width, "--height", 5, "--x", "runtime").stdout
    assert max(map(cell_len, output.splitlines())) <= width
    assert max(map(len, frame(output))) > width / 2


def test_curves_without_colour_have_signs_of_their_own(runfmt, falling, runs):
    metrics(make_run(runs, "rising", name="up"), range(1000))
    output = runfmt("plot", "runs", "loss", "--height", 10).stdout
    assert "\x1b" not in output
    assert output.splitlines()[-2:] == ["* down  1", "+ up  999"]
    rows = frame(output)
    assert (rows[0].lstrip()[0], rows[0].rstrip()[-1]) == ("*", "+")
    assert (rows[-1].lstrip()[0], rows[-1].rstrip()[-1]) == ("+", "*")


def test_curves_on_a_terminal_are_dots_of_the_colour_of_their_legend(runfmt, falling, runs):
    metrics(make_run(runs, "rising", name="up"), range(1000))
    code, sent = runfmt.on_terminal("plot", "runs", "loss")
    lines = sent.splitlines()
    assert code == 0
    assert re.search("[\u2801-\u28ff]", sent)
    down, up = (re.match(r"(\x1b\[\d+m)─", line)[1] for line in lines[-2:])
    assert down != up
    assert re.search(re.escape(down) + "[\u2801-\u28ff]", lines[1])
    assert re.search(re.escape(up) + "[\u2801-\u28ff]", lines[1])
    assert max(cell_len(ESCAPE.sub("", line)) for line in lines) <= 100


def test_no_color_is_respected_on_a_terminal(runfmt, falling):
    runfmt.environment["NO_COLOR"] = "1"
    _, sent = runfmt.on_terminal("plot", "runs/falling", "loss")
    assert not re.search(r"\x1b\[(3|9)\d", sent)


def test_what_is_not_finite_is_left_out_and_said(runfmt, runs):
    run = make_run(runs, "odd", name="odd")
    metrics(run, [1.0, math.nan, 2.0, math.nan, math.inf, -math.inf, 3.0])
    last = runfmt("plot", "runs/odd", "loss").stdout.splitlines()[-1]
    assert last == "─ odd  3  (2 NaN, 1 ∞, 1 -∞ left out)"
    metrics(run, [math.nan, math.nan])
    assert (
        runfmt("plot", "runs/odd", "loss").stdout.splitlines()[-1]
        == "─ odd  nothing to show  (2 NaN left out)"
    )


def test_logarithmic_scale_has_powers_of_ten_and_leaves_out_what_is_not_above_zero(runfmt, runs):
    metrics(make_run(runs, "odd", name="odd"), [-1.0, 0.0, *(10 ** (3 - step / 100) for step in range(600))])
    output = runfmt("plot", "runs/odd", "loss", "--log", "--height", 18).stdout
    labels = [line.split("┤")[0].strip() for line in output.splitlines() if "┤" in line]
    assert labels == ["1k", "100", "10", "1", "0.1", "0.01"]
    assert output.splitlines()[-1].endswith("(2 not above 0 left out)")
    drawn = [row for row in heights(output) if row is not None]
    assert drawn == sorted(drawn)
    assert len({*drawn}) == 18  # a line: an exponential curve has no other shape on such a scale


@pytest.mark.parametrize(
    ("axis", "said"),
    [("time", r"\d\d:\d\d "), ("runtime", " 1h "), ("epoch", " 4 ")],
)
def test_other_axes(runfmt, falling, axis, said):
    lines = runfmt("plot", "runs/falling", "loss", "--x", axis, "--width", 80).stdout.splitlines()
    assert re.search(said, lines[-2])
    assert lines[0] == f"loss over {'time since the start' if axis == 'runtime' else axis}"


def test_smoothing_takes_the_noise_and_keeps_the_level(runfmt, runs):
    metrics(make_run(runs, "noisy"), [step % 2 for step in range(2000)])
    rough = runfmt("plot", "runs/noisy", "loss", "--height", 12).stdout
    calm = runfmt("plot", "runs/noisy", "loss", "--height", 12, "--smooth", 0.99).stdout
    assert min(len(row.strip()) for row in frame(rough)) > 60
    assert sum(bool(row.strip()) for row in frame(calm)) < 6
    x = np.arange(4.0)
    assert smoothed(x, np.array([3.0, 3, 3, 3]), 0.9, 3.0).tolist() == [3, 3, 3, 3]
    assert smoothed(x, np.array([1.0, 0, 0, 0]), 0.0, 3.0).tolist() == [1, 0, 0, 0]


def test_peak_between_two_columns_is_seen(runfmt, runs):
    values = [0.0] * 100_000
    values[54_321] = 9.0
    metrics(make_run(runs, "peak"), values)
    drawn = heights(runfmt("plot", "runs/peak", "loss", "--width", 60, "--height", 9).stdout)
    assert drawn.count(0) == 1
    assert set(drawn) == {0, 8}


def test_key_that_is_not_there_is_called_wrongly_and_told_what_there_is(runfmt, falling):
    assert runfmt.error("plot", "runs", "los") == "no run has a number los; there is: loss, ..."
    assert (
        runfmt.error("plot", "runs", "loss", "--x", "epok")
        == "no run has a number epok; there is: epoch, ..."
    )
    assert "there is no folder" in runfmt.error("plot", "nowhere", "loss")


def test_axis_of_other_steps_is_told(runfmt, runs):
    run = make_run(runs, "a")
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"_step":500,"_timestamp":1732417554,"late":1}\n')
    assert "no run has loss and late at the same step" in runfmt.error(
        "plot", "runs/a", "loss", "--x", "late"
    )


def test_run_without_the_key_says_so(runfmt, falling, runs):
    (make_run(runs, "other", name="other") / "metrics.jsonl").write_bytes(b"")
    assert runfmt("plot", "runs", "loss").stdout.splitlines()[-1] == "+ other  nothing to show"


def test_runs_of_one_name_are_told_apart_by_their_ids(runfmt, runs):
    for run_id in ("a", "b"):
        make_run(runs, run_id, name="same")
    lines = runfmt("plot", "loss").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[-2:]] == ["* same (a)", "+ same (b)"]


def test_runs_of_a_server_are_plotted(runfmt, falling, runs):
    with serving(runs) as server:
        far = runfmt("plot", server.url, "loss", "--height", 8).stdout
    assert far == runfmt("plot", "runs", "loss", "--height", 8).stdout


def test_names_cannot_steer_a_terminal(runfmt, runs):
    make_run(runs, "a", name="\x1b[2J[red]evil\r")
    last = runfmt("plot", "runs", "loss").stdout.splitlines()[-1]
    assert last.startswith("─ �[2J[red]evil�  ")


def test_terminal_without_unicode_gets_signs_that_it_knows(runfmt, falling):
    runfmt.environment |= {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    process = runfmt.start("plot", "runs/falling", "loss", text=False)
    output, _ = process.communicate(timeout=60)
    assert output.isascii()
    assert b"\\u" not in output
    assert b"* down" in output


def test_chart_is_as_high_as_the_terminal_leaves_room(runfmt, falling):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 15, 40, 0, 0))
    for size in ("COLUMNS", "LINES"):
        runfmt.environment.pop(size, None)
    process = runfmt.start("plot", "runs/falling", "loss", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    sent = b""
    try:
        while chunk := os.read(ours, 65536):
            sent += chunk
    except OSError:  # EIO: the other side is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    lines = ESCAPE.sub("", sent.decode()).splitlines()
    assert len(lines) <= 15
    assert max(map(cell_len, lines)) <= 40


# In one line


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], ""),
        ([5], "▅"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([0, math.nan, 7], "▁ █"),
        ([math.nan], ""),
        ([*range(800)], "▁▂▃▄▅▆▇█"),
    ],
)
def test_sparkline(values, said):
    assert sparkline(np.array(values, dtype=float), 8) == said


def test_show_says_of_each_metric_where_it_was_and_what_it_looks_like(runfmt, runs):
    run = make_run(runs, "a")
    metrics(run, [4.0, 1.0, math.nan, 9.0, 2.5])
    lines = runfmt("show", "runs/a").stdout.splitlines()
    table = lines[lines.index("metrics:") + 1 :]
    assert table[0].split() == ["first", "last", "min", "max"]
    assert table[2].split() == ["loss", "4", "2.5", "1", "9", "▄▁", "█▂", "1", "not", "finite"]
    assert "metrics" not in runfmt.json("show", "runs/a")


def test_show_says_nothing_of_metrics_where_there_are_none(runfmt, runs):
    (make_run(runs, "a") / "metrics.jsonl").write_bytes(b"")
    assert "metrics:" not in runfmt("show", "runs/a").stdout


def test_show_of_another_writer_has_its_metrics(runfmt, runs):
    run = make_run(runs, "a")
    (run / "metrics.rank1.jsonl").write_bytes(b'{"_step":0,"_timestamp":1732417554,"own":8}\n')
    assert "own" in runfmt("show", "runs/a", "--writer", "rank1").stdout
    assert "own" not in runfmt("show", "runs/a").stdout


def test_line_keeps_the_extremes_of_what_was_reduced():
    x = np.arange(1000.0)
    line = line_of("a", (x, np.where(x == 777, 5.0, 0.0)), (0, 999), 10)
    assert (line.low.max(), line.high.max(), len(line.x)) == (0, 5, 10)


@given(
    st.lists(st.lists(st.floats(), max_size=30), min_size=1, max_size=3),
    st.sampled_from(["_step", "_timestamp", "_runtime", "loss"]),
    st.booleans(),
    st.booleans(),
    st.integers(10, 60),
)
def test_any_values_make_a_chart_that_fits(curves, x, log, dots, width):
    lines = []
    for values in curves:
        curve = np.arange(len(values), dtype=float) * 1e9, np.array(values, dtype=float)
        lines.append(line_of("漢字\t\x1b", curve, (0, 30e9), 2 * width, log=log))
    drawn = chart(lines, Frame("loss", x, log, width, 4, colored=True, dots=dots))
    assert len(drawn) == 1 + 4 + 2 + len(curves)
    assert max(cell_len(line.plain) for line in drawn) <= width
