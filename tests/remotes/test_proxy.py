"""Fifty runs are written and synced through a proxy that resets, delays, truncates, repeats and refuses."""

import os
import subprocess
import sys
import time

import pytest

from remotes.checks import assert_receipts_true, moved
from remotes.kinds import Http, Small
from remotes.proxy import FAULTS, BadProxy
from runfmt.errors import CommError
from runfmt.reading import find_runs
from runfmt_sync.push import Push
from runfmt_sync.remotes.http import HttpRemote
from runmaker import assert_same, assert_true_prefix

SECONDS = float(os.environ.get("RUNFMT_TEST_SECONDS", "0"))
"""For so long runs are written, fifty after fifty; the soak takes ten minutes."""
WRITER = """
import sys, runfmt
for number in range(50):
    with runfmt.init(dir=sys.argv[1], id=f"{sys.argv[2]}-{number}", project="p", console="off") as run:
        for step in range(20):
            run.log({"loss": 1 / (step + 1)})
        run.log({"page": runfmt.Html(f"<p>{number}</p>")})
"""


@pytest.mark.parametrize("counterpart", [Http, Small])
def test_fifty_runs_written_and_synced_through_a_bad_proxy_are_all_there_once(source, tmp_path, counterpart):
    (tmp_path / "disk").mkdir()
    kind = counterpart(tmp_path / "disk" / "remote")
    met = dict.fromkeys(FAULTS, 0)
    began, turn, given_up = time.monotonic(), 0, 0
    try:
        while not turn or time.monotonic() - began < SECONDS:
            with BadProxy(kind.url, seed=turn) as proxy:
                given_up += write_and_sync(source, proxy, turn)
            met = {fault: met[fault] + proxy.met[fault] for fault in met}
            assert_true_prefix(source, kind.root)
            turn += 1
            quiet = Push(kind.remote())
            quiet.run(list(find_runs(source)))
            assert_same(source, kind.root)
            assert_receipts_true(source, kind)
            again = {outcome.id: outcome for outcome in Push(kind.remote()).run(list(find_runs(source)))}
            assert (len(again), moved(again)) == (50 * turn, (0, 0))
    finally:
        kind.close()
    print(f"{50 * turn} runs, {met}, {given_up} syncs gave up - 0 lost, 0 doubled")
    assert all(met.values())


def write_and_sync(source, proxy, turn):
    """Sync again and again while a process writes; gives how often a sync gave up."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, source, str(turn)], stderr=subprocess.DEVNULL)
    given_up, is_over = 0, False
    while not is_over:
        is_over = writer.poll() is not None and sum(proxy.met.values()) > 150
        try:
            push = Push(HttpRemote(proxy.url, sleep=lambda _: None))
            push.run(list(find_runs(source)))
            given_up += push.fault is not None
        except CommError:
            given_up += 1
    assert writer.returncode == 0
    return given_up
