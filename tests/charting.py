"""Runs with the lines that a test gives them, and their charts on the page."""

import json
import re

from playwright.sync_api import expect

from runmaker import OLD, make_run

PLACE = "/charts?project=p"


def line(step, **values):
    return json.dumps({"_step": step, "_timestamp": OLD + 2 * step, **values}).encode() + b"\n"


def log(run, *lines):
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.writelines(lines)


def recorded(folder, run_id, *lines, **about):
    """A run with these lines for a history."""
    run = make_run(folder, run_id, **({"name": run_id} | about))
    (run / "metrics.jsonl").write_bytes(b"".join(lines))
    return run


def panel(page, key):
    return page.get_by_role("article", name=key, exact=True)


def chart(page, key):
    return panel(page, key).get_by_role("img")


def expect_said(page, key, pattern):
    """What a chart says of itself to those who do not see it: its axis, and last values."""
    expect(chart(page, key)).to_have_attribute("aria-label", re.compile(pattern))
