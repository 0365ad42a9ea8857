"""What servers answer to bundles that no client of ours sends: nothing of them is kept."""

import gzip
import hashlib
import io
import json
import random
import tarfile

import pytest
import requests
import zstandard

import runfmt
from remotes.checks import everything, extent
from runfmt.errors import CommError
from runfmt_sync import bundle
from runmaker import contents, make_run, read, rows

pytestmark = pytest.mark.parametrize("kind", ["http", "small"], indirect=True)
HEADERS = {"Content-Type": "application/x-tar"}


@pytest.fixture
def sent(source, kind, sync):
    """A bundle with a row for a run that is there, and what the server holds before."""
    run = make_run(source)
    sync()
    uid, size = read(run / "run.json")["uid"], len(contents(run)["metrics.jsonl"])
    file = io.BytesIO()
    pieces = [extent(uid, "files/new", b"new"), extent(uid, "metrics.jsonl", rows(21, 1), size)]
    bundle.write(file, {}, bundle.groups(pieces))
    return file.getvalue()


def post(kind, data, **headers):
    return requests.post(f"{kind.url}/v1/bundles", data=data, headers={**HEADERS, **headers}, timeout=60)


def held(kind):
    return everything(kind.run("first"))


def test_bundle_is_taken_in_each_coding_that_is_offered(kind, sent):
    packers = {"identity": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}
    offered = set(requests.get(f"{kind.url}/v1", timeout=60).json()["codings"])
    assert "identity" in offered
    for coding, pack in packers.items():
        answer = post(kind, pack(sent), **{"Content-Encoding": coding})
        expected = (200, {"refused": {}}) if coding in offered else (400, answer.json())
        assert (answer.status_code, answer.json()) == expected
    assert (kind.run("first") / "files" / "new").read_bytes() == b"new"


def test_bundle_that_is_not_whole_is_refused_as_a_whole(kind, sent):
    before = held(kind)
    end = sent.rindex(b"end.json") + 600
    for cut in [0, 100, 512, 1000, *random.Random(1).sample(range(end - 100), 12)]:
        answer = post(kind, sent[:cut])
        assert answer.status_code == 400, cut
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == 400
    assert held(kind) == before


def test_bundle_with_a_changed_byte_is_refused_as_a_whole(kind, sent):
    before = held(kind)
    for text in (b"new", b'"path"', b'"sha256"', rows(21, 1)[:20], b"0.bin", b'"groups"'):
        at = sent.rindex(text)
        changed = sent[:at] + bytes([sent[at] ^ 1]) + sent[at + 1 :]
        assert post(kind, changed).status_code == 400, text
    assert held(kind) == before


@pytest.mark.parametrize("digest", ["../../../escape", "x" * 64, "", "A" * 64])
def test_digest_that_is_none_becomes_no_name(kind, sent, tmp_path, digest):
    before = held(kind)
    listing = json.loads(sent[sent.index(b"[{") : sent.index(b"}]") + 2])
    file = io.BytesIO()
    bundle.write(file, {}, bundle.groups([extent(listing[0]["uid"], "files/x", b"x")]))
    answer = post(kind, forge(file.getvalue(), digest))
    assert answer.status_code == 400 or answer.json()["refused"]
    assert held(kind) == before
    assert not list(tmp_path.rglob("escape*"))


def forge(raw, digest):
    """The same bundle with another digest of the whole, everything else being as it says."""
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        parts = {member.name: tar.extractfile(member).read() for member in tar}
    [said] = json.loads(parts["0.json"])
    said["whole"]["sha256"] = digest
    parts["0.json"] = json.dumps([said]).encode()
    parts["end.json"] = json.dumps(
        {"groups": 1, "sha256": hashlib.sha256(parts["0.json"]).hexdigest(), "last": True}
    ).encode()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


def test_files_are_served_in_part_and_none_that_lies_elsewhere(kind, sent):
    uid = read(kind.run("first") / "run.json")["uid"]
    base = f"{kind.url}/v1/runs/{uid}/files/"
    data = (kind.run("first") / "console.log").read_bytes()
    assert requests.get(base + "console.log", timeout=60).content == data
    asked = {"Range": "bytes=2-3"}, {"Range": f"bytes={len(data)}-"}
    part, beyond = (requests.get(base + "console.log", headers=range_, timeout=60) for range_ in asked)
    if "ranges" in kind.lacks:
        assert part.content == beyond.content == data
    else:
        assert (part.status_code, part.content, beyond.status_code) == (206, data[2:4], 416)
    (kind.run("first") / "files" / "link").symlink_to("/etc/passwd")
    for path in (
        "%2e%2e/%2e%2e/.store",
        "files/link",
        "files",
        ".lock",
        "nothing",
        "..%2f..%2f.store",
        "/etc/passwd",
    ):
        assert requests.get(base + path, timeout=60).status_code == 404, path


def test_runs_are_read_where_they_are_or_the_way_to_them_is_named(kind, sent):
    if "pages of rows" in kind.lacks:
        with pytest.raises(CommError, match=f"runfmt pull {kind.url} -o FOLDER"):
            runfmt.Api(kind.url).run("first")
    else:
        assert runfmt.Api(kind.url).run("first").state == "finished"


def test_page_of_another_site_asks_in_vain(kind, sent):
    for headers in ({"Origin": "https://elsewhere.example"}, {"Host": "elsewhere.example"}):
        answer = requests.get(f"{kind.url}/v1/runs", headers=headers, timeout=60)
        assert answer.status_code in (400, 403, 421), headers
        assert "first" not in answer.text
