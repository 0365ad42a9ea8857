"""The web page's own rules, and its pure modules under node."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

WEB = Path(str(resources.files("runfmt_sync"))) / "web"
SCRIPTS = sorted(WEB.glob("*.js"))
PURE = sorted((Path(__file__).parent / "pure").glob("*.test.js"))
NAMESPACE = "http://www.w3.org/2000/svg"
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|document\.write|DOMParser|srcdoc"
)
EVALUATED = re.compile(r"\beval\(|new Function|setAttribute\('style'|set(?:Timeout|Interval)\(['\"`]")
OTHER_PLACE = re.compile(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s'\"]*|url\([^#][^)]*\)|@import[^;]*")
EXPORTED = re.compile(r"^export (?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE)
LONGEST, WIDEST = 60, 110


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.stem)
def test_pure_module_under_node(path, tmp_path):
    for script in SCRIPTS:
        shutil.copy(script, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "pure").mkdir()
    copy = shutil.copy(path, tmp_path / "pure")
    done = subprocess.run(["node", "--test", copy], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^# pass [1-9]", done.stdout, re.MULTILINE), done.stdout


def test_data_never_becomes_markup_nor_code():
    for path in SCRIPTS:
        text = path.read_text()
        assert not MARKUP.search(text), path
        assert not EVALUATED.search(text), path


def test_page_has_no_inline_script_or_style():
    text = (WEB / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)


def test_page_asks_no_other_machine():
    for path in WEB.iterdir():
        text = path.read_text().replace(NAMESPACE, "")
        found = OTHER_PLACE.findall(text)
        assert not found, (path, found)


def test_every_module_says_what_it_is_and_is_on_the_map():
    first = (WEB / "main.js").read_text().partition("*/")[0]
    for path in SCRIPTS:
        assert path.read_text().startswith("/**\n * "), path
        assert re.search(rf"\b{path.stem}\b", first), f"{path.name} is not on the map in main.js"


def test_functions_and_lines_are_short():
    for path in SCRIPTS:
        lines = path.read_text().splitlines()
        assert max(map(len, lines)) <= WIDEST, path.name
        for start, line in enumerate(lines):
            indent = re.match(r"( *)(?:export )?(?:async )?(?:function\*? \w+|[\w#]+)\(.*\{$", line)
            if indent:
                end = next(i for i in range(start + 1, len(lines)) if lines[i].startswith(indent[1] + "}"))
                assert end - start < LONGEST, f"{path.name}:{start + 1}"


def test_nothing_is_exported_in_vain():
    users = [*SCRIPTS, *PURE, *(WEB.parent / "report").glob("*.js")]
    texts = {path.name: path.read_text() for path in users}
    for path in SCRIPTS:
        for name in EXPORTED.findall(texts[path.name]):
            others = "".join(text for other, text in texts.items() if other != path.name)
            assert re.search(rf"\b{name}\b", others), f"{path.name}: {name}"
