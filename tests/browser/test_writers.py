"""What other processes of a run wrote is shown beside what the main one did."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

import runfmt
from charting import PLACE, chart, expect_said, line, panel, recorded

UIDS = [f"0193572c-7c8e-7cc1-a4a5-{number:012}" for number in range(2)]


@pytest.fixture
def runs(tmp_path):
    """A run with two other writers, and one that has none."""
    folder = tmp_path / "runs"
    run = recorded(folder, "many", *(line(i, loss=1.0) for i in range(3)), uid=UIDS[0])
    for rank, value in ((2, 2.0), (10, 10.0)):
        lines = (line(i, loss=value, **{"rank/time": value}) for i in range(3))
        (run / f"metrics.rank{rank}.jsonl").write_bytes(b"".join(lines))
    recorded(folder, "one", *(line(i, loss=5.0) for i in range(3)), uid=UIDS[1])
    return folder


def choose(page, *writers):
    page.get_by_role("button", name=re.compile("^Writers")).click()
    for writer in writers:
        page.get_by_role("checkbox", name=writer, exact=True).click()
    page.keyboard.press("Escape")


def test_curves_of_chosen_writers_are_drawn_beside_each_other(show, runs):
    page = show(runs, PLACE)
    expect_said(page, "loss", "one 5, many 1[.]")
    expect(panel(page, "rank/time")).to_contain_text("main wrote nothing here")
    page.get_by_role("button", name=re.compile("^Writers")).click()
    expect(page.get_by_role("checkbox")).to_have_text(["✓main", "rank2", "rank10"])
    page.keyboard.press("Escape")
    choose(page, "rank2", "rank10")
    expect_said(page, "loss", "one 5, many 1, many · rank2 2, many · rank10 10")
    expect_said(page, "rank/time", "Last values: many · rank2 2, many · rank10 10")
    assert "writers=main,rank2,rank10" in page.url
    choose(page, "main", "rank2")
    expect_said(page, "loss", "Last values: many · rank10 10[.]")
    page.reload()
    expect_said(page, "loss", "Last values: many · rank10 10[.]")
    panel(page, "loss").get_by_role("button", name="More about loss").click(force=True)
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="CSV").click()
    rows = download.value.path().read_text().splitlines()
    assert rows == ["run,id,writer,_step,loss", *(f"many,many,rank10,{i},10" for i in range(3))]


def test_media_of_chosen_writers_stand_side_by_side(show, tmp_path):
    with runfmt.init("p", dir=tmp_path / "runs", name="many", silent=True) as run:
        for caption in ("of main", "of rank1"):
            run.log({"seen": runfmt.Image(np.zeros((8, 8, 3), np.uint8), caption=caption)})
        folder = Path(run.dir).parent
    first, second, *_ = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_bytes(first)
    (folder / "metrics.rank1.jsonl").write_bytes(second)
    page = show(tmp_path / "runs", PLACE)
    captions = panel(page, "seen").locator("figcaption")
    expect(captions).to_have_text(["of main"])
    choose(page, "rank1")
    expect(captions).to_have_text(["of main", "of rank1"])
    expect(panel(page, "seen").locator(".column .suffix")).to_have_text(["rank1"])


def test_no_writers_are_offered_where_there_is_one(show, tmp_path):
    recorded(tmp_path / "runs", "one", line(0, loss=5.0))
    page = show(tmp_path / "runs", PLACE)
    expect(chart(page, "loss")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Writers"))).to_be_hidden()
