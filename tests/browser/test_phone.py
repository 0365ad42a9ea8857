"""On a phone names are read whole, fingers enlarge, and nothing is wider than the screen."""

import pytest
from playwright.sync_api import expect

from browsing import PHONE
from charting import line, recorded

PROJECT = "vision-transformer-ablation-of-august"
NAME = "vit-base-patch16-lr3e-4-mixup0.8-seed1"


@pytest.fixture
def phone(show, tmp_path):
    """Opens a view of a run with long names, at the width of a phone."""
    rows = (line(i, loss=i) for i in range(3))
    recorded(tmp_path / "runs", "first", *rows, project=PROJECT, name=NAME)

    def opened(view):
        page = show(tmp_path / "runs", f"/{view}?project={PROJECT}", **PHONE)
        expect(page.get_by_role("heading", name=PROJECT, exact=True)).to_be_visible()
        return page

    return opened


def is_whole(element):
    return element.evaluate(
        "(one) => one.scrollWidth <= one.clientWidth + 1 && one.scrollHeight <= one.clientHeight + 1"
    )


@pytest.mark.parametrize("view", ["charts", "table", "compare"])
def test_names_are_read_whole(phone, view):
    page = phone(view)
    if view != "table":
        page.locator(".side-switch").click()
    assert is_whole(page.locator(".path h1"))
    name = page.locator(".name-cell .clip")
    expect(name).to_have_text(NAME)
    assert is_whole(name)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_name_stays_in_sight_beside_the_columns(phone):
    page = phone("table")
    expect(page.locator(".name-cell")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Duration")).to_be_attached()
    scrolled, left = page.locator(".scroller").evaluate(
        """(one) => {
            one.scrollLeft = 300;
            return [one.scrollLeft, one.querySelector('.name-cell').getBoundingClientRect().left];
        }"""
    )
    assert scrolled > 100
    assert 0 <= left < 60


@pytest.mark.parametrize("selector", ["html", ".plot canvas:last-child"])
def test_two_fingers_enlarge(phone, selector):
    page = phone("charts")
    allowed = page.locator(selector).first.evaluate("(one) => getComputedStyle(one).touchAction")
    assert allowed == "auto" or "pinch-zoom" in allowed
    meta = page.locator("meta[name=viewport]").get_attribute("content")
    assert "user-scalable" not in meta
    assert "maximum-scale" not in meta
