"""A diode on bad days: files are lost, late, doubled and in any order; numbers are ordered again."""

import os
import random
import shutil

import pytest

from forging import Gap
from runmaker import assert_same, assert_true_prefix, make_run, picture, read, rows, write

STORIES = int(os.environ.get("RUNFMT_TEST_STORIES", "12"))
SMALL = 60_000
"""Bytes of a volume, so that a bundle has several."""


class Story:
    """What happens on both sides; ``lost`` are all files that were ever made."""

    def __init__(self, root, seed):
        self.gap, self.draw = Gap(root), random.Random(seed)
        self.made, self.step, self.heard = [], 0, 0

    def grow(self):
        """A run begins or goes on, and its documents change, now and then back."""
        self.step += 1
        runs = [*self.gap.source.iterdir()]
        if not runs or self.draw.random() < 0.3:
            runs = [make_run(self.gap.source, f"run{self.step}", state="running", count=2)]
        run = self.draw.choice(runs)
        with (run / "metrics.jsonl").open("ab") as stream:
            stream.write(picture(run, 100 * self.step, self.step) + rows(100 * self.step + 1, 2))
        write(run / "config.json", {"lr": self.draw.choice([1, 2])})
        model = random.Random(self.draw.choice([1, 2, 3])).randbytes(25_000)
        (run / ".model").write_bytes(model)
        (run / ".model").rename(run / "files" / "model.bin")

    def bundle(self, **options):
        """Some volumes; they are lost for now."""
        for path in self.gap.bundle(max_size=SMALL, **options).paths:
            kept = self.gap.root / f"{len(self.made)}-{path.name}"
            shutil.move(path, kept)
            self.made.append(kept)

    def carry(self):
        """Some of all files that there ever were come to the other side, in any order."""
        some = [path for path in self.made if self.draw.random() < 0.3]
        self.heard = self.gap.unbundle(self.draw.sample(some, len(some))).missing.get("lab", [])
        assert_true_prefix(self.gap.source, self.gap.far)

    def order(self):
        """One of the numbers that are missing is made again."""
        if self.heard:
            self.bundle(again=self.draw.choice(self.heard)[0])

    def run(self, moments):
        for _ in range(moments):
            self.draw.choice([self.grow, self.grow, self.bundle, self.bundle, self.carry, self.order])()

    def end(self):
        """A last bundle comes, whose number tells of all others; what is missing is ordered."""
        self.grow()
        self.bundle()
        newest = self.made[-1:]
        for _ in range(50):
            done = self.gap.unbundle(self.draw.sample(newest, len(newest)))
            if not done.missing.get("lab") and not self.gap.parked():
                return
            before = len(self.made)
            for number, _ in done.missing["lab"]:
                self.bundle(again=number)
            newest = self.made[before:]
        raise AssertionError(done.missing)


@pytest.mark.parametrize("seed", range(STORIES))
def test_everything_is_there_in_the_end(tmp_path, seed):
    story = Story(tmp_path, seed)
    story.grow()
    story.run(40)
    story.end()
    assert_same(story.gap.source, story.gap.far)
    story.carry()
    assert_same(story.gap.source, story.gap.far)
    assert read(tmp_path / "far" / ".runfmt" / "channels" / "lab.json")["refused"] == {}
