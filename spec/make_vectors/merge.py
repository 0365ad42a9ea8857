"""Edits of two sides, and what both are after they met."""

from vocabulary import T0, Merging


def edit(value, time=T0, author="ann", **more):
    return {"value": value, "time": time, "author": author, **more}


VECTORS = [
    Merging(
        "later-wins",
        "R093 R096",
        "The later entry of a pointer stays, a deletion too; what only one side has stays.",
        {"/name": edit("a", T0 + 1), "/notes": edit("x"), "/tags": edit(["t"]), "/config/lr": edit(0.1)},
        {"/name": edit("b"), "/notes": {"time": T0 + 1, "author": "bob"}, "/summary/best": edit(1)},
        {
            "/name": edit("a", T0 + 1),
            "/notes": {"time": T0 + 1, "author": "bob"},
            "/tags": edit(["t"]),
            "/config/lr": edit(0.1),
            "/summary/best": edit(1),
        },
    ),
    Merging(
        "equal-times",
        "R096",
        "Of equal times the greater JSON text: author stands before time and value.",
        {
            "/config/a": edit(1),
            "/config/b": edit("é"),
            "/config/c": edit(9, author="ann"),
            "/config/d": edit(1),
            "/config/e": {"time": T0, "author": "ann"},
        },
        {
            "/config/a": edit(2),
            "/config/b": edit("z"),
            "/config/c": edit(1, author="bob"),
            "/config/d": edit(1),
            "/config/e": edit(1),
        },
        {
            "/config/a": edit(2),
            "/config/b": edit("é"),
            "/config/c": edit(1, author="bob"),
            "/config/d": edit(1),
            "/config/e": {"time": T0, "author": "ann"},
        },
    ),
]
