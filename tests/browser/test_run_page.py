"""The page of one run: what it says of it, its console however long, what people may change."""

import json
import re

import pytest
from playwright.sync_api import expect

from runmaker import make_run, read, rows, write

MARKUP = '<img src=x onerror="hurt=1"><script>hurt=1</script>'


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def address(run, part="overview"):
    return f"/run?project=p&run={read(run / 'run.json')['uid'][-12:]}&part={part}"


def pair(page, name):
    """What stands beside a name."""
    return page.locator("dt", has_text=re.compile(f"^{name}$")).locator("xpath=following-sibling::dd[1]")


# What it says


def test_overview_says_where_a_run_comes_from_and_how_it_went(show, runs):
    git = {"commit": "1f" * 20, "branch": "main", "dirty": True, "remote": "git@example.org:a.git"}
    environment = {"host": "node7", "argv": ["train.py", "--lr", "0.1 or so"], "cwd": "/work", "git": git}
    run = make_run(runs, environment=environment, state="failed", exit_code=3)
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(b'{"_step":21,"_timestamp":1732417600,"_rewind":10}\nnonsense\n' + rows(11, 1))
    page = show(runs, address(run))
    expect(pair(page, "State")).to_have_text("failed, exit code 3")
    expect(pair(page, "host")).to_have_text("node7")
    expect(page.locator(".command code")).to_have_text("python train.py --lr '0.1 or so'")
    expect(pair(page, "Commit")).to_contain_text("1f1f")
    expect(pair(page, "Changed")).to_contain_text("no commit")
    expect(pair(page, "Rewinds")).to_contain_text("to step 10")
    expect(page.locator(".problems li").first).to_contain_text("metrics.jsonl, byte")


def test_notes_are_markdown_and_one_line_of_the_table(show, runs):
    notes = (
        "# Why\nThe **best** one: [paper](https://example.org/p), [not](javascript:hurt=1)\n\n- <b>one</b>"
    )
    run = make_run(runs, notes=notes)
    page = show(runs, address(run))
    place = pair(page, "Notes")
    expect(place.locator("strong")).to_have_text("best")
    expect(place.locator("li")).to_have_text("<b>one</b>")
    expect(place.get_by_role("link")).to_have_count(1)
    link = place.get_by_role("link", name="paper")
    expect(link).to_have_attribute("href", "https://example.org/p")
    expect(link).to_have_attribute("rel", re.compile("noopener"))
    page.get_by_role("button", name="Edit notes").click()
    expect(page.get_by_label("Notes", exact=True)).to_have_value(notes)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Table").click()
    shown = "Why · The best one: paper, [not](javascript:hurt=1) · <b>one</b>"
    expect(page.get_by_role("cell", name=shown)).to_be_visible()


def test_overview_says_which_remotes_have_the_run(show, runs, runfmt, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("RUNFMT_CONFIG", str(home / ".config/runfmt/remotes.json"))
    monkeypatch.setenv("RUNFMT_STATE", str(home / ".local/state/runfmt"))
    run = make_run(runs)
    runfmt("remote", "add", "near", tmp_path / "near")
    runfmt("remote", "add", "far", tmp_path / "far")
    runfmt("sync", runs, "--remote", "near")
    runfmt("sync", runs, "--remote", tmp_path / "plain")
    page = show(runs, address(run))
    remotes = page.locator(".remotes li")
    expect(remotes.filter(has_text="near")).to_contain_text("has all of it")
    expect(remotes.filter(has_text="far")).to_contain_text("has nothing")
    expect(remotes.filter(has_text="plain")).to_contain_text("has all of it")
    expect(remotes).to_have_count(3)


def test_documents_are_trees_that_are_searched_and_copied(show, runs):
    run = make_run(runs)
    write(
        run / "config.json", {"model": {"head": {"drop": 0.1}, "n": None}, "_nonfinite": {"/model/n": "NaN"}}
    )
    page = show(runs, address(run, "documents"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    config = page.get_by_role("region", name="Config")
    expect(config.locator(".leaf")).to_have_count(2)
    page.get_by_label("Search names and values").fill("HEAD 0.1")
    expect(config.locator(".leaf")).to_have_count(1)
    expect(config.locator(".leaf")).to_contain_text("drop")
    config.get_by_role("button", name="Copy as JSON").click()
    expect(config.get_by_role("button", name="Copy as JSON")).to_have_class(re.compile("done"))
    said = page.evaluate("navigator.clipboard.readText()")
    assert json.loads(said) == {"model": {"head": {"drop": 0.1}, "n": "NaN"}}


def test_parts_of_a_real_run(shown, page):
    shown.enter(page, f"/run?project=shapes&run={shown.uid('sgd')[-12:]}")
    parts = page.get_by_role("navigation", name="Parts of the run")
    parts.get_by_role("link", name="Console").click()
    green = page.locator(".lines span", has_text="epoch 0").first
    expect(green).to_have_css("color", "rgb(26, 122, 66)")
    parts.get_by_role("link", name="Charts").click()
    expect(page.get_by_role("article", name="train/loss")).to_be_visible()
    parts.get_by_role("link", name="System").click()
    expect(page.get_by_role("article", name="cpu.percent")).to_be_visible()
    expect(page.get_by_role("article", name="train/loss")).to_have_count(0)
    parts.get_by_role("link", name="Alerts").click()
    expect(page.get_by_role("heading", name="Trained")).to_be_visible()
    parts.get_by_role("link", name="Files").click()
    page.get_by_label("Search files").fill("config")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save config.json").click()
    assert saved.value.path().read_bytes() == (shown.runs / "sgd" / "config.json").read_bytes()


# What people change


def test_what_people_change_is_in_the_edits(show, runs):
    run = make_run(runs)
    page = show(runs, address(run))
    for button, label, text in (
        ("Rename", "Name", "better"),
        ("Edit tags", "Tags", "a, b"),
        ("Edit notes", "Notes", "two\nlines"),
    ):
        page.get_by_role("button", name=button).click()
        page.get_by_label(label, exact=True).fill(text)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("button", name="Save")).to_have_count(0)
    expect(page.get_by_role("heading", name="better", level=1).first).to_be_visible()
    page.get_by_role("link", name="Config and summary").click()
    for name, text in (("lr", "0.25"), ("loss", '{"min": 1}')):
        page.get_by_role("button", name=f"Edit {name}").click()
        page.get_by_label(name, exact=True).fill(text)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("button", name="Save")).to_have_count(0)
    expect(page.locator(".leaf", has_text="lr")).to_contain_text("0.25")
    edits = {pointer: entry["value"] for pointer, entry in read(run / "edits.json").items()}
    assert edits == {
        "/name": "better",
        "/tags": ["a", "b"],
        "/notes": "two\nlines",
        "/config/lr": 0.25,
        "/summary/loss": {"min": 1},
    }


def test_value_that_is_no_json_is_not_saved(show, runs):
    run = make_run(runs)
    page = show(runs, address(run, "documents"))
    page.get_by_role("button", name="Edit lr").click()
    page.get_by_label("lr", exact=True).fill("fast")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="Not saved")).to_be_visible()
    assert not (run / "edits.json").exists()


# The console

LINE = 64


def console(run, count, needle=None):
    """Put so many lines of 64 bytes into a console, one of which says something."""
    with open(run / "console.log", "wb") as stream:
        for first in range(0, count, 10_000):
            lines = (f"line {at:9}".ljust(LINE - 1, ".") for at in range(first, min(first + 10_000, count)))
            stream.write(("\n".join(lines) + "\n").encode())
        if needle is not None:
            stream.seek(needle * LINE)
            stream.write(b"needle in the hay")


def test_console_of_a_gigabyte_is_read_in_parts(show, runs):
    run = make_run(runs)
    count = 2**30 // LINE
    console(run, 20_000, needle=3)
    with open(run / "console.log", "r+b") as stream:  # a hole between, which takes no room on the disk
        stream.seek((count - 10_000) * LINE)
        for at in range(count - 10_000, count):
            stream.write(f"line {at:9}".ljust(LINE - 1, ".").encode() + b"\n")
    page = show(runs)
    got = []
    page.on(
        "response",
        lambda one: got.append(int(one.headers["content-length"])) if "console" in one.url else None,
    )
    page.goto(f"{page.url.partition('#')[0]}#{address(run, 'console')}")
    expect(page.get_by_text(f"line {count - 1}")).to_be_visible()
    assert sum(got) <= 2**18
    page.get_by_role("button", name="Beginning").click()
    expect(page.locator(".lines").get_by_text("needle in the hay")).to_be_visible()
    assert sum(got) <= 2**19


def test_earlier_parts_come_when_they_are_scrolled_to(show, runs):
    run = make_run(runs)
    console(run, 100_000)
    page = show(runs, address(run, "console"))
    expect(page.get_by_text("line     99999")).to_be_visible()
    first = page.locator(".lines .part").first.locator("div").first
    before = first.inner_text()
    page.get_by_role("log").evaluate("(screen) => { screen.scrollTop = 0; }")
    expect(first).not_to_have_text(before)
    page.wait_for_function("document.querySelector('.screen').scrollTop > 1000")
    numbers = page.locator(".lines").inner_text().split("\n")
    said = [int(line.split("line")[1].strip(". ")) for line in numbers if line]
    assert said == list(range(said[0], 100_000))


def test_search_finds_lines_here_and_earlier(show, runs):
    run = make_run(runs)
    console(run, 300_000, needle=123_456)
    page = show(runs, address(run, "console"))
    search = page.get_by_label("Search what was printed")
    search.fill("299990")
    expect(page.get_by_text("1 of 1")).to_be_visible()
    search.fill("NEEDLE")
    expect(page.get_by_text("Not in this part")).to_be_visible()
    page.get_by_role("button", name="Search earlier").click()
    expect(page.locator(".here")).to_have_text(re.compile("^needle in the hay"))
    search.fill("nowhere at all")
    page.get_by_role("button", name="Search earlier").click()
    expect(page.get_by_text("Nowhere earlier")).to_be_visible()


def test_what_is_printed_is_seen_while_the_run_goes_on(shown, page):
    shown.enter(page, f"/run?project=shapes&run={shown.uid('live')[-12:]}&part=console")
    expect(page.locator(".lines").get_by_text("epoch 0").first).to_be_visible()
    with open(shown.runs / "live" / "console.log", "ab") as stream:
        stream.write(b"and more\n")
    expect(page.locator(".lines").get_by_text("and more")).to_be_visible()


def test_hostile_run_stays_text(show, runs):
    run = make_run(
        runs,
        name=MARKUP,
        notes=MARKUP,
        tags=[MARKUP],
        environment={"host": MARKUP, "argv": [MARKUP], "git": {"remote": f"javascript:{MARKUP}"}},
    )
    write(run / "config.json", {MARKUP: MARKUP})
    (run / "console.log").write_text(
        f"\x1b[38;2;1;2;3m{MARKUP}\x1b]8;;javascript:hurt=1\x1b\\link\x1b]8;;\x1b\\\n"
    )
    (run / "files" / "<img src=x onerror=hurt=1>").write_text("x")
    with open(run / "events.jsonl", "a") as stream:
        stream.write(
            json.dumps({"_timestamp": 1, "event": "alert", "title": MARKUP, "text": MARKUP, "level": MARKUP})
            + "\n"
        )
    page = show(runs, address(run))
    expect(pair(page, "Notes")).to_contain_text(MARKUP)
    for part, text in (
        ("documents", MARKUP),
        ("console", MARKUP + "link"),
        ("files", "onerror"),
        ("events", MARKUP),
    ):
        page.goto(f"{page.url.partition('#')[0]}#{address(run, part)}")
        expect(page.locator(".run-part").get_by_text(text).first).to_be_visible()
    assert page.locator("main img[src='x'], main script, main a[href^='javascript']").count() == 0
    assert page.evaluate("window.hurt") is None
