"""What the runs of a real trainer look like; the pages in turn, without a complaint."""

from playwright.sync_api import expect


def test_projects_and_states_of_runs(shown, page):
    shown.enter(page)
    expect(page.get_by_role("heading", name="shapes")).to_be_visible()
    shown.enter(page, "/table?project=shapes")
    for state in ("finished", "failed", "crashed", "running"):
        expect(page.get_by_role("row").get_by_text(state, exact=True).first).to_be_visible()
