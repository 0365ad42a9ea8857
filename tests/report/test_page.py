"""A report in a browser: it asks for nothing, nothing of a run acts in it, and what moves in it."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from browsing import drawn
from reporting import HOSTILE
from runfmt_sync.report import write_report

GREEN = "#219800"
CALM = """
{{ title }}

{{ runs }}

{{ config all }}

{{ table }}

{{ chart "*" }}

## Media

{{ media "pic" "batch" "svg" "table" "sound" "film" "shape" "hist" }}
"""
"""All but the page that was logged, of whose scripts the browser says that they are refused."""


@pytest.fixture
def all_of_it(page, faults, usual):
    """The usual report; what was logged in it tries to act, and is refused."""
    page.goto(usual.as_uri())
    drawn(page)
    yield page
    faults.expect("Blocked script execution in 'about:srcdoc'")
    faults.expect('violates the following Content Security Policy directive: "img-src data:"')
    faults.expect("Not allowed to load local resource")


@pytest.fixture(scope="session")
def calm(root):
    """A report of which no browser complains."""
    (root.parent / "calm.md").write_text(CALM)
    write_report([root], root.parent / "calm.html", template=root.parent / "calm.md")
    return root.parent / "calm.html"


@pytest.fixture
def report(page, calm):
    """This report in a browser; it fails the test if it asks for anything, or complains."""
    page.goto(calm.as_uri())
    drawn(page)
    return page


def every(selector):
    """The elements of the page that a selector means, as a list of JavaScript."""
    return f"[...document.querySelectorAll({json.dumps(selector)})]"


def chart(key):
    """The chart of a key."""
    return f"{every('[data-chart]')}.find((one) => one.innerText.startsWith({json.dumps(key)}))"


def place_of(page, key):
    """Where the chart of a key is: left, top, width and height of its canvas."""
    page.evaluate(f"{chart(key)}.scrollIntoView()")
    page.evaluate(f"box = {chart(key)}.querySelector('canvas').getBoundingClientRect(); 0")
    return page.evaluate("[box.left, box.top, box.width, box.height]")


def picture_of(page, key):
    """What is drawn of a key."""
    drawn(page)
    return page.evaluate(f"{chart(key)}.querySelector('canvas').toDataURL()")


# It needs nothing, and nothing acts


def test_report_asks_for_nothing_but_itself(page, calm):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(calm.as_uri())
    drawn(page)
    assert [url for url in asked if not url.startswith("data:")] == [calm.as_uri()]


def test_nothing_of_a_run_acts(all_of_it):
    page = all_of_it
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.evaluate("[...document.scripts].map((one) => one.type)") == ["application/json", ""]
    assert (
        page.evaluate(f"{every('*')}.flatMap((one) => one.getAttributeNames()).filter((n) => /^on/.test(n))")
        == []
    )
    assert page.evaluate("document.querySelectorAll('link, base, object, embed, form').length") == 0
    assert page.evaluate(
        "[...document.querySelectorAll('img')].every((one) => one.src.startsWith('data:image/'))"
    )
    assert page.evaluate("document.body.innerText").count("<img src=x onerror=pwned=2>") > 10


def test_page_that_was_logged_has_neither_scripts_nor_an_origin_nor_a_way_out(all_of_it):
    page = all_of_it
    frame = "document.querySelector('iframe')"
    assert page.evaluate(f"{frame}.getAttribute('sandbox')") == ""
    assert page.evaluate(f"{frame}.contentDocument") is None
    assert "logged page" in page.evaluate(f"{frame}.srcdoc")
    policy = page.evaluate("document.querySelector('meta[http-equiv]').content")
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*|unsafe-eval|script-src[^;]*unsafe", policy)


def test_script_of_a_template_does_not_run(page, faults, root, tmp_path):
    (tmp_path / "bad.md").write_text("# a\n\n<script>pwned=7</script>\n\n<img src=x onerror=pwned=8>\n")
    write_report([root], tmp_path / "out.html", template=tmp_path / "bad.md")
    page.goto((tmp_path / "out.html").as_uri())
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.locator("main h1").inner_text() == "a"
    faults.expect("Content Security Policy")


def test_report_is_read_without_a_script(new_page, calm):
    page = new_page(java_script_enabled=False)
    page.goto(calm.as_uri())
    assert page.get_by_text("loss over step (2 not finite)").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_is_accessible(new_page, calm, scheme):
    page = new_page(color_scheme=scheme, bypass_csp=True)
    page.goto(calm.as_uri())
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


# What moves


def test_charts_are_of_all_metrics_but_hidden_ones(report):
    page = report
    titles = page.evaluate(f"{every('[data-chart] .grow')}.map((one) => one.textContent)")
    assert sorted(titles) == sorted(["by_epoch", "epoch", "loss", HOSTILE.replace(".", "\\.")])
    axes = page.evaluate(f"{every('[data-chart] .axis-name')}.map((one) => one.textContent)")
    assert axes[titles.index("by_epoch")] == "epoch"
    assert axes[titles.index("loss")] == "step"


def test_chart_says_values_at_the_pointer_and_what_is_not_finite(report):
    page = report
    left, top, width, height = place_of(page, "loss")
    page.mouse.move(left + width - 10, top + height / 2)
    drawn(page)
    assert page.locator(".readout").inner_text().split("\n")[:3] == ["step 399", "plain", "0.13601"]
    said = []
    for quarter in range(-40, 80):
        page.mouse.move(left + width / 2 + quarter / 4, top + height / 2)
        said.append(page.locator(".readout").inner_text())
    assert [text for text in said if text.startswith("step 200\nplain\nNaN")]


def test_chart_is_zoomed_by_dragging_and_whole_again_after_a_double_click(report):
    page = report
    left, top, width, height = place_of(page, "loss")
    x, y = left + width / 2, top + height / 2
    whole = picture_of(page, "loss")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(left + width - 30, y)
    page.mouse.up()
    page.mouse.move(0, 0)
    assert picture_of(page, "loss") != whole
    page.mouse.dblclick(x, y)
    page.mouse.move(0, 0)
    assert picture_of(page, "loss") == whole


def test_chart_has_a_logarithmic_scale_by_a_click(report):
    page = report
    linear = picture_of(page, "loss")
    page.evaluate(f"{chart('loss')}.querySelector('input').click()")
    assert picture_of(page, "loss") != linear


def test_tables_are_sorted_as_numbers_and_back(report):
    page = report
    table = f"{every('table.sorted')}.find((one) => one.rows[0].cells[1].textContent === 'n')"
    head = f"{table}.rows[0].cells[1]"
    column = f"[...{table}.tBodies[0].rows].map((row) => row.cells[1].textContent)"
    assert page.evaluate(column) == ["10", "9", "100"]
    page.evaluate(f"{head}.click()")
    assert page.evaluate(column) == ["9", "10", "100"]
    assert page.evaluate(f"{head}.getAttribute('aria-sort')") == "ascending"
    page.evaluate(f"{head}.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Enter' }}))")
    assert page.evaluate(column) == ["100", "10", "9"]


def test_boxes_and_masks_lie_over_their_picture_until_it_is_clicked(report):
    page = report
    over = f"{every('.overlaid')}[0].children"
    over = f"[...{over}].map((one) => [one.tagName, getComputedStyle(one).display !== 'none'])"
    assert page.evaluate(over) == [["IMG", True], ["IMG", True], ["svg", True]]
    page.evaluate("box = document.querySelector('.overlaid rect'); 0")
    box = page.evaluate("['x', 'y', 'width', 'height'].map((name) => Number(box.getAttribute(name)))")
    assert box == pytest.approx([20, 4, 20, 32])
    assert "lower half" in page.evaluate("document.querySelector('.overlaid').parentElement.innerText")
    page.evaluate("document.querySelector('.overlaid').click()")
    assert page.evaluate(over) == [["IMG", True], ["IMG", False], ["svg", False]]


def test_mask_is_in_the_colour_of_its_class_and_nothing_elsewhere(report):
    page = report
    pixels = """(async () => {
        const picture = document.querySelector('.overlaid img.over');
        await picture.decode();
        const pen = new OffscreenCanvas(80, 40).getContext('2d');
        pen.drawImage(picture, 0, 0);
        return [[5, 5], [5, 35]].map(([x, y]) => [...pen.getImageData(x, y, 1, 1).data]);
    })()"""
    assert page.evaluate(pixels) == [[0, 0, 0, 0], [*bytes.fromhex(GREEN[1:]), 255]]


def test_pictures_sounds_and_films_play(report):
    page = report
    widths = f"Promise.all({every('img')}.map((one) => one.decode().then(() => one.naturalWidth)))"
    assert {80, 20, 9, 16} <= set(page.evaluate(widths))
    told = "new Promise((done) => { one.onloadedmetadata = () => done(one.duration); one.load(); })"
    assert page.evaluate(f"Promise.all({every('audio')}.map((one) => {told}))") == pytest.approx([0.1, 0.1])
    assert [f"caption {number}" in page.evaluate("document.body.innerText") for number in range(3)] == [
        True
    ] * 3


def test_what_no_report_shows_is_said(report):
    page = report
    assert "object3D-file: not shown in a report, but by runfmt view" in page.evaluate(
        "document.body.innerText"
    )
