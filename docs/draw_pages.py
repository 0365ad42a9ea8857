"""Draw the pictures of the page that the documentation shows, from runs that train on Fashion-MNIST.

    make pictures    # trains if demo/pages has no runs, and draws docs/*.png

The pictures need drawing again only when the page changes.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import torch
from fashion_mnist import NeuralNetwork, load, sample_images, test
from PIL import Image
from playwright.sync_api import Browser, Page
from torch import nn
from torch.utils.data import DataLoader

import runfmt
from browsing import PHONE, chromium, drawn
from runfmt_sync.server.serve import Viewer
from runfmt_sync.viewing import opened

DOCS = Path(__file__).parent
PICTURES, BATCH, EPOCHS, EVERY = 6000, 64, 6, 4
RUNS = {
    "sgd-0.01": ("SGD", 0.01),
    "sgd-0.1": ("SGD", 0.1),
    "sgd-0.3": ("SGD", 0.3),
    "adam-0.001": ("Adam", 0.001),
    "adam-0.01": ("Adam", 0.01),
    "rmsprop-0.001": ("RMSprop", 0.001),
}
LAPTOP = {"viewport": {"width": 1280, "height": 760}}
BEST = "adam-0.001"
CHARTS = "charts?project=fashion-mnist&smooth=0.8&hide=lr"


def train(folder: Path, data: Path) -> None:
    """Write all runs."""
    training, testing = load(data, PICTURES)
    for name, (kind, lr) in RUNS.items():
        torch.manual_seed(0)
        model = NeuralNetwork()
        optimizer = getattr(torch.optim, kind)(model.parameters(), lr=lr)
        config = {"optimizer": kind, "lr": lr, "batch_size": BATCH, "epochs": EPOCHS}
        about = {"name": name, "tags": [kind.lower(), "mlp"], "notes": "Three linear layers of 512."}
        with runfmt.init("fashion-mnist", dir=folder, config=config, silent=True, **about) as run:
            run.define_metric("epoch", hidden=True)
            run.define_metric("test/*", step_metric="epoch")
            train_one(run, model, optimizer, training, testing)


def train_one(run, model, optimizer, training, testing) -> None:
    """Train one network, with a step size that falls as a cosine."""
    loss_fn = nn.CrossEntropyLoss()
    batches = DataLoader(training, batch_size=BATCH, shuffle=True)
    steps = EPOCHS * len(batches)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    step = 0
    for epoch in range(1, EPOCHS + 1):
        for x, y in batches:
            logits = model(x)
            loss = loss_fn(logits, y)
            optimizer.zero_grad()
            loss.backward()
            norm = math.sqrt(sum(one.grad.square().sum().item() for one in model.parameters()))
            optimizer.step()
            schedule.step()
            if step % EVERY == 0:
                right = (logits.argmax(1) == y).float().mean().item()
                row = {"train/loss": loss.item(), "train/accuracy": right, "train/gradient": norm}
                run.log(row | {"lr": schedule.get_last_lr()[0]}, step=step)
            step += 1
        test_loss, accuracy, logits = test(DataLoader(testing, batch_size=500), model, loss_fn)
        print(
            f"\033[32mepoch {epoch}\033[0m: test loss {test_loss:.4f}, accuracy \033[1m{accuracy:.1%}\033[0m"
        )
        row = {"epoch": epoch, "test/loss": test_loss, "test/accuracy": accuracy}
        media = {"samples": sample_images(testing, model), "logits": runfmt.Histogram(logits)}
        run.log(row | media, step=step - 1)


@contextmanager
def shown(folder: Path) -> Iterator[str]:
    """The address of a viewer of these runs."""
    with opened(folder) as runs:
        viewer = Viewer(runs)
        thread = Thread(target=viewer.run)
        thread.start()
        try:
            yield viewer.address
        finally:
            viewer.stop()
            thread.join()


def draw(browser: Browser, address: str, name: str, view: str, *, text: str, **options) -> None:
    """Draw a view as docs/NAME.png, once a text is in it."""
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.goto(f"{address}&/{view}")
        page.get_by_text(text).first.wait_for()
        save(page, DOCS / f"{name}.png")


def save(page: Page, path: Path) -> None:
    """Save what is in sight, in 256 colours."""
    page.wait_for_load_state("networkidle")
    drawn(page)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    folder = Path(sys.argv[1]) / "pages"
    if not folder.exists():
        train(folder, Path(sys.argv[1]) / "data")
    runs = map(runfmt.StoredRun, runfmt.find_runs(folder))
    (uid,) = (one.uid for one in runs if one.document["name"] == BEST)
    run = f"run?project=fashion-mnist&run={uid[-12:]}&part=documents"
    with chromium() as browser, shown(folder) as address:
        for scheme in ("light", "dark"):
            options = LAPTOP | {"color_scheme": scheme}
            draw(browser, address, f"charts-{scheme}", CHARTS, text="accuracy", **options)
        draw(
            browser,
            address,
            "media",
            "charts?project=fashion-mnist&panels=samples",
            text="(is Trouser)",
            **LAPTOP,
        )
        draw(browser, address, "run", run, text="batch_size", **LAPTOP)
        draw(browser, address, "phone", CHARTS, text="accuracy", **PHONE)


if __name__ == "__main__":
    main()
