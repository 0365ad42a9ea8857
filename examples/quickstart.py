"""Record a run in a dozen lines; needs nothing but runfmt.

    python examples/quickstart.py

It makes ``runs/<id>/``, or the same below ``RUNFMT_DIR``.
"""

import math

import runfmt

with runfmt.init(project="quickstart", config={"lr": 0.1, "steps": 200}) as run:
    run.define_metric("loss", summary="min")
    for step in range(run.config.steps):
        loss = math.exp(-run.config.lr * step / 4)
        run.log({"loss": loss, "eval": {"accuracy": 1 - loss / 2}})
    run.summary["verdict"] = "it learns"

print(f"{run.name}: {run.directory}")
