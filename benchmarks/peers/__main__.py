"""Measure what recording costs with runfmt and with its peers, side by side in one run.

    python benchmarks/peers [--tools floor runfmt wandb ...] [--calls 20000] [--json]

Each tool lives in a process and an environment of its own (``make peers`` makes those), and all are asked in
turns, a part of the calls each time, so that they meet the same machine. Calls of ``log`` have 10 scalars, or
1,000 where it says wide. ``floor`` is the JSON of a row and one write, no product. Trust the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
OWN = ("floor", "runfmt", "wandb")
"""Tools in the environment of the project."""
WITH_MLFLOW = ("mlflow", "mlflow-sqlite", "trackio")
ALONE = ("tensorboardX", "swanlab", "sacred", "neptune-scale", "dvclive", "aim")
WIDE, PART = 1000, 20
"""Scalars of a wide row; parts in which the calls are made, in turns."""
SLOW = {"dvclive": 50, "mlflow-sqlite": 20, "aim": 5, "mlflow": 5, "tensorboardX": 5}
"""Tools that are called so many times less, as they would take hours."""
RUNS = 50


def environment_of(tool: str) -> Path:
    """The Python of a tool."""
    if tool in OWN:
        return Path(sys.executable)
    return PROJECT / (".venv-mlflow" if tool in WITH_MLFLOW else f".venv-peers/{tool}") / "bin" / "python"


class Worker:
    """A tool in a process."""

    def __init__(self, tool: str, scratch: Path) -> None:
        self.tool, self.folder = tool, scratch / tool
        self.folder.mkdir()
        self._process = subprocess.Popen(
            [environment_of(tool), HERE / "worker.py", tool, self.folder],
            env=os.environ | {"WANDB_ERROR_REPORTING": "false", "HOME": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, **request: Any) -> Any:
        """What it answers. Raises ``RuntimeError`` if it dies of it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.tool} died when it was asked for {request}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def measure(tools: list[str], scratch: Path, calls: int) -> dict[str, dict[str, float]]:
    """The figures of each tool: microseconds for ``log``, seconds, bytes."""
    workers = [Worker(tool, scratch) for tool in tools]
    found: dict[str, dict[str, float]] = {
        worker.tool: {"begin_s": worker.ask(begin=True)} for worker in workers
    }
    for name, scalars, count in (("log", 10, calls), ("wide", WIDE, calls // 100)):
        taken: dict[str, list[int]] = {tool: [] for tool in tools}
        for part in range(PART + 1):
            for worker in random.sample(workers, len(workers)):
                some = max(1, count // PART // SLOW.get(worker.tool, 1))
                times = worker.ask(log=[scalars, some])
                if part:  # the first warms up
                    taken[worker.tool] += times
        for tool, times in taken.items():
            ordered = sorted(time / 1000 for time in times)
            found[tool] |= {
                f"{name}_p50_us": ordered[len(ordered) // 2],
                f"{name}_p99_us": ordered[len(ordered) * 99 // 100],
                f"{name}_max_us": ordered[-1],
            }
    for worker in workers:
        end = worker.ask(finish=True)
        found[worker.tool] |= {"finish_s": end["seconds"], "memory_bytes": end["bytes"]}
    for worker in workers:
        found[worker.tool]["short_run_s"] = statistics.median(worker.ask(runs=RUNS // 10) for _ in range(5))
        worker.close()
    return found


def version_of(tool: str) -> str:
    """The version of a tool's package."""
    package = {"mlflow-sqlite": "mlflow", "floor": "orjson"}.get(tool, tool)
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([environment_of(tool), "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def table(found: dict[str, dict[str, float]], versions: dict[str, str]) -> str:
    """The figures for people, in Markdown, each beside its ratio to the floor's."""
    head = [
        "tool", "log p50 µs", "× floor", "p99 µs", "max ms", "wide p50 µs", "× floor", "begin s", "finish s",
        "run of 20 rows ms", "memory MB",
    ]  # fmt: skip
    lines = [_line(head), _line(["---"] * len(head))]
    floor = found["floor"]
    for tool, one in sorted(found.items(), key=lambda item: item[1]["log_p50_us"]):
        cells = [
            f"{tool} {versions[tool]}",
            f"{one['log_p50_us']:,.1f}", f"{one['log_p50_us'] / floor['log_p50_us']:,.1f}",
            f"{one['log_p99_us']:,.1f}", f"{one['log_max_us'] / 1000:,.1f}",
            f"{one['wide_p50_us']:,.0f}", f"{one['wide_p50_us'] / floor['wide_p50_us']:,.1f}",
            f"{one['begin_s']:.2f}", f"{one['finish_s']:.2f}", f"{one['short_run_s'] * 1000:,.1f}",
            f"{one['memory_bytes'] / 1e6:,.0f}",
        ]  # fmt: skip
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = [*OWN, *WITH_MLFLOW, *ALONE]
    parser.add_argument("--tools", nargs="+", choices=every, default=every)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tools = list(dict.fromkeys(["floor", *options.tools]))
    if missing := [tool for tool in tools if not environment_of(tool).is_file()]:
        parser.error(f"not installed: {', '.join(missing)}: `make peers`, or name others with --tools")
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(tools, Path(scratch), options.calls)
    versions = {tool: version_of(tool) for tool in tools}
    if options.json:
        print(json.dumps({"versions": versions, "found": found}, indent=2))
        return
    print(table(found, versions))


if __name__ == "__main__":
    main()
