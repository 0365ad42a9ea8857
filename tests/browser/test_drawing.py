"""What charts draw of what is odd: marks, ticks, colours, names."""

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from playwright.sync_api import expect

import runfmt
from charting import PLACE, chart, line, panel, recorded

SVG = "{http://www.w3.org/2000/svg}"


def odd(step, what):
    """A row with a value that is no finite number."""
    return line(step, loss=None, _nonfinite={"/loss": what})


def saved(page, key, what):
    """The chart of a panel as it is saved, as ``SVG``."""
    expect(chart(page, key)).to_be_visible()
    panel(page, key).get_by_role("button", name=f"More about {key}").click(force=True)
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=what).click()
    return download.value.path()


def picture(page, key):
    """The chart of a panel as a tree, drawn by what draws the page."""
    return ET.parse(saved(page, key, "SVG")).getroot()


def arrows(svg):
    """Where the tips of arrows are."""
    paths = (path.get("d") for path in svg.iter(f"{SVG}path") if path.get("fill", "none") != "none")
    tips = (re.fullmatch(r"M([\d.]+) ([\d.]+)L[\d.]+ [\d.]+L[\d.]+ [\d.]+", path or "") for path in paths)
    return [float(tip[1]) for tip in tips if tip]


def test_infinities_row_after_row_are_arrows_apart_up_to_the_last(show, tmp_path):
    rows = [line(0, loss=1.0), *(odd(step, "Infinity") for step in range(1, 1000))]
    recorded(tmp_path / "runs", "run", *rows)
    page = show(tmp_path / "runs", PLACE)
    tips = arrows(picture(page, "loss"))
    assert len(tips) > 40
    assert min(b - a for a, b in pairwise(tips)) >= 10
    assert tips[-1] > 900
    box = chart(page, "loss").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    expect(page.locator(".readout-value")).to_have_text(re.compile(r"^∞ × \d+$"))


def test_runs_that_are_infinite_at_once_take_turns(show, tmp_path):
    for name in ("a", "b"):
        rows = [line(0, loss=1.0), *(odd(step, "Infinity") for step in range(1, 300))]
        recorded(tmp_path / "runs", name, *rows)
    page = show(tmp_path / "runs", PLACE)
    tips = sorted(arrows(picture(page, "loss")))
    assert min(b - a for a, b in pairwise(tips)) >= 10


def test_axis_of_epochs_has_no_halves(show, tmp_path):
    recorded(tmp_path / "runs", "run", *(line(10 * i, epoch=i, loss=1 / (i + 1)) for i in range(3)))
    page = show(tmp_path / "runs", f"{PLACE}&x=epoch")
    texts = [text.text for text in picture(page, "loss").iter(f"{SVG}text") if float(text.get("y")) > 515]
    assert texts[:3] == ["0", "1", "2"]


@pytest.mark.parametrize("what", ["NaN", "Infinity", "-Infinity"])
def test_all_odd_values_are_in_the_file(show, tmp_path, what):
    count = 250  # more than are told one by one
    recorded(tmp_path / "runs", "run", *(odd(step, what) for step in range(count)))
    page = show(tmp_path / "runs", PLACE)
    rows = saved(page, "loss", "CSV").read_text().splitlines()
    assert rows[1:] == [f"run,run,{step},{what}" for step in range(count)]


def test_runs_of_one_name_are_told_apart(show, tmp_path):
    names = {"20261126-163559-657zn6": "baseline", "20261126-163559-68wk8h": "baseline", "last": "other"}
    for number, (run_id, name) in enumerate(names.items()):
        rows = [line(i, loss=i) for i in range(3)]
        recorded(tmp_path / "runs", run_id, *rows, name=name, uid=f"0193572c-0000-7000-8000-{number:012}")
    page = show(tmp_path / "runs", PLACE)
    expect(page.locator("tbody .suffix")).to_have_text(["68wk8h", "657zn6"])
    chart(page, "loss").hover()
    readout = page.locator(".readout-name")
    expect(readout.locator(".suffix")).to_have_count(2)
    expect(readout.filter(has_text="other")).to_have_text("other")
    texts = [text.text for text in picture(page, "loss").iter(f"{SVG}text")]
    assert {"baseline · 657zn6", "baseline · 68wk8h", "other"} <= {*texts}
    page.get_by_role("button", name="Fill the screen with loss").click(force=True)
    expect(page.locator(".legend .suffix")).to_have_text(["68wk8h", "657zn6"])


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (7, 3)])
def test_panels_fill_the_row(show, tmp_path, count, columns):
    recorded(tmp_path / "runs", "run", line(0, **{f"m{i}": i for i in range(count)}))
    page = show(tmp_path / "runs", PLACE)
    page.set_viewport_size({"width": 1500, "height": 900})
    expect(page.get_by_role("article")).to_have_count(count)
    box = page.locator(".grid").bounding_box()
    boxes = [one.bounding_box() for one in page.get_by_role("article").all()]
    first = [one for one in boxes if one["y"] == boxes[0]["y"]]
    assert len(first) == columns
    if count > 1:
        assert first[-1]["x"] + first[-1]["width"] == pytest.approx(box["x"] + box["width"])


def test_captions_are_read_whole(show, tmp_path):
    caption = "a cat that was taken for a dog, and rightly so as nobody could have known what it is"
    with runfmt.init("p", dir=tmp_path / "runs", silent=True) as run:
        picture = np.zeros((8, 8, 3), np.uint8)
        run.log({"samples": [runfmt.Image(picture, caption=f"{number} {caption}") for number in range(3)]})
    page = show(tmp_path / "runs", PLACE)
    first = page.locator("figcaption").first
    expect(first).to_be_visible()
    is_cut = "(one) => one.scrollHeight > one.clientHeight + 1"
    assert first.evaluate(is_cut)
    page.get_by_role("button", name=f"Zoom: 0 {caption}").focus()
    assert not first.evaluate(is_cut)
    page.locator("figure").nth(1).hover()
    assert not page.locator("figcaption").nth(1).evaluate(is_cut)


def test_outliers_are_shown_until_somebody_cuts_them_off_and_that_is_told(show, tmp_path):
    rows = (line(i, loss=1e6 if i == 7000 else i % 10) for i in range(10_000))
    recorded(tmp_path / "runs", "run", *rows)
    page = show(tmp_path / "runs", f"{PLACE}&smooth=0.9")
    said = "Outliers are cut off"
    assert "1M" in [text.text for text in picture(page, "loss").iter(f"{SVG}text")]
    expect(page.get_by_text(said)).to_have_count(1)  # the tool, which is hidden
    expect(page.get_by_text(said)).to_be_hidden()
    page.get_by_role("button", name="View: scales and sizes").click()
    page.get_by_role("menuitemcheckbox", name="Leave outliers out of the scale").click()
    expect(panel(page, "loss")).to_contain_text(said)
    assert "1M" not in [text.text for text in picture(page, "loss").iter(f"{SVG}text")]
    page.get_by_role("button", name=said).click()
    expect(panel(page, "loss")).not_to_contain_text(said)
    assert "clip" not in page.url


NUMBERS = runfmt.Table(["a", "b"], [[0, 1.0], [1, 3.0], [2, 2.0]])
PLOTS = {
    "lines": (runfmt.plot.line(NUMBERS, "a", "b", title="Said"), "path.plot-line", "a 1"),
    "points": (runfmt.plot.scatter(NUMBERS, "a", "b", title="Said"), "path.plot-points", "Point"),
    "bars": (runfmt.plot.bar(NUMBERS, "a", "b", title="Said"), "rect", "1"),
    "samples": (runfmt.plot.histogram(NUMBERS, "b", title="Said"), "rect", "b 1.8 to 2.2"),
    "matrix": (
        runfmt.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 0, 1], title="Said"),
        "rect.no-count",
        "Actual Class_1, Predicted Class_1",
    ),
}
PLACES = {"points": (0.507, 0.1), "bars": (0.5, 0.15), "matrix": (0.1, 0.1)}


@pytest.mark.parametrize("key", PLOTS)
def test_plot_of_a_table_is_drawn_above_it_and_read(show, tmp_path, key):
    table, shapes, said = PLOTS[key]
    with runfmt.init("p", dir=tmp_path / "runs", silent=True) as run:
        run.log({key: table})
    page = show(tmp_path / "runs", f"{PLACE}&full={key}")
    drawing = page.get_by_role("dialog").get_by_role("img", name="Said")
    expect(drawing.locator(shapes).first).to_be_visible()
    box, below = drawing.bounding_box(), page.get_by_role("dialog").get_by_role("table").bounding_box()
    assert box["y"] + box["height"] <= below["y"]
    across, down = PLACES.get(key, (0.53, 0.45))
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    expect(page.locator(".readout-title")).to_have_text(said)
