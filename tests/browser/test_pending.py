"""While long streams are read, the page says so, shows the rest, and fills in what comes."""

import re
from concurrent.futures import Future

import pytest
from playwright.sync_api import expect

from runfmt_sync.server.backlog import Processes
from runmaker import make_run, rows


@pytest.fixture
def release(monkeypatch):
    """Holds what is read in the background, until it is called."""
    held = []

    def submit(_, read, *args):
        held.append((Future(), read, args))
        return held[-1][0]

    monkeypatch.setattr(Processes, "submit", submit)

    def let_go():
        for future, read, args in held:
            future.set_result(read(*args))

    return let_go


def test_run_that_is_still_read_is_told_and_filled_in(show, tmp_path, release):
    runs = tmp_path / "runs"
    make_run(runs, "short", name="short")
    long = make_run(runs, "long", name="long")
    with open(long / "metrics.jsonl", "ab") as stream:
        stream.write(rows(21, 40_000, text="x" * 200))
    page = show(runs, "/charts?project=p")
    status = page.locator(".bar").get_by_role("status")
    chart = page.get_by_role("article", name="loss", exact=True).get_by_role("img")
    expect(status).to_have_text("reading 1 of 2 runs")
    expect(chart).to_have_attribute("aria-label", re.compile("short 0.0"))
    release()
    expect(chart).to_have_attribute("aria-label", re.compile("long 2.5"))
    expect(status).to_have_text("up to date")
