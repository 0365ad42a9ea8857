"""Each system call that the client makes fails once, in each way: the training goes on, and no row is lost.

A training under :class:`systemcalls.SystemCalls` says which calls there are; then the same training is run
again for each of them and each error, in forked children. Before the run exists ``init`` may refuse, with
words that help. ``make soak`` tries every error in every kind of training: ``RUNFMT_TEST_FAULTS=all``.
"""

import errno
import gc
import hashlib
import json
import os
import re
import traceback
import warnings
from collections import Counter
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

import runfmt
from runfmt import lifecycle, session
from runfmt.reading import StoredRun
from runfmt.rows import CONTROL
from systemcalls import Short, SystemCalls

ALL = os.environ.get("RUNFMT_TEST_FAULTS") == "all"
ERRORS = ("ENOSPC", "EIO", "EROFS", "ESTALE", "EDQUOT", "EINTR") if ALL else ("EIO",)
LASTING = [error for error in ERRORS if error != "EINTR"]
"""Those that a call can meet each time. Python itself makes an interrupted one again, for ever if need be."""
SHORT = ("short", "short, then ENOSPC")
"""A write that takes half, and then the rest, or nothing more."""
EVERY = 1 if ALL else 4
"""Of the kinds but the plain one each so manieth call fails."""
KINDS = {
    "plain": {},
    "fsync": {"durability": "fsync"},
    "buffered": {"durability": "buffered"},
    "resumed": {"resume": "allow"},
    "auto": {"resume": "auto", "id": None},
    "rank": {"resume": "allow"},
}


class Fault:
    """Lets a call of the main thread fail, the ``at``-th of its site, in a way."""

    def __init__(self, site: str = "", at: int = 0, way: str = "") -> None:
        self.site, self.at, self.way = site, at, way
        self.calls = []
        """The site of each call."""
        self._after = None

    def __call__(self, call):
        if not call.is_main:
            return None
        self.calls.append(site_of(call))
        if self._after is not None:  # the next one of the same thread
            self._after, after = None, self._after
            return error_of("ENOSPC", call) if after and call.name == "write" else None
        if self.calls[-1] != self.site or self.calls.count(self.site) - 1 != self.at:
            return None
        if self.way in SHORT:
            self._after = self.way == SHORT[1]
            return Short(len(call.arguments[-1]) // 2)
        return error_of(self.way, call)


class FaultBeside:
    """Lets the calls of other threads fail, all of a site, or of each; when they come, nobody can say."""

    def __init__(self, way: str = "", site: str = "") -> None:
        self.way, self.site = way, site
        self.calls = []

    def __call__(self, call):
        if call.is_main:
            return None
        self.calls.append(site_of(call))
        return error_of(self.way, call) if self.way and self.site in ("", self.calls[-1]) else None


def site_of(call):
    """A call's name and file, whatever the random parts of that."""
    path = re.sub(r"\.[0-9a-f]{8}\.tmp$", ".tmp", call.path.rpartition("/runs/")[2])
    path = re.sub(r"[0-9]{8}-[0-9]{6}-[a-z0-9]{6}|runfmt-[a-z0-9_]{8}(?=/|$)", "N", path)
    return f"{call.name} {re.sub('/proc/[0-9]+', '/proc/N', path)}"


def error_of(name, call):
    """The error of a call, as Python raises it: with the path only where the call was given one."""
    code = getattr(errno, name)
    given = call.arguments[0] if call.arguments else None
    return OSError(code, os.strerror(code), *([] if given is None or isinstance(given, int) else [call.path]))


class Training:
    """A training that uses what there is of the client, in a folder of its own.

    One of the kinds that carry on finds a run that was killed in the middle of a line.
    """

    def __init__(self, folder: Path, kind: str = "plain", **options) -> None:
        self.folder, self.kind = folder, kind
        self.options = {"id": "one", "dir": folder / "runs", **KINDS[kind], **options}
        self.acknowledged, self.refused = [], None
        (folder / "runs").parent.mkdir()
        (folder / "a.txt").write_text("a")
        (folder / "p.svg").write_text("<svg/>")
        self.earlier = 2 if kind in ("resumed", "rank") else 0
        if self.earlier:
            self._leave_torn(folder / "runs" / "one")

    @property
    def path(self) -> Path:
        [run] = (self.folder / "runs").glob("[!.]*")
        return run

    @property
    def writer(self) -> str:
        return "rank3" if self.kind == "rank" else "main"

    @property
    def stream(self) -> Path:
        return self.path / ("metrics.rank3.jsonl" if self.kind == "rank" else "metrics.jsonl")

    def _leave_torn(self, path) -> None:
        path.mkdir(parents=True)
        document = {"runfmt": 1, "requires": [], "uid": "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77", "id": "one"}
        about = {"created_at": "2026-11-24T03:05:54.123456Z", "state": "running", "environment": {}}
        (path / "run.json").write_text(json.dumps({**document, **about}))
        (path / "config.json").write_text("{}")
        rows = "".join(f'{{"_step":{n},"_timestamp":1.0,"v":{n}}}\n' for n in range(2))
        self.stream.write_text(rows + '{"_step":2,"_ti')

    def __call__(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if self.kind == "rank":
                patch.setenv("RANK", "3")
            self._train()

    def _train(self) -> None:
        try:
            run = runfmt.init(project="p", config={"lr": 0.1}, silent=True, **self.options)
        except OSError as error:
            self.refused = error
            return
        run.config.update({"more": [1]})
        run.define_metric("v", summary="min,max")
        self.log(run, {})
        print("a line")
        self.log(run, {"page": runfmt.Html("<p>"), "drawn": runfmt.Image(self.folder / "p.svg")})
        run.summary["best"] = 7
        run.save(self.folder / "a.txt", base_path=self.folder)
        run.log_artifact(str(self.folder / "a.txt"), name="set", type="dataset")
        run.alert("look", wait_duration=0)
        run.tags = ["t"]
        self.log(run, {"x": 1.5})
        run.config["more"].append(2)
        run.finish()

    def log(self, run, row) -> None:
        """Log a row; it counts once ``log`` has returned."""
        step = run.step
        run.log({**row, "v": step})
        self.acknowledged.append(step)


def run_with(fault, training):
    """The warnings of a training with a fault."""
    with SystemCalls(skip=("fsync", "fdatasync")) as calls, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        calls.decide = fault
        training()
    return [str(warning.message) for warning in said]


def descriptors():
    """What this process holds open."""
    gc.collect()
    folder = Path("/proc/self/fd")
    return Counter(os.readlink(path) for path in folder.iterdir() if os.path.lexists(path))


def lines(path):
    data = path.read_bytes()
    assert data.endswith(b"\n") or not data, path
    return [json.loads(line) for line in data.splitlines()]


def judged(training, said):
    """How many rows were logged, are lost, are there twice; and what else must not be so."""
    if training.refused is not None:
        return {"rows": 0, "lost": 0, "doubled": 0, "faults": list(faults_of_refusal(training))}
    stored = StoredRun(training.path)
    rows = [row for row in lines(training.stream) if not any(key in row for key in CONTROL)]
    there = Counter(row["v"] for row in rows)
    wanted = [*range(training.earlier), *training.acknowledged]
    found = {"rows": len(training.acknowledged), "lost": len(set(wanted) - there.keys())}
    faults = [str(problem) for problem in stored.problems]
    faults += [] if list(there) == wanted else [f"rows {there} are not {wanted}"]
    for value in (row[key] for row in rows for key in ("page", "drawn") if row.get(key) is not None):
        if hashlib.sha256((training.path / value["path"]).read_bytes()).hexdigest() != value["sha256"]:
            faults.append(f"{value} is another")
    if not said:
        faults += faults_of_silence(training, stored, rows)
    return {**found, "doubled": there.total() - len(there), "faults": faults}


def faults_of_refusal(training):
    """What must not be so where ``init`` refused: it says where and what to do, and can be called again."""
    error = training.refused
    is_about_runs = "/runs" in str(error.filename)
    if not error.filename or (is_about_runs and "give dir= or RUNFMT_DIR" not in str(error)):
        yield f"says only {error}"
    if runfmt.run is not None or lifecycle.active or session._locks:
        yield "something is left of the run"


def faults_of_silence(training, stored, rows):
    """Where nothing was said all must be there."""
    if [value for row in rows for key, value in row.items() if key in ("page", "drawn") and value is None]:
        yield "media are missing"
    copies = {"files/a.txt", "files/artifacts/set/v0/a.txt", "files/artifacts/set/v0/artifact.json"}
    if copies - set(stored.files):
        yield f"files are missing: {stored.files}"
    if training.writer != "main":
        return
    if stored.state() != "finished" or stored.attributes["tags"] != ["t"]:
        yield f"run.json says {stored.state()}"
    if stored.config.items() < {"lr": 0.1, "more": [1, 2]}.items():
        yield f"config.json says {stored.config}"
    if json.loads((training.path / "summary.json").read_bytes()) != stored.summary:
        yield "summary.json is another"
    events = [event["event"] for event in lines(training.path / "events.jsonl")]
    if events != ["resume" if training.earlier else "start", "alert", "finish"]:
        yield f"events are {events}"


def case(training, fault):
    """What became of one training with a fault."""
    before = descriptors()
    try:
        found = judged(training, run_with(fault, training))
    except Exception as error:
        stack = [f"{Path(one.filename).stem}.{one.name}" for one in traceback.extract_tb(error.__traceback__)]
        return {
            "rows": 0,
            "lost": 0,
            "doubled": 0,
            "faults": [f"{error!r} in {' '.join(stack)}"],
            "broken": True,
        }
    if left := descriptors() - before:
        found["faults"].append(f"leaks {dict(left)}")
    return found


def in_a_child(cases):
    """What became of trainings in a process of their own, up to one that leaves it broken."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        found = {}
        try:
            for name, one in cases.items():
                found[name] = one()
                if "broken" in found[name]:
                    break
        finally:
            os.write(write, json.dumps(found).encode())
            os._exit(0)
    os.close(write)
    with open(read, encoding="utf-8") as said:
        found = json.loads(said.read())
    os.waitpid(child, 0)
    return found


def cases_of(calls, folder, kind, every):
    """A training for each call, or each so manieth, and each way in which it can fail."""
    for number, site in enumerate(calls):
        if number % every:
            continue
        for way in (*ERRORS, *(SHORT if site.startswith("write ") else ())):
            fault = Fault(site, calls[:number].count(site), way)
            yield f"{number} {site} {way}", partial(case, Training(folder / f"{number} {way}", kind), fault)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_each_call_fails_once_and_no_row_is_lost(tmp_path, kind, counted):
    run_with(Fault(), Training(tmp_path / "warm", kind))
    run_with(whole := Fault(), Training(tmp_path / "whole", kind))
    every = 1 if kind == "plain" else EVERY
    cases, found = dict(cases_of(whole.calls, tmp_path, kind, every)), {}
    while left := {name: one for name, one in cases.items() if name not in found}:
        found |= in_a_child(dict(islice(left.items(), 50)))
    counts = Counter(calls=len(whole.calls), cases=len(found))
    for one in found.values():
        counts.update({key: one[key] for key in ("rows", "lost", "doubled")})
    counted(**counts)
    assert [f"{name}: {fault}" for name, one in found.items() for fault in one["faults"]] == []
    assert (counts["lost"], counts["doubled"]) == (0, 0)


@pytest.mark.parametrize(("kind", "name"), [("auto", "unlink .resume"), ("rank", "lseek")])
def test_calls_that_one_kind_of_training_makes_fail_too(tmp_path, kind, name):
    run_with(Fault(), Training(tmp_path / "warm", kind))
    run_with(whole := Fault(), Training(tmp_path / "whole", kind))
    cases = {case: one for case, one in cases_of(whole.calls, tmp_path, kind, every=1) if f" {name}" in case}
    assert cases
    for found in in_a_child(cases).values():
        assert (found["rows"], found["lost"], found["doubled"], found["faults"]) == (3, 0, 0, [])


@pytest.mark.parametrize("kind", ["plain", "fsync", "buffered", "resumed"])
def test_calls_of_threads_beside_fail_all_the_time_and_no_row_is_lost(tmp_path, kind, counted):
    run_with(FaultBeside(), Training(tmp_path / "warm", kind))  # only the first asks about the machine
    run_with(whole := FaultBeside(), Training(tmp_path / "whole", kind))
    assert whole.calls
    cases = {
        f"{site or 'all'} {way}": partial(
            case, Training(tmp_path / f"{number} {way}", kind), FaultBeside(way, site)
        )
        for number, site in enumerate(["", *sorted({*whole.calls})])
        for way in LASTING
    }
    found = in_a_child(cases)
    assert found.keys() == cases.keys()
    counts = Counter(cases=len(found))
    for one in found.values():
        counts.update({key: one[key] for key in ("rows", "lost", "doubled")})
    counted(**counts)
    assert [f"{name}: {fault}" for name, one in found.items() for fault in one["faults"]] == []
    assert (counts["lost"], counts["doubled"]) == (0, 0)
