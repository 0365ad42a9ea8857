"""Everybody can use every page: axe finds nothing grave, in both themes, on a laptop and on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from browsing import LAPTOP, PHONE, drawn

CHARTS, TABLE = "/charts?project=shapes", "/table?project=shapes"
VIEWS = {
    "projects": ("/", "shapes"),
    "table": (TABLE, "diverges"),
    "filter that is wrong": (f"{TABLE}&filter=lr+>", "lr"),
    "groups": (f"{TABLE}&group=state", "crashed"),
    "charts": (CHARTS, "train"),
    "comparison": ("/compare?project=shapes&by=summary.val/acc.max", "Scatter"),
    "one chart": (f"{CHARTS}&full=train/loss", "train/loss"),
    "outliers cut off": (f"{CHARTS}&clip=1", "Outliers are cut off"),
    "plot of a table": (f"{CHARTS}&panels=confusion", "Predicted"),
    "pictures": (f"{CHARTS}&panels=found", "a circle"),
    "histograms": (f"{CHARTS}&panels=weights", "weights/first"),
    "table of pictures": (f"{CHARTS}&panels=predictions", "circle"),
    "sound": (f"{CHARTS}&panels=tone", "440 Hz"),
    "points": (f"{CHARTS}&panels=spiral", "spiral"),
    "figure": (f"{CHARTS}&panels=kinds", "kinds"),
    "page": (f"{CHARTS}&panels=page", "page"),
}
PARTS = {
    "overview": "baseline",
    "charts": "train/loss",
    "documents": "optimizer",
    "console": "accuracy",
    "system": "cpu",
    "files": "requirements.txt",
    "events": "Trained",
}


def grave_faults(page):
    """What axe finds that is serious or critical, and where."""
    found = Axe().run(page).response["violations"]
    return [
        (fault["id"], node["html"], node["failureSummary"])
        for fault in found
        for node in fault["nodes"]
        if fault["impact"] in ("serious", "critical")
    ]


def expect_no_grave_fault(page):
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for device in (LAPTOP, PHONE):
            page.set_viewport_size(device["viewport"])
            drawn(page)
            assert grave_faults(page) == [], (scheme, device)


@pytest.mark.parametrize("name", VIEWS)
def test_view_of_runs(shown, page, name):
    view, text = VIEWS[name]
    shown.enter(page, view)
    expect(page.get_by_text(text).first).to_be_visible()
    expect_no_grave_fault(page)


@pytest.mark.parametrize("part", PARTS)
def test_page_of_a_run(shown, page, part):
    shown.enter(page, f"/run?project=shapes&run={shown.uid('sgd')[-12:]}&part={part}")
    expect(page.get_by_role("main").get_by_text(PARTS[part]).first).to_be_visible()
    expect_no_grave_fault(page)


def test_help(shown, page):
    shown.enter(page, TABLE)
    page.get_by_role("button", name="Help (?)").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect_no_grave_fault(page)


def test_login(shown, page, faults):
    page.goto(shown.url)
    expect(page.get_by_label("Token")).to_be_visible()
    expect_no_grave_fault(page)
    faults.expect("401")
