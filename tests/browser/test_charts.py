"""Charts in a browser: what they ask for, what they draw, what they save."""

import json
import re
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import expect

from charting import PLACE, chart, expect_said, line, log, panel, recorded
from runmaker import OLD, write


@pytest.fixture
def runs(tmp_path):
    """Two runs of a falling and a rising metric."""
    folder = tmp_path / "runs"
    for name, start in (("calm", 8.0), ("wild", 4.0)):
        recorded(folder, name, *(line(i, loss=start / (i + 1), **{"val/acc": i / 40}) for i in range(40)))
    return folder


def asked(page, action):
    """What the page asks of curves while something is done, once it has asked."""
    with page.expect_request("**/v1/curves") as request:
        action()
    return request.value.post_data_json


def drag(page, key, start, end):
    """Drag over parts of a chart, 0 being its left edge and 1 its right."""
    box = chart(page, key).bounding_box()
    places = [(box["x"] + part * box["width"], box["y"] + box["height"] / 2) for part in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    page.mouse.up()


def has_drawn(page, key, layer=0):
    """Whether there is anything on a canvas of a panel: 0 the lines, 1 what follows the pointer."""
    return (
        panel(page, key)
        .locator("canvas")
        .nth(layer)
        .evaluate(
            """async canvas => {
            for (const _ of [1, 2, 3]) await new Promise(requestAnimationFrame);
            const blank = document.createElement('canvas');
            [blank.width, blank.height] = [canvas.width, canvas.height];
            return canvas.toDataURL() !== blank.toDataURL();
        }"""
        )
    )


def test_each_metric_has_a_panel_in_the_section_of_its_beginning(show, runs):
    page = show(runs, PLACE)
    expect_said(page, "loss", "loss over Step.*calm 0.2")
    expect_said(page, "loss", "wild 0.1")
    assert has_drawn(page, "loss")
    sections = page.locator(".section")
    expect(sections.nth(0)).to_contain_text("Charts")
    expect(sections.nth(1).get_by_role("heading", name="val 1")).to_be_visible()
    expect(sections.nth(1).get_by_role("article")).to_have_count(1)


def test_what_is_in_sight_is_asked_for_in_one_question(show, tmp_path):
    folder = tmp_path / "runs"
    for name in ("a", "b"):
        recorded(folder, name, *(line(i, **{f"m{k:03d}": i * k for k in range(150)}) for i in range(5)))
    page = show(folder)
    questions = []
    page.on(
        "request",
        lambda request: request.url.endswith("/v1/curves") and questions.append(request.post_data_json),
    )
    page.get_by_role("link", name=re.compile("^p ")).click()
    expect(chart(page, "m000")).to_be_visible()
    assert len(questions) == 1
    first = questions[0]["curves"]
    assert 4 <= len(first) <= 60
    assert {curve["uid"] for curve in first if curve["key"] == "m000"} == {curve["uid"] for curve in first}
    expect(page.get_by_role("article")).to_have_count(60)
    page.get_by_role("button", name="Show 60 more of 90").scroll_into_view_if_needed()
    expect(chart(page, "m059")).to_be_visible()
    told = [(curve["uid"], curve["key"]) for question in questions for curve in question["curves"]]
    assert len(told) == len(set(told))
    assert "m070" not in {key for _, key in told}
    assert len(questions) < 20


def test_row_that_is_logged_is_drawn(show, runs):
    page = show(runs, PLACE)
    expect(chart(page, "loss")).to_be_visible()
    log(runs / "calm", line(40, loss=77.5))
    expect_said(page, "loss", "calm 77.5")
    log(runs / "calm", line(41, fresh=1.5))
    expect(chart(page, "fresh")).to_be_visible()


def test_axis_is_the_one_that_the_metric_was_defined_with(show, tmp_path):
    define = {"_step": 0, "_timestamp": OLD, "_define": {"name": "val/*", "step_metric": "epoch"}}
    rows = [line(10 * i, epoch=i, **{"val/loss": 1 / (i + 1)}) for i in range(6)]
    recorded(tmp_path / "runs", "run", json.dumps(define).encode() + b"\n", *rows)
    page = show(tmp_path / "runs", PLACE)
    expect_said(page, "val/loss", "over epoch")
    expect_said(page, "epoch", "over Step")
    page.get_by_role("button", name="X-axis").click()
    question = asked(page, page.get_by_role("option", name="Relative time").click)
    assert question["x"] == "_runtime"
    expect_said(page, "val/loss", "over Relative time")


def test_smoothing_draws_the_average_and_is_in_the_address(show, tmp_path):
    recorded(tmp_path / "runs", "run", line(0, loss=0.0), line(1, loss=1.0), line(2000, loss=1.0))
    page = show(tmp_path / "runs", PLACE)
    expect_said(page, "loss", "run 1[.]? ")
    page.get_by_label("Smoothing", exact=True).fill("0.25")
    expect(page).to_have_url(re.compile("smooth=0.25"))
    box = chart(page, "loss").bounding_box()
    page.keyboard.press("Escape")
    page.mouse.move(box["x"] + 48, box["y"] + 60)
    readout = page.locator(".readout-row")
    # half a thousandth of the axis after 0 comes 1: 1 / (1 + sqrt(0.25) ** 0.5); what it was stands beside it
    expect(readout.locator(".readout-raw")).to_have_text(re.compile("^(0|1)$"))
    expect(readout.locator(".readout-value")).to_have_text(re.compile(r"^0(\.58579)?$"))


def test_dragging_asks_for_finer_points_and_two_clicks_see_all_again(show, tmp_path):
    recorded(tmp_path / "runs", "run", *(line(i, loss=i % 7) for i in range(5000)))
    page = show(tmp_path / "runs", PLACE)
    expect(chart(page, "loss")).to_be_visible()
    question = asked(page, lambda: drag(page, "loss", 0.5, 0.6))
    assert 2000 < question["from"] < 2700 < question["to"] < 3400
    expect(page).to_have_url(re.compile("zoom=_step,2"))
    expect(page.get_by_role("button", name="Reset zoom")).to_be_visible()
    chart(page, "loss").dblclick()
    expect(page.get_by_role("button", name="Reset zoom")).to_be_hidden()
    assert "zoom" not in page.url


def test_pointer_reads_all_runs_sorted_and_in_all_panels(show, runs):
    page = show(runs, PLACE)
    expect(chart(page, "val/acc")).to_be_visible()
    chart(page, "loss").hover()
    readout = page.locator(".readout")
    expect(readout).to_contain_text(re.compile(r"Step \d+"))
    expect(readout.locator(".readout-name")).to_have_text(["calm", "wild"])
    assert has_drawn(page, "val/acc", layer=1)
    page.mouse.move(5, 5)
    expect(readout).to_be_hidden()
    assert not has_drawn(page, "val/acc", layer=1)


def test_keys_read_values_too(show, runs):
    page = show(runs, PLACE)
    chart(page, "loss").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".readout")).to_contain_text("Step 1")


def test_nan_is_marked_and_read(show, tmp_path):
    nan = {"_step": 5, "_timestamp": OLD + 10, "loss": None, "_nonfinite": {"/loss": "NaN"}}
    rows = [line(i, loss=1.0) for i in (0, 10)]
    recorded(tmp_path / "runs", "run", rows[0], json.dumps(nan).encode() + b"\n", rows[1])
    page = show(tmp_path / "runs", PLACE)
    box = chart(page, "loss").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 14, box["y"] + 50)
    expect(page.locator(".readout-value")).to_have_text("NaN")


def test_chart_is_saved_as_csv_png_and_svg(show, tmp_path):
    count = 12_000  # more than the server gives at once
    recorded(tmp_path / "runs", "run", *(line(i, loss=i * 0.5) for i in range(count)))
    page = show(tmp_path / "runs", PLACE)
    expect(chart(page, "loss")).to_be_visible()

    def saved(what):
        panel(page, "loss").hover()
        panel(page, "loss").get_by_role("button", name="More about loss").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=what).click()
        return download.value

    csv = saved("CSV")
    assert csv.suggested_filename == "loss.csv"
    rows = csv.path().read_text().splitlines()
    assert rows[0] == "run,id,_step,loss"
    assert rows[1:] == [f"run,run,{i},{i * 0.5:g}" for i in range(count)]
    assert saved("PNG").path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    svg = ET.parse(saved("SVG").path()).getroot()
    assert {"loss", "run"} <= {text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert any(path.get("d", "").count("L") > 300 for path in svg.iter("{http://www.w3.org/2000/svg}path"))


def test_panels_are_hidden_and_shown_again(show, runs):
    page = show(runs, PLACE)
    panel(page, "loss").hover()
    page.get_by_role("button", name="More about loss").click()
    page.get_by_role("menuitem", name="Hide panel").click()
    expect(panel(page, "loss")).to_have_count(0)
    assert "hide=loss" in page.url
    page.get_by_role("button", name="Which panels are shown").click()
    page.get_by_role("checkbox", name="loss").click()
    page.keyboard.press("Escape")
    expect(chart(page, "loss")).to_be_visible()


def test_metric_that_is_defined_as_hidden_is_hidden_at_first(show, tmp_path):
    define = {"_step": 0, "_timestamp": OLD, "_define": {"name": "debug/*", "hidden": True}}
    recorded(
        tmp_path / "runs", "run", json.dumps(define).encode() + b"\n", line(0, **{"loss": 1, "debug/x": 1})
    )
    page = show(tmp_path / "runs", PLACE)
    expect(chart(page, "loss")).to_be_visible()
    expect(panel(page, "debug/x")).to_have_count(0)
    page.get_by_role("button", name="Which panels are shown").click()
    page.get_by_role("button", name="Show all").click()
    expect(chart(page, "debug/x")).to_be_visible()


def test_panels_are_searched(show, runs):
    page = show(runs, PLACE)
    page.get_by_label("Search panels").fill("ACC")
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_label("Search panels").fill("nothing")
    expect(page.get_by_text("No panel has that name")).to_be_visible()


def test_groups_are_drawn_as_mean_and_spread(show, tmp_path):
    for name, value in (("a", 1.0), ("b", 3.0), ("c", 10.0)):
        run = recorded(tmp_path / "runs", name, *(line(i, loss=value) for i in range(3)))
        write(run / "config.json", {"lr": 0.5 if name == "c" else 0.1})
    page = show(tmp_path / "runs", PLACE + "&group=config.lr&full=loss")
    legend = page.get_by_role("dialog", name="Panel").get_by_role("listitem")
    expect(legend).to_have_count(2)
    assert sorted(legend.all_inner_texts()) == ["0.1\n2", "0.5\n10"]


def test_logarithmic_scale_says_what_it_cannot_show(show, tmp_path):
    recorded(tmp_path / "runs", "run", *(line(i, loss=i - 1) for i in range(50)))
    page = show(tmp_path / "runs", PLACE)
    expect(chart(page, "loss")).to_be_visible()
    panel(page, "loss").hover()
    page.get_by_role("button", name="More about loss").click()
    page.get_by_role("menuitemcheckbox", name="Logarithmic").click()
    expect(panel(page, "loss")).to_contain_text("0 and below")
    assert "log=loss" in page.url


def test_panel_fills_the_screen(show, runs):
    page = show(runs, PLACE)
    panel(page, "loss").hover()
    page.get_by_role("button", name="Fill the screen with loss").click()
    dialog = page.get_by_role("dialog", name="Panel")
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    assert "full=loss" in page.url
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page).not_to_have_url(re.compile("full"))


def test_run_is_taken_out_of_the_charts(show, runs):
    page = show(runs, PLACE)
    page.get_by_role("button", name="Take out of the charts: wild").click()
    expect(chart(page, "loss")).not_to_have_attribute("aria-label", re.compile("wild"))
    page.get_by_role("button", name="Take out of the charts: calm").click()
    expect(page.get_by_text("No runs are in the charts")).to_be_visible()


def test_first_ten_runs_are_in_the_charts_until_somebody_chooses(show, tmp_path):
    for i in range(12):
        recorded(tmp_path / "runs", f"run-{i}", line(0, loss=i))
    page = show(tmp_path / "runs", PLACE)
    expect(page.get_by_text("10 of 12")).to_be_visible()
    page.get_by_role("button", name="10 in charts: choose which").click()
    page.get_by_role("menuitem", name="All that are listed").click()
    expect(page.get_by_text("12 of 12")).to_be_visible()
    assert "runs=all" in page.url


def test_metrics_of_the_machine_have_their_section(show, runs):
    sample = {"_timestamp": OLD + 1, "cpu": {"percent": 50}}
    (runs / "calm" / "system.jsonl").write_bytes(json.dumps(sample).encode() + b"\n")
    page = show(runs, PLACE)
    expect(page.locator(".section").last).to_contain_text("System")
    expect_said(page, "cpu.percent", "over Relative time.*calm 50")


def test_server_that_is_gone_is_told_and_waited_for(show, runs, faults):
    page = show(runs, PLACE)
    expect(chart(page, "loss")).to_be_visible()
    page.route("**/v1/pulse", lambda route: route.abort())
    expect(page.get_by_text("no answer")).to_be_visible()
    page.unroute("**/v1/pulse")
    expect(page.get_by_text("up to date")).to_be_visible()
    faults.expect("ERR_FAILED")


def test_token_is_asked_for_and_not_in_links(show, runs, new_page, faults):
    page = show(runs, PLACE)
    expect(chart(page, "loss")).to_be_visible()
    token = page.evaluate("sessionStorage.getItem('runfmt.token')")
    assert token
    assert token not in page.url
    stranger = new_page()
    stranger.goto(page.url)
    expect(stranger.get_by_role("heading", name="A token is needed")).to_be_visible()
    stranger.get_by_label("Token", exact=True).fill("wrong")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("heading", name="The token is not accepted")).to_be_visible()
    stranger.get_by_label("Token", exact=True).fill(token)
    stranger.get_by_role("button", name="Sign in").click()
    expect(chart(stranger, "loss")).to_be_visible()
    stranger.context.close()
    faults.expect("401")


def test_out_of_sight_no_canvas_is_kept(show, tmp_path):
    recorded(tmp_path / "runs", "run", *(line(i, **{f"m{k:03d}": i for k in range(60)}) for i in range(3)))
    page = show(tmp_path / "runs", PLACE)
    expect(chart(page, "m000")).to_be_visible()
    page.get_by_role("article").last.scroll_into_view_if_needed()
    expect(chart(page, "m059")).to_be_visible()
    expect(panel(page, "m000").locator("canvas")).to_have_count(0)
    page.get_by_role("article").first.scroll_into_view_if_needed()
    expect(chart(page, "m000")).to_be_visible()


def test_colour_of_a_run_is_that_of_its_line(show, runs):
    page = show(runs, PLACE)
    expect(chart(page, "loss")).to_be_visible()
    page.get_by_role("button", name="Colour of calm").click()
    page.get_by_role("button", name="#d9534a").click()
    expect(page.get_by_role("button", name="Colour of calm")).to_have_css(
        "background-color", "rgb(217, 83, 74)"
    )
    page.get_by_role("button", name="More about loss").click(force=True)
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="SVG").click()
    assert "#d9534a" in download.value.path().read_text()
