"""Runs with everything that can be logged, whose names and contents try to act in whatever shows them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

import runfmt

ACTING = "<script>pwned=1</script><img src=x onerror=pwned=2>"
HOSTILE = f"</script></title></style>{ACTING}\"' onload=pwned=3 {{{{ runs }}}} **x**"
"""A text that would act if it were anything else."""


def make_hostile_runs(root: Path) -> None:
    """Two runs of project ``p``: ``plain``, and one with a name that tries to act."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
    drawing = root.parent / "drawing.svg"
    size = 'width="9" height="9"'
    drawing.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} onload="pwned=4"><script>pwned=5</script></svg>'
    )
    for number, name in enumerate(("plain", HOSTILE)):
        about = {"project": "p", "id": f"r{number}", "name": name, "notes": HOSTILE, "tags": [HOSTILE[:60]]}
        with runfmt.init(
            dir=root, config={"lr": 0.1 * number, "same": 1, "other": {HOSTILE: number}}, **about
        ) as run:
            run.define_metric("by_epoch", step_metric="epoch")
            run.define_metric("secret", hidden=True)
            for step in range(400):
                loss = math.nan if step == 200 else math.exp(-step / 200)
                run.log({"loss": loss, HOSTILE: step, "epoch": step // 10, "by_epoch": step, "secret": 1})
                if step % 100 == 0:
                    run.log({"hist": runfmt.Histogram(pixels.astype(int) + step)}, step=step)
            run.log(media(pixels, drawing))


def media(pixels, drawing):
    """A value of each kind."""
    box = {
        "position": {"minX": 0.25, "maxX": 0.5, "minY": 0.1, "maxY": 0.9},
        "class_id": 1,
        "box_caption": HOSTILE,
    }
    mask = (np.arange(40 * 80).reshape(40, 80) // 1600 * 2).astype("uint8")
    page = (
        "<h1>logged page</h1><script>pwned=6;parent.pwned=6;top.pwned=6</script>"
        f"{HOSTILE}<img src='https://example.invalid/x'>"
    )
    return {
        "pic": runfmt.Image(
            pixels,
            caption=HOSTILE,
            boxes={"b": {"box_data": [box], "class_labels": {1: HOSTILE}}},
            masks={"m": {"mask_data": mask, "class_labels": {2: "lower half"}}},
        ),
        "batch": [runfmt.Image(pixels[:20, :20], caption=f"caption {number}") for number in range(3)],
        "svg": runfmt.Image(str(drawing)),
        "page": runfmt.Html(page),
        "table": runfmt.Table(columns=[HOSTILE, "n"], data=[[HOSTILE, 10], ["b", 9], ["c", 100]]),
        "sound": runfmt.Audio(np.zeros(800), sample_rate=8000),
        "film": runfmt.Video(np.zeros((2, 3, 16, 16), np.uint8)),
        "shape": runfmt.Object3D(np.zeros((2, 3))),
    }
