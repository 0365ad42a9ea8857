"""What a later version may add: refuse what cannot be read right, ignore what need not be known."""

from vocabulary import IDENTITY, T0, Vector, row, run


def refused(name, rule, what, **changes):
    return Vector(
        name,
        rule,
        what,
        run={**IDENTITY, **changes},
        metrics=[row(0, a=1), "new"],
        state="refused",
        problems=[(rule, "run.json")],
    )


VECTORS = [
    refused("version-2", "R011", "Another major version.", runfmt=2),
    refused("version-minus-1", "R011", "An integer, whatever it may mean.", runfmt=-1),
    refused("version-0", "R011", "A version before the first.", runfmt=0),
    refused(
        "version-2-of-another-form",
        "R011",
        "Of another version nothing else is looked at.",
        runfmt=2,
        uid=7,
        requires={"x": 1},
        state="new",
    ),
    refused("requires", "R012", "An extension that nobody knows yet.", requires=["delta-rows"]),
    refused(
        "requires-and-damaged",
        "R012",
        "What is required comes before what is damaged.",
        requires=["delta-rows"],
        uid="new",
    ),
    Vector(
        "unknown-keys",
        "R017 R053 R054 R100 R101",
        "Keys, members, operations and events that are not known yet.",
        run=run(colour="blue", parent={"uid": 7}),
        metrics=[
            row(0, _define={"name": "a", "summary": ["min", "median"], "unit": "m"}),
            row(0, _summary={"set": {"b": 1}, "why": "test"}),
            row(0, _gap={"rows": 1, "reason": "x", "where": 7}),
            row(0, a=2),
            row(1, a=3),
        ],
        files={
            "events.jsonl": [{"_timestamp": T0, "event": "new", "more": {}}],
            "system.jsonl": [{"_timestamp": T0, "quantum": 1, "cpu": "new"}],
            "edits.json": {"/name": {"value": "n", "time": T0, "author": "ann", "why": "typo"}},
        },
        shown={"name": "n"},
        rows=[row(0, a=2), row(1, a=3)],
        problems=[("R052", 2)],
        summary={"a": {"min": 2}, "b": 1},
    ),
    Vector(
        "unknown-files",
        "R009",
        "Streams, files and folders that are not known yet are part of the run.",
        metrics=[row(0, a=1)],
        files={
            "profile.jsonl": [{"anything": [1]}],
            "profile.rank1.log": ["text"],
            "model.bin": b"\x00\x01",
            "new/folder/x.json": b"{torn",
        },
        rows=[row(0, a=1)],
        summary={"a": 1},
    ),
    Vector(
        "unknown-types",
        "R041 R070",
        "A value of an unknown _type is a leaf, whatever _type is, and its path is looked at.",
        metrics=[
            row(0, a={"_type": "hologram-file", "path": "media/x.holo", "y": 1}, b={"_type": None, "z": 1}),
            row(0, a={"_type": 7, "path": ".x"}),
        ],
        rows=[row(0, a={"_type": 7, "path": ".x"}, b={"_type": None, "z": 1})],
        problems=[("R070", 1)],
        summary={"a": {"_type": 7, "path": ".x"}, "b": {"_type": None, "z": 1}},
    ),
]
