"""Many small files in one answer: what a real server gives, and what it leaves out."""

import gzip
import io
import os

import pytest
import zstandard

from runfmt.layout import is_stream, phase
from runfmt_sync import bundle
from runmaker import contents, make_run, read, rows
from server.test_hostile import TRICKS

SIZE = 7 * 2**20


def spans_of(run):
    """All of a run, in the order in which it is committed."""
    uid = read(run / "run.json")["uid"]
    found = sorted(contents(run).items(), key=lambda item: phase(item[0]))
    return [{"uid": uid, "path": path, "offset": 0, "length": len(data)} for path, data in found]


def unpacked(data, coding="identity"):
    """The extents of an answer, which is a good bundle of one group, each with its bytes."""
    file = io.BytesIO(data)
    bundle.check(bundle.unpacked(file, coding), 32 * 2**20)
    assert b"1.json" not in bundle.unpacked(file, coding).read()
    return [(extent, b"".join(body)) for extent, body in bundle.pieces(bundle.unpacked(file, coding))]


@pytest.fixture
def fetched(client):
    """What comes of spans, by uid, path and offset."""

    def fetch(*spans):
        answer = client("POST", "/v1/fetch", json={"spans": spans}, headers={"Accept-Encoding": "identity"})
        assert answer.headers["Content-Type"] == "application/x-tar"
        return {(extent.uid, extent.path, extent.offset): data for extent, data in unpacked(answer.content)}

    return fetch


def test_spans_come_as_one_bundle_in_their_order(fetched, data, run):  # H046
    (run / "files" / "empty").touch()
    (run / "system.jsonl").touch()
    spans = [*spans_of(run), *spans_of(make_run(data, "second"))]
    found = fetched(*spans)
    assert [*found] == [(span["uid"], span["path"], 0) for span in spans]
    assert [*found.values()][: len(contents(run))] == [contents(run)[span["path"]] for span in spans_of(run)]


def test_extents_say_what_they_are_of(client, run):  # H046
    for extent, data in unpacked(client("POST", "/v1/fetch", json={"spans": spans_of(run)}).content):
        assert (extent.offset, extent.length, len(data)) == (0, len(data), extent.length)
        assert (extent.whole is None) == is_stream(extent.path)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("zstd, gzip", "zstd"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip"),
        ("gzip, ZSTD;q=0", "gzip"),
        ("zstd;q=0.001", "zstd"),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip;q=0.0", None),
    ],
)
def test_answer_comes_in_a_coding_that_is_accepted(client, run, accepted, coding):  # H046
    headers = {"Accept-Encoding": accepted}
    answer = client("POST", "/v1/fetch", json={"spans": spans_of(run)}, headers=headers, stream=True)
    assert answer.headers.get("Content-Encoding") == coding
    raw = answer.raw.read(decode_content=False)
    assert len(raw) == int(answer.headers["Content-Length"])
    plain = {"zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress(raw)}
    data = {**plain, "gzip": lambda: gzip.decompress(raw), None: lambda: raw}[coding]()
    assert [len(data) for _, data in unpacked(data)] == [span["length"] for span in spans_of(run)]


def test_answer_stops_where_the_group_is_full(fetched, run, uid):  # H046, H048
    for name in "abc":
        (run / "files" / name).write_bytes(os.urandom(SIZE))
    spans = [{"uid": uid, "path": f"files/{name}", "offset": 0, "length": SIZE} for name in "abc"]
    found = fetched(*spans)
    assert [path for _, path, _ in found] == ["files/a", "files/b"]
    [rest] = fetched(spans[2]).values()
    assert rest == (run / "files" / "c").read_bytes()


def test_stream_comes_from_any_line_to_any(fetched, run, uid):  # H047
    whole = contents(run)["metrics.jsonl"]
    lines = whole.splitlines(keepends=True)
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(b'{"_step":9')
    ask = {"uid": uid, "path": "metrics.jsonl"}
    first, second = len(lines[0]), len(lines[1] + lines[2])
    found = fetched({**ask, "offset": 0, "length": first}, {**ask, "offset": first, "length": second})
    assert [*found.values()] == [lines[0], lines[1] + lines[2]]
    for offset, length in (
        (0, len(whole) + 10),  # a line that is not ended
        (0, len(whole) + 99),
        (0, first - 1),
        (1, first - 1),
        (len(whole) + 99, 0),
        (2**53 - 1, 5),
    ):
        assert fetched({**ask, "offset": offset, "length": length}) == {}, (offset, length)
    assert len(fetched({**ask, "offset": len(whole), "length": 0})) == 1


def test_what_is_not_there_so_is_left_out(fetched, data, run, uid):  # H047
    size = len(contents(run)["config.json"])
    (run / ".lock").write_bytes(b"x")
    (run / "files" / "link").symlink_to(run / "config.json")
    good = {"uid": uid, "path": "config.json", "offset": 0, "length": size}
    bad = [
        good | {"length": size - 1},
        good | {"length": size + 1},
        good | {"offset": 1, "length": size - 1},
        good | {"uid": "0" * 8 + "-0000-0000-0000-" + "0" * 12},
        good | {"path": "files/none"},
        good | {"path": "files/link"},
        good | {"path": "files", "length": 0},
        good | {"path": ".lock", "length": 1},
        *(good | {"path": trick, "length": 10} for trick in TRICKS),
    ]
    (data.parent / "secret").write_bytes(b"the secret")
    assert [*fetched(*bad, good)] == [(uid, "config.json", 0)]
    assert fetched(*bad) == {}
    assert fetched() == {}


def test_other_projects_are_not_there(with_token, data):  # H005, H047
    mine, other = make_run(data, "mine", project="a"), make_run(data, "other", project="b")
    his = with_token("read", project="a")
    answer = his("POST", "/v1/fetch", json={"spans": [*spans_of(other), *spans_of(mine)]})
    assert {extent.uid for extent, _ in unpacked(answer.content)} == {read(mine / "run.json")["uid"]}
    with_token("append")("POST", "/v1/fetch", json={"spans": spans_of(mine)}, status=403)


def test_server_says_how_much_may_be_asked_for(client, run, uid):  # H048
    most = client.json("GET", "/v1")["fetch"]
    span = {"uid": uid, "path": "run.json", "offset": 0, "length": len(contents(run)["run.json"])}
    answer = client("POST", "/v1/fetch", json={"spans": [span] * most})
    assert len(unpacked(answer.content)) == most
    client("POST", "/v1/fetch", json={"spans": [span] * (most + 1)}, status=413)


@pytest.mark.parametrize(
    "change",
    [
        {"uid": "x"},
        {"path": 1},
        {"offset": -1},
        {"offset": 1.5},
        {"length": 8 * 2**20 + 1},
        {"length": True},
        {"length": None},
    ],
)
def test_span_of_another_form_is_a_problem(client, uid, change):  # H001, H002, H047
    span = {"uid": uid, "path": "run.json", "offset": 0, "length": 5}
    client("POST", "/v1/fetch", json={"spans": [span | change]}, status=400)
    client("POST", "/v1/fetch", json={"spans": span}, status=400)


def test_what_changed_since_it_was_asked_about_is_left_out(fetched, run, uid):  # H047
    before = spans_of(run)
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(rows(30, 1))
    (run / "summary.json").write_text("{}\n")
    (run / "files" / "requirements.txt").unlink()
    gone = {"summary.json", "files/requirements.txt"}
    assert {path for _, path, _ in fetched(*before)} == {span["path"] for span in before} - gone
