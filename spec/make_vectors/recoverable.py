"""What crashes, full disks and copies leave behind: every whole row is there, and what is wrong is told."""

from vocabulary import NOW, T0, Link, Vector, row, run

WHOLE = [row(0, a=1), row(1, a=2)]


def torn(name, what, tail):
    """Two whole rows, and the beginning of a third."""
    return Vector(
        name, "R020", what, metrics=[*WHOLE, tail], rows=WHOLE, problems=[("R020", 2)], summary={"a": 2}
    )


def broken(name, rules, what, *lines):
    """Lines that are no rows, between two whole rows."""
    problems = [("R023", number + 1) for number in range(len(lines))]
    metrics = [WHOLE[0], *lines, WHOLE[1]]
    return Vector(name, rules, what, metrics=metrics, rows=WHOLE, problems=problems, summary={"a": 2})


VECTORS = [
    torn("torn-in-a-number", "Cut in the middle of a number.", b'{"_step":2,"_timestamp":17324'),
    torn(
        "torn-in-a-character",
        "Cut within a character of two bytes.",
        b'{"_step":2,"_timestamp":1732417556.0,"gr\xc3',
    ),
    torn(
        "torn-after-a-brace",
        "A whole row that lacks only its LF is not committed.",
        b'{"_step":2,"_timestamp":1732417556.0,"a":3}',
    ),
    torn("torn-after-one-byte", "Cut after the first byte.", b"{"),
    torn("torn-zeros", "A power cut left zeros at the end.", bytes(700)),
    Vector(
        "torn-first-row",
        "R020",
        "The only row is not whole.",
        metrics=[b'{"_step":0,"_timest'],
        problems=[("R020", 0)],
    ),
    Vector(
        "torn-everywhere",
        "R020 R062",
        "Every stream is torn, each at a place of its own.",
        metrics=[*WHOLE, b"{"],
        files={
            "metrics.rank1.jsonl": [row(0, b=1), b'{"_step"'],
            "system.jsonl": [{"_timestamp": T0}, b'{"_timestamp":1'],
            "events.jsonl": [b"{"],
            "console.log": ["epoch 1", b"epo"],
            "other.jsonl": [{"x": 1}, b"\xff"],
        },
        rows={"main": WHOLE, "rank1": [row(0, b=1)]},
        problems=[
            ("R020", "console.log", 1),
            ("R020", "events.jsonl", 0),
            ("R020", 2),
            ("R020", "metrics.rank1.jsonl", 1),
            ("R020", "other.jsonl", 1),
            ("R020", "system.jsonl", 1),
        ],
        summary={"a": 2},
    ),
    Vector(
        "cut-back-and-gap",
        "R022 R052 R112",
        "A short write on a full disk was cut back; a gap says how many rows are lost.",
        metrics=[*WHOLE, row(4, _gap={"rows": 2, "reason": "No space left on device"}), row(4, a=5)],
        rows=[*WHOLE, row(4, a=5)],
        problems=[("R052", 2)],
        summary={"a": 5},
    ),
    Vector(
        "gap-survives-a-rewind",
        "R051 R052",
        "Lost rows stay lost after a rewind; a gap and data may share a row.",
        metrics=[
            row(0, a=1),
            row(5, a=2, _gap={"rows": 1.0, "reason": ""}),
            row(0, at=T0 + 6, _rewind=0),
            row(1, a=3),
        ],
        rows=[row(0, a=1), row(1, a=3)],
        problems=[("R052", 1)],
        summary={"a": 3},
    ),
    broken(
        "unfinished-line-ended",
        "R022 R023",
        "A writer that could not cut back ended the line.",
        '{"_step":9,"_times',
    ),
    broken(
        "zero-blocks",
        "R023",
        "Blocks of zeros that a power cut left in the middle.",
        bytes(512) + b"\n",
        bytes(4096) + b'{"_step":9,"_timestamp":1}\n',
    ),
    broken("no-objects", "R023", "Lines that are no objects.", "[1]", "3", "null", '"x"', "", "   ", "true"),
    broken(
        "two-rows-in-a-line",
        "R023",
        "Two processes wrote over each other.",
        '{"_step":9,"_timestamp":1}{"_step":8,"_timestamp":1}',
        '{"_step":9,{"_step":8,"_timestamp":1}',
    ),
    broken(
        "no-text",
        "R023",
        "Bytes that are no UTF-8.",
        b'{"_step":9,"_timestamp":1,"a":"\xff"}\n',
        b"\xed\xa0\x80\n",
        b'{"_step":9,"_timestamp":1,"\xc0\xaf":1}\n',
    ),
    Vector(
        "broken-lines-elsewhere",
        "R009 R023",
        "Lines of any .jsonl stream are looked at, known or not.",
        files={
            "events.jsonl": [{"_timestamp": T0, "event": "start"}, "oops"],
            "system.rank1.jsonl": [bytes(16) + b"\n", {"_timestamp": T0}],
            "other.jsonl": ["[]", {"x": 1}],
        },
        problems=[("R023", "events.jsonl", 1), ("R023", "other.jsonl", 0), ("R023", "system.rank1.jsonl", 0)],
    ),
    Vector(
        "crashed",
        "R019",
        "A running run whose newest line is more than 300 seconds old.",
        run=run(state="running", created_at="2024-11-24T03:09:54.000000Z"),
        state="crashed",
        metrics=[row(0, at=NOW - 400, a=1), row(1, at=NOW - 301, a=2)],
        files={"system.jsonl": [{"_timestamp": NOW - 300.5}]},
        rows=[row(0, at=NOW - 400, a=1), row(1, at=NOW - 301, a=2)],
        summary={"a": 2},
    ),
    Vector(
        "crashed-before-any-line",
        "R019",
        "Only the time of creation is known.",
        run=run(state="running", created_at="2024-11-24T03:00:00.000000Z"),
        state="crashed",
    ),
    Vector(
        "crashed-without-any-time",
        "R019",
        "Nothing says when it last lived.",
        run=run(state="running", created_at="yesterday"),
        state="crashed",
        files={"system.jsonl": [{"cpu": {"percent": 1}}], "console.log": ["still here"]},
    ),
    Vector(
        "crashed-by-its-last-line",
        "R019",
        "The last line with a time counts, not the latest time; lines without one are passed over.",
        run=run(state="running"),
        state="crashed",
        metrics=[
            row(0, at=NOW, a=1),
            row(1, at=NOW - 500, a=2),
            '{"_step":2,"_timestamp":null}',
            "[]",
            b'{"_step":3',
        ],
        rows=[row(0, at=NOW, a=1), row(1, at=NOW - 500, a=2), {"_step": 2}],
        problems=[("R031", 2), ("R023", 3), ("R020", 4)],
        summary={"a": 2},
    ),
    Vector(
        "no-run-document",
        "R001 R010 R014",
        "run.json is missing: the rows can be read all the same.",
        run=None,
        state="damaged",
        metrics=WHOLE,
        rows=WHOLE,
        problems=[("R010", "run.json")],
        summary={"a": 2},
    ),
    Vector(
        "empty-run-document",
        "R010",
        "A disk that was full left nothing in run.json.",
        run=b"",
        state="damaged",
        metrics=WHOLE,
        rows=WHOLE,
        problems=[("R010", "run.json")],
        summary={"a": 2},
    ),
    Vector(
        "half-a-run-document",
        "R010",
        "run.json was cut.",
        run=b'{"runfmt": 1, "requires": [], "uid": "0193572c-7c8e-7cc1',
        state="damaged",
        metrics=WHOLE,
        files={"config.json": {"lr": 1}},
        config={"lr": 1},
        rows=WHOLE,
        problems=[("R010", "run.json")],
        summary={"a": 2},
    ),
    Vector(
        "damaged-documents",
        "R090 R091",
        "Documents that are no objects are taken as empty.",
        metrics=WHOLE,
        files={"config.json": b"[1]\n", "summary.json": bytes(100), "edits.json": b'{"/name": {"value": "x"'},
        rows=WHOLE,
        problems=[("R091", "config.json"), ("R091", "edits.json"), ("R091", "summary.json")],
        summary={"a": 2},
    ),
    Vector(
        "old-summary",
        "R080 R082",
        "A summary.json that is behind: the stream says what is right.",
        metrics=WHOLE,
        files={"summary.json": {"a": 1, "gone": 7}},
        rows=WHOLE,
        summary={"a": 2},
    ),
    Vector(
        "links",
        "R006 R070 R091",
        "A copy left symbolic links: they are not followed, and no path passes them.",
        metrics=[
            row(0, a={"_type": "html-file", "path": "media/there/x.html", "sha256": "0" * 64, "size": 1}),
            row(1, a={"_type": "html-file", "path": "media/x.html", "sha256": "0" * 64, "size": 1}),
            row(2, a={"_type": "html-file", "path": "media/there", "sha256": "0" * 64, "size": 1}),
        ],
        files={
            "media/there": Link("../../../../valid/media/run/media"),
            "media/kept.txt": b"x",
            "config.json": Link("../../../valid/config-nonfinite/run/config.json"),
            "metrics.rank1.jsonl": Link("metrics.jsonl"),
            "files/nowhere": Link("/nonexistent"),
            "files/.private": Link("/nonexistent"),
        },
        rows=[
            row(0, a={"_type": "html-file", "path": "media/there/x.html", "sha256": "0" * 64, "size": 1}),
            row(1, a={"_type": "html-file", "path": "media/x.html", "sha256": "0" * 64, "size": 1}),
            row(2, a={"_type": "html-file", "path": "media/there", "sha256": "0" * 64, "size": 1}),
        ],
        problems=[
            ("R006", "config.json"),
            ("R006", "files/nowhere"),
            ("R006", "media/there"),
            ("R070", 0),
            ("R070", 2),
            ("R006", "metrics.rank1.jsonl"),
        ],
        summary={"a": {"_type": "html-file", "path": "media/there", "sha256": "0" * 64, "size": 1}},
    ),
    Vector(
        "linked-run-document",
        "R006 R010",
        "run.json itself is a symbolic link.",
        run=Link("../../../valid/empty-stream/run/run.json"),
        state="damaged",
        metrics=WHOLE,
        rows=WHOLE,
        problems=[("R006", "run.json"), ("R010", "run.json")],
        summary={"a": 2},
    ),
]
