"""What decides: digests, extents, plans, encodings. No disk but a temporary file."""

import hashlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfmt.layout import is_stream, phase
from runfmt_sync import digests, extents
from runfmt_sync.digests import (
    Changed,
    Known,
    Proof,
    Signature,
    decode_known,
    encode_known,
    prove_bytes,
    prove_file,
    prove_stream,
)
from runfmt_sync.extents import Span, cut
from runfmt_sync.inventory import Entry, Inventory, committed_size, run_digest
from runfmt_sync.plan import Ask, Have, Held, Plan, is_confirmed, make_plan
from runfmt_sync.receipts import Receipt, decode_receipt, encode_receipt

BLOCK, MAX, CHUNK = 16, 24, 8
UID = "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77"


@pytest.fixture(autouse=True, scope="module")
def _small():
    """Blocks, extents and chunks of a few bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "BLOCK", BLOCK)
        patch.setattr(digests, "CHUNK", CHUNK)
        patch.setattr(extents, "MAX_EXTENT", MAX)
        patch.setattr(extents, "CHUNK", CHUNK)
        yield


lines = st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b" ") + b"\n"), max_size=12)
streams = lines.map(b"".join)
hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
proofs = st.builds(Proof, st.integers(0, 2**50), st.lists(hexes, max_size=3).map(tuple), hexes)


# Digests


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=8))
def test_digests_of_a_growing_stream_equal_those_from_scratch(parts):
    data, known = b"", None
    for part in parts:
        data += part
        known = prove_stream(io.BytesIO(data), len(data), known)
        assert known == prove_stream(io.BytesIO(data), len(data))
        assert known.blocks == tuple(
            hashlib.sha256(data[start : start + BLOCK]).hexdigest()
            for start in range(0, len(data) - BLOCK + 1, BLOCK)
        )


@given(st.binary(max_size=200), st.integers(0, 200))
def test_prefix_is_proved_from_the_same_blocks(data, size):
    size = min(size, len(data))
    whole = prove_stream(io.BytesIO(data), len(data))
    assert prove_stream(io.BytesIO(data), size, whole) == prove_stream(io.BytesIO(data[:size]), size)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_proofs_are_equal_exactly_if_the_bytes_are(one, other):
    proved = [prove_stream(io.BytesIO(data), len(data)) for data in (one, other)]
    assert (proved[0] == proved[1]) == (one == other)
    assert (proved[0].digest == proved[1].digest) == (one == other)


@given(st.binary(max_size=100))
def test_file_and_bytes_are_proved_alike(data):
    proof = prove_file(io.BytesIO(data))
    assert proof == prove_bytes(data) == Proof(len(data), (), hashlib.sha256(data).hexdigest())
    assert proof.digest == proof.tail


def test_known_blocks_are_not_read_again():
    data = bytes(range(5 * BLOCK))
    known = prove_stream(io.BytesIO(data[: 3 * BLOCK]), 3 * BLOCK)
    torn = bytes(3 * BLOCK) + data[3 * BLOCK :]
    assert prove_stream(io.BytesIO(torn), len(data), known) == prove_stream(io.BytesIO(data), len(data))


def test_stream_that_became_shorter_has_changed():
    with pytest.raises(Changed):
        prove_stream(io.BytesIO(b"abc"), 4)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_committed_size_reaches_to_the_last_line_feed(data, more):
    known = committed_size(io.BytesIO(data))
    assert known == data.rfind(b"\n") + 1
    assert committed_size(io.BytesIO(data + more), known) == (data + more).rfind(b"\n") + 1


@given(
    st.dictionaries(st.text(max_size=9), st.builds(Known, st.builds(Signature, *[st.integers()] * 3), proofs))
)
def test_known_digests_survive_json(known):
    assert decode_known(json.loads(json.dumps(encode_known(known)))) == known


@given(
    st.builds(Receipt, hexes, hexes, hexes, st.floats(0, 2e9), st.dictionaries(st.text(max_size=9), proofs))
)
def test_receipts_survive_json(receipt):
    assert decode_receipt(json.loads(json.dumps(encode_receipt(receipt))) | {"new": 1}) == receipt


@given(st.dictionaries(st.text(max_size=5), proofs, max_size=5), st.randoms())
def test_run_digest_is_of_what_is_there_in_any_order(found, random):
    pairs = list(found.items())
    before = run_digest(pairs)
    random.shuffle(pairs)
    assert run_digest(pairs) == before
    for path, proof in pairs:
        other = {**found, path: Proof(proof.size + 1, proof.blocks, proof.tail)}
        assert run_digest(other.items()) != before


# Extents


@given(streams, st.data())
def test_stream_is_cut_into_whole_lines(data, draw):
    starts = [0, *(i + 1 for i, byte in enumerate(data) if byte == 10)]
    start = draw.draw(st.sampled_from(starts))
    reached = start
    for extent, body in cut(UID, Span("metrics.jsonl", start, len(data)), io.BytesIO(data)):
        chunks = list(body)
        piece = b"".join(chunks)
        assert (extent.offset, extent.length) == (reached, len(piece))
        assert extent.sha256 == hashlib.sha256(piece).hexdigest()
        assert piece == data[reached : reached + len(piece)]
        assert not piece or piece.endswith(b"\n")
        assert len(piece) <= MAX or piece.count(b"\n") == 1
        assert all(len(chunk) <= MAX and b"\n" not in chunk for chunk in chunks[:-1])
        reached += len(piece)
    assert reached == len(data)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_file_is_cut_into_pieces_of_the_largest_size(data, start):
    start = min(start, len(data))
    span = Span("files/x", start, len(data), prove_bytes(data))
    pieces = [(extent, b"".join(body)) for extent, body in cut(UID, span, io.BytesIO(data))]
    assert b"".join(piece for _, piece in pieces) == data[start:]
    assert all(extent.length == MAX for extent, _ in pieces[:-1])
    assert all(extent.whole == span.whole for extent, _ in pieces)
    assert len(pieces) >= 1


def test_file_that_became_shorter_has_changed():
    with pytest.raises(Changed):
        list(cut(UID, Span("files/x", 0, 100, prove_bytes(b"")), io.BytesIO(b"short")))


# Plans

PATHS = ("media/image/x.png", "files/model.pt", "metrics.jsonl", "console.log", "config.json", "run.json")
contents = st.fixed_dictionaries({}, optional=dict.fromkeys(PATHS, streams))


def prove(path, data, size=None):
    data = data[:size]
    return prove_stream(io.BytesIO(data), len(data)) if is_stream(path) else prove_bytes(data)


def inventory(files):
    entries = {
        path: Entry(path, len(data), prove(path, data), Signature(0, 0, 0)) for path, data in files.items()
    }
    return Inventory(Path("runs/first"), UID, "first", entries)


def have(theirs, ours):
    """What a remote answers that was asked about ours."""
    asked = Ask.about(inventory(ours)).streams
    held = {path: Held(len(data), prove(path, data, asked.get(path))) for path, data in theirs.items()}
    return Have(held)


def plan(ours, theirs):
    """Compare as the loop does."""
    prefixes = {
        path: prove(path, ours[path], min(len(ours[path]), len(data)))
        for path, data in theirs.items()
        if is_stream(path) and path in ours
    }
    return make_plan(inventory(ours), have(theirs, ours), prefixes)


def carried_out(made, ours, theirs):
    """The remote after the plan."""
    after = dict(theirs)
    for span in made.spans:
        data = ours[span.path][span.offset : span.end]
        after[span.path] = after.get(span.path, b"")[: span.offset] + data if is_stream(span.path) else data
    return after


@given(contents, contents, st.sets(st.sampled_from(PATHS)), st.integers(0, 99))
def test_plan_makes_the_remote_hold_ours_or_moves_nothing(ours, theirs, same, end):
    for path in same & ours.keys():
        data = ours[path]
        theirs[path] = data[: data.rfind(b"\n", 0, end) + 1] if is_stream(path) else data
    made = plan(ours, theirs)
    fits = all(
        ours[path].startswith(data) for path, data in theirs.items() if is_stream(path) and path in ours
    )
    assert bool(made.problems) == (not fits)
    if not fits:
        assert made.spans == ()
        return
    after = carried_out(made, ours, theirs)
    assert after == theirs | ours
    assert is_confirmed(inventory(ours), have(after, ours))
    assert plan(ours, after).spans == ()
    assert made.size == sum(span.end - span.offset for span in made.spans)
    assert [phase(span.path) for span in made.spans] == sorted(phase(span.path) for span in made.spans)


LINES = b"".join(b'{"_step":%d}\n' % step for step in range(9))
TABLE = [
    # here, at the remote, what moves (None: nothing of the run), what is said
    (LINES, None, (0, len(LINES)), ""),
    (LINES, LINES[:26], (26, len(LINES)), ""),
    (LINES, LINES, (), ""),
    (LINES, b"", (0, len(LINES)), ""),
    (b"", None, (0, 0), ""),
    (LINES[:26], LINES, None, f"ahead by {len(LINES) - 26} bytes"),
    (LINES, LINES[:13] + b'{"_step":7}\n', None, "diverged"),
    (LINES[:13], b'{"_step":7}\n' + LINES, None, "diverged"),
]


@pytest.mark.parametrize(("here", "there", "moves", "said"), TABLE)
def test_stream_is_judged_as_the_table_says(here, there, moves, said):
    ours, theirs = {"run.json": b"{}", "metrics.jsonl": here}, {}
    if there is not None:
        theirs = {"metrics.jsonl": there}
    made = plan(ours, theirs)
    if moves is None:
        [problem] = made.problems
        assert said in problem
        assert "--new-uid" in problem
        assert made.spans == ()
        return
    found = [(span.offset, span.end) for span in made.spans if span.path == "metrics.jsonl"]
    assert found == ([moves] if moves else [])
    assert made.spans[-1].path == "run.json"


def test_file_goes_on_where_its_pieces_stop():
    ours = inventory({"files/x": b"x" * 100})
    digest = ours.entries["files/x"].proof.digest
    for staged, start in ((0, 0), (40, 40), (99, 99), (100, 0), (200, 0)):
        [span] = make_plan(ours, Have(staged={digest: staged}), {}).spans
        assert (span.offset, span.end) == (start, 100)


def test_edits_of_the_remote_are_merged():
    for ours, theirs, merged in (({}, b"{}", True), ({"edits.json": b"{}"}, b"{}", False)):
        assert plan(ours, {"edits.json": theirs}).merges_edits is merged
    assert plan({"edits.json": b"{ }"}, {"edits.json": b"{}"}).merges_edits
    assert not plan({"edits.json": b"{}"}, {}).merges_edits


def test_refused_and_same_runs_move_nothing():
    ours = inventory({"run.json": b"{}"})
    assert make_plan(ours, None, {}) == Plan()
    assert make_plan(ours, Have(refused="no"), {}).problems == ("the remote's copy: no",)
    assert is_confirmed(ours, None)
    assert not is_confirmed(ours, Have())


@given(contents.filter(bool), st.data())
def test_run_is_confirmed_only_by_all_of_its_bytes(ours, draw):
    theirs = dict(ours)
    path = draw.draw(st.sampled_from(sorted(ours)))
    if draw.draw(st.booleans()) or not ours[path]:
        del theirs[path]
    else:
        theirs[path] = ours[path][:-1] + bytes([ours[path][-1] ^ 1])
    assert not is_confirmed(inventory(ours), have(theirs, ours))
    theirs[path] = ours[path]
    assert is_confirmed(inventory(ours), have({**theirs, "files/more": b"x"}, ours))
