"""Bundles come to what their vectors say, at three readers; receipts say what theirs say, at two."""

import io
import json
import shutil
import tarfile
from contextlib import contextmanager
from pathlib import PurePosixPath

import pytest
import requests
from click.testing import CliRunner

from conformance.test_vectors import VECTORS, load, names_of
from forging import UID, member, pack, sha256, tar
from remotes.kinds import Http, Small, files_of, load_example
from runfmt_sync.cli import main
from runfmt_sync.places import receipt_of
from runfmt_sync.plan import Ask
from runfmt_sync.remotes.directory import DirectoryRemote

LEFT_TO_CLIENTS = "bundles/edits-merged"
"""What a small server need not do (H062)."""


class Command:
    """``runfmt unbundle``, of the archive as a file."""

    def __init__(self, root):
        self.root = root

    def apply(self, archive, *, is_good):
        """Whether the bundle was refused as a whole, and the runs that were, or that wait."""
        path = self.root.parent / "lab-000001-1.runfmt"
        path.write_bytes(pack(archive))
        done = CliRunner().invoke(main, ["unbundle", str(path), "-o", str(self.root), "--json"])
        path.unlink()
        [file] = json.loads(done.stdout)["files"]
        runs = {problem.split()[1].rstrip(":") for problem in file["problems"] if problem.startswith("run ")}
        return file["status"] == "refused" and not runs, runs

    def lay(self, run):
        """Put a run there, as if it had come before."""
        shutil.copytree(run, self.root / run.name)

    def start(self):
        """Nobody needs to be started, so this and the next are nothing."""

    close = start


class Server(Http):
    """A server of ours, and how it is asked."""

    lay = Command.lay

    def __init__(self, root):
        self.root, self._port = root, 0

    def apply(self, archive, *, is_good):
        answer = requests.post(f"{self.url}/v1/bundles", archive, timeout=60)
        assert answer.status_code in (200, 400), answer.text
        return answer.status_code == 400, set(answer.json().get("refused", {}))


class Example(Small, Server):
    """The server of the examples, which takes one group a request (H061)."""

    def apply(self, archive, *, is_good):
        parts = one_group_each(archive) if is_good else [archive]
        answers = [Server.apply(self, part, is_good=is_good) for part in parts]
        return any(refused for refused, _ in answers), {run for _, runs in answers for run in runs}

    def lay(self, run):
        uid = json.loads((run / "run.json").read_bytes())["uid"]
        shutil.copytree(run, self.root / uid / run.name)


def one_group_each(archive):
    """A bundle as a client brings it to a small server, in a request a group."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as file:
        data = {one.name: file.extractfile(one).read() for one in file}
    for number in range(json.loads(data["end.json"])["groups"]):
        listing, body = data[f"{number}.json"], data[f"{number}.bin"]
        end = json.dumps({"groups": 1, "sha256": sha256(listing)}).encode()
        parts = {"manifest.json": data["manifest.json"], "0.json": listing, "0.bin": body, "end.json": end}
        yield tar([member(*part) for part in parts.items()])


READERS = {"command": Command, "server": Server, "example": Example}


def seen(root):
    """What readers see: the files of each run below a folder, by the name of the run and the path."""
    found = {path: data for path, data in files_of(root).items() if "/." not in f"/{path}"}
    runs = [path.rpartition("run.json")[0] for path in found if path.endswith("/run.json")]
    places = {f"{PurePosixPath(run).name}/": run for run in runs}
    return {
        name + path.removeprefix(run): data
        for name, run in places.items()
        for path, data in found.items()
        if path.startswith(run)
    }


@contextmanager
def opened(kind, root, runs):
    """A reader of bundles where some runs have come before."""
    reader = kind(root)
    for run in runs:
        reader.lay(run)
    reader.start()
    yield reader
    reader.close()


def as_told(files, expected):
    """Edits that were merged as what they say: how they are written is left open (R096)."""
    merged = [path for path in files if path.endswith("/edits.json") and path in expected]
    same = [path for path in merged if json.loads(files[path]) == json.loads(expected[path])]
    return {**files, **{path: expected[path] for path in same}}


@pytest.mark.parametrize("name", names_of("bundles/"))
@pytest.mark.parametrize("kind", READERS)
def test_bundle_comes_to_what_the_vector_says(kind, name, tmp_path):
    vector, archive = VECTORS / name, (VECTORS / name / "bundle.tar").read_bytes()
    said = load(name) if (vector / "expected.json").exists() else {}
    expected = files_of(vector / "expected")
    root = tmp_path / "disk" / "runs"
    root.mkdir(parents=True)
    with opened(READERS[kind], root, (vector / "before").glob("*")) as reader:
        is_refused, runs = reader.apply(archive, is_good="refused" not in said)
    found = seen(root)
    if name == LEFT_TO_CLIENTS:
        found = as_told(found, expected)
        if kind == "example":
            said, expected = {"runs": {UID: "H062"}}, files_of(vector / "before")
    if "runs" in said and expected == files_of(vector / "before"):
        assert is_refused or runs == said["runs"].keys()  # B018: of one run all may be refused
    else:
        assert (is_refused, runs) == ("refused" in said, said.get("runs", {}).keys())
    assert found == expected
    assert [path for path in files_of(tmp_path) if not path.startswith(("disk/runs/", "state/"))] == []


@pytest.fixture(params=names_of("receipts/"))
def receipt(request, tmp_path):
    """A run of a vector in a folder of runs of a small server, and what is expected of it."""
    vector = VECTORS / request.param
    run = tmp_path / "runs" / UID / "run"
    shutil.copytree(vector / "run", run, symlinks=True)
    made = load(request.param, "made.json") if (vector / "made.json").exists() else {}
    for path, said in made.items():
        (run / path).parent.mkdir(exist_ok=True)
        (run / path).write_bytes(f"{said['line']}\n".encode() * said["times"])
    return tmp_path / "runs", load(request.param)


def test_our_receipt_is_as_the_vector_says(receipt):
    root, expected = receipt
    remote = DirectoryRemote(str(root))
    remote.prepare()
    assert receipt_of(remote)["runs"] == {UID: {"entries": expected["entries"]}}
    assert remote.have([Ask(UID, expected["digest"], {})]) == {}  # H020: it is the one asked about


def test_receipt_of_the_small_server_is_as_the_vector_says(receipt):
    root, expected = receipt
    assert load_example().Store(root).have(UID, {})["entries"] == expected["entries"]
