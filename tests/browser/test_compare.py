"""Runs compared in a browser: what differs, axes with ranges, points, bars; the address holds it."""

import json
import re

import pytest
from playwright.sync_api import expect

from runmaker import OLD, make_run, write

PLACE = "/compare?project=p"
RATES = [0.1, 0.01, 0.001, 0.0001]


@pytest.fixture
def runs(tmp_path):
    """Four runs of two optimizers, the better the smaller their rate; the last has no accuracy."""
    folder = tmp_path / "runs"
    for i, lr in enumerate(RATES):
        run = make_run(folder, f"run-{i}", name=f"otter-{i}")
        config = {"lr": lr, "optimizer": {"name": ["adam", "sgd"][i % 2], "decay": 0.5}, "seed": 7}
        write(run / "config.json", config)
        row = {"_step": 1, "_timestamp": OLD, "loss": 4.0 - i} | ({"acc": i / 4} if i < 3 else {})
        (run / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    return folder


@pytest.fixture
def page(show, runs):
    page = show(runs, PLACE)
    expect_lines(page, *range(4))
    return page


def part(page, name):
    return page.get_by_role("region", name=name, exact=True)


def links(page, name):
    return part(page, name).locator("svg a")


def expect_lines(page, *numbers):
    """The runs that have a line in the parallel coordinates."""
    expect(links(page, "Parallel coordinates")).to_have_count(len(numbers))
    for i in numbers:
        name = re.compile(f"^otter-{i}:")
        expect(part(page, "Parallel coordinates").get_by_role("link", name=name)).to_have_count(1)


def keys(page):
    return page.get_by_role("rowheader").filter(has=page.locator(".kind"))


def drag(page, axis, start, end):
    """Drag along an axis, by number: 0 is its top, 1 its foot."""
    box = part(page, "Parallel coordinates").locator(".brush").nth(axis).bounding_box()
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + start * box["height"])
    page.mouse.down()
    page.mouse.move(x, box["y"] + end * box["height"], steps=5)
    page.mouse.up()


def axis_menu(page, axis, item):
    page.get_by_role("button", name=f"Axis {axis}").click()
    page.get_by_text(item, exact=True).click()


def test_table_has_what_differs_and_all_when_asked(page):
    expect(keys(page)).to_have_text(["Clr", "Coptimizer.name", "Sacc", "Sloss"])
    expect(page.get_by_role("row").filter(has_text="optimizer.name")).to_contain_text("adam")
    page.get_by_role("checkbox", name="Only what differs").uncheck()
    expect(keys(page).filter(has_text="decay")).to_be_visible()
    expect(keys(page).filter(has_text="seed")).to_be_visible()
    assert "equal=1" in page.url


def test_keys_are_searched_for(page):
    page.get_by_label("Search keys").fill("optimizer")
    expect(keys(page)).to_have_text(["Coptimizer.name"])
    page.get_by_label("Search keys").fill("seed")
    expect(page.get_by_text("No key is like that")).to_be_visible()


def test_table_is_copied_with_all_digits(show, runs):
    page = show(runs, f"{PLACE}&keys=lr", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    lines = page.evaluate("navigator.clipboard.readText()").split("\n")
    names = lines[0].split("\t")[1:]
    values = dict(zip(names, map(float, lines[1].split("\t")[1:]), strict=True))
    assert values == {f"otter-{i}": lr for i, lr in enumerate(RATES)}


def test_drag_along_an_axis_keeps_runs_everywhere_and_a_click_keeps_all(page):
    heads = page.locator(".axis-head")
    expect(heads).to_contain_text(["lr", "optimizer.name", "acc", "loss"])
    drag(page, 3, 0.6, 1)  # losses of 1 and 2
    expect_lines(page, 2, 3)
    expect(page.get_by_text("2 of 4 runs kept")).to_be_visible()
    expect(links(page, "Bars")).to_have_count(1)  # otter-3 has no accuracy
    expect(page.locator(".differences").get_by_role("columnheader")).to_have_count(3)  # and the key
    page.reload()
    expect_lines(page, 2, 3)
    page.get_by_role("button", name="Keep all").click()
    expect_lines(page, *range(4))
    drag(page, 3, 0.6, 1)
    expect_lines(page, 2, 3)
    drag(page, 3, 0.2, 0.2)
    expect_lines(page, *range(4))


def test_drag_along_categories_keeps_those_that_it_covers(page):
    drag(page, 1, 0, 0.5)
    expect_lines(page, 1, 3)
    assert "sgd" in page.url


def test_range_is_kept_without_dragging(page):
    axis_menu(page, "config.lr", "Keep a range…")
    page.get_by_label("From", exact=True).fill("nothing")
    page.get_by_label("To", exact=True).fill("0.05")
    page.keyboard.press("Enter")
    expect(page.get_by_label("From", exact=True)).to_have_attribute("aria-invalid", "true")
    page.get_by_label("From", exact=True).fill("0.0005")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect_lines(page, 1, 2)


def test_logarithmic_axis_has_decades_equally_far_apart(page):
    axis_menu(page, "config.lr", "Logarithmic")
    expect(page.get_by_role("button", name="Axis config.lr")).to_contain_text("log")
    heights = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('.line')].map((line) => [
            line.parentNode.getAttribute('aria-label').slice(0, 7),
            Number(/^M\\S+ ([\\d.]+)/.exec(line.getAttribute('d'))[1])]))"""
    )
    steps = [heights[f"otter-{i + 1}"] - heights[f"otter-{i}"] for i in range(3)]
    assert steps == pytest.approx([steps[0]] * 3)
    assert steps[0] > 20


def test_axes_are_chosen_moved_and_removed(page):
    heads = page.locator(".axis-head")
    page.get_by_role("button", name="Choose axes").click()
    page.get_by_role("checkbox", name="config.seed").click()
    page.keyboard.press("Escape")
    expect(heads).to_contain_text(["lr", "optimizer.name", "acc", "loss", "seed"])
    axis_menu(page, "config.seed", "Move left")
    expect(heads).to_contain_text(["lr", "optimizer.name", "acc", "seed", "loss"])
    axis_menu(page, "config.lr", "Remove")
    expect(heads).to_contain_text(["optimizer.name", "acc", "seed", "loss"])


def test_one_column_colours_lines_points_and_bars(page):
    page.get_by_role("button", name="Colour by").click()
    page.get_by_role("option", name="config.optimizer.name").click()
    expect(page.locator(".ramp-legend")).to_contain_text("adam")
    shapes = {"Parallel coordinates": ".line", "Scatter": "circle", "Bars": "rect[rx]"}
    for name, shape in shapes.items():
        attribute = "stroke" if name == "Parallel coordinates" else "fill"
        of = {
            i: links(page, name)
            .and_(page.get_by_role("link", name=re.compile(f"^otter-{i}:")))
            .locator(shape)
            .get_attribute(attribute)
            for i in range(3)
        }
        assert of[0] == of[2] != of[1], name


def test_points_say_their_values_and_open_their_run(page):
    page.get_by_role("button", name="Upwards").first.click()
    page.get_by_role("option", name="summary.loss").click()
    points = part(page, "Scatter").get_by_role("link")
    expect(points).to_have_count(4)
    expect(points.first).to_have_attribute("aria-label", re.compile("config.lr .*summary.loss"))
    page.get_by_role("button", name="Across: logarithmic").click()
    assert "scatter=config.lr,summary.loss" in page.url
    assert "logs=config.lr" in page.url
    point = part(page, "Scatter").get_by_role("link", name=re.compile("^otter-2:"))
    point.locator("circle").hover()
    expect(page.locator(".readout")).to_contain_text("0.001")
    point.locator("circle").click()
    expect(page).to_have_title(re.compile("otter-2"))
    expect(page.locator(".readout")).to_be_hidden()


def test_what_has_no_value_is_counted_beside_the_points(page):
    expect(links(page, "Scatter")).to_have_count(3)
    expect(part(page, "Scatter")).to_contain_text("1 without a value here")


def test_bars_are_in_order_of_their_values(page):
    page.get_by_role("button", name=re.compile("^Value")).click()
    page.get_by_role("option", name="summary.loss").click()
    names = [label.split(":")[0] for label in labels(page, "Bars", 4)]
    assert names == [f"otter-{i}" for i in range(4)]


def labels(page, name, count):
    expect(links(page, name)).to_have_count(count)
    return links(page, name).evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")


def test_runs_are_those_of_the_eyes(page):
    page.get_by_role("row").filter(has_text="otter-1").locator(".eye button").click()
    expect_lines(page, 0, 2, 3)


def test_another_sees_the_same(page):
    drag(page, 3, 0.6, 1)
    axis_menu(page, "config.lr", "Logarithmic")
    expect_lines(page, 2, 3)
    other = page.context.new_page()
    token = page.evaluate("sessionStorage.getItem('runfmt.token')")
    other.goto(page.url.replace("#", f"#token={token}&", 1))
    expect_lines(other, 2, 3)
    expect(other.get_by_role("button", name="Axis config.lr")).to_contain_text("log")
