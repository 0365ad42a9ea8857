"""The examples in the layout: strict JSON, as the schemas say, and read by us without a problem."""

import json
import math
import re
from typing import NamedTuple

import pytest

from runfmt.artifacts import use_artifact
from runfmt.layout import (
    ARTIFACT,
    ARTIFACTS,
    CONFIG,
    EDITS,
    FILES,
    METRICS,
    RUN,
    SUMMARY,
    id_problem,
    is_stream,
    media_path,
    stream_name,
    writer_of,
)
from runfmt.reading import StoredRun
from schemacheck import SPEC, told

TEXT = (SPEC / "run-layout.md").read_text(encoding="utf-8")
SHOWS = {
    ("run.json", 0): "run",
    ("Rows of metrics.jsonl", 0): "row",
    ("Control rows", 0): "row",
    ("Documents", 0): "config",
    ("Documents", 1): "edits",
    ("Saved files and artifacts", 0): "artifact",
    ("Conformance vectors", 0): "expected",
    ("Conformance vectors", 1): "input",
}
"""What each block of JSON shows, by its section and its number there: the name of a schema."""


class Block(NamedTuple):
    section: str
    number: int
    language: str
    text: str


def blocks():
    """The fenced blocks of the layout; those of JSON are numbered in their sections."""
    for section in re.split(r"^## \d+\. ", TEXT, flags=re.MULTILINE)[1:]:
        number = 0
        for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
            yield Block(section.partition("\n")[0], number, language, text)
            number += language.startswith("json")


JSON = [block for block in blocks() if block.language.startswith("json")]


def parse(text):
    """The value of a text that is I-JSON (RFC 7493); raises ValueError for what only JSON takes."""

    def unique(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError(f"a key stands twice: {pairs}")
        return dict(pairs)

    def finite(number):
        if not math.isfinite(float(number)):
            raise ValueError(f"not within binary64: {number}")
        return int(number) if re.fullmatch(r"-?\d+", number) else float(number)

    value = json.loads(
        text, object_pairs_hook=unique, parse_int=finite, parse_float=finite, parse_constant=finite
    )
    json.dumps(value, ensure_ascii=False).encode()  # raises for a lone surrogate
    return value


def values(block):
    """The values that a block shows: a row a line, or one document."""
    lines = block.text.splitlines() if SHOWS[block.section, block.number] == "row" else [block.text]
    return [parse(line) for line in lines]


def shown(name):
    """The text of the examples of a schema, one after the other."""
    return "".join(block.text for block in JSON if SHOWS[block.section, block.number] == name)


def test_every_example_is_known():
    assert [(block.section, block.number) for block in JSON] == list(SHOWS)
    assert [block.section for block in blocks() if block not in JSON] == ["The directory"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":1,"a":2}', "twice"),
        ('{"a":NaN}', "binary64"),
        ('{"a":1e999}', "binary64"),
        ('{"a":"\\ud800"}', "surrogates"),
        ("{'a':1}", "double quotes"),
    ],
)
def test_what_is_no_strict_json_is_not_parsed(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse(text)


@pytest.mark.parametrize("block", JSON, ids=lambda block: f"{block.section}, {block.number}")
def test_example_is_as_its_schema_says(block):
    found = values(block)
    assert found
    assert [text for value in found for text in told(SHOWS[block.section, block.number], value)] == []


@pytest.fixture
def run(tmp_path):
    """A run of the examples."""
    path = tmp_path / parse(shown("run"))["id"]
    path.mkdir()
    names = {RUN: "run", CONFIG: "config", EDITS: "edits", METRICS: "row"}
    for name, schema in names.items():
        (path / name).write_text(shown(schema), encoding="utf-8")
    return path


def test_examples_are_a_run_whose_only_problem_is_its_gap(run):
    gap = shown("row").encode().index(b'{"_step":101,"_timestamp":1732417601.5,"_gap"')
    seen = StoredRun(run).describe()
    assert seen["problems"] == [{"rule": "R052", "path": METRICS, "offset": gap}]
    assert seen["state"] == parse(shown("run"))["state"]
    assert seen["run"]["tags"] == ["good"]
    assert seen["config"] == {"lr": 0.1, "clip": None, "_nonfinite": {"/clip": "Infinity"}}


def test_examples_of_rows_are_the_logical_rows(run):
    history = StoredRun(run).history()
    assert [row["_step"] for row in history.rows] == [12, 13]
    assert math.isnan(history.rows[1]["loss"])
    assert history.rows[1]["eval"] == {"acc": -math.inf}
    assert history.definitions.by_name["val.*"].step_metric == "epoch"
    assert StoredRun(run).summary["best"] == 0.93


def test_example_of_an_artifact_is_found_by_its_alias(run):
    document = parse(shown("artifact"))
    folder = run / ARTIFACTS / document["name"] / document["version"]
    folder.mkdir(parents=True)
    (folder / ARTIFACT).write_text(shown("artifact"), encoding="utf-8")
    found = use_artifact(run.parent, f"{document['name']}:{document['aliases'][0]}")
    assert (found.name, found.metadata) == (f"{document['name']}:{document['version']}", document["metadata"])
    assert {entry.name: entry.digest or entry.ref for entry in found.files()} == {
        name: entry.get("sha256") or entry["uri"] for name, entry in document["entries"].items()
    }


def test_example_of_what_is_expected_has_the_keys_that_a_reader_gives(run):
    seen, expected = StoredRun(run).describe(), parse(shown("expected"))
    assert seen.keys() == expected.keys()
    assert seen["run"].keys() == expected["run"].keys()


def test_directory_tree_names_what_the_layout_knows():
    (tree,) = [block.text for block in blocks() if block not in JSON]
    top, *names = [line.split()[0] for line in tree.splitlines()]
    assert id_problem(top.rstrip("/")) is None
    assert top.rstrip("/") == parse(shown("run"))["id"]
    kinds = ("metrics", "events", "system", "console")
    assert sorted(names) == sorted(
        [
            *(RUN, CONFIG, SUMMARY, EDITS, f"{FILES}/"),
            *(stream_name(kind) for kind in kinds),
            media_path("image", "loss", "<digest>", "png"),
        ]
    )
    streams = [name for name in names if is_stream(name)]
    assert {writer_of(name, kind) for kind in kinds for name in streams if name.startswith(kind)} == {"main"}
    assert {name for name in names if name.endswith((".jsonl", ".log"))} == set(streams)
