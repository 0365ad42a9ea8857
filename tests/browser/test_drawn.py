"""A row that a trainer logs is drawn after at most two of the page's pulses."""

import re

from playwright.sync_api import expect

MOST = 2
"""One pulse may be on its way while the row is logged; the next one tells of it."""


def test_logged_row_is_drawn_after_two_pulses(shown, page):
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    shown.enter(page, f"/charts?project=shapes&runs={shown.uid('live')[-12:]}&panels=train/loss")
    chart = page.get_by_role("article", name="train/loss", exact=True).get_by_role("img")
    expect(chart).to_have_attribute("aria-label", re.compile("live"))
    for value in (0.0625, 0.03125, 0.015625):
        with page.expect_response("**/v1/pulse"):
            pass  # what was logged before is known
        asked.clear()
        shown.live.log(**{"train/loss": value})
        expect(chart).to_have_attribute("aria-label", re.compile(rf"live {value:.4g}"))
        drawn = len(asked) - asked[::-1].index("curves")
        assert asked[:drawn].count("pulse") <= MOST, asked
