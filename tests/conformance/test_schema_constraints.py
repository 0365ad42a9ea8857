"""Each constraint of the JSON Schemas rejects what must not be written, and nothing else."""

import copy

import pytest

from schemacheck import SCHEMAS, descriptions, errors, subschemas, told

SHA256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
DATE = "2026-11-24T03:05:54.123456Z"


def named(kind, ending, **more):
    path = f"media/{kind}/k_{SHA256[:20]}.{ending}"
    return {"path": path, "sha256": SHA256, "size": 1, "caption": "c", **more}


PICTURE = {"_type": "image-file", **named("image", "png", format="png", width=1, height=1, grouping=0)}
SOUND = {"_type": "audio-file", **named("audio", "wav", sample_rate=8000, duration=0.5)}
FILM = {"_type": "video-file", **named("video", "mp4", format="mp4")}
PAGE = {"_type": "html-file", **named("html", "html")}
SHAPE = {"_type": "object3D-file", **named("object3D", "pts.json")}
PLOT = {"spec": "line", "fields": {"x": "a"}, "strings": {"title": "t"}}
BOXES = {"_type": "boxes2D", "box_data": [{"class_id": 1}], "class_labels": {"1": "cat"}}
MASK = {"_type": "mask", **named("mask", "png", class_labels={"1": "cat"})}
GOOD = {
    "run": {
        "runfmt": 1,
        "requires": [],
        "uid": "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77",
        "id": "a",
        "state": "failed",
        **dict.fromkeys(("project", "entity", "name", "notes", "group", "job_type"), "x"),
        "tags": ["a"],
        "created_at": DATE,
        "finished_at": DATE,
        "exit_code": 1,
        "environment": {},
        "parent": {"uid": None, "id": "b", "step": 3},
    },
    "run open": {
        "runfmt": 1,
        "requires": [],
        "uid": "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77",
        "id": "a",
        "state": "running",
        "finished_at": None,
        "exit_code": None,
    },
    "config": {"lr": 0.1, "clip": None, "_nonfinite": {"/clip": "NaN"}},
    "summary": {"loss": {"min": 1}, "picture": PICTURE},
    "edits": {
        "/config/a~1b": {"time": 1, "author": "ann"},
        "/name": {"value": "n", "time": 1, "author": "ann"},
        "/tags": {"value": ["a"], "time": 1.5, "author": "ann"},
        "_nonfinite": {"/~1config~1a/value": "NaN"},
    },
    "row": {
        "_step": 0,
        "_timestamp": 1.5,
        "a": [None],
        "p": [{"q": PICTURE}],
        "_nonfinite": {"/a/0": "Infinity"},
        "_rewind": -1,
        "_gap": {"rows": 1, "reason": ""},
        "_summary": {"set": {r"a\.b.c": 1}, "del": ["d"]},
        "_define": {
            "name": "val.*",
            "step_metric": "epoch",
            "step_sync": True,
            "hidden": False,
            "overwrite": True,
            "summary": ["min", "best"],
            "goal": "minimize",
        },
    },
    "event": {"_timestamp": 1, "event": "start"},
    "event alert": {"_timestamp": 1, "event": "alert", "title": "t", "text": "", "level": "WARN"},
    "event finish": {"_timestamp": 1, "event": "finish", "state": "killed", "exit_code": 143},
    "system": {
        "_timestamp": 1,
        "gpu": [{"power": 1.5}],
        **{key: {"percent": 1} for key in ("cpu", "memory", "disk", "network", "process")},
    },
    "artifact": {
        "name": "m",
        "type": "model",
        "version": "v0",
        "description": "",
        "metadata": {},
        "aliases": ["best"],
        "created_at": DATE,
        "_nonfinite": {},
        "entries": {"a": {"path": "a", "sha256": SHA256, "size": 0}, "b": {"uri": "s3://b"}},
    },
    "table": {"columns": ["a"], "data": [[1], [PICTURE], [None]], "_nonfinite": {"/data/2/0": "NaN"}},
    "value image": {**PICTURE, "classes": [{"id": 1}], "boxes": {"b": BOXES}, "masks": {"m": MASK}},
    "value sound": SOUND,
    "value film": FILM,
    "value page": PAGE,
    "value shape": SHAPE,
    "value chart": {"_type": "plotly-file", **named("plotly", "plotly.json")},
    "value table": {"_type": "table-file", **named("table", "table.json", ncols=1, nrows=0, plot=PLOT)},
    "value images": {"_type": "images/separated", "count": 1, "captions": ["c"], "images": [PICTURE]},
    "value sounds": {"_type": "audio", "count": 1, "audio": [SOUND]},
    "value films": {"_type": "videos", "count": 1, "videos": [FILM]},
    "value pages": {"_type": "html", "count": 1, "html": [PAGE]},
    "value shapes": {"_type": "object3D", "count": 1, "objects": [SHAPE]},
    "value histogram": {"_type": "histogram", "bins": [0, 1, None], "values": [2, 3.5], "nonfinite": 1},
    "value other": {"_type": "mine", "path": "files/x"},
    "expected": {
        "state": "crashed",
        "config": {},
        "summary": {},
        "run": {"id": "a", "project": "", "name": "", "notes": "", "tags": ["a"]},
        "rows": {"rank1": [{"_step": 0, "_timestamp": 1, "a": None, "_nonfinite": {"/a": "NaN"}}]},
        "problems": [
            {"rule": "R020", "path": "metrics.jsonl", "offset": 0},
            {"rule": "R091", "path": "c", "offset": None},
        ],
    },
    "expected refused": {"state": "refused", "problems": []},
    "expected written": {"rows": [{"_step": 0}]},
    "expected refusal": {"refused": "R033"},
    "input": [{"log": {"a": 1}, "step": 3}, {"define": {"name": "a"}}, {"summary": {"del": ["a"]}}],
}
GONE = object()
NO_PATHS = (
    "",
    "/etc/passwd",
    "../x",
    "a/../b",
    "a//b",
    "a/",
    ".lock",
    "a/.b",
    "a\\b",
    "a\nb",
    "a\x7f",
    "C:/x",
    "a\n",
    7,
)
NO_STEPS = (-1, 2**53, 0.5, "1", None, True)
NO_TEXT = (7, None, ["a"])
NO_POINTERS = ({"loss": "NaN"}, {"/a~2": "NaN"}, {"": "NaN"}, {"/a": "nan"}, {"/a": None}, [])
NO_DIGESTS = (SHA256.upper(), SHA256[:63], SHA256 + "0", SHA256 + "\n", 7)
NO_DATES = ("2026-11-24T03:05:54Z", "2026-13-24T03:05:54.123456Z", DATE + "\n", DATE[:-1], 1732417554)
BAD = [
    ("run", "R011", "/runfmt", (2, "1", True, GONE)),
    ("run", "R012", "/requires", (["encryption"], "", GONE)),
    ("run", "R010", "/uid", ("0193572C-7C8E-7CC1-A4A5-0F3C2D1B9E77", GOOD["run"]["uid"] + "\n", 7, GONE)),
    ("run", "R013", "/id", ("", ".a", "a.", "a/b", "a\n", "CON", "nul.txt", "Lpt1", "ä", "a" * 129, 7, GONE)),
    *(
        ("run", "R094", f"/{key}", NO_TEXT)
        for key in ("project", "entity", "name", "notes", "group", "job_type")
    ),
    ("run", "R094", "/tags", ("a", [1], None)),
    ("run", "R019", "/created_at", NO_DATES),
    ("run", "section 2", "/finished_at", NO_DATES),
    ("run", "R010", "/state", ("crashed", None, GONE)),
    ("run", "section 2", "/exit_code", (0.5, "0")),
    ("run", "section 2", "/environment", ([], None)),
    ("run", "R016", "/parent/uid", ("x", 7, GONE)),
    ("run", "R013", "/parent/id", ("a/b", GONE)),
    ("run", "R030", "/parent/step", (*NO_STEPS, GONE)),
    ("run", "section 2", "/parent", (None, "a")),
    ("run open", "section 2", "/finished_at", (DATE,)),
    ("run open", "section 2", "/exit_code", (0,)),
    *((name, "R090", "/_nonfinite", NO_POINTERS) for name in ("config", "summary", "artifact", "table")),
    ("summary", "R082", "/loss", (None, {"a": None})),
    ("summary", "R070", "/picture/path", ("../x",)),
    ("edits", "R090", "/_nonfinite", NO_POINTERS),
    ("edits", "R094", "/~1config", ({"time": 1, "author": ""},)),
    ("edits", "R094", "/~1state", ({"time": 1, "author": ""},)),
    ("edits", "R094", "/config", ({},)),
    ("edits", "R093", "/~1config~1a~01b", (None, 1)),
    *(("edits", "R093", f"/~1{at}/time", ("1", None, GONE)) for at in ("config~1a~01b", "name", "tags")),
    *(("edits", "R093", f"/~1{at}/author", (1, GONE)) for at in ("config~1a~01b", "name", "tags")),
    ("edits", "R094", "/~1name/value", NO_TEXT),
    ("edits", "R094", "/~1tags/value", ("a", [1])),
    ("row", "R030", "/_step", (*NO_STEPS, GONE)),
    ("row", "R056", "/_step", (1,)),
    ("row", "R031", "/_timestamp", ("1", None, True, GONE)),
    ("row", "R034", "/_runtime", (1.5, None)),
    ("row", "R035", "/_nonfinite", NO_POINTERS),
    ("row", "R050", "/_rewind", (-2, 2**53, 0.5, "1", None)),
    ("row", "R052", "/_gap", (None, 3)),
    ("row", "R052", "/_gap/rows", (0, 1.5, "1", GONE)),
    ("row", "R052", "/_gap/reason", (*NO_TEXT, GONE)),
    ("row", "R053", "/_summary", (None, [])),
    ("row", "R053", "/_summary/set", ([], {"a\\b": 1}, {"a": {"_type": 1}})),
    ("row", "R053", "/_summary/del", ("a", ["a\\"], [1])),
    ("row", "R054", "/_define", (None, "loss")),
    ("row", "R054", "/_define/name", ("a\\b", 1, GONE)),
    ("row", "R054", "/_define/step_metric", ("a\\b", None)),
    *(("row", "R054", f"/_define/{key}", (1, "true", None)) for key in ("step_sync", "hidden", "overwrite")),
    ("row", "R054", "/_define/summary", ("min", ["median"])),
    ("row", "R054", "/_define/goal", ("up", None)),
    ("row", "R070", "/p/0/q/path", NO_PATHS),
    ("event", "R101", "/_timestamp", ("1", GONE)),
    ("event", "R101", "/event", ("stop", None, GONE)),
    ("event alert", "R101", "/title", (*NO_TEXT, GONE)),
    ("event alert", "R101", "/text", (*NO_TEXT, GONE)),
    ("event alert", "R104", "/level", ("warn", None, GONE)),
    ("event finish", "R101", "/state", ("running", None, GONE)),
    ("event finish", "R101", "/exit_code", (None, 0.5, GONE)),
    ("system", "R100", "/_timestamp", ("1", GONE)),
    *(
        ("system", "R100", f"/{key}", (1, {"used": "1"}))
        for key in ("cpu", "memory", "disk", "network", "process")
    ),
    ("system", "R100", "/gpu", ({}, [1], [{"power": None}])),
    ("artifact", "R122", "/name", ("", "a/b", ".a", "a\n", "a" * 129, 7, GONE)),
    ("artifact", "R122", "/version", ("1", "v01", "v1\n", 1, GONE)),
    ("artifact", "R123", "/type", (*NO_TEXT, GONE)),
    ("artifact", "R123", "/description", (*NO_TEXT, GONE)),
    ("artifact", "R123", "/metadata", (None, [], GONE)),
    ("artifact", "R125", "/aliases", (["latest"],)),
    ("artifact", "R123", "/aliases", ("a", [1], GONE)),
    ("artifact", "R123", "/created_at", (*NO_DATES, GONE)),
    ("artifact", "R124", "/entries", ([], {"a": 1}, {"a": {}}, GONE)),
    ("artifact", "R124", "/entries/a/path", (*NO_PATHS, GONE)),
    ("artifact", "R071", "/entries/a/sha256", (*NO_DIGESTS, GONE)),
    ("artifact", "R071", "/entries/a/size", (-1, 0.5, "1", GONE)),
    ("artifact", "R124", "/entries/b/uri", (None, 7)),
    ("table", "R076", "/columns", ("a", [1], GONE)),
    ("table", "R076", "/data", ({}, [1], [[{"_type": 1}]], GONE)),
    ("value other", "R017", "/_type", (1, None)),
    ("value other", "R070", "/path", NO_PATHS),
    ("value image", "R071", "/sha256", (*NO_DIGESTS, GONE)),
    *(
        (f"value {name}", "R071", "/sha256", (SHA256[:20], GONE))
        for name in ("sound", "film", "page", "shape", "chart", "table")
    ),
    ("value image", "R071", "/masks/m/sha256", (SHA256[:20], GONE)),
    *((f"value {name}", "R075", "/count", (-1, GONE)) for name in ("sounds", "films", "pages", "shapes")),
    ("value image", "R071", "/size", (-1, 0.5, "1", GONE)),
    (
        "value image",
        "R072",
        "/path",
        ("media/image/k.png", f"media/image/K_{SHA256[:20]}.png", "files/x", GONE),
    ),
    *(
        (f"value {name}", "R072", "/path", (f"media/other/k_{SHA256[:20]}.json",))
        for name in ("image", "sound", "film", "page", "shape", "chart", "table")
    ),
    ("value table", "R072", "/path", (f"media/table/k_{SHA256[:20]}.csv",)),
    ("value image", "R072", "/masks/m/path", (f"media/image/k_{SHA256[:20]}.png",)),
    *(("value image", "section 7", f"/{key}", NO_TEXT) for key in ("caption", "format")),
    *(("value image", "section 7", f"/{key}", (0, 0.5, "1", None)) for key in ("width", "height")),
    ("value image", "section 7", "/grouping", (0.5, "1")),
    ("value image", "section 7", "/classes", ({}, [1])),
    ("value image", "section 7", "/boxes", ([], {"b": 1}, {"b": {}}, {"b": {"_type": "mine"}})),
    ("value image", "section 7", "/masks", ([], {"b": None}, {"b": {}}, {"b": PICTURE})),
    ("value image", "section 7", "/boxes/b/box_data", ({}, [1])),
    ("value image", "section 7", "/boxes/b/class_labels", ([], {"1": 1})),
    ("value image", "R078", "/masks/m/class_labels", ([], {"1": None})),
    ("value sound", "section 7", "/sample_rate", (0, "1")),
    ("value sound", "section 7", "/duration", (-1, "1")),
    ("value film", "section 7", "/format", NO_TEXT),
    *(("value table", "R076", f"/{key}", (-1, 0.5, "1", GONE)) for key in ("ncols", "nrows")),
    ("value table", "R077", "/plot", (None, "line")),
    ("value table", "R077", "/plot/spec", (*NO_TEXT, GONE)),
    ("value table", "R077", "/plot/fields", ([], {"x": None}, GONE)),
    ("value table", "R077", "/plot/strings", ([], {"title": 1}, GONE)),
    ("value images", "R075", "/count", (-1, 0.5, "1", GONE)),
    ("value images", "R075", "/captions", ("c", [None])),
    *(
        (f"value {name}", "R075", f"/{key}", ({}, [1], [{}], [MASK], GONE))
        for name, key in {
            "images": "images",
            "sounds": "audio",
            "films": "videos",
            "pages": "html",
            "shapes": "objects",
        }.items()
    ),
    ("value histogram", "R079", "/bins", ([0], {}, [*range(514)], GONE)),
    ("value histogram", "R079", "/values", ([], {}, [*range(513)], GONE)),
    ("value histogram", "R035", "/bins", (["0", "1"],)),
    ("value histogram", "R035", "/values", (["NaN"],)),
    ("value histogram", "section 7", "/nonfinite", (0, 0.5, None)),
    ("expected", "R010", "/state", ("ok", None)),
    ("expected", "section 13", "/state", (GONE,)),
    ("expected", "R095", "/run", (None, [])),
    *(("expected", "section 13", f"/{key}", (GONE,)) for key in ("run", "config", "rows")),
    ("expected", "R014", "/run/id", (*NO_TEXT, GONE)),
    *(("expected", "section 13", f"/run/{key}", (*NO_TEXT, GONE)) for key in ("project", "name", "notes")),
    ("expected", "section 13", "/run/tags", ("a", [1], GONE)),
    ("expected", "R095", "/config", ([], None)),
    ("expected", "R095", "/summary", ([], None)),
    ("expected", "R061", "/rows", ({"rank 1": []}, {"main\n": []}, {"A": []})),
    ("expected", "R040", "/rows", ([], {"main": {}}, {"main": [1]})),
    ("expected", "R040", "/rows/rank1/0/_step", (*NO_STEPS, GONE)),
    ("expected", "R043", "/rows/rank1/0/_timestamp", ("1", None)),
    ("expected", "R035", "/rows/rank1/0/_nonfinite", NO_POINTERS),
    ("expected", "R034", "/rows/rank1/0/_runtime", (1,)),
    *(
        ("expected", "R044", f"/rows/rank1/0/{key}", (1,))
        for key in ("_rewind", "_gap", "_summary", "_define")
    ),
    ("expected", "section 13", "/problems", ({}, [1], GONE)),
    ("expected", "section 13", "/problems/0/rule", ("X1", "R0200", "R020\n", 20, GONE)),
    ("expected", "section 13", "/problems/0/path", (None, GONE)),
    ("expected", "section 13", "/problems/0/offset", (-1, 0.5, "1", GONE)),
    *(("expected refused", "R011", f"/{key}", ({},)) for key in ("run", "config", "rows", "summary")),
    ("expected written", "section 13", "/rows", ({}, [1], GONE)),
    ("expected written", "section 13", "", ({"rows": [], "refused": "R033"},)),
    ("expected written", "R030", "/rows/0/_step", (*NO_STEPS, GONE)),
    ("expected written", "section 13", "/rows/0/_timestamp", (1,)),
    ("expected refusal", "section 13", "/refused", ("R33", None, GONE)),
    ("input", "section 13", "/0", (1, {}, {"log": {}, "define": {}})),
    *((name, "", "", ([], None, "x")) for name in SCHEMAS if name not in ("common", "value", "input")),
    ("input", "", "", ({},)),
]


def changed(value, pointer, new):
    """A copy of a value with another one at a place, or without what is there."""
    if not pointer:
        return new
    value = node = copy.deepcopy(value)
    *above, last = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    for key in above:
        node = node[int(key) if isinstance(node, list) else key]
    if new is GONE:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = new
    return value


def place(pointer):
    """The pointer's keys, as the path of an error has them."""
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    return [int(key) if key.isdigit() and key != "1" else key for key in keys]


@pytest.mark.parametrize("label", GOOD)
def test_good_value_is_accepted_with_keys_that_nobody_knows(label):
    name = label.partition(" ")[0]
    assert told(name, GOOD[label]) == []
    if isinstance(GOOD[label], dict) and name not in ("edits", "expected"):
        assert told(name, {**GOOD[label], "new": {"key": [1, "x"]}}) == []


@pytest.mark.parametrize(
    ("label", "rule", "pointer", "values"), BAD, ids=[f"{c[0]}{c[2]}-{c[1]}" for c in BAD]
)
def test_bad_value_is_rejected_at_its_place_by_its_rule(label, rule, pointer, values):
    name = label.partition(" ")[0]
    for new in values:
        found = errors(name, changed(GOOD[label], pointer, new))
        at = place(pointer)[:-1] if new is GONE else place(pointer)
        there = [error for error in found if list(error.absolute_path)[: len(at)] == at]
        assert there, new
        assert any(rule in descriptions(error, name) for error in there), (new, found)


def constraints(name):
    """Each constraint of a schema: the identity of who has it, the keyword, and of `required` the key."""
    for schema in subschemas(SCHEMAS[name]):
        for keyword in schema.keys() & ASSERTIONS:
            for key in schema[keyword] if keyword == "required" else [None]:
                yield id(schema), keyword, key


ASSERTIONS = {
    *("type", "const", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems"),
    *("required", "not", "anyOf", "oneOf"),
}


def violated(error):
    """The constraints that an error, and what lies beneath it, is about."""
    missing = (
        [key for key in error.validator_value if key not in error.instance]
        if error.validator == "required"
        else [None]
    )
    yield from ((id(error.schema), error.validator, key) for key in missing)
    for inner in error.context:
        yield from violated(inner)


def test_every_constraint_rejects_something():
    met = set()
    for label, _, pointer, values in BAD:
        for new in values:
            for error in errors(label.partition(" ")[0], changed(GOOD[label], pointer, new)):
                met.update(violated(error))
    unmet = [
        (name, keyword, key, schema)
        for name in SCHEMAS
        for schema, keyword, key in constraints(name)
        if (schema, keyword, key) not in met
    ]
    by_id = {id(schema): schema for name in SCHEMAS for schema in subschemas(SCHEMAS[name])}
    assert [(name, keyword, key, by_id[schema]) for name, keyword, key, schema in unmet] == []
