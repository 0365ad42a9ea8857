"""What a writer is asked to do, and does."""

from vocabulary import Writing


def log(step, keys=None, **more):
    return {"log": {**(keys or {}), **more}, "step": step}


def nested(levels):
    return [] if levels == 1 else [nested(levels - 1)]


def refused(name, rule, what, call):
    return Writing(name, rule, what, [log(0, a=1), call], refused=rule)


VECTORS = [
    Writing(
        "rows",
        "R030 R033 R037",
        "Rows as they are given, steps in any order; what was given at a lower step moves nothing.",
        [log(0, a=1, _foo=2), log(5, a={"b": [1, "x", None, True]}), log(3, a=2), {"log": {"a": 3}}],
        [
            {"_step": 0, "a": 1, "_foo": 2},
            {"_step": 5, "a": {"b": [1, "x", None, True]}},
            {"_step": 3, "a": 2},
            {"_step": 5, "a": 3},
        ],
    ),
    Writing(
        "own-steps",
        "R030",
        "Without a step, rows count from 0.",
        [{"log": {"a": 1}}, {"log": {"a": 2}}, log(7, a=3), {"log": {"a": 4}}, {"log": {"a": 5}}],
        [
            {"_step": 0, "a": 1},
            {"_step": 1, "a": 2},
            {"_step": 7, "a": 3},
            {"_step": 7, "a": 4},
            {"_step": 8, "a": 5},
        ],
    ),
    Writing(
        "nonfinite",
        "R035",
        "NaN and the infinities, wherever they stand.",
        [
            log(
                0,
                {
                    "a": None,
                    "b": {"c/d": [1, None]},
                    "e": None,
                    "_nonfinite": {"/a": "NaN", "/b/c~1d/1": "-Infinity"},
                },
            )
        ],
        [
            {
                "_step": 0,
                "a": None,
                "b": {"c/d": [1, None]},
                "e": None,
                "_nonfinite": {"/a": "NaN", "/b/c~1d/1": "-Infinity"},
            }
        ],
    ),
    Writing(
        "integers",
        "R026",
        "Integers within 64 bits stay integers, others become floats.",
        [log(0, a=2**53 + 1, b=2**63 - 1, c=-(2**63), d=2**63, e=-(2**64))],
        [{"_step": 0, "a": 2**53 + 1, "b": 2**63 - 1, "c": -(2**63), "d": 2.0**63, "e": -(2.0**64)}],
    ),
    Writing(
        "surrogates",
        "R028",
        "Half a character becomes U+FFFD.",
        [log(0, {"a\ud83d": "x\ude42y", "b": ["\ud83d"]})],
        [{"_step": 0, "a\ufffd": "x\ufffdy", "b": ["\ufffd"]}],
    ),
    Writing(
        "deepest",
        "R025",
        "64 levels are written.",
        [log(0, a=nested(63))],
        [{"_step": 0, "a": nested(63)}],
    ),
    Writing(
        "definitions",
        "R044 R054 R056",
        "A definition stands at its place, and a step metric is filled in where a row lacks it.",
        [
            {"define": {"name": "val.*", "step_metric": "epoch", "summary": ["min", "last"]}},
            {"define": {"name": "loss", "hidden": True, "goal": "minimize", "overwrite": True}},
            log(0, epoch=3, loss=1),
            log(1, val={"loss": 2}),
        ],
        [
            {
                "_step": 0,
                "_define": {
                    "name": "val.*",
                    "step_metric": "epoch",
                    "step_sync": True,
                    "summary": ["min", "last"],
                },
            },
            {"_step": 0, "_define": {"name": "loss", "hidden": True, "goal": "minimize", "overwrite": True}},
            {"_step": 0, "epoch": 3, "loss": 1},
            {"_step": 1, "val": {"loss": 2}, "epoch": 3},
        ],
    ),
    Writing(
        "summary",
        "R053 R056",
        "What is set in the summary stands between the rows.",
        [log(4, a=1), {"summary": {"set": {"best": 0.5}}}, {"summary": {"del": ["best"]}}, log(5, a=2)],
        [
            {"_step": 4, "a": 1},
            {"_step": 4, "_summary": {"set": {"best": 0.5}}},
            {"_step": 4, "_summary": {"del": ["best"]}},
            {"_step": 5, "a": 2},
        ],
    ),
    Writing(
        "runtime",
        "R033 R034",
        "_runtime is not written.",
        [log(0, a=1, _runtime=5)],
        [{"_step": 0, "a": 1}],
    ),
    refused("negative-step", "R030", "A step below 0.", log(-1, a=1)),
    refused("huge-step", "R030", "A step above 2^53-1.", log(2**53, a=1)),
    refused("step-in-text", "R030", "A step that is no integer.", log("3", a=1)),
    refused("reserved-key", "R033", "A key that is reserved.", log(1, _rewind=0)),
    refused("too-deep", "R025", "65 levels.", log(1, a=nested(64))),
    refused(
        "wrong-operation",
        "R054",
        "An operation that is not known.",
        {"define": {"name": "a", "summary": ["median"]}},
    ),
]
