"""What a person sees of what takes long: a bar on a terminal; of a sync one line a run."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from runfmt_sync.push import Outcome, Progress
from runfmt_sync.watch import Watcher
from runfmt_sync.words import human, printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

__all__ = [
    "Display",
    "JsonWatcher",
    "LineWatcher",
    "Quiet",
    "counting",
    "outcome_line",
    "show_progress",
    "summary_line",
]


class Quiet(Progress):
    """One line for each run of which there is something to say."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def done(self, outcome: Outcome) -> None:
        """Print the line of a run."""
        lines = [*outcome_line(outcome), *(f"  note: {note}" for note in outcome.notes)]
        with self._lock:
            for line in lines:
                self.show(line)

    def show(self, line: str) -> None:
        """Print one line."""
        click.echo(printable(line))


class Display(Quiet):
    """The same lines above a bar with rate and time left."""

    def __init__(self, bar: Bar) -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("sync", total=0)
        self._total = 0

    def planned(self, size: int) -> None:
        """Make the bar longer."""
        with self._lock:
            self._total += size
            self._bar.update(self._task, total=self._total)

    def moved(self, size: int) -> None:
        """Move the bar on."""
        self._bar.advance(self._task, size)

    def show(self, line: str) -> None:
        """Print one line above the bar."""
        self._bar.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Progress]:
    """A bar on a terminal, lines without one, nothing for machines."""
    if quiet or not sys.stderr.isatty():
        yield Progress() if quiet else Quiet()
        return
    with _bar("sync") as bar:
        yield Display(bar)


@contextmanager
def counting(word: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal for so many bytes of what the word says; called to move it on."""
    if quiet or not sys.stderr.isatty():
        yield lambda size: None
        return
    with _bar(word) as bar:
        task = bar.add_task(word, total=total)
        yield lambda size: bar.advance(task, size)


@contextmanager
def _bar(word: str) -> Iterator[Bar]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn(word),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


class LineWatcher(Watcher):
    """One line a change, with the time of the day."""

    def outcome(self, outcome: Outcome) -> None:
        """Print what was sent of a run, or what is wrong with it."""
        sent = [f"{outcome.id}: {human(outcome.size)} sent"] if outcome.extents else []
        for line in (*sent, *(f"{outcome.id}: {problem}" for problem in outcome.problems)):
            self.say(line)

    def say(self, line: str) -> None:
        """Print one line."""
        click.echo(f"{time.strftime('%H:%M:%S')} {printable(line)}")


class JsonWatcher(Watcher):
    """One JSON object a change."""

    def outcome(self, outcome: Outcome) -> None:
        """Print an outcome."""
        click.echo(json.dumps(asdict(outcome), default=str))

    def say(self, line: str) -> None:
        """Print a message."""
        click.echo(json.dumps({"message": line}))


def outcome_line(outcome: Outcome) -> list[str]:
    """What to say of a run: nothing if nothing moved."""
    if outcome.status == "synced" and outcome.rows is not None:
        return [f"{outcome.id}: {outcome.rows:,} rows and what belongs to them sent"]
    if outcome.status == "synced":
        proved = f"{human(outcome.proved)} in {outcome.files} files proved"
        return [f"{outcome.id}: {human(outcome.size)} sent, {proved}"]
    if outcome.status == "planned" and outcome.extents:
        return [f"{outcome.id}: {human(outcome.size)} in {outcome.extents} files to send"]
    return [f"{outcome.id}: {problem} ({outcome.folder})" for problem in outcome.problems]


def summary_line(outcomes: list[Outcome], url: str) -> str:
    """The last line: counts, bytes, and what was confirmed by digest."""
    words = ("synced", "unchanged", "deleted", "planned", "failed", "waiting")
    counts = {word: sum(outcome.status == word for outcome in outcomes) for word in words}
    runs = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "no runs"
    extents = sum(outcome.extents for outcome in outcomes)
    size = human(sum(outcome.size for outcome in outcomes))
    if counts["planned"]:
        return f"{runs}: {size} in {extents:,} files to send to {url}"
    if any(outcome.rows is not None for outcome in outcomes):
        return f"{runs}: {sum(outcome.rows or 0 for outcome in outcomes):,} rows sent to {url}"
    files = sum(outcome.files for outcome in outcomes)
    proved = human(sum(outcome.proved for outcome in outcomes))
    return f"{runs}: {extents:,} extents, {size} sent; {files:,} files, {proved} proved by SHA-256 at {url}"
