"""Runs of writers that keep every rule: a reader finds no problem."""

import hashlib
import json

from vocabulary import NOW, T0, Vector, row, run

PIXELS = b"\x89PNG\r\n\x1a\n, or so"
DIGEST = hashlib.sha256(PIXELS).hexdigest()
IMAGE = f"media/image/sample_{DIGEST[:20]}.png"
PICTURE = {
    "_type": "image-file",
    "path": IMAGE,
    "sha256": DIGEST,
    "size": len(PIXELS),
    "format": "png",
    "width": 2,
    "height": 1,
}
TABLE = b'{"columns":["a","b"],"data":[[1,"x"],[null,"y"]],"_nonfinite":{"/data/1/0":"NaN"}}\n'
TABLE_DIGEST = hashlib.sha256(TABLE).hexdigest()
TABLE_PATH = f"media/table/t_{TABLE_DIGEST[:20]}.table.json"
PAGE_PATH = f"media/html/a..b_{DIGEST[:20]}.html"
PAGE = {"_type": "html-file", "path": PAGE_PATH, "sha256": DIGEST, "size": 1}
MASK = b"\x89PNG\r\n\x1a\n, in grey"
MASK_DIGEST = hashlib.sha256(MASK).hexdigest()
MASK_PATH = f"media/mask/sample.masks.truth_{MASK_DIGEST[:20]}.png"
OVERLAID = {
    **PICTURE,
    "caption": "two",
    "classes": [{"id": 0, "name": "cat"}],
    "boxes": {"found": {"_type": "boxes2D", "box_data": [{"class_id": 0}], "class_labels": {"0": "cat"}}},
    "masks": {
        "truth": {
            "_type": "mask",
            "path": MASK_PATH,
            "sha256": MASK_DIGEST,
            "size": len(MASK),
            "class_labels": {"0": "cat"},
        }
    },
}
LISTED = {
    "_type": "table-file",
    "path": TABLE_PATH,
    "sha256": TABLE_DIGEST,
    "size": len(TABLE),
    "ncols": 2,
    "nrows": 2,
}
CHART = {**LISTED, "plot": {"spec": "line", "fields": {"x": "a", "y": "b"}, "strings": {"title": "Loss"}}}
BATCH = {"_type": "images/separated", "count": 2, "captions": ["a", ""], "images": [PICTURE, PICTURE]}
COUNTED = {"_type": "histogram", "bins": [0, 0.5, 1], "values": [3, 4], "nonfinite": 1}
PEOPLE = {"time": T0 + 10, "author": "ann"}


def defined(step, name, **members):
    return row(step, _define={"name": name, **members})


IDENTITY = [
    Vector("no-rows-yet", "R001 R010", "The least that a run is: five keys in run.json."),
    Vector(
        "empty-stream", "R003 R020 R040", "A metrics stream in which nothing was written yet.", metrics=[]
    ),
    Vector(
        "attributes",
        "R001 R009 R010 R013 R014 R103 R104",
        "All keys of run.json, all documents, all streams.",
        metrics=[row(0, loss=0.5)],
        run=run(
            project="fashion-mnist",
            entity="lab",
            name="calm-otter-1",
            notes="first try",
            tags=["baseline", "é"],
            group="g",
            job_type="train",
            created_at="2024-11-24T03:05:54.000000Z",
            finished_at="2024-11-24T03:07:10.000001Z",
            exit_code=0,
            environment={"python": "3.11.7"},
            parent={"uid": "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e70", "id": "older", "step": 7},
        ),
        files={
            "config.json": {"lr": 0.1, "model": {"layers": [1, 2]}},
            "summary.json": {"loss": 0.5},
            "events.jsonl": [
                {"_timestamp": T0, "event": "start"},
                {"_timestamp": T0 + 1, "event": "alert", "title": "low", "text": "", "level": "WARN"},
            ],
            "system.jsonl": [{"_timestamp": T0, "cpu": {"percent": 3.5, "load": 0.5}, "gpu": []}],
            "console.log": ["hello"],
        },
        shown={
            "project": "fashion-mnist",
            "name": "calm-otter-1",
            "notes": "first try",
            "tags": ["baseline", "é"],
        },
        config={"lr": 0.1, "model": {"layers": [1, 2]}},
        rows=[row(0, loss=0.5)],
        summary={"loss": 0.5},
    ),
    Vector(
        "state-failed",
        "R010",
        "A run that ended with an exception.",
        run=run(state="failed", exit_code=1),
        state="failed",
    ),
    Vector(
        "state-killed",
        "R010",
        "A run that was told to stop.",
        run=run(state="killed", exit_code=143),
        state="killed",
    ),
    Vector(
        "state-preempted",
        "R010 R101",
        "A run whose place was needed.",
        run=run(state="preempted", exit_code=143),
        files={
            "events.jsonl": [
                {"_timestamp": T0, "event": "preempting"},
                {"_timestamp": T0 + 1, "event": "finish", "state": "preempted", "exit_code": 143},
            ]
        },
        state="preempted",
    ),
    Vector(
        "spelled-as-floats",
        "R010 R026 R030",
        "An integer in another spelling is that integer.",
        run=b'{"runfmt":1.0,"requires":[],"uid":"0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77","id":"run","state":"finished"}',
        metrics=[
            '{"_step":12.0,"_timestamp":1732417566,"a":1}',
            '{"_step":1.2e1,"_timestamp":1.732417567e9,"b":2}',
        ],
        rows=[row(12, at=T0 + 13, a=1, b=2)],
        summary={"a": 1, "b": 2},
    ),
]

STATE = [
    Vector(
        "running",
        "R019",
        "A running run whose newest line is exactly 300 seconds old has not crashed.",
        run=run(state="running"),
        state="running",
        metrics=[row(0, at=NOW - 300, a=1)],
        rows=[row(0, at=NOW - 300, a=1)],
        summary={"a": 1},
    ),
    Vector(
        "running-heartbeat",
        "R019 R100",
        "The rows are old, but the machine was sampled since.",
        run=run(state="running"),
        state="running",
        metrics=[row(0, at=NOW - 900, a=1)],
        files={
            "system.jsonl": [
                {"_timestamp": NOW - 30, "cpu": {"percent": 99.5}, "memory": {"percent": 10.0, "used": 4096}},
                {"_timestamp": NOW - 15, "gpu": [{"percent": 88.0, "memory": 1024, "temperature": 60.0}]},
            ]
        },
        rows=[row(0, at=NOW - 900, a=1)],
        summary={"a": 1},
    ),
    Vector(
        "running-just-created",
        "R019",
        "Without any line the time of creation counts.",
        run=run(state="running", created_at="2024-11-24T03:08:00.500000Z"),
        state="running",
    ),
    Vector(
        "resumed",
        "R019 R021 R101",
        "A second process went on in the same streams.",
        metrics=[row(0, a=1), row(1, a=2), row(2, at=T0 + 90, a=3)],
        files={
            "events.jsonl": [
                {"_timestamp": T0, "event": "start"},
                {"_timestamp": T0 + 89, "event": "resume"},
                {"_timestamp": T0 + 91, "event": "finish", "state": "finished", "exit_code": 0},
            ]
        },
        rows=[row(0, a=1), row(1, a=2), row(2, at=T0 + 90, a=3)],
        summary={"a": 3},
    ),
]

NAMES = [
    Vector(
        "private-names",
        "R005",
        "Names that begin with a dot are not part of the run, whatever is in them.",
        metrics=[row(0, a=1)],
        files={
            ".lock": b"",
            ".metrics.jsonl": [b"torn"],
            ".cache/metrics.jsonl": [b"torn"],
            "files/.hidden/x": b"x",
            "media/.x.tmp": b"half",
        },
        rows=[row(0, a=1)],
        summary={"a": 1},
    ),
    Vector(
        "streams-lie-at-the-top",
        "R003 R004",
        "What looks like a stream in a folder is a file, and has no lines.",
        metrics=[row(0, a=1)],
        files={
            "files/metrics.rank1.jsonl": b"not\na stream",
            "media/table/old.log": b"torn",
            "folder.jsonl/x.txt": b"x",
        },
        rows=[row(0, a=1)],
        summary={"a": 1},
    ),
    Vector(
        "not-the-name-of-a-writer",
        "R009 R061",
        "Streams whose name is not that of a metrics stream are left alone.",
        metrics=[row(0, a=1)],
        files={
            "metrics.main.jsonl": [row(0, a=2)],
            "metrics.RANK1.jsonl": [row(0, a=3)],
            "metrics.a-b.jsonl": [row(0, a=4)],
            "metrics..jsonl": [row(0, a=5)],
            "metrics.abcdefghijklmnopqrstuvwxyz0123456.jsonl": [row(0, a=6)],
            "metrics.rank1.log": ["no row"],
        },
        rows=[row(0, a=1)],
        summary={"a": 1},
    ),
    Vector(
        "console",
        "R029 R060 R061 R102",
        "Console streams hold text; what is no UTF-8 in them is no problem.",
        files={
            "console.log": ["epoch 1: 100%", "grüße", b"\xff\xfe no text\n", ""],
            "console.rank1.log": ["from rank 1"],
        },
    ),
]

VALUES = [
    Vector(
        "nonfinite",
        "R035",
        "NaN and the infinities, in nested keys, in lists, under keys with a slash and a tilde.",
        metrics=[
            row(0, loss=None, _nonfinite={"/loss": "NaN"}),
            row(
                1,
                {"a/b": None, "c~d": {"": None}},
                loss=0.5,
                eval={"acc": None, "l": [1, None, [None]]},
                _nonfinite={
                    "/eval/acc": "-Infinity",
                    "/eval/l/1": "Infinity",
                    "/eval/l/2/0": "NaN",
                    "/a~1b": "NaN",
                    "/c~0d/": "Infinity",
                },
            ),
            row(2, loss=None),
        ],
        rows=[
            row(0, loss=None, _nonfinite={"/loss": "NaN"}),
            row(
                1,
                {"a/b": None, "c~d": {"": None}},
                loss=0.5,
                eval={"acc": None, "l": [1, None, [None]]},
                _nonfinite={
                    "/a~1b": "NaN",
                    "/c~0d/": "Infinity",
                    "/eval/acc": "-Infinity",
                    "/eval/l/1": "Infinity",
                    "/eval/l/2/0": "NaN",
                },
            ),
            row(2, loss=None),
        ],
        summary={
            "loss": 0.5,
            "a/b": None,
            "c~d": {"": None},
            "eval": {"acc": None, "l": [1, None, [None]]},
            "_nonfinite": {
                "/a~1b": "NaN",
                "/c~0d/": "Infinity",
                "/eval/acc": "-Infinity",
                "/eval/l/1": "Infinity",
                "/eval/l/2/0": "NaN",
            },
        },
    ),
    Vector(
        "dotted-keys",
        "R038 R054 R083 R088",
        "A dot in a key is not the dot of a path.",
        metrics=[
            defined(0, "a\\.b", summary=["max"]),
            row(0, {"a.b": 3, "a": {"b": 2, "c.d": {"e": 1}}, "back\\slash": 1, "": {"": 5}, ".": 6}),
            row(1, {"a.b": 1, "a": {"b": 4}}),
        ],
        rows=[
            row(0, {"a.b": 3, "a": {"b": 2, "c.d": {"e": 1}}, "back\\slash": 1, "": {"": 5}, ".": 6}),
            row(1, {"a.b": 1, "a": {"b": 4}}),
        ],
        summary={
            "a.b": {"max": 3},
            "a": {"b": 4, "c.d": {"e": 1}},
            "back\\slash": 1,
            "": {"": 5},
            ".": 6,
        },
    ),
    Vector(
        "unicode",
        "R023",
        "Any text is a key and a value; an escape and the character itself are one key.",
        metrics=[
            row(
                0, {"größe": "\u2028\u2029", "🙂": "\u0000\u001f\u007f", "e\u0301": 1, "é": 2, "__proto__": 3}
            ),
            '{"_step":1,"_timestamp":1732417555.0,"gr\\u00f6\\u00dfe":"\\ud83d\\ude42\\/","tab":"\\t"}',
        ],
        rows=[
            row(
                0, {"größe": "\u2028\u2029", "🙂": "\u0000\u001f\u007f", "e\u0301": 1, "é": 2, "__proto__": 3}
            ),
            row(1, {"größe": "🙂/", "tab": "\t"}),
        ],
        summary={
            "größe": "🙂/",
            "tab": "\t",
            "🙂": "\u0000\u001f\u007f",
            "e\u0301": 1,
            "é": 2,
            "__proto__": 3,
        },
    ),
    Vector(
        "white-space",
        "R023",
        "White space of JSON, a carriage return too, may stand around the values.",
        metrics=[
            '{ "_step" : 0 , "_timestamp" : 1732417554.0 ,\t"a" : [ 1 , 2 ] }\r',
            ' {"_step":1,"_timestamp":1732417555.0}',
        ],
        rows=[row(0, a=[1, 2]), row(1)],
        summary={"a": [1, 2]},
    ),
    Vector(
        "number-borders",
        "R026 R030 R031",
        "The largest and smallest numbers of each kind.",
        metrics=[
            row(
                0,
                a=2**53 - 1,
                b=-(2**53) + 1,
                c=2**63 - 1,
                d=-(2**63),
                e=5e-324,
                f=1.7976931348623157e308,
                g=-0.0,
            ),
            row(1, at=-1.5, a=1e22, b=0.1, c=123456789.123456789, d=1e-7),
            row(2**53 - 1, at=0, a=0),
        ],
        rows=[
            row(
                0,
                a=2**53 - 1,
                b=-(2**53) + 1,
                c=2**63 - 1,
                d=-(2**63),
                e=5e-324,
                f=1.7976931348623157e308,
                g=-0.0,
            ),
            row(1, at=-1.5, a=1e22, b=0.1, c=123456789.123456789, d=1e-7),
            row(2**53 - 1, at=0, a=0),
        ],
        summary={
            "a": 0,
            "b": 0.1,
            "c": 123456789.123456789,
            "d": 1e-7,
            "e": 5e-324,
            "f": 1.7976931348623157e308,
            "g": 0,
        },
    ),
    Vector(
        "thousand-keys",
        "R023 R041",
        "A row of a thousand keys.",
        metrics=[row(0, {f"layer.{k}/grad": k / 8 for k in range(1000)})],
        rows=[row(0, {f"layer.{k}/grad": k / 8 for k in range(1000)})],
        summary={f"layer.{k}/grad": k / 8 for k in range(1000)},
    ),
    Vector(
        "deep",
        "R023 R025",
        "64 levels are allowed.",
        metrics=['{"_step":0,"_timestamp":1732417554.0,"a":' + "[" * 63 + "]" * 63 + "}"],
        rows=[row(0, a=json.loads("[" * 63 + "]" * 63))],
        summary={"a": json.loads("[" * 63 + "]" * 63)},
    ),
    Vector(
        "keys-with-underscores",
        "R033",
        "Other keys that begin with an underscore are the user's, and so are reserved names below the top.",
        metrics=[row(0, _foo=1, a={"_step": 2, "_rewind": 3, "_nonfinite": 4})],
        rows=[row(0, _foo=1, a={"_step": 2, "_rewind": 3, "_nonfinite": 4})],
        summary={"_foo": 1, "a": {"_step": 2, "_rewind": 3, "_nonfinite": 4}},
    ),
]

MERGING = [
    Vector(
        "steps-go-down",
        "R037 R040 R082",
        "Steps in any order, none dropped; the summary is of the highest.",
        metrics=[row(5, a=1), row(3, a=2, b=3), row(4, a=4), row(3, at=T0 + 9, c=5)],
        rows=[row(3, at=T0 + 9, a=2, b=3, c=5), row(4, a=4), row(5, a=1)],
        summary={"a": 1, "b": 3, "c": 5},
    ),
    Vector(
        "merge-subtrees",
        "R041 R042 R043",
        "Rows of one step: subtrees are merged key by key, the latest time stays.",
        metrics=[
            row(0, a={"x": 1, "y": {"z": 2}}, b=1),
            row(0, at=T0 + 1, a={"y": {"w": 3}}, b=2),
            row(0, at=T0 + 2, a={"y": {"z": 4}}),
        ],
        rows=[row(0, at=T0 + 2, a={"x": 1, "y": {"z": 4, "w": 3}}, b=2)],
        summary={"a": {"x": 1, "y": {"z": 4, "w": 3}}, "b": 2},
    ),
    Vector(
        "merge-lists",
        "R041 R042",
        "A list is a leaf, and replaces.",
        metrics=[row(0, a=[1, 2, 3], b={"c": 1}, d=[1]), row(0, a=[4], b=[5], d={"e": 2})],
        rows=[row(0, a=[4], b=[5], d={"e": 2})],
        summary={"a": [4], "b": [5], "d": {"e": 2}},
    ),
    Vector(
        "merge-null",
        "R041 R082",
        "An explicit null replaces, in its step; the summary goes back to what was before.",
        metrics=[row(0, a=1, b={"c": 2}, d=None), row(1, a=3, b={"c": 4}), row(1, a=None, b=None)],
        rows=[row(0, a=1, b={"c": 2}, d=None), row(1, a=None, b=None)],
        summary={"a": 1, "b": {"c": 2}},
    ),
    Vector(
        "merge-scalar-and-subtree",
        "R042 R088",
        "A scalar replaces a subtree, and a subtree a scalar.",
        metrics=[
            row(0, a={"b": 1}, c=2),
            row(0, a=3, c={"d": 4}),
            row(1, e={"f": 1}, g=1),
            row(2, e=2, g={"h": 2}),
        ],
        rows=[row(0, a=3, c={"d": 4}), row(1, e={"f": 1}, g=1), row(2, e=2, g={"h": 2})],
        summary={"a": 3, "c": {"d": 4}, "e": 2, "g": {"h": 2}},
    ),
    Vector(
        "merge-typed-values",
        "R041 R042",
        "An object with _type is a leaf: nothing of the earlier one stays.",
        metrics=[
            row(0, a={"_type": "histogram", "bins": [0, 1], "values": [1], "nonfinite": 2}, b={"c": 1}),
            row(0, a={"_type": "histogram", "bins": [0, 2], "values": [3]}, b={"_type": "x", "d": 1}),
            row(1, b={"c": 2}),
        ],
        rows=[
            row(0, a={"_type": "histogram", "bins": [0, 2], "values": [3]}, b={"_type": "x", "d": 1}),
            row(1, b={"c": 2}),
        ],
        summary={"a": {"_type": "histogram", "bins": [0, 2], "values": [3]}, "b": {"c": 2}},
    ),
    Vector(
        "merge-empty-objects",
        "R041 R088",
        "An empty object is a leaf, replaces a scalar, and leaves a subtree as it is.",
        metrics=[row(0, a={"b": 1}, c=2, d={}), row(0, a={}, c={}, d={"e": 3}), row(1, a={})],
        rows=[row(0, a={"b": 1}, c={}, d={"e": 3}), row(1, a={})],
        summary={"a": {"b": 1}, "c": {}, "d": {"e": 3}},
    ),
    Vector(
        "merge-nonfinite",
        "R035 R041",
        "What was NaN is replaced, and replaces: decoding comes before merging.",
        metrics=[
            row(0, a=None, b=1, _nonfinite={"/a": "NaN"}),
            row(0, a=2, b=None, _nonfinite={"/b": "Infinity"}),
        ],
        rows=[row(0, a=2, b=None, _nonfinite={"/b": "Infinity"})],
        summary={"a": 2, "b": None, "_nonfinite": {"/b": "Infinity"}},
    ),
]

CONTROL = [
    Vector(
        "rewind",
        "R050 R056",
        "After a rewind to 1, what was said of steps above 1 is as if it were not there.",
        metrics=[
            row(0, a=1),
            row(1, a=2),
            row(2, a=3, b=4),
            row(1, at=T0 + 3, _rewind=1),
            row(2, at=T0 + 4, a=5),
        ],
        rows=[row(0, a=1), row(1, a=2), row(2, at=T0 + 4, a=5)],
        summary={"a": 5},
    ),
    Vector(
        "rewind-again",
        "R050 R056",
        "A rewind after a rewind, at last to before everything.",
        metrics=[
            row(0, a=1),
            row(1, a=2),
            row(2, a=3),
            row(1, at=T0 + 3, _rewind=1),
            row(2, at=T0 + 4, a=4),
            row(3, at=T0 + 5, a=5),
            row(2, at=T0 + 6, _rewind=2),
            row(0, at=T0 + 7, b=1),
            row(0, at=T0 + 8, _rewind=-1),
            row(1, at=T0 + 9, c=1),
        ],
        rows=[row(1, at=T0 + 9, c=1)],
        summary={"c": 1},
    ),
    Vector(
        "rewind-out-of-order",
        "R037 R050",
        "A rewind looks at steps, not at places: lower steps that came later stay.",
        metrics=[row(9, a=1), row(2, a=2), row(7, a=3), row(5, at=T0 + 10, _rewind=5), row(6, a=4)],
        rows=[row(2, a=2), row(6, a=4)],
        summary={"a": 4},
    ),
    Vector(
        "rewind-with-data",
        "R044 R050",
        "A row with a control key and keys of the user is both: the rewind comes first.",
        metrics=[row(4, a=1, b=2), row(5, a=3), row(4, at=T0 + 6, _rewind=3, a=4)],
        rows=[row(4, at=T0 + 6, a=4)],
        summary={"a": 4},
    ),
    Vector(
        "rewind-and-the-summary",
        "R051 R086",
        "A rewind undoes what was set by hand above it, and no definition.",
        metrics=[
            row(1, a=5),
            row(1, _summary={"set": {"best": 1}}),
            row(3, a=2),
            row(3, _summary={"set": {"best": 2, "other": 3}, "del": ["a"]}),
            defined(3, "a", summary=["min"]),
            row(2, at=T0 + 4, _rewind=2),
            row(3, at=T0 + 5, a=7),
        ],
        rows=[row(1, a=5), row(3, at=T0 + 5, a=7)],
        summary={"a": {"min": 5}, "best": 1},
    ),
    Vector(
        "control-rows-are-no-rows",
        "R044",
        "A row with a control key alone is no logical row; a row with nothing at all is.",
        metrics=[row(0, _summary={"set": {"a": 1}}), row(1), defined(2, "b", hidden=True)],
        rows=[row(1)],
        summary={"a": 1},
    ),
    Vector(
        "ranks",
        "R060 R061 R062 R063",
        "Each writer has its own history, and rewinds it alone.",
        metrics=[row(0, a=1), row(1, a=2), row(2, a=3)],
        files={
            "metrics.rank1.jsonl": [row(0, a=10), row(1, a=20), row(0, at=T0 + 2, _rewind=0), row(2, b=30)],
            "metrics.rank2.jsonl": [row(0, _summary={"set": {"z": 1}}), defined(0, "a", summary=["min"])],
            "events.rank1.jsonl": [{"_timestamp": T0, "event": "start"}],
            "system.rank1.jsonl": [{"_timestamp": T0, "cpu": {"percent": 1.0}}],
        },
        rows={
            "main": [row(0, a=1), row(1, a=2), row(2, a=3)],
            "rank1": [row(0, a=10), row(2, b=30)],
            "rank2": [],
        },
        summary={"a": 3},
    ),
    Vector(
        "stream-of-a-second-process",
        "R061 R064",
        "Two processes wrote one run: the second went on in a stream of its own.",
        metrics=[row(0, a=1), row(1, a=2)],
        files={"metrics.w0123abcd.jsonl": [row(1, a=3)]},
        rows={"main": [row(0, a=1), row(1, a=2)], "w0123abcd": [row(1, a=3)]},
        summary={"a": 2},
    ),
    Vector(
        "only-another-rank",
        "R061 R063",
        "The main writer wrote no metrics.",
        files={"metrics.rank1.jsonl": [row(0, a=1)]},
        rows={"rank1": [row(0, a=1)]},
    ),
]

SUMMARY = [
    Vector(
        "operations",
        "R080 R083",
        "Every operation; NaN, booleans and text have no statistics, infinities have.",
        metrics=[
            defined(0, "a", summary=["min", "max", "mean", "first", "last", "best"], goal="maximize"),
            defined(0, "b", summary=["best"]),
            defined(0, "c", summary=["min", "last"]),
            defined(0, "d", summary=["mean"]),
            defined(0, "e", summary=["max", "mean"]),
            row(0, a=4, b=3, c=True, d="x", e=1),
            row(1, a=None, b=1, c=False, d=[1], e=None, _nonfinite={"/a": "NaN", "/e": "Infinity"}),
            row(2, a=1, b=2),
        ],
        rows=[
            row(0, a=4, b=3, c=True, d="x", e=1),
            row(1, a=None, b=1, c=False, d=[1], e=None, _nonfinite={"/a": "NaN", "/e": "Infinity"}),
            row(2, a=1, b=2),
        ],
        summary={
            "a": {"min": 1, "max": 4, "mean": 2.5, "first": 4, "last": 1, "best": 4},
            "b": {"best": 1},
            "c": {"last": False},
            "e": {"max": None, "mean": None},
            "_nonfinite": {"/e/max": "Infinity", "/e/mean": "Infinity"},
        },
    ),
    Vector(
        "definition-comes-late",
        "R085",
        "A definition covers what came before it, and a logical row counts once.",
        metrics=[
            row(0, v=1),
            row(0, v=5),
            row(2, v=7),
            row(1, v=3),
            defined(2, "v", summary=["min", "first", "last", "mean"]),
        ],
        rows=[row(0, v=5), row(1, v=3), row(2, v=7)],
        summary={"v": {"min": 3, "first": 5, "last": 7, "mean": 5}},
    ),
    Vector(
        "definitions-add-up",
        "R080",
        "Definitions of one name add up, unless one says overwrite.",
        metrics=[
            defined(0, "a", summary=["min"]),
            defined(0, "a", summary=["max"], goal="maximize"),
            defined(0, "a", hidden=True),
            defined(0, "b", summary=["min"]),
            defined(0, "b", summary=["max"], overwrite=True),
            row(0, a=1, b=1),
            row(1, a=2, b=2),
        ],
        rows=[row(0, a=1, b=1), row(1, a=2, b=2)],
        summary={"a": {"min": 1, "max": 2}, "b": {"max": 2}},
    ),
    Vector(
        "globs",
        "R081",
        "The exact name counts, else the glob with the longest beginning; none for a leading underscore.",
        metrics=[
            defined(0, "*", summary=["first"]),
            defined(0, "val.*", summary=["min"]),
            defined(0, "val.acc*", summary=["max"]),
            defined(0, "val.acc", summary=["mean"]),
            row(0, loss=3, val={"loss": 2, "acc": 1, "acc5": 1}, _x=1, a={"_x": 1}),
            row(1, loss=1, val={"loss": 3, "acc": 2, "acc5": 4}, _x=2, a={"_x": 2}),
        ],
        rows=[
            row(0, loss=3, val={"loss": 2, "acc": 1, "acc5": 1}, _x=1, a={"_x": 1}),
            row(1, loss=1, val={"loss": 3, "acc": 2, "acc5": 4}, _x=2, a={"_x": 2}),
        ],
        summary={
            "loss": {"first": 3},
            "val": {"loss": {"min": 2}, "acc": {"mean": 1.5}, "acc5": {"max": 4}},
            "_x": 2,
            "a": {"_x": {"first": 1}},
        },
    ),
    Vector(
        "none-and-copy",
        "R082 R084",
        "none hides a key, whatever else is said; copy is the plain value.",
        metrics=[
            defined(0, "a", summary=["none", "min"]),
            defined(0, "b", summary=["copy"]),
            row(0, a=1, b=1),
            row(0, _summary={"set": {"a": 9}}),
            row(1, a=2, b=2),
        ],
        rows=[row(0, a=1, b=1), row(1, a=2, b=2)],
        summary={"b": 2},
    ),
    Vector(
        "set-by-hand",
        "R053 R086",
        "A value set by hand stands until a later row, and ends the statistics of its key.",
        metrics=[
            defined(0, "a", summary=["min"]),
            row(0, a=1, b=1, c=1),
            row(0, _summary={"set": {"a": 100, "b": 200, "d": {"e": [1]}, "n.o": 5}}),
            row(1, a=7, c=2),
            row(2, b=None),
        ],
        rows=[row(0, a=1, b=1, c=1), row(1, a=7, c=2), row(2, b=None)],
        summary={"a": 7, "b": 200, "c": 2, "d": {"e": [1]}, "n": {"o": 5}},
    ),
    Vector(
        "deleted-by-hand",
        "R053 R087",
        "A deleted key is gone until a row gives it a value; with operations it shows them over everything.",
        metrics=[
            defined(0, "a", summary=["max"]),
            row(0, a=9, b=1, c=1, d=1),
            row(0, _summary={"set": {"a": 100}}),
            row(1, a=2),
            row(1, _summary={"del": ["a", "b", "c"]}),
            row(2, c=3, a=1),
            row(2, _summary={"del": ["d"], "set": {"d": 4}}),
        ],
        rows=[row(0, a=9, b=1, c=1, d=1), row(1, a=2), row(2, c=3, a=1)],
        summary={"a": {"max": 9}, "c": 3, "d": 4},
    ),
    Vector(
        "hand-values-above-each-other",
        "R088",
        "Of values set by hand where one lies in the other, the last stands; a row after it ends it.",
        metrics=[
            row(0, _summary={"set": {"a": 1, "b.c": 2, "d": 3}}),
            row(1, _summary={"set": {"a.x": 4}}),
            row(1, _summary={"set": {"b": 5}}),
            row(2, d={"e": 6}),
        ],
        rows=[row(2, d={"e": 6})],
        summary={"a": {"x": 4}, "b": 5, "d": {"e": 6}},
    ),
]

MEDIA = [
    Vector(
        "media",
        "R070 R071 R072 R074 R075 R076 R079",
        "Values with files: an image, a batch, a table, and a histogram without one.",
        metrics=[
            row(
                0,
                sample=PICTURE,
                h=COUNTED,
            ),
            row(
                1,
                sample=BATCH,
            ),
            row(
                2,
                t=LISTED,
            ),
        ],
        files={IMAGE: PIXELS, TABLE_PATH: TABLE},
        rows=[
            row(
                0,
                sample=PICTURE,
                h=COUNTED,
            ),
            row(
                1,
                sample=BATCH,
            ),
            row(
                2,
                t=LISTED,
            ),
        ],
        summary={
            "sample": BATCH,
            "h": COUNTED,
            "t": LISTED,
        },
    ),
    Vector(
        "masks-and-charts",
        "R070 R072 R077 R078",
        "An image with boxes and a mask, and a table that is to be drawn.",
        metrics=[row(0, sample=OVERLAID, curve=CHART)],
        files={IMAGE: PIXELS, MASK_PATH: MASK, TABLE_PATH: TABLE},
        rows=[row(0, sample=OVERLAID, curve=CHART)],
        summary={"sample": OVERLAID, "curve": CHART},
    ),
    Vector(
        "media-on-its-way",
        "R070",
        "A file that is not there yet is no problem of the row, nor are dots within a name.",
        metrics=[row(0, a=PAGE)],
        rows=[row(0, a=PAGE)],
        summary={"a": PAGE},
    ),
    Vector(
        "path-without-type",
        "R070",
        "A path in an object without _type, or a _type without a path, is the user's own.",
        metrics=[row(0, a={"path": "/etc/passwd"}, b={"_type": "x"}, path="../..")],
        rows=[row(0, a={"path": "/etc/passwd"}, b={"_type": "x"}, path="../..")],
        summary={"a": {"path": "/etc/passwd"}, "b": {"_type": "x"}, "path": "../.."},
    ),
    Vector(
        "artifact",
        "R120 R121 R122 R123 R124 R125",
        "Saved files and a version of an artifact; readers of rows do not look at them.",
        files={
            "files/notes.txt": b"kept\n",
            "files/requirements.txt": b"torch==2.9.0\n",
            "files/code/train.py": b"print()\n",
            "files/artifacts/model/v0/weights.pt": b"x",
            "files/artifacts/model/v0/artifact.json": {
                "name": "model",
                "type": "model",
                "version": "v0",
                "description": "",
                "metadata": {},
                "aliases": ["best"],
                "created_at": "2024-11-24T03:07:09.000001Z",
                "entries": {
                    "weights.pt": {
                        "path": "weights.pt",
                        "sha256": hashlib.sha256(b"x").hexdigest(),
                        "size": 1,
                    },
                    "data": {"uri": "s3://bucket/data"},
                },
            },
            "files/artifacts/model/v1/half.pt": b"",
        },
    ),
]

DOCUMENTS = [
    Vector(
        "config-nonfinite",
        "R090 R092",
        "Documents have _nonfinite as rows do.",
        files={
            "config.json": {
                "lr": 0.001,
                "clip": None,
                "none": None,
                "l": [{"x": None}],
                "_nonfinite": {"/clip": "Infinity", "/l/0/x": "NaN"},
            }
        },
        config={
            "lr": 0.001,
            "clip": None,
            "none": None,
            "l": [{"x": None}],
            "_nonfinite": {"/clip": "Infinity", "/l/0/x": "NaN"},
        },
    ),
    Vector(
        "edits",
        "R093 R094 R095",
        "Edits of everything that may be edited, in the order of their times, not of the file.",
        metrics=[row(0, loss=0.5, val={"acc": 1})],
        run=run(name="old", notes="gone", tags=["a"], project="p"),
        files={
            "config.json": {"lr": 0.1, "model": {"layers": 3}, "gone": 1},
            "edits.json": {
                "/config/model/layers": {"value": 4, **PEOPLE},
                "/config/model": {"value": {"kind": "new"}, "time": T0 + 20, "author": "bob"},
                "/config/new/deep/a~1b": {"value": [1, None], **PEOPLE},
                "/config/new/a~01b": {"value": 7, **PEOPLE},
                "/config/lr/x": {"value": 5, **PEOPLE},
                "/config/gone": PEOPLE,
                "/config/absent/too": PEOPLE,
                "/summary/loss": {"value": 0.25, **PEOPLE},
                "/summary/val/acc": PEOPLE,
                "/summary/best": {"value": True, **PEOPLE},
                "/name": {"value": "new", **PEOPLE},
                "/notes": PEOPLE,
                "/tags": {"value": ["b", "c"], **PEOPLE},
                "/project": {"value": "q", **PEOPLE},
            },
        },
        shown={"name": "new", "notes": "", "tags": ["b", "c"], "project": "q"},
        config={"lr": {"x": 5}, "model": {"kind": "new"}, "new": {"deep": {"a/b": [1, None]}, "a~1b": 7}},
        rows=[row(0, loss=0.5, val={"acc": 1})],
        summary={"loss": 0.25, "val": {}, "best": True},
    ),
    Vector(
        "edits-of-equal-time",
        "R095",
        "Of equal times the order of the pointers' bytes decides: /config/a, /config/a/b, /config/é.",
        files={
            "config.json": {"a": 0},
            "edits.json": {
                "/config/a/b": {"value": 2, **PEOPLE},
                "/config/a": {"value": {"b": 1, "c": 1}, **PEOPLE},
                "/config/é": {"value": 3, **PEOPLE},
            },
        },
        config={"a": {"b": 2, "c": 1}, "é": 3},
    ),
    Vector(
        "edits-nonfinite",
        "R090 R093",
        "A value of an edit may be NaN.",
        files={
            "edits.json": {
                "/config/x": {"value": None, **PEOPLE},
                "/config/y": {"value": {"z": None}, **PEOPLE},
                "_nonfinite": {"/~1config~1x/value": "NaN", "/~1config~1y/value/z": "-Infinity"},
            }
        },
        config={"x": None, "y": {"z": None}, "_nonfinite": {"/x": "NaN", "/y/z": "-Infinity"}},
    ),
]

VECTORS = [*IDENTITY, *STATE, *NAMES, *VALUES, *MERGING, *CONTROL, *SUMMARY, *MEDIA, *DOCUMENTS]
