"""Draw demo.png from what `make demo` left in demo/remote, and from what the sync printed.

    .venv/bin/runfmt sync demo/runs --remote demo/remote 2>&1 | .venv/bin/python docs/draw_demo.py

The picture is in the README; it needs drawing again only when the output changes.
"""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt

import runfmt

INK, PAPER = "#d7dae0", "#1f2430"


def main() -> None:
    metrics = runfmt.read_metrics("demo/remote", keys=["epoch", "train_loss", "test_loss", "accuracy"])
    figure, (curves, share, terminal) = plt.subplots(1, 3, figsize=(11, 2.9), width_ratios=[1, 1, 1.5])
    for key, label in (("train_loss", "train"), ("test_loss", "test")):
        curves.plot(metrics["epoch"], metrics[key], marker="o", label=label)
    curves.set(title="loss", xlabel="epoch")
    curves.legend(frameon=False)
    share.plot(metrics["epoch"], 100 * metrics["accuracy"], marker="o", color="tab:green")
    share.set(title="accuracy, %", xlabel="epoch")
    for axes in (curves, share):
        axes.spines[["top", "right"]].set_visible(False)
    terminal.set(facecolor=PAPER, xticks=[], yticks=[])
    text = f"$ runfmt sync demo/runs --remote demo/remote\n{sys.stdin.read()}"
    terminal.text(
        0.03, 0.95, text, va="top", family="monospace", fontsize=7, color=INK, transform=terminal.transAxes
    )
    figure.tight_layout()
    figure.savefig(Path(__file__).with_name("demo.png"), dpi=90)


if __name__ == "__main__":
    main()
