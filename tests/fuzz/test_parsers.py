"""Parsers of what others wrote, each given inputs that nobody meant; all of them in memory.

``make fuzz`` gives them a million in all.
"""

import hashlib
import io
import json
import math
import posixpath
import re
from contextlib import suppress

import orjson
import pytest

from forging import UID, VERSION
from fuzz.watching import feed
from runfmt.editing import laid_together
from runfmt.edits import are_same, merge_edits, overlay
from runfmt.errors import FormatError, UsageError
from runfmt.history import read_history
from runfmt.layout import id_problem, is_safe, is_stream, media_path, phase, stream_name, writer_of
from runfmt.queries import MISSING, condition, in_order, order_of
from runfmt.rows import decode, decode_document, encode, encode_document, escape, leaves, split_path
from runfmt.summary import Aggregate, summarise
from runfmt_sync import bundle, wire
from runfmt_sync.digests import Proof
from runfmt_sync.extents import Extent
from runfmt_sync.receipts import decode_receipt
from runfmt_sync.remotes.notes import Note, decode_note
from runfmt_sync.remotes.segments import chain, covered, name_of, parse, to_merge
from runfmt_sync.report.template import notes_html, to_html
from runfmt_sync.server.files import _coding, range_of
from runfmt_sync.server.guard import host_of, is_foreign
from runfmt_sync.server.questions import curves_asked, keys_asked, objects_asked, uids_asked
from runfmt_sync.signing import public_key_from_text, secret_key_from_text

ROWS = [
    b'{"_step":1,"_timestamp":1732417554.5,"loss":0.5,"a":{"b":[1,null,{"c":"x"}]},"_runtime":2}\n',
    b'{"_step":2,"_timestamp":1,"x":null,"y":[null],"_nonfinite":{"/x":"NaN","/y/0":"-Infinity"}}\n',
    b'{"_step":3,"_timestamp":2,"i":{"_type":"image-file","path":"media/image/i_0.png","sha256":"00","size":1}}\n',
    b'{"_step":0,"_timestamp":3,"_rewind":1}\n',
    b'{"_step":4,"_timestamp":4,"_define":{"name":"loss","step_metric":"e","summary":["min","max","mean","last"]}}\n',
    b'{"_step":5,"_timestamp":5,"_summary":{"best":1,"a.b":null}}\n{"_step":6,"_timestamp":6,"_gap":{"rows":1}}\n',
]
EDITS = [
    b'{"/notes":{"value":"x","time":1.5,"author":"ann"},"/config/a~1b":{"time":2,"author":"bob"}}',
    b'{"/tags":{"value":["a"],"time":1,"author":""},"/summary/x/y":{"value":null,"time":3,"author":"c"}}',
    b'{"/config/lr":{"value":null,"time":1,"author":"d"},"_nonfinite":{"/~1config~1lr/value":"NaN"}}',
]
DIGEST = hashlib.sha256(b"abc\n").hexdigest()
ENTRY = {"length": 4, "size": 4, "blocks": [], "tail": DIGEST}


def test_line_of_a_stream(counted):
    def take(data):
        row, restored = decode(data)
        again, whole = decode(encode(row, normal=True))
        assert whole
        assert encode(again, normal=True) == encode(row, normal=True)
        for path, _ in leaves(row):
            assert ".".join(map(escape, split_path(path))) == path
        assert isinstance(restored, bool)

    counted(**feed(take, ROWS, (FormatError,)))


def test_stream(counted):
    def take(data):
        history = read_history(data)
        assert [row["_step"] for row in history.rows] == sorted({row["_step"] for row in history.rows})
        assert history.size <= len(data)
        assert read_history(data).problems == history.problems
        aggregate = Aggregate(history.definitions)
        for row in history.rows:
            encode(row, normal=True)
            aggregate.add(row)
        encode_document(summarise(aggregate, history.hand))

    counted(**feed(take, [*ROWS, b"".join(ROWS), b"".join(ROWS[:3]) * 3], ()))


def test_document(counted):
    def take(data):
        document = decode_document(data)
        assert encode_document(decode_document(encode_document(document))) == encode_document(document)

    counted(**feed(take, [row.strip() for row in ROWS[:4]] + EDITS, (FormatError,)))


def test_edits(counted):
    recorded = {"config": {"lr": 1, "a/b": {"c": 2}}, "summary": {"x": 1}, "notes": "", "tags": []}
    other = decode_document(EDITS[0])

    def take(data):
        edits = decode_document(data)
        laid, ignored = overlay(recorded, edits)
        assert laid.keys() <= {*recorded, "project", "entity", "name", "group", "job_type"}
        assert set(ignored) <= edits.keys()
        encode_document(laid)
        assert are_same(merge_edits(edits, other), merge_edits(other, edits))
        assert decode_document(laid_together(EDITS[0], data)).keys() == {*edits, *other}

    counted(**feed(take, EDITS, (FormatError,)))


def _bundle(*bodies):
    pieces = []
    for path, body in bodies:
        digest = hashlib.sha256(body).hexdigest()
        whole = None if is_stream(path) else Proof(len(body), (), digest)
        pieces.append((Extent(UID, path, 0, len(body), digest, whole), [body]))
    file = io.BytesIO()
    bundle.write(file, {"version": VERSION, "channel": "lab"}, bundle.groups(pieces, 10))
    return file.getvalue()


BUNDLES = [
    _bundle(("files/a", b"abc"), ("metrics.jsonl", ROWS[0]), ("run.json", b"{}")),
    _bundle(("metrics.jsonl", b"abc\n")),
    _bundle(),
]


def _coded(data, coding):
    file = io.BytesIO()
    with bundle.packed(file, coding) as packed:
        packed.write(data)
    return file.getvalue()


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_bundle(counted, coding):
    def take(data):
        contents = bundle.check(bundle.unpacked(io.BytesIO(data), coding), 2**20)
        for extent, body in bundle.pieces(bundle.unpacked(io.BytesIO(data), coding)):
            assert hashlib.sha256(b"".join(body)).hexdigest() == extent.sha256
            assert extent.uid in contents.uids

    seeds = BUNDLES if coding == "identity" else [_coded(data, coding) for data in BUNDLES]
    counted(**feed(take, seeds, (FormatError,)))


def _said(data):
    """What comes over the wire: whoever takes it has refused what is no JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FormatError("H001", str(error)) from None


WIRE = {
    "asks": (
        wire.asks_from_json,
        lambda found: wire.asks_to_json(found[0], believe=found[1]),
        {"runs": [{"uid": UID, "digest": DIGEST, "streams": {"metrics.jsonl": 4}}], "verify": True},
    ),
    "haves": (
        wire.haves_from_json,
        wire.haves_to_json,
        {
            "runs": {
                UID: {"entries": {"run.json": ENTRY}, "staged": {DIGEST: 1}, "refused": "", "deleted": ""}
            }
        },
    ),
    "refusals": (
        wire.refusals_from_json,
        wire.refusals_to_json,
        {"refused": {UID: {"reason": "x", "again": True}}},
    ),
    "wanted": (
        wire.wanted_from_json,
        wire.wanted_to_json,
        {"spans": [{"uid": UID, "path": "metrics.jsonl", "offset": 0, "length": 4}]},
    ),
    "extent": (
        wire.extent_from_json,
        wire.extent_to_json,
        {
            "uid": UID,
            "path": "a",
            "offset": 0,
            "length": 4,
            "sha256": DIGEST,
            "whole": {"size": 4, "sha256": DIGEST},
        },
    ),
}


@pytest.mark.parametrize("kind", WIRE)
def test_what_two_sides_say(counted, kind):
    read, write, seed = WIRE[kind]

    def take(data):
        found = read(_said(data))
        assert write(read(_said(orjson.dumps(write(found))))) == write(found)

    counted(**feed(take, [orjson.dumps(seed)], (FormatError,)))


def test_questions_of_the_page(counted):
    curve = {"uid": UID, "key": "loss", "stream": "metrics", "writer": "main"}
    seeds = [
        {"curves": [curve], "x": "_step", "from": 0.5, "to": 2, "points": 10},
        {"uids": [UID], "key": "x", "step": 1, "writer": "main", "many": 3},
        {"uids": [UID], "stream": "system"},
    ]

    def take(data):
        said, found = _said(data), 0
        for read in (curves_asked, objects_asked, keys_asked, uids_asked):
            try:
                read(said)
                found += 1
            except FormatError:
                pass
        if not found:
            raise FormatError("H077", "none of the questions")

    counted(**feed(take, [*map(orjson.dumps, seeds)], (FormatError,)))


@pytest.mark.filterwarnings("ignore:Possible (nested set|set)")
def test_filters(counted):
    seeds = [
        {
            "$and": [
                {"config.lr": {"$gt": 0.1, "$lte": 1}},
                {"$or": [{"tags": {"$in": ["a"]}}, {"state": "x"}]},
            ]
        },
        {
            "display_name": {"$regex": "^a.*b$"},
            "summary_metrics.acc": {"$exists": True, "$not": {"$eq": None}},
        },
        {
            "created_at": {"$gte": "2026-11-24T03:05:54Z"},
            "$nor": [{"notes": {"$ne": ""}}],
            "$not": {"id": "a"},
        },
        {"created_at": {"$lt": "0001-01-01T00:00:00+23:00"}, "heartbeat_at": "9999-12-31T23:59:59-23:00"},
        {"name": {"$regex": "a{1,99999999999999999999}", "$nin": [1, "x"]}},
    ]
    values = {
        "config.lr": 0.5,
        "tags": ["a", "b"],
        "state": "finished",
        "name": "axb",
        "summary.acc": math.nan,
    }

    def take(data):
        try:
            filters = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UsageError(str(error)) from None
        assert isinstance(condition(filters)(lambda key: values.get(key, MISSING)), bool)

    counted(**feed(take, [json.dumps(seed).encode() for seed in seeds], (UsageError,)))


def test_orders(counted):
    def take(data):
        order_of(data.decode(errors="replace"))
        values = json.loads(b'{"a": [1, "x", null, {"b": 1}, [1], true]}')["a"]
        assert len(in_order([(value, value) for value in values], descending=True)) == 6

    counted(**feed(take, [b"-summary_metrics.acc", b"+created_at", b"config.lr"], (UsageError,)))


def test_paths_and_names(counted):
    def take(data):
        path = data.decode(errors="surrogateescape")
        if is_safe(path):
            whole = posixpath.normpath(posixpath.join("/runs/run", path))
            assert whole.startswith("/runs/run/")
            assert not re.search(r"[\x00-\x1f\x7f\\]", path)
        if id_problem(path) is None:
            assert "/" not in path
            assert not path.startswith(".")
        assert phase(path) in range(4)
        for kind in ("metrics", "system", "console"):
            if (writer := writer_of(path, kind)) is not None:
                assert stream_name(kind, writer) == path
                assert is_stream(path)
        assert is_safe(media_path("image", path, DIGEST, "png"))

    seeds = [
        b"media/image/x_0123.png",
        b"metrics.rank1.jsonl",
        b"console.log",
        b"files/artifacts/a/v0/artifact.json",
        b"../../etc/passwd",
        b"C:\\x",
        b"files/./x",
        b"run-1.a",
        b"nul.txt",
        "ünïcode/ﬁ".encode(),
    ]
    counted(**feed(take, seeds, ()))


def test_names_of_segments(counted):
    names = [f"{start:020}-{start + 10:020}-{DIGEST[:16]}" for start in (0, 10, 5)]

    def take(data):
        found = [*map(parse, data.decode(errors="replace").split("\n"))]
        segments = [segment for segment in found if segment]
        assert {name_of(segment) for segment in segments} <= {*data.decode(errors="replace").split("\n")}
        parts = chain(segments)
        to_merge(parts, 2**20)
        covered(parts, segments)
        reached = 0
        for segment, skip in parts:
            assert segment.start + skip == reached < segment.end
            reached = segment.end

    counted(**feed(take, [names[0].encode(), "\n".join(names).encode()], ()))


def test_notes_and_receipts(counted):
    note = {
        "runfmt": 1,
        "files": {"run.json": [4, "t", DIGEST]},
        "large": {"files/a": ["t", 4, DIGEST, "n"]},
        "streams": {"metrics.jsonl": [4, DIGEST, [DIGEST], "t"]},
        "_nonfinite": {"/files/run.json/0": "Infinity"},
    }
    receipt = {
        "uid": UID,
        "id": "a",
        "digest": DIGEST,
        "time": 1.0,
        "files": {"run.json": {"size": 4, "blocks": [], "sha256": DIGEST}},
    }

    def take(data):
        document = decode_document(data)
        assert isinstance(decode_note(document), Note)
        with suppress(TypeError, KeyError, AttributeError, ValueError):  # what Receipts.get passes over
            decode_receipt(document)

    infinite = orjson.dumps({**note, "files": {"run.json": [None, "t", DIGEST]}})
    counted(**feed(take, [orjson.dumps(note), orjson.dumps(receipt), infinite], (FormatError,)))


def test_headers(counted):
    def take(data):
        text = data.decode("latin-1")
        wanted = range_of(text, 100)
        assert wanted is None or 0 <= wanted[0] < wanted[1] <= 100
        assert _coding(text) in ("", "gzip", "zstd")
        assert "/" not in host_of(text)
        assert is_foreign(f"https://evil.example/{text}", "localhost")

    seeds = [
        b"bytes=0-9",
        b"bytes=-5",
        b"bytes=5-",
        b"gzip;q=0, zstd;q=0.5",
        b"localhost:80",
        b"[::1]:1",
        b"a@b",
    ]
    counted(**feed(take, seeds, ()))


def test_keys_of_minisign(counted):
    seeds = [
        b"untrusted comment: x\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n",
        b"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
    ]

    def take(data):
        text = data.decode(errors="replace")
        with pytest.raises(UsageError):
            secret_key_from_text(text)
        assert len(public_key_from_text(text).key) == 32

    counted(**feed(take, seeds, (UsageError,)))


NOTES = [
    b"# Title\n\n*a* **b** `c` [link](https://example.org) <b>x</b>\n\n1. a\n2. b\n\n> q\n\n```\ncode\n```\n",
    b"[x](javascript:alert(1)) ![i](http://x/y.png) <img onerror=a()> [a][b]\n\n[b]: data:text/html,x\n",
    b"<https://x> &lt;script&gt; | a | b |\n|---|---|\n| 1 | 2 |\n",
]
TAG = re.compile(r"<(?!/?(p|h[1-6]|em|strong|code|pre|a|ul|ol|li|blockquote|br|hr)\b)", re.IGNORECASE)


def test_markdown_of_runs(counted, inputs_of_slow):
    def take(data):
        html = notes_html(data.decode(errors="replace"))
        assert not TAG.search(html), html
        assert not re.search(r"<[^>]* (on\w+|style)=", html), html
        assert all(to.startswith(("http://", "https://")) for to in re.findall(r'href="([^"]+)"', html))

    counted(**feed(take, NOTES, (), inputs_of_slow))


def test_template_of_a_report(counted, inputs_of_slow):
    seeds = [
        *NOTES,
        b'# A\n\n{{ chart "loss" log x="epoch" }}\n\n{{ table }}\n',
        b'{{ media "x" steps="3" }}\n',
    ]

    def take(data):
        to_html(data.decode(errors="replace"), lambda panel: f"<i>{panel.number('height', 1, 0, 9)}</i>")

    counted(**feed(take, seeds, (UsageError,), inputs_of_slow))
