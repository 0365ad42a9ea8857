"""Every rule of the layout has a vector or a written waiver; nobody tells of rules that are not there."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYOUT = (ROOT / "spec" / "run-layout.md").read_text(encoding="utf-8")
MANIFEST = json.loads((ROOT / "spec" / "vectors" / "manifest.json").read_text(encoding="utf-8"))
RULES = re.findall(r"^- \[(R\d{3})\] ", LAYOUT, re.MULTILINE)
SHOWN = {rule for vector in MANIFEST["vectors"] for rule in vector["rules"]}


def test_rules_have_one_id_each_in_order():
    assert sorted(set(RULES)) == RULES
    assert len(LAYOUT.splitlines()) in range(250, 451)


def test_rules_that_are_mentioned_exist():
    sources = [
        LAYOUT,
        *(
            path.read_text(encoding="utf-8")
            for top in ("runfmt", "sync")
            for path in (ROOT / top).rglob("*.py")
        ),
    ]
    mentioned = {rule for text in sources for rule in re.findall(r"\bR\d{3}\b", text)}
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
