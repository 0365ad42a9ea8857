"""Has what happened in runs sent, beside whatever else a process does: it is held up by nothing of this."""

from __future__ import annotations

import os
import queue
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runfmt.documents import lock
from runfmt.errors import Error, explain
from runfmt_sync.alerts.notices import Notice, Seen, look_at
from runfmt_sync.alerts.outbox import Outbox
from runfmt_sync.alerts.sender import start_sender
from runfmt_sync.alerts.targets import Home, Target
from runfmt_sync.words import counted

__all__ = ["Post", "delivering", "keep_delivering"]

LONGEST_LOOK, LONGEST_END = 10.0, 10.0
"""Seconds for which the end of a sync waits: for the look that is under way, and for what is being sent."""
EVERY, REST, LONGEST_REST = 1.0, 100, 60.0
"""Between two looks of a server: seconds at least, times as long as a look took, seconds at most."""
TOGETHER = 1000
"""Runs of which it is noted together what was found."""


class Post:
    """Looks at runs, and has sent what is to be told; of one thread.

    ``is_meant`` judges a run of which something is to be told; ``may_look`` whether this process looks.
    """

    def __init__(
        self,
        home: Home,
        say: Callable[[str], None],
        *,
        is_meant: Callable[[Path], bool] = lambda _: True,
        may_look: Callable[[], bool] = lambda: True,
    ) -> None:
        self._home, self._say, self._is_meant, self._may_look = home, say, is_meant, may_look
        self._seen: dict[str, Seen] | None = None
        self._senders: dict[str, tuple[Target, float, subprocess.Popen[bytes]]] = {}
        self._trouble = ""

    def round(self, find: Callable[[], Sequence[Path]]) -> None:
        """Look once at the runs that are found; what goes wrong is said once, and tried again each time."""
        try:
            self._round(find)
            trouble = ""
        except (Error, OSError) as error:
            trouble = f"alerts are not sent: {explain(error)}"
        except sqlite3.Error as error:
            trouble = f"alerts are not sent: {error}: if this stays so, remove what is in {self._home.folder}"
        if trouble and trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble

    def _round(self, find: Callable[[], Sequence[Path]]) -> None:
        targets = {target.id: target for target in self._home.targets()}
        if not targets or not self._may_look():
            return
        outbox = Outbox(self._home.folder)
        for target, count in outbox.prune().items():
            if target in targets:
                self._say(f"{counted(count, 'alert')} to {targets[target].name} could not be sent for a week")
        self._look(find(), outbox, [*targets.values()])
        self.reap(0)
        for target in outbox.due() & targets.keys() - self._senders.keys():
            self._senders[target] = targets[target], time.time(), start_sender(self._home, targets[target])

    def _look(self, folders: Sequence[Path], outbox: Outbox, targets: list[Target]) -> None:
        if self._seen is None:
            self._seen = outbox.seen()
        since = min(map(outbox.since, targets))
        for first in range(0, len(folders), TOGETHER):
            looks: dict[str, Seen] = {}
            notices: list[Notice] = []
            for folder in folders[first : first + TOGETHER]:
                key = str(folder.absolute())
                before = self._seen.get(key, Seen())
                seen, found = _try_to_look(folder, before, since)
                if seen is not before:
                    looks[key] = seen
                    notices += found if found and self._is_meant(folder) else []
            if looks:
                outbox.note(looks.items(), notices, targets)
                self._seen |= looks

    def reap(self, seconds: float) -> None:
        """Wait so many seconds at most for the senders; says how it stands with targets that were tried."""
        until = time.monotonic() + seconds
        for key, (target, began, sender) in [*self._senders.items()]:
            try:
                sender.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
            del self._senders[key]
            self._tell(target, began)

    def end(self, seconds: float) -> None:
        """Wait for the senders, and say of which it is not known how it ended."""
        self.reap(seconds)
        for target, _, _ in self._senders.values():
            self._say(f"alerts to {target.name} are still being sent")

    def _tell(self, target: Target, began: float) -> None:
        sent, waiting, problem = Outbox(self._home.folder).standing(target.id, began)
        if sent:
            self._say(f"{counted(sent, 'alert')} sent to {target.name}")
        if waiting:
            why = problem or "not yet tried"
            self._say(f"{counted(waiting, 'alert')} to {target.name} not sent yet, to be tried again: {why}")


def _try_to_look(folder: Path, before: Seen, since: float) -> tuple[Seen, list[Notice]]:
    """One bad run costs no other its alerts; sync and ``validate`` say what is wrong with it."""
    try:
        return look_at(folder, before, since)
    except OSError:
        return before, []


@contextmanager
def delivering(
    home: Home, say: Callable[[str], None], is_meant: Callable[[Path], bool] = lambda _: True
) -> Iterator[Callable[[Sequence[Path]], None]]:
    """Gives what takes the runs to look at, and returns at once; at the end it is waited for a while.

    While one look is under way, another is left out. Ctrl-C waits for nothing.
    """
    beside = _Beside(Post(home, say, is_meant=is_meant))
    try:
        yield lambda folders: beside.look(folders) if home.path.exists() else None
    except KeyboardInterrupt:
        raise
    except BaseException:
        beside.end()
        raise
    else:
        beside.end()


class _Beside:
    """Does rounds in a thread of its own."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._asked: queue.SimpleQueue[Callable[[], Sequence[Path]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def look(self, folders: Sequence[Path]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
            self._thread.start()
        if self._asked.empty():
            self._asked.put(lambda: folders)

    def _run(self) -> None:
        while (find := self._asked.get()) is not None:
            self._post.round(find)
        self._post.end(LONGEST_END)

    def end(self) -> None:
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join(LONGEST_LOOK + LONGEST_END)


@contextmanager
def keep_delivering(
    home: Home, find: Callable[[], Sequence[Path]], say: Callable[[str], None]
) -> Iterator[None]:
    """Look again and again in a thread, in one of the processes that serve the same folder."""
    ending, turn = threading.Event(), _Turn(home.folder / "turn")
    post = Post(home, say, may_look=turn.is_ours)

    def keep_looking() -> None:
        pause = 0.0
        while not ending.wait(pause):
            began = time.monotonic()
            if home.path.exists():
                post.round(find)
            pause = min(LONGEST_REST, max(EVERY, REST * (time.monotonic() - began)))

    thread = threading.Thread(target=keep_looking, name="alerts")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        turn.give_back()


class _Turn:
    """The right to look, which one of several processes has; the others ask again, as that one may end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None

    def is_ours(self) -> bool:
        if self._held is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held = lock(self._path)
        return self._held is not None

    def give_back(self) -> None:
        if self._held is not None:
            os.close(self._held)
