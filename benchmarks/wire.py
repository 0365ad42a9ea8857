"""Bytes on the wire for one run of 200,000 points, both ways, of runfmt and of others: two minutes.

    python benchmarks/wire.py [--json]

20,000 rows of 10 scalars, noisy curves in doubles, brought by each tool's own way through a proxy that
counts: ``runfmt sync`` to ``runfmt serve``; ``rsync -az`` of the same folder; ``wandb sync`` of an offline
run to a service that takes what W&B takes; MLflow's client to its server, 1,000 points in a call; the event
file that TensorBoard reads, of the same points, as it is and by ``rsync -az``.
Needs rsync, wandb in this environment, and that of ``make mlflow``. ``RUNFMT_BENCH_SMALL=1`` tries it small.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lines import Line, main
from link import Link, free_port, program, runfmt_server, started

import runfmt
from sync import serve_rsync

HERE = Path(__file__).parent.parent
sys.path.insert(0, str(HERE / "tests" / "trackers"))
SMALL = bool(os.environ.get("RUNFMT_BENCH_SMALL"))
ROWS, SCALARS = 2_000 if SMALL else 20_000, 10

WANDB = """
import json, sys, wandb
with wandb.init(mode="offline", project="bench", dir=sys.argv[1]) as run:
    for line in open(sys.argv[2]):
        run.log(json.loads(line))
"""
MLFLOW = """
import json, sys
from mlflow import MlflowClient
from mlflow.entities import Metric
client = MlflowClient(sys.argv[1])
run = client.create_run(client.create_experiment("bench")).info.run_id
points = []
for step, line in enumerate(open(sys.argv[2])):
    points += [Metric(key, value, 1_800_000_000_000 + step, step) for key, value in json.loads(line).items()]
    if len(points) == 1000:
        client.log_batch(run, metrics=points)
        points = []
client.log_batch(run, metrics=points)
client.set_terminated(run)
"""


def rows() -> Iterator[dict[str, float]]:
    """Curves as of a training: they fall, and are noisy."""
    source = random.Random(1)
    for step in range(ROWS):
        yield {f"loss/{i}": math.exp(-step / 4000 / (i + 1)) + source.gauss(0, 0.01) for i in range(SCALARS)}


def measure() -> Iterator[Line]:
    """All of them, one after the other."""
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        runs, plain = scratch / "runs", scratch / "rows.jsonl"
        with runfmt.init(id="run", project="bench", dir=runs, console="off") as run, plain.open("w") as file:
            for row in rows():
                run.log(row)
                file.write(f"{json.dumps(row)}\n")
        events = scratch / "events"
        subprocess.run(
            [program(), "sync", str(runs), "--remote", f"tensorboard:{events}"],
            check=True, capture_output=True, env=_env(scratch / "tensorboard"),
        )  # fmt: skip
        found = {
            "runfmt": _runfmt(runs, scratch),
            "rsync -az": _rsync(runs, scratch / "copied"),
            "event file, rsync -az": _rsync(events, scratch / "events-copied"),
            "event file": sum(path.stat().st_size for path in events.rglob("*tfevents*")),
            "wandb": _wandb(plain, scratch),
            "mlflow": _mlflow(plain, scratch),
        }
    others = sorted((size, name) for name, size in found.items() if name != "runfmt")
    least = next(name for _, name in others if not name.startswith("event file"))
    samples = {name: [found[name] / 1e6] for name in ("runfmt", least, *(name for _, name in others))}
    note = "event files hold 32 bits of each number, all others 64"
    yield Line(f"bytes on the wire for {ROWS * SCALARS:,} points", "MB", samples, at_most=1, note=note)


def _env(state: Path) -> dict[str, str]:
    return os.environ | {"RUNFMT_STATE": str(state), "RUNFMT_CONFIG": f"{state}.none"}


def _runfmt(runs: Path, scratch: Path) -> int:
    data, port = scratch / "data", free_port()
    data.mkdir()
    with runfmt_server(data, port):
        link = Link(port)
        command = [program(), "sync", str(runs), "--remote", f"http://127.0.0.1:{link.port}"]
        subprocess.run(command, check=True, capture_output=True, env=_env(scratch / "state"))
    return link.size


def _rsync(source: Path, data: Path) -> int:
    data.mkdir()
    port = free_port()
    with serve_rsync(data, port):
        link = Link(port)
        command = ["rsync", "-az", f"{source}/", f"rsync://127.0.0.1:{link.port}/runs/"]
        subprocess.run(command, check=True, capture_output=True)
    return link.size


def _wandb(plain: Path, scratch: Path) -> int:
    from wandbservice import Service

    service = Service()
    link = Link(int(service.url.rpartition(":")[2]))
    env = os.environ | {
        "WANDB_BASE_URL": f"http://127.0.0.1:{link.port}", "WANDB_API_KEY": "0" * 40,
        "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "HOME": str(scratch),
    }  # fmt: skip
    subprocess.run(
        [sys.executable, "-c", WANDB, str(scratch), str(plain)], check=True, capture_output=True, env=env
    )
    [folder] = scratch.glob("wandb/offline-run-*")
    command = [str(Path(sys.executable).with_name("wandb")), "sync", str(folder)]
    subprocess.run(command, check=True, capture_output=True, env=env, cwd=scratch)
    [bucket] = service.buckets.values()
    if len(bucket.rows()) != ROWS:
        raise SystemExit(f"wandb brought {len(bucket.rows())} of {ROWS} rows")
    return link.size


def _mlflow(plain: Path, scratch: Path) -> int:
    programs, port = HERE / ".venv-mlflow" / "bin", free_port()
    server = [
        str(programs / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{scratch}/mlflow.db", "--default-artifact-root", str(scratch),
    ]  # fmt: skip
    with started(server, port):
        link = Link(port)
        command = [str(programs / "python"), "-c", MLFLOW, f"http://127.0.0.1:{link.port}", str(plain)]
        subprocess.run(command, check=True, capture_output=True)
    return link.size


if __name__ == "__main__":
    main(measure, __doc__ or "")
