"""Who may only read is shown what people change as text, and is offered no change."""

import re

import pytest
from playwright.sync_api import expect

from asking import bundle_of
from browsing import LAPTOP
from runfmt_sync.server.tokens import TokenFile, Tokens
from runmaker import make_run, read
from serving import serving

TABLE = "/table?project=p"
OFFERS = re.compile("^(Rename|Edit|Add|Save)|Edit$")


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "runs", name="calm", notes="as it was", tags=["good"])


def page_of(run, part="overview"):
    return f"/run?project=p&run={read(run / 'run.json')['uid'][-12:]}&part={part}"


def expect_no_offer(page):
    expect(page.get_by_role("button", name=OFFERS)).to_have_count(0)


@pytest.fixture
def packed(run, tmp_path):
    path = tmp_path / "runs.runfmt"
    path.write_bytes(bundle_of(run, coding="zstd"))
    return path


@pytest.mark.parametrize(("part", "text"), [("overview", "as it was"), ("documents", "lr")])
def test_page_of_a_run_in_a_bundle_is_text(show, run, packed, part, text):
    page = show(packed, page_of(run, part))
    expect(page.locator(".run-part").get_by_text(text, exact=True)).to_be_visible()
    expect_no_offer(page)


def test_table_of_a_bundle_is_text(show, packed):
    page = show(packed, TABLE)
    expect(page.get_by_role("cell", name="as it was")).to_be_visible()
    expect(page.locator("td .tag")).to_have_text("good")
    expect_no_offer(page)
    page.get_by_role("button", name="More about calm").click()
    expect(page.get_by_role("menuitem")).to_have_text(
        ["Open", "Only this run in charts", "Colour…", "Copy id"]
    )
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("e")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_token_says_what_is_offered_and_another_one_says_it_anew(new_page, tmp_path, run, faults):
    with serving(run.parent) as server:
        tokens = Tokens(TokenFile(server.service.store))
        reader, writer = (
            tokens.add(name, scopes) for name, scopes in [("ann", ["read"]), ("bob", ["read", "append"])]
        )
        page = new_page(**LAPTOP)
        page.goto(f"{server.url}/#token={reader}&{TABLE}")
        expect(page.get_by_role("cell", name="as it was")).to_be_visible()
        expect_no_offer(page)
        tokens.revoke("ann")
        page.get_by_label("Token", exact=True).fill(writer)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Notes of calm: as it was. Edit")).to_be_visible()
        page.context.close()
    faults.expect("401")
