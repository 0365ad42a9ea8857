"""Every rule of what lies on disks and in stores has a vector or a written waiver; nobody tells of others."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = {
    letter: (ROOT / "spec" / name).read_text(encoding="utf-8")
    for letter, name in {"R": "run-layout.md", "B": "bundle.md", "O": "object-store.md"}.items()
}
MANIFEST = json.loads((ROOT / "spec" / "vectors" / "manifest.json").read_text(encoding="utf-8"))
SHOWN = {rule for vector in MANIFEST["vectors"] for rule in vector["rules"]}


def rules(letter, text=None):
    """The ids of the rules of a document, or of a part of it."""
    return re.findall(rf"^- \[({letter}\d{{3}})\] ", text or TEXTS[letter], re.MULTILINE)


RULES = [rule for letter in TEXTS for rule in rules(letter)]


@pytest.mark.parametrize("letter", TEXTS)
def test_rules_have_one_id_each_in_order(letter):
    assert len(set(rules(letter))) == len(rules(letter)) > 0
    for section in TEXTS[letter].split("\n## "):
        assert sorted(rules(letter, section)) == rules(letter, section)


def test_layout_has_the_length_of_one():
    assert len(TEXTS["R"].splitlines()) in range(250, 451)


def test_rules_that_are_mentioned_exist():
    sources = [
        *TEXTS.values(),
        *(
            path.read_text(encoding="utf-8")
            for top in ("runfmt", "sync")
            for path in (ROOT / top).rglob("*.py")
        ),
    ]
    mentioned = {rule for text in sources for rule in re.findall(r"\b[RBO]\d{3}\b", text)}
    assert mentioned <= set(RULES)


def test_every_rule_has_a_vector_or_a_waiver():
    assert SHOWN | MANIFEST["waivers"].keys() == set(RULES)
    assert SHOWN & MANIFEST["waivers"].keys() == set()


@pytest.mark.parametrize("rule", MANIFEST["waivers"])
def test_waiver_names_a_test_that_is_there(rule):
    path, name = MANIFEST["waivers"][rule]["test"].split("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_every_rule_that_a_reader_reports_is_reported_in_a_vector():
    problems = [
        problem
        for path in (ROOT / "spec" / "vectors").glob("*/*/expected.json")
        for problem in json.loads(path.read_text(encoding="utf-8")).get("problems", [])
    ]
    ours = (ROOT / "runfmt" / name for name in ("reading.py", "history.py"))
    reported = {rule for path in ours for rule in re.findall(r'"(R\d{3})"', path.read_text(encoding="utf-8"))}
    reported.add("R023")  # from the decoder of a line
    assert {problem["rule"] for problem in problems} == reported - MANIFEST["waivers"].keys()
