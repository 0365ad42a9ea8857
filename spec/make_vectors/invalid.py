"""What a writer must not write: a reader keeps what it can, and says what is wrong."""

from vocabulary import T0, Vector, row, run, text

A = [row(0, a=1)]


def lines(name, rules, what, *bad, rows=(), problems=None, summary=None):
    """Bad lines after a good one; by default each breaks the first of the rules."""
    if problems is None:
        problems = [(rules.split()[0], number + 1) for number in range(len(bad))]
    return Vector(
        name,
        rules,
        what,
        metrics=[*A, *bad],
        rows=[*A, *rows],
        problems=problems,
        summary=summary or {"a": 1},
    )


def at(step, tail):
    """A row as text, for what no encoder writes."""
    return f'{{"_step":{step},"_timestamp":{T0 + step},{tail}}}'


def file(path):
    return {"_type": "html-file", "path": path, "sha256": "0" * 64, "size": 1}


UNSAFE = [
    "../x",
    "/etc/passwd",
    "a/../../x",
    "a//b",
    "./a",
    "a/.",
    "",
    "a\\b",
    "C:/x",
    "c:x",
    "a\nb",
    "a\x7f",
    ".lock",
    "media/.x/y",
    "a/",
    7,
    None,
    ["a"],
]

DOCUMENT = [
    Vector(
        name,
        "R010",
        what,
        run=document,
        state="damaged",
        metrics=A,
        rows=A,
        problems=[("R010", "run.json")],
        summary={"a": 1},
    )
    for name, what, document in [
        ("run-without-version", "runfmt is missing.", run(runfmt=None)),
        ("run-with-a-version-in-text", "runfmt is text.", run(runfmt="1")),
        ("run-with-a-fraction-of-a-version", "runfmt is no integer.", run(runfmt=1.5)),
        ("run-without-requires", "requires is missing.", run(requires=None)),
        ("run-with-a-wrong-requires", "requires is text.", run(requires="x")),
        ("run-with-a-wrong-uid", "uid is in upper case.", run(uid="0193572C-7C8E-7CC1-A4A5-0F3C2D1B9E77")),
        ("run-with-a-wrong-state", "state is none of the five.", run(state="crashed")),
        ("run-as-a-list", "run.json is no object.", b"[]\n"),
        ("run-with-a-byte-order-mark", "A byte order mark is no JSON.", b'\xef\xbb\xbf{"runfmt": 1}\n'),
        (
            "run-with-nan",
            "A bare NaN is no JSON.",
            text(run()).encode()[:-1] + b',"x":NaN}\n',
        ),
    ]
] + [
    Vector(
        "run-without-id",
        "R010 R014",
        "id is missing: the directory's name stands for it.",
        run=run(id=None, name="n"),
        state="damaged",
        shown={"name": "n"},
        problems=[("R010", "run.json")],
    ),
    Vector(
        "id-of-another-name",
        "R014",
        "The directory was renamed.",
        run=run(id="20241124-030554-k3x9q2"),
        shown={"id": "20241124-030554-k3x9q2"},
        problems=[("R014", "run.json")],
    ),
    *[
        Vector(
            name,
            "R013 R014",
            what,
            run=run(id=id),
            shown={"id": id},
            problems=[("R013", "run.json"), ("R014", "run.json")],
        )
        for name, what, id in [
            ("id-with-a-slash", "An id that leads elsewhere.", "../run"),
            ("id-with-a-dot-at-its-end", "Windows would drop the dot.", "run."),
            ("id-of-a-device", "A device of Windows, with an ending.", "NUL.txt"),
            ("id-too-long", "129 characters.", "x" * 129),
        ]
    ],
    Vector(
        "attributes-of-wrong-types",
        "R010",
        "Attributes that are no text are taken as missing.",
        run=run(name=7, notes=None, project=["p"], tags="one"),
    ),
    Vector(
        "run-with-nonfinite",
        "R036 R090",
        "run.json has _nonfinite as every document; a wrong entry is reported.",
        run=run(environment={"load": None}, _nonfinite={"/environment/load": "NaN", "/name": "NaN"}),
        problems=[("R036", "run.json")],
    ),
    Vector(
        "documents-with-wrong-nonfinite",
        "R036 R090",
        "Each document is looked at.",
        files={
            "config.json": {"a": None, "b": 1, "_nonfinite": {"/a": "NaN", "/b": "NaN"}},
            "summary.json": {"_nonfinite": []},
            "edits.json": {"_nonfinite": {"/x": "NaN"}},
        },
        config={"a": None, "b": 1, "_nonfinite": {"/a": "NaN"}},
        problems=[("R036", "config.json"), ("R036", "edits.json"), ("R036", "summary.json")],
    ),
]

LINES = [
    lines(
        "no-strict-json",
        "R023",
        "What other encoders write and JSON does not know.",
        at(1, '"a":NaN'),
        at(1, '"a":-Infinity'),
        at(1, '"a":1,'),
        at(1, "'a':1"),
        at(1, '"a":01'),
        at(1, '"a":.5'),
        at(1, '"a":+1'),
        at(1, '"a":"\t"'),
        at(1, '"a":"\\x41"'),
        at(1, '"a":1') + "//",
        at(1, '"a":True'),
    ),
    lines(
        "numbers-beyond-binary64",
        "R023",
        "Numbers that no double holds.",
        at(1, '"a":1e999'),
        at(1, '"a":-1e400'),
        at(1, '"a":1' + "0" * 400),
    ),
    lines(
        "integers-beyond-int64",
        "R026",
        "Writers must not, readers may return a double.",
        at(1, '"a":18446744073709551616,"b":9223372036854775808'),
        rows=[row(1, a=2.0**64, b=2.0**63)],
        problems=[],
        summary={"a": 2.0**64, "b": 2.0**63},
    ),
    lines(
        "lone-surrogates",
        "R023 R028",
        "Half a character, in a value, in a key, and two halves in the wrong order.",
        at(1, '"a":"\\ud83d"'),
        at(1, '"\\ude42":1'),
        at(1, '"a":"\\ude42\\ud83d"'),
        at(1, '"a":"\\ud83d\\\\ude42"'),
    ),
    Vector(
        "byte-order-mark",
        "R023",
        "A byte order mark before the first row.",
        metrics=[b"\xef\xbb\xbf" + b'{"_step":0,"_timestamp":1732417554.0,"b":1}\n', row(0, a=1)],
        rows=A,
        problems=[("R023", 0)],
        summary={"a": 1},
    ),
    lines(
        "too-deep",
        "R023 R025",
        "65 levels.",
        at(1, '"a":' + "[" * 64 + "]" * 64),
        at(1, '"a":' + '{"b":' * 64 + "1" + "}" * 64),
    ),
    lines(
        "repeated-keys",
        "R024",
        "The last of a repeated key counts.",
        '{"_step":7,"_timestamp":1.0,"b":1,"c":{"d":1,"d":2},"b":3,"_step":1,"_timestamp":1732417555.0}',
        at(2, '"b":{"x":1},"\\u0062":4'),
        rows=[row(1, b=3, c={"d": 2}), row(2, b=4)],
        problems=[],
        summary={"a": 1, "b": 4, "c": {"d": 2}},
    ),
    lines(
        "steps",
        "R030",
        "Rows without a step are left out, and nothing else of them is told.",
        '{"_timestamp":1732417555.0,"a":2}',
        *[
            f'{{"_step":{step},"_timestamp":"x","a":2,"_nonfinite":7,"_rewind":-1}}'
            for step in ("-1", "1.5", '"1"', "true", "null", "[1]", "9007199254740992", "1e300")
        ],
    ),
    lines(
        "timestamps",
        "R031 R043",
        "Rows without a time are kept; the time of a logical row is the last that there is.",
        '{"_step":1,"b":1}',
        *[f'{{"_step":2,"_timestamp":{time},"b":2}}' for time in ("null", '"1732417554.0"', "false", "[]")],
        row(3, b=3),
        '{"_step":3,"_timestamp":"later","b":4}',
        rows=[{"_step": 1, "b": 1}, {"_step": 2, "b": 2}, row(3, b=4)],
        problems=[("R031", number) for number in (1, 2, 3, 4, 5, 7)],
        summary={"a": 1, "b": 4},
    ),
    lines(
        "runtime",
        "R034",
        "_runtime is dropped: it is derived.",
        row(1, _runtime=12.5, b=1),
        rows=[row(1, b=1)],
        problems=[],
        summary={"a": 1, "b": 1},
    ),
    lines(
        "nonfinite",
        "R036",
        "Entries of _nonfinite that do not say NaN or infinity of a null.",
        row(1, b=None, _nonfinite={"/b": "nan"}),
        row(2, b=1, _nonfinite={"/b": "NaN"}),
        row(3, b=None, _nonfinite={"/c": "NaN"}),
        row(4, b=None, _nonfinite={"b": "NaN"}),
        row(5, b=None, _nonfinite={"": "NaN"}),
        row(6, b=None, _nonfinite=["/b"]),
        row(7, b=None, _nonfinite={"/b": 1}),
        row(8, b=[None], _nonfinite={"/b/00": "NaN"}),
        row(9, b=[None], _nonfinite={"/b/-": "NaN"}),
        row(10, b=[None, None], _nonfinite={"/b/2": "NaN", "/b/1": "Infinity"}),
        row(11, {"b~": None}, _nonfinite={"/b~": "NaN"}),
        row(12, b={"c": None}, _nonfinite={"/b": "NaN", "/b/c/d": "NaN", "/b/c": "-Infinity"}),
        rows=[
            row(1, b=None),
            row(2, b=1),
            row(3, b=None),
            row(4, b=None),
            row(5, b=None),
            row(6, b=None),
            row(7, b=None),
            row(8, b=[None]),
            row(9, b=[None]),
            row(10, b=[None, None], _nonfinite={"/b/1": "Infinity"}),
            row(11, {"b~": None}),
            row(12, b={"c": None}, _nonfinite={"/b/c": "-Infinity"}),
        ],
        summary={"a": 1, "b": {"c": None}, "_nonfinite": {"/b/c": "-Infinity"}},
    ),
    Vector(
        "paths-out-of-the-run",
        "R007 R070",
        "Paths that lead out of the run, or that no run may have.",
        metrics=[
            *[row(step, a=file(path)) for step, path in enumerate(UNSAFE)],
            row(50, a=[{"b": [file("..")]}], c={"_type": "mine", "d": {"e": file("ok"), "f": file("~")}}),
            row(
                51,
                a={
                    "_type": "image-file",
                    "path": "ok.png",
                    "masks": {"m": {"_type": "mask", "path": "../m.png"}},
                },
            ),
            row(52, a=file("a/b:c/\u0080/..d")),
            '{"_step":53,"_timestamp":1732417607.0,"b":{"\\u005ftype":"x","p\\u0061th":"../x"}}',
            row(54, c=file("a/b:c/\u0080/d..")),
        ],
        rows=[
            *[row(step, a=file(path)) for step, path in enumerate(UNSAFE)],
            row(50, a=[{"b": [file("..")]}], c={"_type": "mine", "d": {"e": file("ok"), "f": file("~")}}),
            row(
                51,
                a={
                    "_type": "image-file",
                    "path": "ok.png",
                    "masks": {"m": {"_type": "mask", "path": "../m.png"}},
                },
            ),
            row(52, a=file("a/b:c/\u0080/..d")),
            row(53, b={"_type": "x", "path": "../x"}),
            row(54, c=file("a/b:c/\u0080/d..")),
        ],
        problems=[("R070", number) for number in range(len(UNSAFE) + 4)],
        summary={
            "a": file("a/b:c/\u0080/..d"),
            "b": {"_type": "x", "path": "../x"},
            "c": file("a/b:c/\u0080/d.."),
        },
    ),
]

CONTROL = [
    lines(
        "rewinds",
        "R050 R055",
        "Rewinds to nowhere do nothing.",
        *[
            at(1, f'"_rewind":{value}')
            for value in ("-2", "1.5", '"0"', "true", "null", "{}", "9007199254740992")
        ],
    ),
    lines(
        "gaps",
        "R052 R055",
        "A gap that is told badly is reported as one that is told well.",
        *[
            at(1, f'"_gap":{value}')
            for value in (
                "5",
                '{"rows":0,"reason":""}',
                '{"rows":1}',
                '{"rows":"1","reason":"x"}',
                '{"rows":1,"reason":2}',
                "null",
            )
        ],
    ),
    lines(
        "summaries",
        "R053 R055",
        "What is not said in the form of the rule is not said.",
        *[
            at(1, f'"_summary":{value}')
            for value in (
                "5",
                "null",
                '{"set":[]}',
                '{"del":{}}',
                '{"del":[1]}',
                '{"set":{"a\\\\":1}}',
                '{"set":{"a":2},"del":["\\\\x"]}',
            )
        ],
    ),
    lines(
        "definitions",
        "R054 R055",
        "Definitions of another form.",
        *[
            at(1, f'"_define":{value}')
            for value in (
                "5",
                "{}",
                '{"name":1}',
                '{"name":"a\\\\b"}',
                '{"name":"a","summary":"min"}',
                '{"name":"a","summary":[1]}',
                '{"name":"a","goal":"up"}',
                '{"name":"a","hidden":1}',
                '{"name":"a","step_sync":null}',
                '{"name":"a","overwrite":"yes"}',
                '{"name":"a","step_metric":"\\\\"}',
                '{"name":"a","step_metric":["b"]}',
            )
        ],
    ),
    lines(
        "two-problems-in-a-line",
        "R031 R036 R050 R052 R070",
        "Each rule that a line breaks is told once; its data are kept, a good control value counts.",
        '{"_step":1,"b":{"_type":"x","path":".."},"c":{"_type":"x","path":"/"},"_nonfinite":7,"_rewind":-5,"_gap":{"rows":3,"reason":"r"},"_summary":{"set":{"d":1}}}',
        rows=[{"_step": 1, "b": {"_type": "x", "path": ".."}, "c": {"_type": "x", "path": "/"}}],
        problems=[("R031", 1), ("R036", 1), ("R050", 1), ("R052", 1), ("R070", 1)],
        summary={"a": 1, "b": {"_type": "x", "path": ".."}, "c": {"_type": "x", "path": "/"}, "d": 1},
    ),
]

EDITS = [
    Vector(
        "edits",
        "R093 R094",
        "Entries that are no edits, or that edit what may not be edited; the good ones count.",
        run=run(name="n", tags=["t"]),
        files={
            "config.json": {"a": 1},
            "edits.json": {
                "/config/b": {"value": 2, "time": T0, "author": "ann"},
                "/config/no-time": {"value": 3, "author": "ann"},
                "/config/no-author": {"value": 3, "time": T0},
                "/config/time": {"value": 3, "time": "now", "author": "ann"},
                "/config/entry": 3,
                "config/c": {"value": 3, "time": T0, "author": "ann"},
                "/config": {"value": {}, "time": T0, "author": "ann"},
                "/summary": {"value": {}, "time": T0, "author": "ann"},
                "/state": {"value": "failed", "time": T0, "author": "ann"},
                "/uid": {"value": "x", "time": T0, "author": "ann"},
                "/name": {"value": 7, "time": T0, "author": "ann"},
                "/tags": {"value": ["x", 1], "time": T0, "author": "ann"},
                "/tags/0": {"value": "x", "time": T0, "author": "ann"},
                "/config/a~2": {"value": 3, "time": T0, "author": "ann"},
                "/config" + 64 * "/d": {"value": 3, "time": T0, "author": "ann"},
                "": {"value": {}, "time": T0, "author": "ann"},
            },
        },
        shown={"name": "n", "tags": ["t"]},
        config={"a": 1, "b": 2},
        problems=[("R094", "edits.json")],
    )
]

VECTORS = [*DOCUMENT, *LINES, *CONTROL, *EDITS]
