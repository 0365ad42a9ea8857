"""However runs are written, edited, synced, failed and restored: a quiet sync makes both sides equal."""

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from remotes.checks import assert_receipts_true, carry_on, edit, lost_and_doubled, moved
from remotes.network import FAULTS, Network
from runfmt.editing import laid_together
from runfmt.errors import CommError
from runfmt.layout import is_stream
from runfmt.reading import StoredRun, find_runs
from runfmt.rows import leaves
from runfmt_sync import bundle, extents, push
from runfmt_sync.push import Push
from runfmt_sync.server.app import make_app
from runfmt_sync.server.guard import RateLimit
from runfmt_sync.server.service import Service
from runmaker import assert_same, contents, make_run, picture, read, rows, runs_in, write

EXAMPLES = int(os.environ.get("RUNFMT_TEST_EXAMPLES", "200"))
"""Histories that are tried; the soak tries ten times as many."""
STEPS = 25
COUNTS: Counter[str] = Counter()

numbers = st.integers(0, 7)
faults = st.lists(st.sampled_from(FAULTS), max_size=12)


class Machine(RuleBasedStateMachine):
    """Up to three runs on one side, a server on the other, a network between them that may do anything."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        self.source, self.root, self.backup = (self.folder / name for name in ("runs", "remote", "backup"))
        self.source.mkdir()
        os.environ["RUNFMT_STATE"] = str(self.folder / "state")
        self.clock = 1
        self.edited, self.edited_there = {}, {}  # when; what is only there goes with a restored backup
        self.service = None
        self.restart()

    def teardown(self):
        self.sync_quietly()
        self.service.close()
        shutil.rmtree(self.folder)
        COUNTS.update(histories=1, **{f"requests_{fault}": n for fault, n in self.network.met.items()})

    # The trainer

    @initialize()
    def begin(self):
        self.start()

    @precondition(lambda self: len(self.runs()) < 3)
    @rule()
    def start(self):
        number = len(self.runs())
        uid = f"00000000-0000-4000-8000-00000000000{number}"
        make_run(self.source, f"run{number}", count=3, state="running", uid=uid)

    @rule(which=numbers, count=st.integers(1, 5), tail=st.sampled_from([b"", b'{"_step":', b"\0" * 9]))
    def log(self, which, count, tail):
        carry_on(self.pick(which), rows(self.tick(), count) + tail)
        COUNTS["rows"] += count

    @rule(which=numbers, seed=st.integers(0, 3))
    def log_a_picture(self, which, seed):
        run = self.pick(which)
        carry_on(run, picture(run, self.tick(), seed))
        COUNTS["rows"] += 1

    @rule(which=numbers)
    def rewind(self, which):
        carry_on(self.pick(which), b'{"_step":1,"_timestamp":%d,"_rewind":1}\n' % self.tick())

    @rule(which=numbers, name=st.sampled_from(["summary.json", "config.json"]))
    def replace_a_document(self, which, name):
        write(self.pick(which) / name, {"value": self.tick()})

    @rule(which=numbers, name=st.sampled_from(["a", "b"]), size=st.sampled_from([0, 10, 2500, 9000]))
    def save_a_file(self, which, name, size):
        path = self.pick(which) / "files" / name
        path.with_name(".new").write_bytes((b"%d " % self.tick() * size)[:size])
        path.with_name(".new").replace(path)

    @rule(which=numbers, state=st.sampled_from(["finished", "running", "failed"]))
    def change_state(self, which, state):
        run = self.pick(which)
        write(run / "run.json", {**read(run / "run.json"), "state": state})

    @rule(which=numbers, is_here=st.booleans(), key=st.sampled_from(["/name", "/notes"]))
    def change_by_hand(self, which, is_here, key):
        run = self.pick(which)
        place = run if is_here else runs_in(self.root).get(read(run / "run.json")["uid"])
        if place:
            edit(place, key, f"value {self.tick()}", self.clock)
            (self.edited if is_here else self.edited_there)[run, key] = self.clock

    # What happens to the two sides

    @rule()
    def restart(self):
        if self.service:
            self.service.close()
        self.service = Service.of(self.root)
        app = make_app(self.service, is_open=True, limit=RateLimit(1e9, 1e9))
        if hasattr(self, "network"):
            self.network.app = app
        else:
            self.network = Network(app)

    @rule()
    def lose_the_state(self):
        shutil.rmtree(self.folder / "state", ignore_errors=True)

    @rule()
    def back_up(self):
        shutil.rmtree(self.backup, ignore_errors=True)
        shutil.copytree(self.root, self.backup)

    @precondition(lambda self: self.backup.exists())
    @rule(restarts=st.booleans())
    def restore(self, restarts):
        self.edited_there.clear()
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.backup, self.root, dirs_exist_ok=True)
        if restarts:
            self.restart()

    @rule(due=faults, other=st.none() | faults)
    def sync(self, due, other):
        self.network.due = list(due)
        self.network.meanwhile = partial(self.cross, other)
        outcomes, _ = self.push()
        self.network.due = []
        theirs = runs_in(self.root)
        for outcome in outcomes.values():
            if outcome.status in ("synced", "unchanged"):
                mine, there = contents(outcome.folder), contents(theirs[outcome.uid])
                if edits := mine.pop("edits.json", b""):  # somebody may have gone on there since
                    assert laid_together(there["edits.json"], edits) == there["edits.json"]
                assert mine.items() <= there.items()

    def cross(self, due):
        """Between two requests of a sync somebody edits at the server, and another sync may run."""
        self.change_by_hand(0, False, "/name")
        if due is None:
            return
        rest, self.network.due = self.network.due, [fault for fault in due if fault != "crossed"]
        self.push()
        self.network.due = rest

    @rule()
    def late_requests_arrive(self):
        self.network.arrive()

    @rule()
    def sync_quietly(self):
        outcomes, fault = self.push()
        lost, doubled = lost_and_doubled(self.source, self.root)
        COUNTS.update(quiet_syncs=1, lost=lost, doubled=doubled)
        assert fault is None
        assert [outcome.problems for outcome in outcomes.values()] == [[]] * len(self.runs())
        assert_same(self.source, self.root)
        assert_receipts_true(self.source, self)
        for edited in (self.edited, self.edited_there):
            for (run, key), when in edited.items():
                assert read(run / "edits.json")[key]["time"] >= when
        outcomes, fault = self.push()
        assert moved(outcomes) == (0, 0)

    @invariant()
    def the_remote_is_true(self):
        """A reader there sees no row that is not so, and no reference to what has not come."""
        ours = runs_in(self.source)
        for uid, copy in runs_in(self.root).items():
            theirs, mine = contents(copy), contents(ours[uid])
            run = StoredRun(copy)
            logged = run.history().rows
            assert all(mine[path].startswith(theirs[path]) for path in theirs if is_stream(path))
            assert [problem for problem in run.problems if problem.rule != "R023"] == []
            for value in (value for row in logged for _, value in leaves(row)):
                if isinstance(value, dict) and "path" in value:
                    assert hashlib.sha256(theirs[value["path"]]).hexdigest() == value["sha256"]

    # Help

    def push(self):
        try:
            COUNTS["syncs"] += 1
            pusher = Push(self.remote(), jobs=1)
        except CommError as error:
            return {}, error
        outcomes = {outcome.folder.name: outcome for outcome in pusher.run(list(find_runs(self.source)))}
        COUNTS["bytes"] += moved(outcomes)[1]
        return outcomes, pusher.fault

    def remote(self):
        return self.network.remote()

    def runs(self):
        return sorted(self.source.iterdir())

    def pick(self, which):
        return self.runs()[which % len(self.runs())]

    def tick(self):
        self.clock += 1
        return self.clock


@pytest.mark.soak
def test_any_history_ends_with_equal_sides(monkeypatch, counted):
    monkeypatch.setenv("RUNFMT_STATE", "")
    for module in (extents, push):
        monkeypatch.setattr(module, "MAX_EXTENT", 4000)
    monkeypatch.setattr(bundle, "groups", partial(bundle.groups, size=6000))
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _: None)  # what a power cut leaves is tested elsewhere
    COUNTS.clear()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    counted(**COUNTS)
    assert (COUNTS["lost"], COUNTS["doubled"]) == (0, 0)
    assert COUNTS["histories"] >= EXAMPLES
