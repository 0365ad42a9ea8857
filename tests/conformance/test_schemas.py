"""The JSON Schemas: sound, described, and satisfied by what is written."""

import json
import math
import re
import shutil
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
import pytest
from jsonschema import Draft202012Validator

import runfmt
from schemacheck import REGISTRY, SCHEMAS, SPEC, subschemas, told

mpl.use("agg")

README = (SPEC / "schemas" / "README.md").read_text(encoding="utf-8")
LAYOUT = (SPEC / "run-layout.md").read_text(encoding="utf-8")
FILES = {
    "run": "run.json",
    "config": "config.json",
    "summary": "summary.json",
    "edits": "edits.json",
    "row": "metrics*.jsonl",
    "event": "events*.jsonl",
    "system": "system*.jsonl",
    "artifact": "files/artifacts/*/v*/artifact.json",
    "table": "media/table/*.table.json",
}


# The schemas themselves


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_sound_and_listed(name):
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == f"urn:runfmt:1:{name}"
    assert f"[{name}.schema.json]({name}.schema.json)" in README
    for schema in subschemas(SCHEMAS[name]):
        if "$ref" in schema:
            REGISTRY.resolver(SCHEMAS[name]["$id"]).lookup(schema["$ref"])


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_property_names_its_rule(name):
    for schema in subschemas(SCHEMAS[name]):
        for key, inner in schema.get("properties", {}).items():
            places = re.findall(r"\bR\d{3}\b|(?<=section )\d+", inner.get("description", ""))
            assert places, f"{key} has no rule"
            for place in places:
                assert (f"[{place}]" if place[0] == "R" else f"\n## {place}. ") in LAYOUT, key


def test_readme_lists_no_schema_that_is_not_there():
    assert set(re.findall(r"\((\w+)\.schema\.json\)", README)) == set(SCHEMAS)


def test_readme_example_finds_a_bad_row(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (stream,) = re.findall(r'"(runs/.*?)"', example)
    shutil.copytree(SPEC / "schemas", tmp_path / "spec" / "schemas")
    (tmp_path / stream).parent.mkdir(parents=True)
    for line, code in (('{"_step":0,"_timestamp":1}\n', 0), ('{"_step":-1,"_timestamp":1}\n', 1)):
        (tmp_path / stream).write_text(line, encoding="utf-8")
        command = [sys.executable, "-c", example]
        done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
    assert "-1 is less than the minimum of 0" in done.stderr


# What is written


def documents(run):
    """Each document and line of a run that has a schema: the schema's name, the value, and where it is."""
    for name, pattern in FILES.items():
        for path in sorted(run.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            # Not splitlines(), which ends a line at U+2028 too.
            values = text.split("\n")[:-1] if path.suffix == ".jsonl" else [text]
            yield from (
                (name, json.loads(value), f"{path.name}, {number}") for number, value in enumerate(values)
            )


def wrong(run):
    return [(where, text) for name, value, where in documents(run) for text in told(name, value)]


def types_in(value):
    """Every `_type` in a value."""
    if isinstance(value, dict):
        yield from [value["_type"]] if "_type" in value else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from types_in(inner)


def media(folder):
    """One of everything that can be logged."""
    shape = folder / "cube.obj"
    shape.write_text("v 0 0 0\n", encoding="utf-8")
    pixels = np.arange(108, dtype=np.uint8).reshape(6, 6, 3)
    box = {"position": {"minX": 0.1, "maxX": 0.5, "minY": 0, "maxY": 1}, "class_id": 1}
    picture = runfmt.Image(
        pixels,
        caption="c",
        grouping=2,
        classes=[{"id": 1, "name": "cat"}],
        boxes={"found": {"box_data": [box], "class_labels": {1: "cat"}}},
        masks={"truth": {"mask_data": pixels[:, :, 0], "class_labels": {0: "sky"}}},
    )
    sound = runfmt.Audio(np.zeros(80), sample_rate=8000)
    film = runfmt.Video(np.zeros((2, 3, 8, 8), np.uint8))
    page, points = runfmt.Html("<p>", caption="p"), runfmt.Object3D(np.zeros((2, 3)))
    table = runfmt.Table(columns=["a", "b"], data=[[1, runfmt.Image(pixels)], [math.nan, "x"]])
    return {
        "picture": picture,
        "pictures": [picture, runfmt.Image(pixels)],
        "sound": sound,
        "sounds": [sound],
        "film": film,
        "films": [film, film],
        "page": page,
        "pages": [page],
        "shape": runfmt.Object3D(str(shape)),
        "shapes": [points],
        "chart": go.Figure(go.Scatter(y=[1, 2])),
        "counts": runfmt.Histogram([1, 2, math.nan]),
        "wide": runfmt.Histogram(np_histogram=([1, 2], [0, 1, math.inf])),
        "table": table,
        "line": runfmt.plot.line(table, "a", "b"),
        "confusion": runfmt.plot.confusion_matrix(preds=[0, 1], y_true=[0, 1]),
        "odd": {"a/b~c": [math.nan, -math.inf]},
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in which our client wrote all that it can; a gap, which takes a full disk, is added by hand."""
    folder = tmp_path_factory.mktemp("rich")
    runs, config = folder / "runs", {"lr": 0.1, "clip": math.inf}
    with runfmt.init(project="p", dir=runs, id="rich", tags=["a"], config=config) as first:
        first.define_metric("val.*", step_metric="epoch", summary="min,max", hidden=True)
        first.define_metric("acc", goal="maximize", summary="best", overwrite=True)
        first.log(media(folder))
        first.log({"val": {"loss": math.inf}, "acc": 0.4})
        first.summary["best"] = {"loss": math.nan, "at": 3}
        del first.summary["best"]
        artifact = runfmt.Artifact("model", "model", description="d", metadata={"loss": math.nan})
        artifact.add_file(str(folder / "cube.obj"))
        artifact.add_reference("s3://bucket/data")
        first.log_artifact(artifact, aliases=["best", "latest"])
        first.alert("title", "text", runfmt.AlertLevel.WARN)
        first.mark_preempting()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANK", "1")
        with runfmt.init(project="p", dir=runs, id="rich") as other:
            other.log({"loss": math.nan})
    with runfmt.init(dir=runs, resume_from="rich?_step=0") as again:
        again.log({"acc": 0.5})
    with runfmt.init(dir=runs, fork_from="rich?_step=1"):
        pass
    with (runs / "rich" / "metrics.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"_step":1,"_timestamp":1,"_gap":{"rows":2,"reason":"No space left on device"}}\n')
    edited = runfmt.Api(runs).run("rich")
    edited.name, edited.tags, edited.config["lr"] = "better", ["b"], math.nan
    edited.update()
    return runs / "rich"


def test_run_of_our_client_is_as_the_schemas_say(run):
    assert wrong(run) == []
    (fork,) = [path for path in run.parent.iterdir() if (path / "run.json").exists() and path != run]
    assert "parent" in json.loads((fork / "run.json").read_bytes())
    assert wrong(fork) == []


def test_run_of_our_client_holds_all_that_the_schemas_describe(run):
    found = list(documents(run))
    keys = {name: {key for other, value, _ in found if other == name for key in value} for name in FILES}
    assert {name for name, _, _ in found} == FILES.keys()
    assert set(SCHEMAS["row"]["properties"]) - keys["row"] == {"_runtime"}
    assert set(SCHEMAS["run"]["properties"]) - keys["run"] == {"parent"}
    for name in ("config", "summary", "edits", "artifact", "table"):
        assert set(SCHEMAS[name]["properties"]) <= keys[name]
    events = {value["event"] for name, value, _ in found if name == "event"}
    assert events == set(SCHEMAS["event"]["properties"]["event"]["enum"])
    rows = [value for name, value, _ in found if name == "row"]
    assert set(types_in(rows)) == {case["if"]["properties"]["_type"]["const"] for case in value_cases()}
    assert {where.partition(",")[0] for name, _, where in found if name == "row"} == {
        "metrics.jsonl",
        "metrics.rank1.jsonl",
    }


def value_cases():
    return SCHEMAS["value"]["then"]["allOf"]


def test_run_of_the_foreign_writer_is_as_the_schemas_say(tmp_path):
    writer = SPEC.parent / "examples" / "readers" / "write_run.py"
    done = subprocess.run(
        [sys.executable, writer, tmp_path], check=True, capture_output=True, text=True, timeout=60
    )
    (path,) = tmp_path.iterdir()
    assert str(path) == done.stdout.strip()
    assert {name for name, _, _ in documents(path)} == {"run", "config", "row"}
    assert wrong(path) == []


# The vectors


STORED = ("bundles", "receipts")
"""What is expected of these has another form."""
FOUND = sorted(path.parent for path in (SPEC / "vectors").glob("*/*/expected.json"))
VECTORS = [path for path in FOUND if path.parent.name not in STORED]
VALID = [path for path in VECTORS if path.parent.name == "valid"]


def test_vectors_are_there():
    assert VALID
    assert {path.parent.name for path in VECTORS} >= {"recoverable", "invalid", "future", "write", "merge"}


@pytest.mark.parametrize("vector", VALID, ids=lambda path: path.name)
def test_valid_vector_is_as_the_schemas_say(vector):
    assert list(documents(vector / "run"))
    assert wrong(vector / "run") == []


@pytest.mark.parametrize("vector", VECTORS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_a_vector_expects_is_as_the_schemas_say(vector):
    group = vector.parent.name
    files = {"write": {"input": "input"}, "merge": {"ours": "edits", "theirs": "edits"}}.get(group, {})
    files["expected"] = "edits" if group == "merge" else "expected"
    assert {path.stem for path in vector.glob("*.json")} == set(files)
    for name, schema in files.items():
        assert told(schema, json.loads((vector / f"{name}.json").read_bytes())) == []
