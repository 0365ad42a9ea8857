"""Bundling and unbundling killed anywhere: nothing half is seen, and the next call finishes."""

import os
import random
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import runfmt_sync
from forging import Gap, statuses
from program import code_of, process_of
from remotes.checks import lost_and_doubled
from runfmt.documents import temporary_beside
from runfmt_sync import bundle, signing
from runmaker import assert_same, assert_true_prefix, make_run, picture, rows, write

DRIVER = """
import sys
from pathlib import Path
from runfmt.reading import find_runs
from runfmt_sync.remotes import open_remote
from runfmt_sync.signing import find_secret_key, trusted_keys
from runfmt_sync.sneakernet import write_bundle
from runfmt_sync.unbundle import unbundle
what, root = sys.argv[1], Path(sys.argv[2])
key = find_secret_key("me")
print("ready", flush=True)
if what == "bundle":
    again = int(sys.argv[3]) if sys.argv[3:] else None
    options = {"channel": "lab", "max_size": 2**20, "key": key, "again": again}
    write_bundle([*find_runs(root / "runs")], root / "stick", **options)
else:
    unbundle(sorted((root / "stick").glob("*.runfmt")), open_remote(str(root / "far")), trusted_keys())
"""


def points(*topics):
    """The points of some topics, wherever in the tool they are."""
    text = "".join(path.read_text() for path in Path(runfmt_sync.__file__).parent.rglob("*.py"))
    names = set(re.findall(r'fault_point\("([^"]+)"\)', text))
    return sorted(name for name in names if name.partition(".")[0] in topics)


BUNDLING = [name for name in points("bundle", "push", "inventory") if name != "push.merged"]
UNBUNDLING = [name for name in points("unbundle", "store") if name != "store.merged"]
KILLS = int(os.environ.get("RUNFMT_TEST_KILLS", "100")) // 10
"""Histories, each with six calls that may be killed; the soak takes ten times as many."""


def grow(gap, seed):
    """Every run goes on, and a new one begins."""
    for run in gap.source.iterdir():
        with (run / "metrics.jsonl").open("ab") as stream:
            stream.write(picture(run, 100 * seed, seed) + rows(100 * seed + 1, 5))
        write(run / "summary.json", {"seed": seed})
    run = make_run(gap.source, f"run{seed}", state="running")
    for number in range(2):
        data = random.Random(10 * seed + number).randbytes(700_000)
        (run / "files" / f"heavy{number}.bin").write_bytes(data)


def assert_whole(gap):
    """What lies on the stick under a name to be carried is whole and signed."""
    for path in gap.files():
        signing.verify(path, signing.trusted_keys())
        with path.open("rb") as file:
            bundle.check(bundle.unpacked(file), bundle.MAX_UNPACKED)


def finish(gap):
    """One more call of each, and everything is there."""
    gap.bundle(max_size=2**20, key=signing.find_secret_key("me"))
    assert [*gap.stick.glob(".*")] == []
    done = gap.unbundle()
    assert done.is_good, (done.missing, statuses(done), [arrival.problems for arrival in done.arrivals])
    assert_same(gap.source, gap.far)
    assert gap.parked() == []
    assert not any(path.is_file() for path in (gap.far / ".incoming").rglob("*"))


@pytest.fixture
def begun(gap):
    """One number was brought, another waits to be bundled."""
    signing.make_key("me")
    grow(gap, 1)
    gap.bundle(max_size=2**20, key=signing.find_secret_key("me"))
    gap.unbundle()
    grow(gap, 2)
    return gap


def test_points_are_many():
    assert len([name for name in BUNDLING if name.startswith("bundle.")]) >= 5
    assert len([name for name in UNBUNDLING if name.startswith("unbundle.")]) >= 3


@pytest.mark.parametrize("point", [name for name in BUNDLING if name.startswith("bundle.")])
def test_volume_that_is_made_again_never_lies_beside_the_signature_of_another(begun, point):
    for seed, where in enumerate(("bundle.renamed", point), 3):
        assert code_of(process_of(DRIVER, "bundle", begun.root, RUNFMT_FAULT=where)) == -signal.SIGKILL
        assert_whole(begun)
        grow(begun, seed)
    finish(begun)


@pytest.mark.parametrize("carried", [False, True])
@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize("point", BUNDLING)
def test_bundle_killed_at_a_point_is_finished_by_the_next(begun, point, hit, carried):
    code = code_of(process_of(DRIVER, "bundle", begun.root, RUNFMT_FAULT=f"{point}:{hit}"))
    assert code == -signal.SIGKILL or (hit > 1 and code == 0), "the point is never reached"
    assert_whole(begun)
    if carried:  # what there is may be brought away at any moment
        begun.unbundle()
        assert_true_prefix(begun.source, begun.far)
    grow(begun, 3)
    finish(begun)
    assert [path.name[:10] for path in begun.files()] == sorted(path.name[:10] for path in begun.files())
    assert {path.name[:10] for path in begun.files()} <= {f"lab-00000{n}" for n in (1, 2, 3)}


def test_half_written_volumes_and_signatures_are_removed_by_the_next(begun):
    volume = begun.stick / "lab-000002-1.runfmt"
    for path in (volume, volume.with_name(volume.name + signing.ENDING)):
        temporary_beside(path).write_bytes(b"half")
    others = temporary_beside(begun.stick / "other-000002-1.runfmt")
    others.write_bytes(b"of a channel that may be at work")
    begun.bundle(max_size=2**20, key=signing.find_secret_key("me"))
    assert [*begun.stick.glob(".*")] == [others]


@pytest.mark.parametrize("point", [name for name in BUNDLING if name.startswith("bundle.")])
def test_bundle_killed_while_it_is_made_again_is_finished_by_the_next(begun, point):
    begun.bundle(max_size=2**20, key=signing.find_secret_key("me"))
    for path in begun.stick.glob("lab-000002-*"):
        path.unlink()
    assert (
        code_of(process_of(DRIVER, "bundle", begun.root, "2", RUNFMT_FAULT=f"{point}:1")) == -signal.SIGKILL
    )
    assert_whole(begun)
    begun.unbundle()
    grow(begun, 3)
    begun.bundle(max_size=2**20, key=signing.find_secret_key("me"), again=2)
    finish(begun)


@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize("point", UNBUNDLING)
def test_unbundle_killed_at_a_point_is_finished_by_the_next(begun, point, hit):
    begun.bundle(max_size=2**20, key=signing.find_secret_key("me"))
    waiting = [*begun.stick.glob("lab-000002-1.*")]
    for path in waiting:  # so that something is parked, and then is not any more
        path.rename(begun.root / path.name)
    code = code_of(process_of(DRIVER, "unbundle", begun.root, RUNFMT_FAULT=f"{point}:{hit}"))
    assert_true_prefix(begun.source, begun.far)
    for path in waiting:
        (begun.root / path.name).rename(path)
    second = code_of(process_of(DRIVER, "unbundle", begun.root, RUNFMT_FAULT=f"{point}:{hit}"))
    assert -signal.SIGKILL in (code, second) or hit > 1, "the point is never reached"
    assert_true_prefix(begun.source, begun.far)
    finish(begun)


@pytest.mark.soak
def test_killed_at_random_is_finished_by_the_next(tmp_path, monkeypatch, counted):
    draw, killed, lost, doubled = random.Random(5), 0, 0, 0
    for attempt in range(KILLS):
        root = tmp_path / "attempt"
        root.mkdir()
        monkeypatch.setenv("RUNFMT_STATE", str(root / "state"))
        gap = Gap(root)
        if not attempt:
            signing.make_key("me")
        for seed in range(1, 4):
            grow(gap, seed)
            for what in ("bundle", "unbundle"):
                process = process_of(DRIVER, what, gap.root)
                try:
                    process.wait(draw.uniform(0, 0.1))
                except subprocess.TimeoutExpired:
                    process.kill()
                killed += code_of(process) == -signal.SIGKILL
                assert_whole(gap)
                if gap.far.exists():
                    assert_true_prefix(gap.source, gap.far)
        finish(gap)
        missing, more = lost_and_doubled(gap.source, gap.far)
        lost, doubled = lost + missing, doubled + more
        shutil.rmtree(root)
    counted(histories=KILLS, calls=6 * KILLS, kills=killed, lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)
    assert killed
