"""What the tests of mirrors share: what moved, how a run goes on, and what holds when all is quiet."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import runfmt_sync
from runfmt.layout import is_stream
from runfmt_sync.digests import Proof
from runfmt_sync.extents import Extent
from runfmt_sync.receipts import Receipts
from runmaker import assert_same, contents, read, runs_in, write

DRIVER = """
import pkgutil, sys
from pathlib import Path
from runfmt.reading import find_runs
from runfmt_sync.push import Push
push = Push(pkgutil.resolve_name(sys.argv[3])(sys.argv[2]), jobs=2)
outcomes = push.run(list(find_runs(Path(sys.argv[1]))))
sys.exit(any(outcome.problems for outcome in outcomes) or push.fault is not None)
"""


def start(source, kind, **environment):
    """A sync in a process of its own."""
    tests = str(Path(__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, source, kind.url, kind.opener],
        env={**os.environ, "PYTHONPATH": tests, **environment},
    )


def points(*beginnings):
    """The named points at which the tool can be killed, whose names begin so."""
    text = "".join(path.read_text() for path in Path(runfmt_sync.__file__).parent.rglob("*.py"))
    return sorted(
        name for name in re.findall(r'fault_point\("([^"]+)"\)', text) if name.startswith(beginnings)
    )


def moved(outcomes):
    return sum(o.extents for o in outcomes.values()), sum(o.size for o in outcomes.values())


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def carry_on(run, lines):
    """Append as a writer does that comes back: an unfinished line is cut."""
    with (run / "metrics.jsonl").open("r+b") as stream:
        stream.truncate(stream.read().rfind(b"\n") + 1)
        stream.seek(0, 2)
        stream.write(lines)


def edit(run, pointer, value, time):
    path = run / "edits.json"
    before = read(path) if path.exists() else {}
    write(path, {**before, pointer: {"value": value, "time": time, "author": "a"}})


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lost_and_doubled(source, root):
    """How many lines of our streams are not there, and how many are there more often than here."""
    ours, theirs = (
        Counter(
            (uid, path, line)
            for uid, run in runs_in(folder).items()
            for path, data in contents(run).items()
            if is_stream(path)
            for line in data.splitlines()
        )
        for folder in (source, root)
    )
    return (ours - theirs).total(), (theirs - ours).total()


def assert_receipts_true(source, kind):
    """Of every run the tool keeps what the mirror holds, neither less nor more."""
    receipts = Receipts(kind.remote().store_id)
    for uid, copy in runs_in(kind.root).items():
        said = {path: (proof.size, proof.digest) for path, proof in receipts.get(uid).files.items()}
        assert said == {path: (len(data), proof_of(path, data)) for path, data in contents(copy).items()}
    assert runs_in(kind.root).keys() == runs_in(source).keys()


def proof_of(path, data):
    whole = len(data) - len(data) % 2**22 if "/" not in path and path.endswith((".jsonl", ".log")) else 0
    parts = [data[at : at + 2**22] for at in range(0, whole, 2**22)] + [data[whole:]]
    digests = [hashlib.sha256(part).hexdigest() for part in parts]
    return hashlib.sha256("".join(digests).encode()).hexdigest() if whole else digests[0]


def assert_quiet(source, kind, sync):
    """Both sides are equal, receipts true, nothing is left lying about, and nothing more moves."""
    assert_same(source, kind.root)
    assert_receipts_true(source, kind)
    left = [path for path in kind.root.rglob("*") if path.is_file() and "incoming" in str(path)]
    assert left == []
    assert moved(sync()) == (0, 0)


def extent(uid, path, data, offset=0, **changed):
    """An extent with its bytes, whole if it is a file."""
    sha256 = hashlib.sha256(data).hexdigest()
    whole = None if "/" not in path and path.endswith((".jsonl", ".log")) else Proof(len(data), (), sha256)
    return Extent(**{
        "uid": uid, "path": path, "offset": offset, "length": len(data), "sha256": sha256, "whole": whole,
        **changed,
    }), [data]  # fmt: skip
