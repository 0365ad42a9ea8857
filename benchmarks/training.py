"""Measure what logging every batch costs the Fashion-MNIST example: two minutes.

    python benchmarks/training.py [--json]

The network of the example is trained as there, in turns with and without ``log``. Two trainings of one thing
differ by more than logging costs, so the share is what the clock says of ``log`` itself; the two trainings
stand beside it.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import torch
from lines import Line, main

import runfmt

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import fashion_mnist

ROUNDS = 4 if os.environ.get("RUNFMT_BENCH_SMALL") else 40
BATCHES = 200
"""Batches of 64 pictures in a round, a second or two."""
Log = Callable[[dict[str, float]], object]
DATA = Path(tempfile.gettempdir(), "fashion-mnist")


def floor(folder: str) -> Log:
    """The least that a row costs: the JSON of it, and one write."""
    descriptor = os.open(Path(folder, "floor.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return lambda row: os.write(descriptor, orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


class Training:
    """The example's network, its data, and how it is trained."""

    def __init__(self) -> None:
        training, _ = fashion_mnist.load(str(DATA), BATCHES * 64)
        self._batches = torch.utils.data.DataLoader(training, batch_size=64, shuffle=True)
        self._model = fashion_mnist.NeuralNetwork()
        self._loss = torch.nn.CrossEntropyLoss()
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=1e-2)

    def train(self, log: Log) -> tuple[float, float]:
        """Seconds of a round, and percent of these in what logs."""
        begun, logging = time.perf_counter(), 0.0
        for images, labels in self._batches:
            logits = self._model(images)
            loss = self._loss(logits, labels)
            loss.backward()
            self._optimizer.step()
            self._optimizer.zero_grad()
            row = {"loss": loss.item(), "accuracy": (logits.argmax(1) == labels).float().mean().item()}
            before = time.perf_counter()
            log(row)
            logging += time.perf_counter() - before
        seconds = time.perf_counter() - begun
        return seconds, 100 * logging / seconds


def measure() -> Iterator[Line]:
    training = Training()
    with (
        tempfile.TemporaryDirectory() as folder,
        runfmt.init(project="benchmark", dir=folder, console="off", settings={"silent": True}) as run,
    ):
        logs: dict[str, Log] = {"runfmt": run.log, "floor": floor(folder), "without": lambda row: None}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in logs}
        for round_ in range(ROUNDS + 1):
            for name, log in logs.items():
                taken = training.train(log)
                if round_:  # the first warms up
                    found[name].append(taken)
    shares = {name: [share for _, share in rounds] for name, rounds in found.items()}
    least = f"of the floor, in the same place: {statistics.median(shares['floor']):.2f} %"
    yield Line(
        "Fashion-MNIST, every batch logged: the share of `log`", "%", {"runfmt": shares["runfmt"]}, 0.5, least
    )
    both = {name: [seconds for seconds, _ in found[name]] for name in ("runfmt", "without")}
    yield Line(f"{BATCHES} batches of it, logged and not", "s", both)


if __name__ == "__main__":
    main(measure, __doc__)
