"""One file for others to read: what is in it, and that nothing of a run is more than text in it."""

import base64
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import runfmt
from reporting import HOSTILE
from runfmt.errors import RunNotFound, UsageError
from runfmt_sync.report import media as media_module
from runfmt_sync.report import plots as plots_module
from runfmt_sync.report import write_report
from runfmt_sync.report.histograms import bars, over_steps
from runfmt_sync.report.overlays import boxes
from runfmt_sync.report.script import script
from runmaker import make_run, rows
from serving import serving


def report_of(root, text, tmp_path):
    """The body of a report of a template."""
    (tmp_path / "template.md").write_text(text)
    write_report([root], tmp_path / "out.html", template=tmp_path / "template.md")
    return (tmp_path / "out.html").read_text().split("<main>")[1].split("</main>")[0]


# What is in it


def test_config_shows_what_tells_runs_apart_and_all_when_asked(root, tmp_path):
    assert "lr" in report_of(root, "{{ config }}", tmp_path)
    assert ">same<" not in report_of(root, "{{ config }}", tmp_path)
    assert "the same in all runs: 1 key more" in report_of(root, "{{ config }}", tmp_path)
    assert ">same<" in report_of(root, "{{ config all }}", tmp_path)


def test_table_has_the_columns_that_are_named(root, tmp_path):
    html = report_of(root, '{{ table "config.lr" "lo*" }}', tmp_path)
    assert re.findall(r"<th>(.*?)</th>", html) == ["run", "config.lr", "loss"]
    assert 'data-number="0.1"' in html


@pytest.mark.parametrize(
    ("panel", "axis"),
    [
        ('chart "loss"', "_step"),
        ('chart "loss" x="runtime"', "_runtime"),
        ('chart "loss" x="epoch" log smooth=0.9', "epoch"),
    ],
)
def test_charts_are_as_the_template_says(root, tmp_path, panel, axis):
    report_of(root, f"{{{{ {panel} }}}}", tmp_path)
    data = (tmp_path / "out.html").read_text().split('id="charts">')[1].split("</script>")[0]
    (chart,) = json.loads(data)
    assert (chart["axis"], chart["log"], chart["smooth"]) == (
        axis,
        "log" in panel,
        0.9 if "smooth" in panel else 0,
    )
    assert [line["name"] for line in chart["lines"]] == ["plain", HOSTILE]


@pytest.mark.parametrize(
    ("panel", "said"),
    [
        ('chart "loss" smooth=7', "chart: smooth='7' is no number from 0 to 0.999"),
        ('media "*" steps=many', "media: steps='many' is no number"),
    ],
)
def test_value_of_an_option_that_is_none_is_told(root, tmp_path, panel, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        report_of(root, f"{{{{ {panel} }}}}", tmp_path)
    assert not (tmp_path / "out.html").exists()


def test_what_is_not_there_is_said(root, tmp_path):
    html = report_of(root, '{{ chart "nope" }}\n\n{{ media "nope*" }}', tmp_path)
    assert "no run has a number nope" in html
    assert "no run has media nope*" in html


def test_media_of_several_steps(tmp_path):
    with runfmt.init(dir=tmp_path / "runs", id="a") as run:
        for step in range(9):
            run.log({"pic": runfmt.Image(np.full((4, 4), step, np.uint8))})
    for asked, steps in (("", ["8"]), (" steps=3", ["0", "4", "8"]), (" steps=100", [*map(str, range(9))])):
        html = report_of(tmp_path / "runs", f'{{{{ media "pic"{asked} }}}}', tmp_path)
        assert re.findall(r"step (\d+)", html) == steps


def test_files_that_are_gone_or_not_of_the_run_are_not_shown(root, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    run = make_run(tmp_path / "runs", "a")
    (run / "media" / "link.png").symlink_to(secret)
    for path in ("../../secret.png", str(secret), "media/link.png", "media/gone.png", 7, None):
        value = {"_type": "image-file", "path": path, "sha256": "0" * 64, "size": 6}
        with (run / "metrics.jsonl").open("ab") as stream:
            stream.write(json.dumps({"_step": 100, "_timestamp": 1732417600, "y": value}).encode() + b"\n")
        html = report_of(tmp_path / "runs", '{{ media "y" }}', tmp_path)
        assert "the file is not there" in html or "no run has media" in html
        assert "<img" not in html


def test_file_that_is_too_large_is_only_named(root, tmp_path, monkeypatch):
    monkeypatch.setattr("runfmt_sync.report.media.MOST", 300)
    html = report_of(root, '{{ media "pic" "svg" }}', tmp_path)
    assert re.search(r"image media/image/pic_\w+\.png: the file is not there, larger than 300 B", html)
    assert html.count("<img") == 2


def test_values_of_another_form_are_no_reason_to_fail(tmp_path):
    run = make_run(tmp_path / "runs", "a")
    odd = [
        {"_type": "table-file", "path": "files/requirements.txt"},
        {"_type": "images/separated", "images": "none"},
        {"_type": "images/separated", "images": [3], "captions": 4},
        {"_type": "histogram", "bins": [1, 2], "values": ["a"]},
        {"_type": "histogram"},
        {
            "_type": "image-file",
            "path": "files/requirements.txt",
            "boxes": {"a": {"box_data": [{"position": {}}]}},
        },
        {"_type": "of-tomorrow"},
    ]
    with (run / "metrics.jsonl").open("ab") as stream:
        for number, value in enumerate(odd):
            stream.write(
                json.dumps({"_step": 100, "_timestamp": 1732417600, f"odd{number}": value}).encode() + b"\n"
            )
    html = report_of(tmp_path / "runs", '{{ media "odd*" }}', tmp_path)
    assert html.count("<h3>odd") == len(odd)
    assert "of-tomorrow: not shown" in html


TEXTS = st.sampled_from(["path", "media/x.png", "middle", "minX", HOSTILE]) | st.text(max_size=5)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXTS
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
BOX = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("minX", "minY", "maxX", "maxY", "middle", "width"), JSON)
)
BOXES = st.lists(
    JSON | st.fixed_dictionaries({"position": JSON | BOX}, optional={"class_id": JSON}), max_size=3
)
GROUP = st.fixed_dictionaries({}, optional={"box_data": JSON | BOXES, "class_labels": JSON, "path": JSON})
VALUE = st.fixed_dictionaries(
    {"_type": st.sampled_from([*media_module.BATCHES, *media_module._KINDS]) | JSON},
    optional={
        **dict.fromkeys(("path", "caption", "captions", "images", "bins", "values"), JSON),
        **{name: JSON | st.just(20) for name in ("width", "height")},
        **{name: JSON | st.dictionaries(TEXTS, GROUP, max_size=2) for name in ("boxes", "masks")},
    },
)


TABLES = JSON | st.fixed_dictionaries({"columns": st.lists(TEXTS), "data": st.lists(st.lists(JSON) | JSON)})
WORDS = sorted({word for _, words, more in plots_module._CHARTS.values() for word in (*words, *more)})
FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys(WORDS, TEXTS))
SPECS = st.sampled_from(sorted(plots_module._CHARTS))
PLOT = st.fixed_dictionaries({"spec": SPECS | JSON, "fields": FIELDS | JSON, "strings": JSON})


@given(VALUE, st.none() | st.just(HOSTILE) | TABLES, st.none() | PLOT)
def test_any_value_of_any_form_makes_html_in_which_nothing_acts(tmp_path_factory, value, file, plot):
    path = tmp_path_factory.getbasetemp() / "x.png"
    path.write_bytes(file.encode() if isinstance(file, str) else orjson.dumps(file))
    html = media_module.media_html(value | {"plot": plot}, lambda _: None if file is None else path)
    tags = Tags(html)
    assert not tags.opened & {"script", "object", "embed", "link", "base", "form", "style"}
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert tags.level == 0


class Tags(HTMLParser):
    """The elements that are opened, their attributes, and how many are left open."""

    def __init__(self, html):
        super().__init__()
        self.opened, self.attributes, self.level = set(), set(), 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.opened.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.level += 1

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.level -= 1

    def handle_endtag(self, tag):
        self.level -= 1


def test_curves_in_a_table_are_drawn_above_it(tmp_path):
    actual, scores = [0, 0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]]
    with runfmt.init(dir=tmp_path / "runs", id="a") as run:
        run.log({"roc": runfmt.plot.roc_curve(actual, scores, labels=["cat", HOSTILE], title="The ROC")})
        run.log({"lines": runfmt.plot.line_series([0, 1, 2], [[1, 2, 3], [3, 2, 1]], keys=["up", "down"])})
    html = report_of(tmp_path / "runs", '{{ media "roc" }}', tmp_path)
    assert html.count("<path d=") > 2
    assert html.index("The ROC") < html.index("<table")
    assert "cat" in html
    assert report_of(tmp_path / "runs", '{{ media "lines" }}', tmp_path).count('stroke-width="1.5"') == 2


NUMBERS = runfmt.Table(["a", "b"], [[1, 4.5], [2, math.nan], [3, -1], [3, "?"]])
SAMPLES = [number % 7 for number in range(100)]
PLOTS = {
    "points": (runfmt.plot.scatter(NUMBERS, "a", "b", title="Said"), r"<circle ", 2),
    "bars": (runfmt.plot.bar(NUMBERS, "a", "b", title="Said"), r"<rect ", 2),
    "samples": (
        runfmt.plot.histogram(runfmt.Table(["v"], [[one] for one in SAMPLES]), "v", title="Said"),
        r"<title>[\d.]+ to",
        10,
    ),
    "matrix": (
        runfmt.plot.confusion_matrix(
            y_true=[0, 1, 1], preds=[0, 0, 1], class_names=["cat", HOSTILE], title="Said"
        ),
        r'<td style="background:color-mix',
        4,
    ),
}


@pytest.mark.parametrize("key", PLOTS)
def test_plot_of_a_table_is_drawn_above_it(tmp_path, key):
    table, pattern, count = PLOTS[key]
    with runfmt.init(dir=tmp_path / "runs", id="a") as run:
        run.log({key: table})
    html = report_of(tmp_path / "runs", f'{{{{ media "{key}" }}}}', tmp_path)
    assert len(re.findall(pattern, html)) == count
    assert html.index("Said") < html.index('<table class="sorted"')


def test_boxes_may_be_said_by_their_middle_and_in_pixels():
    middle = {"position": {"middle": [0.5, 0.5], "width": 0.5, "height": 0.2}, "class_id": 3}
    pixels = {"position": {"minX": 10, "minY": 20, "maxX": 30, "maxY": 60}, "domain": "pixel"}
    for box, place in (
        (middle, ["50.0", "40.0", "100.0", "20.0"]),
        (pixels, ["10.0", "20.0", "20.0", "40.0"]),
    ):
        ((html, _),) = boxes({"a": {"box_data": [box]}}, (200, 100))
        assert re.search(r' x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"', html).groups() == (*place,)


@pytest.mark.parametrize(
    ("bins", "counts", "is_drawn"),
    [
        ([0, 1], [5], True),
        ([0, 0], [3], True),
        ([0, 1, 2], [0, 0], True),
        ([0, 5e-324], [1], True),
        ([-1e308, 1e308], [5], False),
        ([5, 1], [1], False),
        ([0, 1], [-1], False),
        ([0, 1], [math.nan], False),
        ([0, 1], [1, 2], False),
        ([], [], False),
    ],
)
def test_histograms_that_make_no_sense_are_not_drawn(bins, counts, is_drawn):
    value = {"bins": bins, "values": counts}
    assert ("<svg" in bars(value)) == ("<svg" in over_steps([0, 1], [value, value])) == is_drawn


def test_histograms_over_steps_are_as_deep_as_their_shares():
    low = {"_type": "histogram", "bins": [0, 1, 2], "values": [10, 0]}
    high = {"_type": "histogram", "bins": [0, 1, 2], "values": [5, 5]}
    html = over_steps([0, 1], [low, high])
    picture = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])))
    depth = np.asarray(picture)[..., 3]
    assert depth.shape == (64, 2)
    assert depth[:32, 0].max() == 0  # above: nothing at the first step
    assert depth[32:, 0].min() == 255
    assert depth[:, 1].min() == depth[:, 1].max() == round(0.5**0.5 * 255 - 0.5)


# As a whole


def test_long_runs_make_a_small_report_that_keeps_their_peaks(tmp_path):
    run = make_run(tmp_path / "runs", "long")
    lines = rows(0, 100_000).splitlines(keepends=True)
    lines[54_321] = b'{"_step":54321,"_timestamp":1732417554,"loss":99.5}\n'
    (run / "metrics.jsonl").write_bytes(b"".join(lines))
    made = write_report([tmp_path / "runs"], tmp_path / "out.html")
    assert made.size == (tmp_path / "out.html").stat().st_size < 200_000
    data = json.loads((tmp_path / "out.html").read_text().split('id="charts">')[1].split("</script>")[0])
    assert max(data[0]["lines"][0]["max"]) == 99.5
    assert len(data[0]["lines"][0]["x"]) <= 500


def test_report_holds_no_rows(tmp_path, monkeypatch):
    make_run(tmp_path / "runs", "a", count=3)
    monkeypatch.setattr("runfmt.reading.StoredRun._read_history", None)
    write_report([tmp_path / "runs"], tmp_path / "out.html")
    assert 'data-number="0.25"' in (tmp_path / "out.html").read_text()


def test_numbers_that_are_not_finite_are_sorted_last(tmp_path):
    with runfmt.init(dir=tmp_path / "runs", id="a") as run:
        run.log({"loss": math.nan, "top": math.inf, "fine": 1.5})
    html = report_of(tmp_path / "runs", "{{ table }}", tmp_path)
    assert re.findall(r"data-number=\"(.*?)\"", html) == ["1.5"]
    assert "<td>NaN</td><td>∞</td>" in html


def test_report_of_a_run_that_is_being_written_and_of_a_damaged_one(tmp_path):
    (make_run(tmp_path / "runs", "bad") / "run.json").write_text("{")
    make_run(tmp_path / "runs", "empty").joinpath("metrics.jsonl").unlink()
    with runfmt.init(dir=tmp_path / "runs", id="live", name="live") as run:
        run.log({"loss": 0.125})
        with pytest.warns(match="is damaged"):
            write_report([tmp_path / "runs"], tmp_path / "out.html")
    html = (tmp_path / "out.html").read_text()
    for text in ("state running", "state damaged", "0.125"):
        assert text in html


def test_report_of_a_server_is_that_of_its_folder(root, tmp_path, usual):
    with serving(root) as server:
        write_report([f"{server.url}/p"], tmp_path / "far.html")
    assert pictures(tmp_path / "far.html") == pictures(usual)


def pictures(path):
    return sorted(re.findall(r"data:[^\"]+", path.read_text()))


def test_command_says_what_it_wrote(runfmt, runs):
    make_run(runs, "a", name="alpha")
    said = runfmt("report", "-o", "report.html", "--title", "A <title>").stdout
    assert re.fullmatch(r"report.html: \d+\.\d kB, 1 run, 1 chart, 1 media value\n", said)
    html = Path("report.html").read_text()
    assert "<title>A &lt;title&gt;</title>" in html
    assert "<h1>A &lt;title&gt;</h1>" in html
    assert "alpha" in html


def test_command_called_wrongly_says_so(runfmt, runs):
    make_run(runs, "a")
    Path("bad.md").write_text("\n{{ nope }}\n")
    assert runfmt.error("report", "-o", "x.html", "--template", "bad.md").startswith(
        "bad.md, line 2: there is no panel nope"
    )
    Path("bad.md").write_bytes(b"\xff\xfe")
    assert "is no text in UTF-8" in runfmt.error("report", "-o", "x.html", "--template", "bad.md")
    assert "(gone.md)" in runfmt.error("report", "-o", "x.html", "--template", "gone.md", code=1)
    assert not Path("x.html").exists()
    with pytest.raises(RunNotFound):
        write_report([runs / "a" / "files"], Path("x.html"))


def test_run_that_cannot_be_read_costs_no_other(runfmt, runs):
    make_run(runs, "a", name="alpha")
    make_run(runs, "b", requires=["crypt"])
    done = runfmt("report", "-o", "x.html")
    assert "b was left out" in done.stderr
    assert "alpha" in Path("x.html").read_text()


def test_modules_of_the_script_are_the_viewers_own():
    code = script()
    assert not re.search(r"^(import|export) ", code, re.MULTILINE)
    assert code.index("const $chart = ") < code.index("const $plot = ") < code.index("const $report = ")
