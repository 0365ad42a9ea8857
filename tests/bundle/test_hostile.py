"""Bundles that nobody should make: refused or parked and told, never half applied, and the others go on."""

import io
import json
import os
import random
import tarfile
import uuid

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forging import (
    UID,
    Gap,
    a_run,
    extent,
    member,
    members,
    pack,
    put,
    run_json,
    sha256,
    statuses,
    tar,
    tree,
    unpack,
)
from runfmt.errors import FormatError
from runfmt_sync import bundle
from runmaker import assert_same, contents, make_run, runs_in

OTHER = "0193572c-7c8e-7cc1-a4a5-000000000001"
LINE = b'{"_step":0,"_timestamp":1.0}\n'


@pytest.fixture
def good(gap, source):
    """A good bundle that is applied in the same call."""
    make_run(source, "good", count=3)
    return gap.bundle().paths


def refused(gap, data, good=()):
    """Apply an archive that must be refused as a whole, beside a good one; gives why."""
    path = put(gap.root / "evil", data)
    done = gap.unbundle([path, *good])
    assert statuses(done) == ["refused"] + ["applied"] * len(good)
    assert all(run.name == "good" for run in runs_in(gap.far).values())
    assert gap.parked() == []
    assert sorted(path.name for path in gap.root.iterdir() if path.name not in ("stick", "state")) == [
        "evil", "far", "runs"
    ]  # fmt: skip
    return done.arrivals[0].problems[0]


# The archive

TYPES = {
    "hard link": tarfile.LNKTYPE, "symbolic link": tarfile.SYMTYPE, "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE, "directory": tarfile.DIRTYPE, "fifo": tarfile.FIFOTYPE,
    "contiguous": tarfile.CONTTYPE, "pax": tarfile.XHDTYPE, "global pax": tarfile.XGLTYPE,
    "solaris pax": tarfile.SOLARIS_XHDTYPE, "long name": tarfile.GNUTYPE_LONGNAME,
    "long link": tarfile.GNUTYPE_LONGLINK, "sparse": tarfile.GNUTYPE_SPARSE, "unknown": b"Z",
}  # fmt: skip


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("kind", TYPES)
def test_member_of_another_type_is_refused(gap, kind, place):
    parts = members(a_run())
    data = b"22 path=../../evil.json\n" if "pax" in kind else b""
    evil = member(parts[place][0].name, data, type=TYPES[kind], linkname="/etc/passwd")
    inserted, replaced = [*parts], [*parts]
    inserted.insert(place, evil)
    replaced[place] = evil
    for made in (inserted, replaced):
        assert "B003" in refused(gap, tar(made))


@pytest.mark.parametrize(
    "name", ["../manifest.json", "/manifest.json", "./manifest.json", "", "x", "end.json", "0.json"]
)
def test_member_of_another_name_is_refused(gap, good, name):
    parts = members(a_run())
    parts[0] = member(name, parts[0][1])
    assert "B00" in refused(gap, tar(parts), good)


def test_every_other_order_of_members_is_refused(gap):
    parts = members(a_run(), a_run(OTHER, "other"))
    for one in range(len(parts)):
        assert "B00" in refused(gap, tar(parts[:one] + parts[one + 1 :]))  # missing
        assert "B00" in refused(gap, tar(parts[: one + 1] + parts[one:]))  # twice
        for two in range(one):
            swapped = [*parts]
            swapped[one], swapped[two] = swapped[two], swapped[one]
            assert "B00" in refused(gap, tar(swapped))


def test_whole_bundle_may_stand_before_nothing_but_zeros(gap):
    data = tar(members(a_run()))
    assert "behind its end" in refused(gap, data + b"x")
    assert "behind its end" in refused(gap, data + data)
    assert "behind its end" in refused(gap, data + bytes(10**6))
    path = put(gap.root / "evil", data)
    path.write_bytes(path.read_bytes() + b"garbage")
    assert statuses(gap.unbundle([path])) == ["refused"]
    assert runs_in(gap.far) == {}


def test_every_truncation_is_refused_or_harmless(gap):
    data = tar(members(a_run(), a_run(OTHER, "other")))
    for end in range(0, len(data) - 1024, 512):
        assert "B00" in refused(gap, data[:end])
    draw = random.Random(3)
    for _ in range(50):
        assert "B00" in refused(gap, data[: draw.randrange(len(data) - 1024)])


def test_every_truncation_of_the_file_is_refused(gap, source, good):
    [path] = good
    data = path.read_bytes()
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        assert statuses(gap.unbundle([path])) == ["refused"], end
    assert runs_in(gap.far) == {}
    path.write_bytes(data)
    assert statuses(gap.unbundle([path])) == ["applied"]
    assert_same(source, gap.far)


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"\0" * 10240, b"{}", os.urandom(5000), pack(b""), pack(b"x" * 5000), pack(bytes(10240))],
)
def test_garbage_is_refused(gap, good, data):
    path = put(gap.root / "evil", b"")
    path.write_bytes(data)
    assert statuses(gap.unbundle([path, *good])) == ["refused", "applied"]


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_other_version_is_refused(gap, good, version):
    assert "B002" in refused(gap, tar(members(a_run(), bundle=version)), good)


@pytest.mark.parametrize(
    "said",
    [
        {"channel": "../../x"}, {"channel": ""}, {"channel": None}, {"channel": "a/b"}, {"channel": "x" * 65},
        {"number": 0}, {"number": -1}, {"number": "1"}, {"number": 2**40}, {"volume": 0}, {"volume": 1.5},
        {"created_at": "now"}, {"created_at": 1}, {"created_at": "../" * 9}, {"follows": "x"},
        {"edition": -1}, {"since": "elsewhere"}, {"number": True},
    ],
)  # fmt: skip
def test_manifest_of_another_form_is_refused(gap, good, said):
    assert "B02" in refused(gap, tar(members(a_run(), **said)), good)


@pytest.mark.parametrize("after", [[], "x", {UID: 1}, {UID: None}])
def test_end_of_another_form_is_refused(gap, after):
    assert "B025" in refused(gap, tar(members(a_run(), end={"after": after})))


def test_wrong_digest_of_listings_is_refused(gap, good):
    assert "B004" in refused(gap, tar(members(a_run(), end={"sha256": sha256(b"")})), good)
    assert "B004" in refused(gap, tar(members(a_run(), end={"groups": 2})))


def test_wrong_digest_of_the_last_extent_leaves_nothing_of_the_first(gap, good):
    run = a_run()
    run[-1] = (extent("run.json", run[-1][1], sha256=sha256(b"")) | {}, run[-1][1])
    run[-1][0]["whole"]["sha256"] = sha256(b"")
    assert "B005" in refused(gap, tar(members(run)), good)


# Sizes

BIG = 2**62


@pytest.mark.parametrize(
    "said",
    [
        {"offset": -1}, {"offset": 2**63}, {"offset": 1.0}, {"length": -1}, {"length": BIG}, {"length": "1"},
        {"sha256": "x"}, {"uid": "x"}, {"uid": None}, {"path": 1}, {"path": None},
        {"whole": []}, {"whole": {"size": -1, "sha256": sha256(b"")}},
        {"whole": {"size": 1, "sha256": "../x"}},
    ],
)  # fmt: skip
def test_listing_with_a_lie_is_refused(gap, good, said):
    run = a_run()
    assert "B0" in refused(gap, tar(members([(run[0][0] | said, run[0][1]), run[1]])), good)


def test_piece_that_lies_about_its_whole_is_refused(gap):
    data = run_json()
    for whole in (
        {"size": len(data), "sha256": sha256(b"other")},
        {"size": len(data) - 1, "sha256": sha256(data)},
        {"size": 0, "sha256": sha256(data)},
    ):
        assert "B012" in refused(gap, tar(members([(extent("run.json", data, whole=whole), data)])))


def test_piece_of_a_file_that_is_too_long_is_refused(gap):
    data = bytes(8 * 2**20 + 1)
    assert "B012" in refused(gap, tar(members([(extent("files/x", data), data)])))


def test_group_that_is_too_large_is_refused(gap):
    data = bytes(6 * 2**20)
    group = [(extent(f"files/{number}", data), data) for number in range(3)]
    assert "B006" in refused(gap, tar(members(group)))
    empty = [(extent(f"files/{number}", b""), b"") for number in range(8193)]
    assert "B006" in refused(gap, tar(members(empty)))


@pytest.mark.parametrize("place", [0, 1, 3])
def test_huge_document_is_refused_by_its_header(gap, place):
    parts = members(a_run())
    parts[place][0].size = 64 * 2**20 + 512
    assert "B006" in refused(gap, tar(parts))


def test_size_that_lies_in_any_header_is_refused(gap):
    for place in range(4):
        for size in (0, 1, 511, 512, 513, 8**11 - 1):
            parts = members(a_run())
            parts[place][0].size = size
            assert "B0" in refused(gap, tar(parts))


def test_bomb_costs_no_more_than_the_limit(gap, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_UNPACKED", 2**24)
    line = bytes(2**24 - 1) + b"\n"
    packed = pack(tar(members([(extent("console.log", line), line)])))
    assert len(packed) < 10_000
    read = []

    class Counting(io.BytesIO):
        def read(self, size=-1):
            data = super().read(size)
            read.append(len(data))
            return data

    archive = Counting(unpack(packed))
    with pytest.raises(FormatError, match="B006"):
        bundle.check(archive, 2**24)
    assert sum(read) <= 2**24
    path = put(gap.root / "evil", b"")
    path.write_bytes(packed)
    assert "B006" in gap.unbundle([path]).arrivals[0].problems[0]


def test_window_that_asks_for_too_much_memory_is_refused(gap):
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    data = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = data.compress(tar(members(a_run()))) + data.flush()
    path = put(gap.root / "evil", b"")
    path.write_bytes(packed)
    assert "B001" in gap.unbundle([path]).arrivals[0].problems[0]


def test_nested_listing_is_refused(gap):
    parts = members(a_run())
    deep = b"[" * 100_000 + b"]" * 100_000
    parts[1] = member("0.json", deep)
    parts[3] = member("end.json", json.dumps({"groups": 1, "sha256": sha256(deep)}).encode())
    assert "B003" in refused(gap, tar(parts))


# Paths and runs

PATHS = [
    "../evil", "/etc/evil", "files/../../evil", "..", ".", "", "./x", "a//b", ".lock", ".runfmt/store.json",
    "files/.x", "C:/evil", "a\\b", "files/a\nb", "files/a\x00b", "files/", "x" * 300, "/".join(["d"] * 3000),
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("seen", [False, True])
def test_path_out_of_the_run_costs_only_that_run(gap, path, seen):
    gap.far.mkdir()
    if seen:
        assert statuses(gap.unbundle([put(gap.root / "evil", tar(members(a_run())))])) == ["applied"]
    before = tree(gap.root)
    evil = [(extent(path, b"x\n"), b"x\n"), (extent("run.json", run_json()), run_json())]
    data = tar(members(evil, a_run(OTHER, "other"), number=2, created_at="2027-01-01T00:00:00.000000Z"))
    done = gap.unbundle([put(gap.root / "evil", data)])
    assert statuses(done) == ["refused"]
    assert UID in done.arrivals[0].problems[0]
    assert {run.name for run in runs_in(gap.far).values()} == {"other"} | ({"forged"} if seen else set())
    new = tree(gap.root).keys() - before.keys() - {"evil/evil-000001-1.runfmt"}
    assert all(name.startswith(("far/other/", "state/")) for name in new), new


def test_extent_of_a_stream_without_its_line_end_is_refused(gap):
    data = b'{"_step":0'
    run = [(extent("metrics.jsonl", data), data), a_run()[1]]
    done = gap.unbundle([put(gap.root / "evil", tar(members(run)))])
    assert statuses(done) == ["refused"]
    assert runs_in(gap.far) == {}


def test_documents_before_rows_are_refused(gap):
    assert "B013" in refused(gap, tar(members(a_run()[::-1])))


@pytest.mark.parametrize("seen", [False, True])
def test_run_json_of_another_uid_is_refused(gap, seen):
    if seen:
        gap.unbundle([put(gap.root / "evil", tar(members(a_run())))])
    before = tree(gap.far)
    document = run_json(OTHER)
    evil = [(extent("run.json", document), document)]
    data = tar(members(evil, number=2, created_at="2027-01-01T00:00:00.000000Z"))
    done = gap.unbundle([put(gap.root / "evil", data)])
    assert statuses(done) == ["refused"]
    assert "R016" in done.arrivals[0].problems[0]
    assert tree(gap.far) == before


@pytest.mark.parametrize("run_id", ["../evil", ".", "a/b", "", "CON", "x" * 200, None, 7])
def test_id_that_is_no_name_is_refused(gap, run_id):
    document = run_json(UID, run_id)
    data = tar(members([(extent("run.json", document), document)]))
    assert statuses(gap.unbundle([put(gap.root / "evil", data)])) == ["refused"]
    assert runs_in(gap.far) == {}


@pytest.mark.parametrize("name", ["metrics.jsonl", "files", "files/sub"])
def test_symbolic_link_at_the_target_is_not_followed(gap, name):
    gap.unbundle([put(gap.root / "evil", tar(members(a_run())))])
    outside = gap.root / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "metrics.jsonl").write_bytes(b"")
    place = gap.far / "forged" / name
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside / place.name if name == "metrics.jsonl" else outside)
    evil = [(extent("files/sub/x", b"x"), b"x"), (extent("metrics.jsonl", LINE), LINE)]
    data = tar(members(evil, a_run(OTHER, "other"), number=2, created_at="2027-01-01T00:00:00.000000Z"))
    done = gap.unbundle([put(gap.root / "evil", data)])
    assert statuses(done) == ["refused"]
    assert [path.name for path in outside.rglob("*") if path.is_file()] == ["metrics.jsonl"]
    assert (outside / "metrics.jsonl").read_bytes() == b""
    assert (gap.far / "other").is_dir()


def test_extents_that_overlap_or_come_twice_are_laid_once(gap):
    lines = [LINE, LINE, LINE]
    group = [(extent("metrics.jsonl", data, offset=at), data) for at, data in [
        (0, lines[0]), (0, lines[0] * 2), (len(LINE), lines[1]), (len(LINE), lines[1] * 2), (0, LINE)
    ]]  # fmt: skip
    data = tar(members([*group, a_run()[1]], a_run()[1:]))
    assert statuses(gap.unbundle([put(gap.root / "evil", data)])) == ["applied"]
    assert contents(gap.far / "forged")["metrics.jsonl"] == LINE * 3


def test_stream_with_a_hole_is_parked_and_shown_to_nobody(gap):
    run = [(extent("metrics.jsonl", LINE, offset=500), LINE), a_run()[1]]
    done = gap.unbundle([put(gap.root / "evil", tar(members(run)))])
    assert statuses(done) == ["parked"]
    assert "only 0 bytes are here" in done.arrivals[0].problems[0]
    assert runs_in(gap.far) == {}


def test_many_names_are_parked_under_names_of_ours(gap):
    run = [(extent("metrics.jsonl", LINE, offset=500), LINE), a_run()[1]]
    path = put(gap.root / "evil", tar(members(run)), "-rf *;\n.runfmt")
    assert statuses(gap.unbundle([path])) == ["parked"]
    assert [path.name for path in gap.parked()] == ["evil-000001-1-20261124030710000001.runfmt"]


# Any byte


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A bundle, as a file and unpacked, and what it brings."""
    root = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNFMT_STATE", str(root / "state"))
        patch.setenv("RUNFMT_CONFIG", str(root / "remotes.json"))
        gap = Gap(root)
        make_run(gap.source, "a", count=3)
        [path] = gap.bundle().paths
    return path.read_bytes(), unpack(path.read_bytes()), contents(gap.source / "a")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_bytes_are_refused_or_change_nothing(tmp_path, example, data):
    packed, archive, expected = example
    root = tmp_path / uuid.uuid4().hex
    root.mkdir()
    gap = Gap(root)
    is_packed = data.draw(st.booleans())
    whole = bytearray(packed if is_packed else archive)
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = put(gap.stick, b"")
    path.write_bytes(bytes(whole) if is_packed else pack(bytes(whole)))
    done = gap.unbundle([path])
    found = runs_in(gap.far)
    if statuses(done) == ["applied"]:
        assert [contents(run) for run in found.values()] == [expected]
    else:
        assert statuses(done)[0] in ("refused", "parked")
        assert found == {}


def test_bundle_of_nothing_is_no_error(gap):
    assert statuses(gap.unbundle([put(gap.root / "evil", tar(members()))])) == ["known"]
