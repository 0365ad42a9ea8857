"""Random runs, which the three readers must read alike.

By hand, other runs each time: ``RUNFMT_RANDOM_RUNS=20000 pytest tests/conformance/test_differential.py``.
"""

import json
import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from foreign import COMMANDS, foreign, ours

NOW = 1732417800.0
BY_HAND = int(os.environ.get("RUNFMT_RANDOM_RUNS", "0"))
LINK = b"\0a symbolic link"

# --- JSON as text, so that every spelling of a value comes up ---


def words(text):
    return st.sampled_from(text.split())


def seldom(unusual, usual, one_in=10):
    return st.integers(1, one_in).flatmap(lambda dice: unusual if dice == one_in else usual)


def pairs(keys, values, most=4):
    return st.lists(st.tuples(keys, values), max_size=most)


def member(key, values, chance=10):
    """A list of one pair in so many of ten cases, else an empty one."""
    pair = values.map(lambda value: [(f'"{key}"', value)])
    return st.integers(0, 9).flatmap(lambda dice: pair if dice < chance else st.just([]))


def as_object(members):
    """An object of pairs of texts; what a repeated key hides is harmless (R024)."""
    last = {json.loads(key): place for place, (key, _) in enumerate(members)}
    shown = (last[json.loads(key)] == place for place, (key, _) in enumerate(members))
    told = (f"{key}: {value if is_last else 7}" for (key, value), is_last in zip(members, shown, strict=True))
    return "{" + ",".join(told) + "}"


def built(*members):
    return st.tuples(*members).map(lambda parts: as_object([pair for part in parts for pair in part]))


ANY_TEXT = st.text(max_size=4).map(lambda text: json.dumps(text, ensure_ascii=False))
NUMBERS = st.one_of(
    st.integers(-2, 12).map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    words(
        "-0 -0.0 12.0 1.2e1 120E-1 1e-400 5e-324 1e308 9007199254740991 9007199254740992.0 9007199254740993"
    ),
)
TEXTS = st.one_of(
    ANY_TEXT,
    st.text(max_size=4).map(json.dumps),
    words(r'"NaN" "Infinity" "-Infinity" "" "running" "\ud83d\ude00" "\\ud83d" "\u0000" "\u2028" "\/"'),
    words(
        r'"media/a" "link/a" "link" "linked" "../x" "/x" ".x" "a//b" "a/" "C:x" "a\\b" "a/\u007f" "a\u0080"'
    ),
)
NO_VALUES = words(r'1e309 -1e400 1e5000 "\ud83d" "\ude00\ud83d" "\x" -Infinity 1' + "0" * 400)
USUAL_KEYS = words(r'"a" "a" "a" "b" "b" "" "0" "a/b" "a~1b" "a.b" "_type" "path" "\u0061" "_foo"')
UNUSUAL_KEYS = words('"__proto__" "constructor" "length" "_step" "_timestamp" "_nonfinite" "_rewind" "1"')
KEYS = seldom(ANY_TEXT | UNUSUAL_KEYS, USUAL_KEYS)
MEDIA = built(member("_type", TEXTS), member("path", TEXTS | words('"media/a" "link/a" "linked" "link"')))
VALUES = st.recursive(
    seldom(NO_VALUES, words("null null true false") | NUMBERS | TEXTS | MEDIA, one_in=50),
    lambda inner: (
        built(pairs(KEYS, inner)) | st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
    ),
    max_leaves=4,
)
POINTERS = words(r'"/a" "/b" "/a/b" "/a/0" "/b/1/a" "/" "/a~1b" "/a~01b" "/a~b" "a" "" "/a/00" "/__proto__"')
NONFINITE = seldom(VALUES, built(pairs(POINTERS, seldom(VALUES, words('"NaN" "Infinity" "-Infinity"')))))

# --- Streams ---

ROWS = built(
    member("_step", seldom(VALUES, words("0 1 2 3 3.0 3e0"))),
    member("_timestamp", seldom(VALUES, words("1732417554.123456 1732417700 1732417490"))),
    pairs(KEYS, VALUES, most=3),
    member("_nonfinite", NONFINITE, 3),
    member("_rewind", seldom(VALUES, words("-1 0 1 1.0 2")), 2),
    *(member(key, VALUES, 1) for key in ("_gap", "_summary", "_define", "_runtime")),
).map(str.encode)
DEEP = st.builds(
    lambda ends, levels: b'{"_step":1,"a":' + ends[0] * levels + b"1" + ends[1] * levels + b"}",
    st.sampled_from([(b"[", b"]"), (b'{"a":', b"}")]),
    st.sampled_from([62, 63, 64, 2000]),
)
NO_ROWS = st.sampled_from(
    [b"\0" * 9, b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\t"}', b'{"a":"\\x"}']
) | st.sampled_from(
    rb"""{ null [1] {"_step":NaN} {"_step":01} {'_step':1} {"_step":1,} {"_step":1}x {"_step":+1}""".split(
        b" "
    )
)
FRAMES = st.sampled_from([b"%b\r", b" \t%b ", b"\xef\xbb\xbf%b", b"\x0b%b", b"%b\xc2\xa0", b"[%b]", b"%b%b"])
FRAMED = st.builds(lambda frame, row: frame.replace(b"%b", row), FRAMES, ROWS)
LINES = seldom(NO_ROWS | DEEP | FRAMED, ROWS)
STREAMS = st.builds(
    lambda lines, tail: b"".join(line + b"\n" for line in lines) + tail,
    st.lists(LINES, max_size=8),
    seldom(LINES, st.just(b"")),
)

# --- Documents and runs ---

TIMES = words(
    '"2024-11-24T03:05:54.123456Z" "2024-11-24T03:09:00.000000Z" "2026-02-30T00:00:00.000000Z" null 7 '
    '"2024-11-24T24:00:00.000000Z" "2026-13-01T00:00:00.000000Z" "2026-11-24T03:05:60.000000Z" "now"'
)
RUN_DOCUMENTS = built(
    member("runfmt", seldom(words('0 2 2.0 1.5 "1" true null'), words("1 1.0 10e-1"), one_in=15)),
    member("requires", seldom(words('["x"] [1] null "x" ["x",1] {}'), st.just("[]"), one_in=15)),
    member("uid", seldom(VALUES, st.just('"0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77"'), one_in=15)),
    member(
        "id", seldom(VALUES | words('"One" "one." "CON" "com1.x" "a/b" "two"'), st.just('"one"'), one_in=15)
    ),
    member(
        "state",
        seldom(VALUES, words('"running" "running" "finished" "failed" "killed" "preempted"'), one_in=15),
    ),
    member("created_at", TIMES, 8),
    member("name", seldom(VALUES, TEXTS), 5),
    member("tags", seldom(VALUES, words('[] ["a","b"] ["a",null]')), 5),
    member("_nonfinite", NONFINITE, 1),
).map(str.encode)
EDITED = words(
    '"/config/a" "/config/a" "/config/a/b" "/config/a/b" "/config/b/0" "/config/" "/config" "/name"'
) | words(
    '"/config/a~01b" "/config/a~1b" "config/a" "" "/" "/tags" "/id" "/name/x" "/config/a~2" "/summary/a"'
)
EDIT = built(
    member("value", VALUES, 8),
    member("time", seldom(VALUES, words("1 2 2.0 3e0"))),
    member("author", seldom(VALUES, TEXTS)),
)
EDITS = built(pairs(EDITED, EDIT), member("_nonfinite", NONFINITE, 1)).map(str.encode)
CONFIGS = built(pairs(KEYS, VALUES), member("_nonfinite", NONFINITE, 4)).map(str.encode)
FILES = st.fixed_dictionaries(
    {"run.json": seldom(NO_ROWS, RUN_DOCUMENTS), "metrics.jsonl": STREAMS},
    optional={
        "config.json": seldom(NO_ROWS, CONFIGS),
        "edits.json": seldom(NO_ROWS, EDITS),
        "summary.json": seldom(NO_ROWS, CONFIGS),
        "metrics.rank1.jsonl": STREAMS,
        "system.jsonl": STREAMS,
        "console.log": STREAMS,
        "link": st.just(LINK),
    },
)
ODD_FILES = st.dictionaries(
    words(
        ".x.jsonl metrics.main.jsonl metrics.A.jsonl media/metrics.jsonl x.jsonl/a x.log a/.b/c metrics.json"
    ),
    STREAMS | st.just(LINK),
    max_size=2,
)
RUNS = st.builds(lambda files, odd: {**files, **odd}, FILES, ODD_FILES)


# --- The readers ---


def write(folder, runs):
    """Make run directories, all called `one`; gives their paths."""
    paths = [folder / str(number) / "one" for number in range(len(runs))]
    for path, files in zip(paths, runs, strict=True):
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            if data == LINK:
                (path / name).symlink_to("run.json")
            else:
                (path / name).write_bytes(data)
    return paths


def said_of(folder, runs):
    """What each reader says of each run."""
    paths = write(folder, runs)
    said = {"ours": [ours(path, NOW) for path in paths]}
    for language in COMMANDS:
        said[language] = foreign(language, paths, NOW)
    return [dict(zip(said, each, strict=True)) for each in zip(*said.values(), strict=True)]


def disagree(said):
    return any(each != said["ours"] for each in said.values())


def test_readers_agree_on_random_runs(tmp_path):
    runs = []

    @settings(
        max_examples=BY_HAND or 80,
        derandomize=not BY_HAND,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(RUNS)
    def collect(files):
        runs.append(files)

    collect()  # all of them first, so that one process of each reader reads them all
    said = said_of(tmp_path, runs)
    apart = [number for number, each in enumerate(said) if disagree(each)]
    smallest = min(apart, key=lambda number: len(repr(runs[number])), default=None)
    if smallest is not None:
        shown = "\n".join(f"{key}: {value}" for key, value in {**runs[smallest], **said[smallest]}.items())
        pytest.fail(f"{len(apart)} of {len(runs)} runs are not read alike; the smallest one:\n{shown}")
    # They differ enough to say something.
    rules = {problem["rule"] for each in said for problem in each["ours"]["problems"]}
    assert len(rules) > 7
    assert sum(len(rows) for each in said for rows in each["ours"].get("rows", {}).values()) > len(runs) / 2


RUN = b"""{"runfmt": 1, "requires": [], "uid": "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77", "id": "one",
 "created_at": "%s", "state": "running"}"""
FOUND = [
    *(
        {"run.json": RUN % b"2026-11-24T03:05:54.000000Z", "metrics.jsonl": b'{"_step":0,%s}\n' % members}
        for members in (
            b'"_timestamp":1,"_runtime":{"_type":"x","path":"../x"}',
            b'"_timestamp":{"_type":"x","path":"../x"}',
            b'"_timestamp":1,"a":null,"_nonfinite":{"/a":{"_type":"x","path":"../x"}}',
            b'"_timestamp":1,"a":null,"_nonfinite":{"/a":["NaN"]}',
            b'"_timestamp":1,"a":{"_type":"x","path":"/etc/passwd"}',
            b'"_timestamp":1,"a":{"_type":"x","path":"a\xc2\x80"}',
        )
    ),
    *(
        {"run.json": RUN % created}
        for created in (b"2024-11-24T24:00:00.000000Z", b"2026-02-30T00:00:00.000000Z", b"2026-02-28")
    ),
    {"run.json": RUN, "edits.json": b'{"/config/a~01b": {"value": 1, "time": 1, "author": ""}}'},
]
"""Small runs that the readers did not read alike once."""


def test_readers_agree_where_they_did_not(tmp_path):
    said = said_of(tmp_path, FOUND)
    assert [FOUND[number] for number, each in enumerate(said) if disagree(each)] == []
    rules = [[problem["rule"] for problem in each["ours"]["problems"]] for each in said]
    assert rules == [[], ["R031"], ["R036"], ["R036"], ["R070"], [], [], [], [], []]
    assert said[-1]["ours"]["config"] == {"a~1b": (1.0).hex()}
