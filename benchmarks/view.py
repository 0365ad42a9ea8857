"""Measure how fast runs are looked at, and one per cent of them beside TensorBoard and Trackio.

    python benchmarks/view.py [--runs 100] [--metrics 100] [--rows 10000] [--peers FOLDER | --alone] [--json]

The page is opened in a real Chromium: a chart counts as drawn when its curves are on it. The peers are
installed by pip into environments of their own, which ``--peers`` keeps. They get the same runs with a
tenth of the metrics and of the rows, all points of which TensorBoard keeps too, and are asked over HTTP
for all curves with all points, as their own pages do: TensorBoard by metric, Trackio by runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import requests
from make_runs import make_run, names_of
from playwright.sync_api import Browser, Page, sync_playwright

RUNFMT = Path(sys.executable).with_name("runfmt")
PROJECT = "benchmark"
"""Of the runs of make_runs.py."""
PANELS, SHOWN = 30, 20
"""So many panels of so many runs are drawn."""
REPEATS = 5
LONGEST = 600
"""Seconds that a peer may need until it has all."""
DRAWN = '.plot [role="img"][aria-label*=" over "]'
"""A chart that says what is on it."""
TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""After them it is drawn."""
SCREEN = {"width": 1920, "height": 1800}
PACKAGES = {"tensorboard": ["tensorboard", "setuptools<81"], "trackio": ["trackio"]}
TENSORBOARD_FILL = """
import json, sys
from pathlib import Path
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
for run in sorted(Path(sys.argv[1]).iterdir()):
    writer = EventFileWriter(str(Path(sys.argv[2]) / run.name))
    for line in open(run / "metrics.jsonl"):
        row = json.loads(line)
        step, time = row.pop("_step"), row.pop("_timestamp")
        values = [Summary.Value(tag=key, simple_value=value) for key, value in row.items()]
        writer.add_event(Event(wall_time=time, step=step, summary=Summary(value=values)))
    writer.close()
"""
TRACKIO_FILL = """
import json, sys
from pathlib import Path
from trackio.sqlite_storage import SQLiteStorage
for run in sorted(Path(sys.argv[1]).iterdir()):
    rows = [json.loads(line) for line in open(run / "metrics.jsonl")]
    steps = [row.pop("_step") for row in rows]
    for row in rows:
        del row["_timestamp"]
    SQLiteStorage.bulk_log("benchmark", run.name, rows, steps=steps)
"""
TRACKIO_SHOW = """
import sys, trackio
trackio.show(open_browser=False, server_port=int(sys.argv[1]), block_thread=True)
"""


def make_all(folder: Path, runs: int, metrics: int, rows: int) -> int:
    """Write the runs; gives the bytes of their streams."""
    for number in range(runs):
        make_run(folder, number, metrics, rows)
    return sum(path.stat().st_size for path in folder.glob("*/metrics.jsonl"))


def seconds(action: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def run(*command: str | Path, **environment: str | Path) -> None:
    """Run a program to its end, without a word."""
    variables = os.environ | {name: str(value) for name, value in environment.items()}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])


@contextmanager
def started(*command: str | Path, **environment: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A program until the end of the block."""
    variables = os.environ | {name: str(value) for name, value in environment.items()}
    process = subprocess.Popen(command, env=variables, stdout=PIPE, stderr=DEVNULL, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def peak(process: subprocess.Popen[str]) -> int:
    """The largest resident sets of a process and its children so far, in bytes (Linux)."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in (process.pid, *children)]
    return sum(int(size) * 1024 for text in texts for size in re.findall(r"VmHWM:\s+(\d+) kB", text))


def address_of(viewer: subprocess.Popen[str]) -> str:
    """What `runfmt view` prints."""
    assert viewer.stdout
    return viewer.stdout.readline().split()[-1]


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_page(browser: Browser) -> Iterator[Page]:
    """A page that has been nowhere."""
    context = browser.new_context(viewport=SCREEN)
    context.set_default_timeout(300_000)
    try:
        yield context.new_page()
    finally:
        context.close()


def until_drawn(browser: Browser, address: str, panels: int) -> float:
    """Seconds from opening an address until so many charts are drawn."""

    def draw() -> None:
        page.goto(address)
        page.locator(DRAWN).nth(panels - 1).wait_for()
        page.evaluate(TWO_FRAMES)

    with new_page(browser) as page:
        return seconds(draw)


def until_zoomed(browser: Browser, address: str) -> float:
    """Seconds from the end of a drag over a chart until its finer points are drawn."""

    def zoom() -> None:
        with page.expect_response("**/v1/curves") as answer:
            page.mouse.up()
        answer.value.finished()
        page.evaluate(TWO_FRAMES)

    with new_page(browser) as page:
        page.goto(address)
        page.wait_for_selector(f".full {DRAWN}")
        box = page.locator(f".full {DRAWN}").bounding_box()
        assert box
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2, steps=3)
        return seconds(zoom)


def look(folder: Path, state: Path, metrics: int) -> dict[str, float]:
    """The page of all runs: seconds, median of several, and the server's bytes."""
    uids = [json.loads((path / "run.json").read_text())["uid"] for path in sorted(folder.iterdir())]
    tails = ",".join(uid[-12:] for uid in uids[:SHOWN])
    names = names_of(metrics)
    panels = min(PANELS, metrics)
    with started(RUNFMT, "view", folder, RUNFMT_STATE=state) as viewer, chromium() as browser:
        project = f"{address_of(viewer)}&/charts?project={PROJECT}"
        some = f"{project}&runs={tails}&size=s&hide={','.join(names[panels:])}"
        one = f"{project}&runs={tails}&full={names[0]}"
        found = {"first_visit_s": until_drawn(browser, project, 1)}
        for name, measure in (
            ("first_chart_s", lambda: until_drawn(browser, project, 1)),
            ("panels_s", lambda: until_drawn(browser, some, panels)),
            ("zoom_s", lambda: until_zoomed(browser, one)),
        ):
            found[name] = statistics.median(measure() for _ in range(REPEATS))
        return found | {"peak_bytes": peak(viewer)}


def full(scratch: Path, runs: int, metrics: int, rows: int) -> dict[str, float]:
    """The index and the page of runs, which are removed afterwards."""
    folder, state = scratch / "runs", scratch / "state"
    size = make_all(folder, runs, metrics, rows)
    index_s = seconds(lambda: run(RUNFMT, "index", folder, RUNFMT_STATE=state))
    index = sum(path.stat().st_size for path in state.rglob("*") if path.is_file())
    found = {"streams_bytes": size, "index_s": index_s, "index_bytes": index}
    found |= look(folder, state, metrics)
    shutil.rmtree(folder)
    shutil.rmtree(state)
    return found


class Peer:
    """A viewer that is asked over HTTP for all curves with all points; ``ask`` gives their number."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.session = url, requests.Session()
        self.session.trust_env = False
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def json(self, method: str, where: str, **options: Any) -> Any:
        answer = self.session.request(method, self.url + where, timeout=300, **options)
        answer.raise_for_status()
        return answer.json()

    def ask(self) -> tuple[int, int]:
        """The curves and points that it answers with."""
        raise NotImplementedError


class Runfmt(Peer):
    def ask(self) -> tuple[int, int]:
        uids = [row["uid"] for row in self.json("GET", "/v1/runs?limit=1000")["runs"]]
        keys = self.json("POST", "/v1/keys", json={"uids": uids, "stream": "metrics"})["keys"]
        wanted = [{"uid": uid, "key": key["key"]} for key in keys for uid in uids]
        curves = self.json("POST", "/v1/curves", json={"curves": wanted, "x": "_step", "points": 1000})
        return len(curves["curves"]), sum(len(curve["y"]) for curve in curves["curves"])


class TensorBoard(Peer):
    def ask(self) -> tuple[int, int]:
        runs = self.json("GET", "/data/plugin/scalars/tags")
        curves = []
        for tag in sorted({tag for tags in runs.values() for tag in tags}):
            form = {"tag": tag, "runs": [name for name, tags in runs.items() if tag in tags]}
            curves += self.json("POST", "/data/plugin/scalars/scalars_multirun", data=form).values()
        return len(curves), sum(map(len, curves))


class Trackio(Peer):
    MOST = 64
    """Runs a question, by its rules."""

    def ask(self) -> tuple[int, int]:
        runs = self._call("get_runs_for_project", project=PROJECT)
        names = [{"run": one["name"], "run_id": one["id"]} for one in runs]
        logs = []
        for first in range(0, len(names), self.MOST):
            batch = names[first : first + self.MOST]
            logs += self._call("get_logs_batch", project=PROJECT, runs=batch, scalar_only=True)
        points = [row for answer in logs for row in answer["logs"]]
        keys = {key for key in points[0] if "/" in key} if points else set()
        return len(keys) * len(logs), len(keys) * len(points)

    def _call(self, name: str, **arguments: Any) -> Any:
        return self.json("POST", f"/api/{name}", json=arguments)["data"]


def measured(
    make: Callable[[subprocess.Popen[str]], Peer],
    whole: tuple[int, int],
    *command: str | Path,
    **environment: Path,
) -> dict[str, float]:
    """Seconds from the start of a peer until it answers with all curves, then those of one question."""
    begin = time.perf_counter()
    with started(*command, **environment) as process:
        peer = make(process)
        while _asked(peer) != whole:
            assert time.perf_counter() - begin < LONGEST, f"{type(peer).__name__} never has {whole}"
            time.sleep(0.05)  # nothing tells when it is ready
        found = {"start_s": time.perf_counter() - begin}
        found["ask_s"] = statistics.median(seconds(peer.ask) for _ in range(REPEATS))
        return found | {"peak_bytes": peak(process)}


def _asked(peer: Peer) -> tuple[int, int] | None:
    try:
        return peer.ask()
    except (requests.ConnectionError, requests.HTTPError):
        return None  # it does not listen yet, or has not read a run yet


def installed(folder: Path, name: str) -> Path:
    """The programs of a peer, in an environment of its own."""
    programs = folder / name / "bin"
    if not programs.exists():
        run(sys.executable, "-m", "venv", folder / name)
        run(programs / "python", "-m", "pip", "install", "--quiet", *PACKAGES[name])
    return programs


def beside(scratch: Path, peers: Path, runs: int, metrics: int, rows: int) -> dict[str, dict[str, float]]:
    """The same runs in each viewer, one after the other, each just started and with nothing prepared."""
    folder = scratch / "few"
    make_all(folder, runs, metrics, rows)
    whole = (runs * metrics, runs * metrics * rows)

    def ours(process: subprocess.Popen[str]) -> Peer:
        url, _, token = address_of(process).partition("/#token=")
        return Runfmt(url, token)

    command: list[str | Path] = [RUNFMT, "view", folder]
    found = {"runfmt": measured(ours, whole, *command, RUNFMT_STATE=scratch / "few-state")}

    programs, events = installed(peers, "tensorboard"), scratch / "events"
    run(programs / "python", "-c", TENSORBOARD_FILL, folder, events)
    command = [programs / "tensorboard", "--logdir", events, "--port", "16006"]
    found["tensorboard"] = measured(lambda _: TensorBoard("http://127.0.0.1:16006"), whole, *command)

    programs, data = installed(peers, "trackio"), {"TRACKIO_DIR": scratch / "trackio"}
    run(programs / "python", "-c", TRACKIO_FILL, folder, **data)
    command = [programs / "python", "-c", TRACKIO_SHOW, "17860"]
    found["trackio"] = measured(lambda _: Trackio("http://127.0.0.1:17860"), whole, *command, **data)
    return found


def show(found: dict[str, Any]) -> None:
    """The figures as tables."""
    one = found["full"]
    streams, index = (one[name] / 1e6 for name in ("streams_bytes", "index_bytes"))
    print(f"streams {streams:,.0f} MB, index {index:,.0f} MB ({index / streams:.2f})")
    print(f"runfmt index {one['index_s']:.1f} s, {streams / one['index_s']:.0f} MB/s")
    for name, what in (
        ("first_visit_s", "first chart, server just started"),
        ("first_chart_s", "first chart"),
        ("panels_s", f"{PANELS} panels of {SHOWN} runs"),
        ("zoom_s", "zoom of a chart"),
    ):
        print(f"{what:<34} {one[name]:>7.2f} s")
    print(f"{'peak of the server':<34} {one['peak_bytes'] / 2**20:>7.0f} MiB")
    if "beside" in found:
        print(f"\n{'one per cent':<12} {'start to all':>13} {'all again':>10} {'ratio':>6} {'peak':>10}")
    for name, peer in found.get("beside", {}).items():
        times = peer["ask_s"] / found["beside"]["runfmt"]["ask_s"]
        memory = peer["peak_bytes"] / 2**20
        print(
            f"{name:<12} {peer['start_s']:>11.2f} s {peer['ask_s']:>8.2f} s {times:>6.1f} {memory:>6.0f} MiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--metrics", type=int, default=100)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--peers", type=Path, help="a folder that keeps the peers' environments")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes = options.runs, options.metrics, options.rows
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        few = (options.runs, options.metrics // 10, options.rows // 10)
        found: dict[str, Any] = {"runs": sizes}
        if not options.alone:
            found["beside"] = beside(scratch, options.peers or scratch / "peers", *few)
        found["full"] = full(scratch, *sizes)
    print(json.dumps(found, indent=2)) if options.json else show(found)


if __name__ == "__main__":
    main()
