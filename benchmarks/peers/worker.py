"""One tool in one process, asked over its standard input; needs the tool's environment, nothing of ours.

    python worker.py TOOL FOLDER

A line on the input is a request as JSON, and is answered by a line: ``{"begin": true}``, ``{"log": [scalars,
calls]}`` gives nanoseconds a call, ``{"finish": true}``, and ``{"runs": count}`` makes short runs of 20 rows.
What the tool prints goes elsewhere.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, float]
ROWS = 20
"""Rows of a short run."""


class Floor:
    """The least that a row costs: the JSON of it, and one write."""

    def begin(self, folder: Path, name: str) -> None:
        import orjson

        self._dumps, self._newline = orjson.dumps, orjson.OPT_APPEND_NEWLINE
        self._descriptor = os.open(folder / f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def log(self, row: Row, step: int) -> None:
        row["_step"] = step
        os.write(self._descriptor, self._dumps(row, option=self._newline))

    def finish(self) -> None:
        os.close(self._descriptor)


class Runfmt:
    def begin(self, folder: Path, name: str) -> None:
        import runfmt

        self._run = runfmt.init(project="p", id=name, dir=folder, console="off", reinit="create_new")

    def log(self, row: Row, step: int) -> None:
        self._run.log(row)

    def finish(self) -> None:
        self._run.finish(quiet=True)


class Wandb:
    def begin(self, folder: Path, name: str) -> None:
        import wandb

        quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        self._run = wandb.init(project="p", mode="offline", dir=folder, settings=quiet, reinit="create_new")

    def log(self, row: Row, step: int) -> None:
        self._run.log(row)

    def finish(self) -> None:
        self._run.finish()


class TensorboardX:
    def begin(self, folder: Path, name: str) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / name))

    def log(self, row: Row, step: int) -> None:
        for key, value in row.items():
            self._writer.add_scalar(key, value, step)

    def finish(self) -> None:
        self._writer.close()


class Trackio:
    def begin(self, folder: Path, name: str) -> None:
        os.environ["TRACKIO_DIR"] = str(folder)
        import trackio

        self._trackio = trackio
        trackio.init(project="p", name=name)

    def log(self, row: Row, step: int) -> None:
        self._trackio.log(row)

    def finish(self) -> None:
        self._trackio.finish()


class MLflow:
    def begin(self, folder: Path, name: str) -> None:
        os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
        import mlflow

        self._mlflow = mlflow
        mlflow.set_tracking_uri(self.where(folder))
        mlflow.start_run(run_name=name)

    @staticmethod
    def where(folder: Path) -> str:
        return (folder / "mlruns").as_uri()

    def log(self, row: Row, step: int) -> None:
        self._mlflow.log_metrics(row, step=step)

    def finish(self) -> None:
        self._mlflow.end_run()


class MLflowSqlite(MLflow):
    @staticmethod
    def where(folder: Path) -> str:
        return f"sqlite:///{folder}/mlflow.db"


class Swanlab:
    def begin(self, folder: Path, name: str) -> None:
        import swanlab

        self._run = swanlab.init(project="p", experiment_name=name, mode="offline", logdir=str(folder))

    def log(self, row: Row, step: int) -> None:
        self._run.log(row, step=step)

    def finish(self) -> None:
        self._run.finish()


class Sacred:
    def begin(self, folder: Path, name: str) -> None:
        import threading

        from sacred import Experiment
        from sacred.observers import FileStorageObserver

        experiment = Experiment(name, save_git_info=False)
        experiment.captured_out_filter = None
        experiment.observers.append(FileStorageObserver(folder / "sacred"))
        self._begun, self._end = threading.Event(), threading.Event()

        @experiment.main
        def train() -> None:
            self._begun.set()
            self._end.wait()

        self._experiment = experiment
        self._run = experiment._create_run()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._begun.wait()

    def log(self, row: Row, step: int) -> None:
        for key, value in row.items():
            self._run.log_scalar(key, value, step)

    def finish(self) -> None:
        self._end.set()
        self._thread.join()


class NeptuneScale:
    def begin(self, folder: Path, name: str) -> None:
        from neptune_scale import Run

        self._run = Run(project="w/p", experiment_name=name, mode="offline", log_directory=str(folder))

    def log(self, row: Row, step: int) -> None:
        self._run.log_metrics(row, step=step)

    def finish(self) -> None:
        self._run.close()


class Dvclive:
    def begin(self, folder: Path, name: str) -> None:
        from dvclive import Live

        self._live = Live(str(folder / name), save_dvc_exp=False, report=None)

    def log(self, row: Row, step: int) -> None:
        for key, value in row.items():
            self._live.log_metric(key, value)
        self._live.next_step()

    def finish(self) -> None:
        self._live.end()


class Aim:
    def begin(self, folder: Path, name: str) -> None:
        from aim import Run

        self._run = Run(repo=str(folder), system_tracking_interval=None, log_system_params=False)

    def log(self, row: Row, step: int) -> None:
        self._run.track(row, step=step)

    def finish(self) -> None:
        self._run.close()


TOOLS: dict[str, Callable[[], Any]] = {
    "floor": Floor, "runfmt": Runfmt, "wandb": Wandb, "tensorboardX": TensorboardX, "trackio": Trackio,
    "mlflow": MLflow, "mlflow-sqlite": MLflowSqlite, "swanlab": Swanlab, "sacred": Sacred,
    "neptune-scale": NeptuneScale, "dvclive": Dvclive, "aim": Aim,
}  # fmt: skip


def main() -> None:
    tool, folder = TOOLS[sys.argv[1]], Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.chdir(folder)
    chosen, steps, made = tool(), 0, 0
    for line in sys.stdin:
        request = json.loads(line)
        answer: Any = None
        begun = time.perf_counter()
        if "begin" in request:
            chosen.begin(folder, "long")
            answer = time.perf_counter() - begun
        elif "log" in request:
            scalars, calls = request["log"]
            rows = [{f"metric_{n}": random.random() for n in range(scalars)} for _ in range(20)]
            answer = []
            for number in range(calls):
                row = dict(rows[number % len(rows)])
                at = time.perf_counter_ns()
                chosen.log(row, steps)
                answer.append(time.perf_counter_ns() - at)
                steps += 1
        elif "finish" in request:
            chosen.finish()
            seconds = time.perf_counter() - begun
            usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            answer = {"seconds": seconds, "bytes": usage}
        elif "runs" in request:
            for _ in range(request["runs"]):
                short = tool()
                short.begin(folder, f"short{made}")
                for step in range(ROWS):
                    short.log({f"metric_{n}": random.random() for n in range(10)}, step)
                short.finish()
                made += 1
            answer = (time.perf_counter() - begun) / request["runs"]
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
