"""The list of runs in a browser: found, sorted, filtered, grouped, edited."""

import json
import re

import pytest
from playwright.sync_api import expect

from runmaker import OLD, make_run, read, write

PLACE = "/table?project=p"


@pytest.fixture
def runs(tmp_path):
    """Six runs of a project, one of another, and one that cannot be read."""
    folder = tmp_path / "runs"
    for i in range(6):
        run = make_run(
            folder, f"run-{i}", count=10 + i, name=f"otter-{i}", tags=["even"] if i % 2 == 0 else ["odd", "x"]
        )
        write(run / "edits.json", {"/notes": {"value": "plain", "time": OLD, "author": "ann"}})
        write(run / "config.json", {"lr": [0.1, 0.01, 0.001][i % 3], "model": {"name": "resnet"}, "seed": i})
    make_run(folder, "other", project="elsewhere")
    make_run(folder, "future", requires=["colour"])
    return folder


@pytest.fixture
def page(show, runs):
    """The table of the six runs."""
    page = show(runs, PLACE)
    expect(page.locator("tbody th.name")).to_have_count(6)
    return page


def expect_names(page, *names):
    expect(page.locator("tbody th.name a")).to_have_text(names)


def test_projects_are_counted_and_lead_to_their_runs(show, runs):
    page = show(runs)
    card = page.get_by_role("link", name="elsewhere")
    expect(card).to_contain_text("1 run")
    expect(page.get_by_role("link", name=re.compile("^p "))).to_contain_text("6 runs")
    expect(page.get_by_text("Cannot be read")).to_be_visible()
    card.click()
    expect(page.get_by_role("row")).to_have_count(2)  # the head and the run


def test_what_cannot_be_read_is_told_and_the_rest_is_shown(show, runs):
    page = show(runs)
    page.get_by_role("link", name="All runs").click()
    expect(page.get_by_role("row").filter(has_text="colour")).to_contain_text("future")
    expect(page.locator("tbody th.name")).to_have_count(7)


def test_a_click_sorts_and_the_address_says_so(page):
    page.get_by_role("button", name="seed").click()
    expect(page.get_by_role("columnheader", name="seed")).to_have_attribute("aria-sort", "ascending")
    expect_names(page, *(f"otter-{i}" for i in range(6)))
    page.get_by_role("button", name="seed").click()
    expect(page.get_by_role("columnheader", name="seed")).to_have_attribute("aria-sort", "descending")
    expect_names(page, *(f"otter-{i}" for i in reversed(range(6))))
    assert "sort=-config.seed" in page.url


def test_filter_leaves_what_is_meant(page):
    page.keyboard.press("/")
    page.keyboard.type("config.lr > 0.001 and tags = even and not otter-4")
    expect_names(page, "otter-0")
    page.get_by_label("Filter the runs").fill("nothing like this")
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.locator("tbody th.name")).to_have_count(6)


def test_filter_that_cannot_be_read_is_told_where(page, runs):
    field = page.get_by_label("Filter the runs")
    field.fill("seed > 1 and lr >")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#filter-said")).to_contain_text("expected a value")
    expect(page.locator("tbody th.name")).to_have_count(6)
    field.fill("seed > 3")
    expect(page.locator("#filter-said")).to_be_empty()
    expect(page.locator("tbody th.name")).to_have_count(2)


def test_runs_are_grouped_by_a_config_key(page, runs):
    page.get_by_role("button", name="Group the runs").click()
    page.get_by_role("option", name="config.lr").click()
    groups = page.locator("tr.group")
    expect(groups).to_have_count(3)
    middle = groups.filter(has=page.get_by_text("0.01", exact=True))
    expect(middle.locator(".count")).to_have_text("2")
    middle.get_by_role("button", expanded=True).click()
    expect(page.locator("tbody th.name")).to_have_count(4)


def test_columns_are_chosen_and_another_sees_the_same(page):
    page.get_by_role("button", name="Choose columns").click()
    page.get_by_role("searchbox", name="Search columns").fill("model.name")
    page.get_by_role("checkbox", name="config.model.name").click()
    page.get_by_role("searchbox", name="Search columns").fill("notes")
    page.get_by_role("checkbox", name="notes").click()
    page.keyboard.press("Escape")
    heads = page.get_by_role("columnheader").all_inner_texts()
    assert any("model.name" in head for head in heads)
    assert "Notes" not in heads
    other = page.context.new_page()
    token = page.evaluate("sessionStorage.getItem('runfmt.token')")
    other.goto(page.url.replace("#", f"#token={token}&", 1))
    expect(other.get_by_role("columnheader", name="model.name")).to_be_visible()
    assert other.get_by_role("columnheader").all_inner_texts() == heads


def test_name_is_edited_in_place_and_is_text(page, runs):
    row = page.get_by_role("row").filter(has_text="otter-3")
    row.hover()
    row.get_by_role("button", name="More about otter-3").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("<b>best</b>")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="<b>best</b>")).to_be_visible()
    assert page.locator("tbody b").count() == 0
    assert read(runs / "run-3" / "edits.json")["/name"]["value"] == "<b>best</b>"


def test_tags_and_notes_are_edited(page, runs):
    page.get_by_role("button", name="Tags of otter-1").click()
    page.get_by_role("textbox", name="Tags").fill("good,  odd, good")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Tags of otter-1: good, odd")).to_be_visible()
    page.get_by_role("button", name="Notes of otter-1").click()
    page.get_by_role("textbox", name="Notes").fill("one\ntwo")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Notes of otter-1: one two")).to_be_visible()
    edits = read(runs / "run-1" / "edits.json")
    assert (edits["/tags"]["value"], edits["/notes"]["value"]) == (["good", "odd"], "one\ntwo")


def test_an_edit_prevails_over_one_of_a_clock_that_is_ahead(show, runs):
    write(runs / "run-2" / "edits.json", {"/name": {"value": "later", "time": 4e9, "author": "ann"}})
    page = show(runs, PLACE)
    expect(page.get_by_role("link", name="later")).to_be_visible()
    page.get_by_role("button", name="More about later").click(force=True)
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("mine")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="mine")).to_be_visible()
    assert read(runs / "run-2" / "edits.json")["/name"]["value"] == "mine"


def test_edit_that_is_refused_says_so(page, faults):
    said = json.dumps({"title": "Forbidden", "status": 403, "detail": "the token may only read"})
    page.route("**/edits", lambda route: route.fulfill(status=403, body=said))
    page.get_by_role("button", name="Notes of otter-1").click()
    page.get_by_role("textbox", name="Notes").fill("one")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Not saved: the token may only read")
    faults.expect("403")


def test_keys_lead_through_the_list(show, runs):
    page = show(runs, PLACE + "&sort=config.seed")
    expect(page.locator("tbody th.name")).to_have_count(6)
    for key in ("j", "j", "k", "j", "x", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="otter-1")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("button", name="Put into the charts: otter-1")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Help")).to_be_hidden()


def test_colour_of_a_run_is_changed_and_in_the_address(page):
    swatch = page.get_by_role("button", name="Colour of otter-0")
    before = swatch.evaluate("element => element.style.background")
    swatch.click()
    page.get_by_role("button", name="#d9534a").click()
    expect(swatch).to_have_css("background-color", "rgb(217, 83, 74)")
    assert "d9534a" in page.url
    swatch.click()
    page.get_by_role("button", name="As it was").click()
    expect(swatch).to_have_css("background-color", before)


def test_of_thousands_of_rows_those_in_sight_are_on_the_page(show, tmp_path):
    folder = tmp_path / "many"
    for i in range(1500):
        run = folder / f"run-{i:04d}"
        run.mkdir(parents=True)
        write(run / "run.json", {
            "runfmt": 1, "requires": [], "uid": f"0193572c-7c8e-7cc1-a4a5-{i:012d}", "id": run.name,
            "project": "p", "name": f"otter-{i}", "state": "finished",
            "created_at": "2024-11-24T03:05:54.000000Z"})  # fmt: skip
    page = show(folder, PLACE)
    expect(page.get_by_text("10 of 1500")).to_be_visible(timeout=60_000)
    assert 10 < page.get_by_role("row").count() < 100
    page.locator(".scroller").evaluate("element => { element.scrollTop = element.scrollHeight; }")
    expect(page.get_by_role("link", name="otter-0", exact=True)).to_be_visible()
    assert page.get_by_role("row").count() < 100


def test_end_of_a_run_is_seen_without_loading_again(show, runs):
    run = make_run(runs, "going", state="running", name="going")
    page = show(runs, PLACE)
    row = page.get_by_role("row").filter(has_text="going")
    expect(row).to_contain_text("crashed")  # its last line is old
    write(run / "run.json", read(run / "run.json") | {"state": "finished"})
    expect(row).to_contain_text("finished")
    make_run(runs, "fresh", name="fresh")
    expect(page.get_by_role("link", name="fresh")).to_be_visible()


def test_empty_folder_says_what_to_do(show, tmp_path):
    (tmp_path / "none").mkdir()
    page = show(tmp_path / "none")
    expect(page.get_by_text("No runs yet")).to_be_visible()
    expect(page.get_by_text("runfmt.init()")).to_be_visible()


def test_theme_follows_the_system_until_it_is_switched(show, runs):
    page = show(runs, PLACE, color_scheme="dark")
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Switch between dark and light").click()
    expect(root).to_have_attribute("data-theme", "light")
    page.reload()
    expect(root).to_have_attribute("data-theme", "light")
