"""A trainer that tests look at: a small network learns shapes, and logs one value of every kind.

python trainer.py FOLDER       # two projects: finished runs, one that failed, one that was resumed
python trainer.py FOLDER live  # one run, which logs a row for each line of JSON on stdin
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import plotly.graph_objects as figures
import torch
from torch import nn

import runfmt as wandb

NAMES = ("circle", "square", "cross")
SIDE, BATCH, STEPS, EPOCH = 32, 64, 60, 20
RED, GREEN, BLUE, PLAIN = "\033[31m", "\033[32m", "\033[34m", "\033[0m"


def drawn(count, seed):
    """Pictures (N, 1, 32, 32) from 0 to 1 of shapes, their kinds, and where they are (N, 32, 32)."""
    chance = torch.Generator().manual_seed(seed)
    kinds = torch.randint(0, 3, (count,), generator=chance)
    center = torch.randint(10, 22, (count, 2, 1, 1), generator=chance)
    size = torch.randint(5, 9, (count, 1, 1), generator=chance)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    dy, dx = (y - center[:, 0]).abs(), (x - center[:, 1]).abs()
    inside = torch.maximum(dy, dx) <= size
    shapes = torch.stack(
        [dy**2 + dx**2 <= size**2, inside, inside & (torch.minimum(dy, dx) <= size // 3)], dim=1
    )
    where = shapes[torch.arange(count), kinds]
    noise = torch.rand(count, SIDE, SIDE, generator=chance)
    return (0.75 * where + 0.25 * noise)[:, None], kinds, where


class Network(nn.Module):
    """Pictures (N, 1, 32, 32) to logits (N, 3)."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * 49, 3),
        )

    def forward(self, pictures):
        return self.layers(pictures)


def started(folder, name, **about):
    """A run, a network and its optimizer."""
    config = {
        "optimizer": {"name": about.pop("optimizer", "sgd"), "lr": about.pop("lr", 0.3)},
        "model": {"width": about.pop("width", 8), "layers": ["conv", "conv", "linear"]},
        "seed": about.pop("seed", 0),
    }
    project = about.pop("project", "shapes")
    run = wandb.init(dir=folder, project=project, name=name, config=config, silent=True, **about)
    run.define_metric("epoch", hidden=True)
    run.define_metric("val/*", step_metric="epoch")
    run.define_metric("val/acc", step_metric="epoch", goal="maximize", summary="max")
    torch.manual_seed(config["seed"])
    model = Network(config["model"]["width"])
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[config["optimizer"]["name"]]
    return run, model, kind(model.parameters(), lr=config["optimizer"]["lr"])


def train(run, model, optimizer, steps=range(STEPS), look=True):
    """Learn for some steps; with ``look`` log media at the end of each epoch."""
    val = drawn(96, seed=9)
    for step in steps:
        pictures, kinds, _ = drawn(BATCH, seed=100 + step)
        loss = nn.functional.cross_entropy(model(pictures), kinds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        reached = loss.item()
        run.log({"train/loss": reached, "train/perplexity": loss.exp().item()}, step=step)
        if math.isnan(reached):
            run.alert("Loss is not a number", f"at step {step}", level="ERROR")
            print(f"{RED}step {step}: the loss is {reached}{PLAIN}")
            raise FloatingPointError(f"the loss is {reached} at step {step}")
        if step % EPOCH == EPOCH - 1:
            validate(run, model, val, step, look)


@torch.no_grad()
def validate(run, model, val, step, look):
    """Log how good the network is."""
    pictures, kinds, where = val
    logits = model(pictures)
    accuracy = (logits.argmax(1) == kinds).float().mean().item()
    epoch = step // EPOCH
    loss = nn.functional.cross_entropy(logits, kinds).item()
    run.log({"epoch": epoch, "val/acc": accuracy, "val/loss": loss}, step=step)
    print(f"{GREEN}epoch {epoch}{PLAIN}: accuracy {BLUE}{accuracy:.3f}{PLAIN}")
    if look:
        weights = wandb.Histogram(model.layers[0].weight)
        run.log({"weights/first": weights, "samples": samples(pictures, logits, kinds)}, step=step)
        first = [kinds.tolist().index(kind) for kind in range(3)]
        run.log({"found": [found(pictures[i, 0], where[i], int(kinds[i])) for i in first]}, step=step)


def samples(pictures, logits, kinds):
    """Pictures with what the network takes them for."""
    guesses = [
        f"{NAMES[guess]} (is {NAMES[kind]})" for guess, kind in zip(logits.argmax(1), kinds, strict=True)
    ]
    return [wandb.Image(pictures[i], caption=guesses[i]) for i in range(6)]


def found(picture, where, kind):
    """A picture with a box around its shape, and the shape as a mask."""
    rows, columns = where.nonzero(as_tuple=True)
    box = {
        "position": {"minX": int(columns.min()), "maxX": int(columns.max()) + 1,
                     "minY": int(rows.min()), "maxY": int(rows.max()) + 1},
        "domain": "pixel", "class_id": kind, "box_caption": NAMES[kind], "scores": {"area": int(where.sum())},
    }  # fmt: skip
    labels = dict(enumerate(NAMES))
    mask = where.numpy().astype(np.uint8) * (kind + 1)
    return wandb.Image(
        picture,
        caption=f"a {NAMES[kind]}",
        boxes={"truth": {"box_data": [box], "class_labels": labels}},
        masks={"truth": {"mask_data": mask, "class_labels": {n + 1: name for n, name in labels.items()}}},
    )


def show_all(run, model):
    """Log one value of each of the other kinds."""
    pictures, kinds, _ = drawn(12, seed=3)
    with torch.no_grad():
        scores = model(pictures).softmax(1)
    table = wandb.Table(columns=["picture", "is", *NAMES])
    for picture, kind, row in zip(pictures, kinds, scores.tolist(), strict=True):
        table.add_data(wandb.Image(picture), NAMES[kind], *row)
    t = np.arange(8000) / 8000
    turn = np.linspace(0, 12, 400)
    colors = [255 * turn / 12, 80 + 0 * turn, 200 - 10 * turn]
    spiral = np.stack([np.cos(turn), np.sin(turn), turn / 12, *colors], axis=1)
    figure = figures.Figure(figures.Bar(x=list(NAMES), y=torch.bincount(kinds, minlength=3).tolist()))
    film = (pictures.repeat(1, 3, 1, 1) * 255).byte()
    page = "<h1>logged page</h1><p id=said>plain</p><script>said.textContent = 'ran'</script>"
    run.log(
        {
            "predictions": table,
            "tone": wandb.Audio(np.sin(880 * np.pi * t) * np.exp(-3 * t), sample_rate=8000, caption="440 Hz"),
            "film": wandb.Video(film, fps=4, format="mp4", caption="shapes"),
            "spiral": wandb.Object3D(spiral),
            "kinds": figure,
            "page": wandb.Html(page),
            "confusion": wandb.plot.confusion_matrix(
                y_true=kinds.tolist(), preds=scores.argmax(1).tolist(), class_names=list(NAMES)
            ),
        }
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        torch.save(model.state_dict(), Path(folder) / "model.pt")
        artifact = wandb.Artifact("shapes-model", type="model", metadata={"kinds": list(NAMES)})
        artifact.add_file(str(Path(folder) / "model.pt"))
        run.log_artifact(artifact, aliases=["best"])


def all_runs(folder):
    """Two projects; what is wrong in a run is so on purpose."""
    notes = "The **baseline**: plain SGD.\n\nSee `train/loss`."
    run, model, optimizer = started(folder, "sgd", id="sgd", tags=["baseline", "good"], notes=notes)
    with run:
        train(run, model, optimizer)
        show_all(run, model)
        run.alert("Trained", "the baseline is there", level="INFO")
    run, *rest = started(folder, "adam", id="adam", optimizer="adam", lr=0.01, width=16, tags=["good"])
    with run:
        train(run, *rest)
    run, model, optimizer = started(folder, "resumed", id="resumed", seed=1, lr=0.1)
    with run:
        train(run, model, optimizer, range(50))
    with wandb.init(dir=folder, project="shapes", resume_from="resumed?_step=39", silent=True) as run:
        train(run, model, optimizer, range(40, STEPS))
    with started(folder, "ridge", id="ridge", project="lines", seed=2)[0] as run:
        for step in range(30):
            run.log({"error": math.exp(-step / 10)})
    run, *rest = started(folder, "diverges", id="diverges", lr=1e9, tags=["bad"])
    with run:
        train(run, *rest)


def live(folder, name):
    """Train for an epoch, then do what the lines of stdin say, and say that it is done."""
    run, *rest = started(folder, name, id=name, seed=3)
    with run:
        train(run, *rest, steps=range(EPOCH), look=False)
        print("trained", flush=True)
        for line in sys.stdin:
            run.log(json.loads(line))
            print("logged", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[2:]:
        live(*sys.argv[1:])
    else:
        all_runs(sys.argv[1])
