"""Runs written by hand from the specification, and what must hold of a copy of them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

from runfmt.layout import is_stream, media_path
from runfmt.reading import StoredRun, find_runs
from runfmt.rows import leaves

OLD = 1_732_417_554.0


def rows(first: int, count: int, **extra: Any) -> bytes:
    """Lines of a metrics stream."""
    made = (
        {"_step": step, "_timestamp": OLD + step, "loss": 1 / (step + 1), **extra}
        for step in range(first, first + count)
    )
    return b"".join(json.dumps(row).encode() + b"\n" for row in made)


def picture(run: Path, step: int, seed: int) -> bytes:
    """Put a picture into a run; gives the line that names it."""
    data = random.Random(seed).randbytes(700)
    digest = hashlib.sha256(data).hexdigest()
    path = media_path("image", "x", digest, "png")
    (run / path).parent.mkdir(parents=True, exist_ok=True)
    (run / path).write_bytes(data)
    value = {"_type": "image-file", "path": path, "sha256": digest, "size": len(data)}
    return rows(step, 1, x=value)


def make_run(
    folder: Path, run_id: str = "first", *, count: int = 20, state: str = "finished", **about: Any
) -> Path:
    """A whole run in a folder of runs, as old as its files may be believed."""
    run = folder / run_id
    (run / "files").mkdir(parents=True)
    document = {
        "runfmt": 1, "requires": [], "uid": str(uuid.uuid4()), "id": run_id, "project": "p", "name": "n",
        "notes": "", "tags": [], "created_at": "2024-11-24T03:05:54.000000Z", "state": state,
        "environment": {},
    }  # fmt: skip
    write(run / "config.json", {"lr": 0.1})
    write(run / "run.json", document | about)
    (run / "metrics.jsonl").write_bytes(picture(run, 0, hash(run_id)) + rows(1, count))
    (run / "events.jsonl").write_bytes(b'{"_timestamp":1732417554,"event":"start"}\n')
    (run / "console.log").write_bytes(b"hello\n")
    (run / "files" / "requirements.txt").write_bytes(b"torch\n")
    write(run / "summary.json", {"loss": 1 / (count + 1)})
    settle(run)
    return run


def write(path: Path, document: Any) -> None:
    """Replace a document, as a writer does."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(document) + "\n")
    os.replace(temporary, path)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def settle(folder: Path) -> None:
    """Make files so old that their times tell contents apart."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (OLD, OLD))


def contents(run: Path) -> dict[str, bytes]:
    """Every path of a run with its bytes; of a stream only the committed ones."""
    found = {}
    for path in StoredRun(run).files:
        data = (run / path).read_bytes()
        found[path] = data[: data.rfind(b"\n") + 1] if is_stream(path) else data
    return found


def runs_in(root: Path) -> dict[str, Path]:
    """The runs that a reader finds, by uid; each must have one."""
    found = {}
    for path in find_runs(root):
        uid = StoredRun(path).uid
        assert uid is not None, f"{path} is damaged"
        found[uid] = path
    return found


def assert_same(source: Path, remote: Path) -> None:
    """Both sides hold the same runs with the same bytes."""
    ours, theirs = runs_in(source), runs_in(remote)
    assert ours.keys() == theirs.keys()
    for uid, run in ours.items():
        assert contents(run) == contents(theirs[uid])


def assert_true_prefix(source: Path, remote: Path, *, rules: Collection[str] = ()) -> None:
    """A reader of the remote sees nothing that is not so, nor that refers to something missing.

    Problems of these ``rules`` may be.
    """
    for uid, copy in runs_in(remote).items():
        run = StoredRun(copy)
        rows_there = run.history().rows
        assert {problem.rule for problem in run.problems} <= {*rules}, run.problems
        theirs = contents(copy)
        ours = contents(runs_in(source)[uid])
        for path in filter(is_stream, theirs):
            assert ours[path].startswith(theirs[path]), path
        for row in rows_there:
            for _, value in leaves(row):
                if isinstance(value, dict) and "path" in value:
                    assert hashlib.sha256(theirs[value["path"]]).hexdigest() == value["sha256"]
        if run.document["state"] == "finished":
            assert theirs["metrics.jsonl"] == ours["metrics.jsonl"]
