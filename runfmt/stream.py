"""Appends whole lines to a stream. The only module that does (R003, R020-R022, R110-R112).

One ``os.write`` a line, no queue and no thread between the caller and the file, unless
the user asked for a buffer. What the disk refuses waits in memory, bounded, and goes first
when the disk takes lines again; the order of lines never changes.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runfmt.errors import remedy, warn

__all__ = ["BUFFER", "Stream"]

BUFFER = 64 * 2**20
"""Bytes of lines that are kept in memory: of those that the disk refused, and of a buffer."""
TOGETHER = 4096
"""Lines of a buffer that are written at once."""
PIECE = 2**20
"""Bytes that are copied at a time."""
RETRY_AFTER = 0.2
"""Seconds between attempts at a disk that refuses."""


class Stream:
    """An open stream with one writer.

    Opening cuts an unfinished last line (R021). ``gap(lines, reason)`` makes the
    line that stands for lost ones (R052); without it losses are only warned of.
    ``strict`` raises ``OSError`` instead of keeping lines in memory; ``fsync``
    makes each line durable before :meth:`append` returns. ``buffered`` lets :meth:`append`
    return at once, and the lines wait for :meth:`flush`: a killed process loses them.

    ``foreign`` becomes true at the first :meth:`sync` after someone else has appended, and of a
    ``watched`` stream, whose lock keeps nobody out, at the first :meth:`append`: the caller then
    goes on elsewhere (R064).

    ``elsewhere`` gives the path where the stream goes on, with all that it holds, once another
    file has taken its name, as editors do that save by a rename; None if it cannot.
    """

    def __init__(
        self,
        path: Path,
        *,
        gap: Callable[[int, str], bytes] | None = None,
        elsewhere: Callable[[], Path | None] | None = None,
        strict: bool = False,
        fsync: bool = False,
        buffered: bool = False,
        watched: bool = False,
    ) -> None:
        self.path = path
        self.foreign = False
        self._gap, self._strict, self._fsync, self._buffered = gap, strict, fsync, buffered
        self._elsewhere, self._watched = elsewhere, watched
        # Reentrant: a signal handler may log, print or finish in the middle of an append, behind any call:
        # what is counted must not call between reading and writing.
        self._lock = threading.RLock()
        self._sync_lock = threading.RLock()
        self._buffer_lock = threading.RLock()
        self._buffer: list[bytes] = []
        self._buffer_bytes = 0
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = self._lost = 0
        self._reason = ""
        self._is_stale = False
        """Whether the descriptor leads nowhere any more, as on a share whose server came back."""
        self._retry_at = 0.0
        self._is_behind = False
        """Whether lines wait or are lost, or a part of one must be cut off: what comes goes behind them."""
        self._torn = self._dirty = self._warned = self._is_writing = self._is_draining = False
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            self._end = _cut_tail(self._descriptor)
        except OSError:
            self.abandon()
            raise

    def append(self, line: bytes) -> None:
        """Append one line, which ends in LF; it has reached the system when this returns, or the buffer.

        Never raises for I/O unless ``strict``.
        """
        if self._buffered:
            self._put(line)
            return
        with self._lock:
            if self._is_behind:
                self._follow([line])
                return
            try:
                self._write(line)
            except OSError as error:
                self._refused([line], error)
                return
            if self._fsync:
                self._make_durable()

    def _put(self, line: bytes) -> None:
        """Leave a line to :meth:`flush`; who finds the buffer full waits for the disk."""
        size = len(line)
        with self._buffer_lock:
            self._buffer.append(line)
            self._buffer_bytes += size
        if self._buffer_bytes > BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what is in the buffer, many lines at once; :meth:`append` need not wait for it."""
        with self._lock:
            while lines := self._buffer[:TOGETHER]:
                self._write_together(lines)
                size = sum(map(len, lines))
                # Only now: what a signal handler raises, as Ctrl-C, may double lines, and never loses them.
                with self._buffer_lock:
                    del self._buffer[: len(lines)]
                    self._buffer_bytes -= size

    def _write_together(self, lines: list[bytes]) -> None:
        if self._is_behind:
            self._follow(lines)
            return
        try:
            self._write(b"".join(lines))
        except OSError as error:
            self._refused(lines, error)

    def _write(self, line: bytes) -> None:
        """Write one line whole, or leave nothing of it behind and raise."""
        size = len(line)
        within, self._is_writing = self._is_writing, True
        try:
            written = os.write(self._descriptor, line)
            self._dirty = True
            if written != size:
                self._complete(line, written)
            self._end += size
        except OSError:
            raise
        except BaseException:  # Ctrl-C, after which the training may go on: the line may be there
            with suppress(OSError):
                self._end = max(self._end, os.fstat(self._descriptor).st_size)
            raise
        finally:
            self._is_writing = within
        if self._watched and not within:
            with suppress(OSError):  # the line is written, whatever is known of the rest
                self._look_behind()

    def _look_behind(self) -> None:
        """Look whether someone else wrote before the last line (R064)."""
        end, position = self._end, self._position()
        if position != end == self._end:  # else a signal handler has logged, and looked by itself
            self.foreign, self._end = True, position

    def _position(self) -> int:
        """Where the last write ended, as O_APPEND leaves it."""
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def _complete(self, line: bytes, written: int) -> None:
        """After a short write (R022): the rest, or back to the last LF."""
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except BaseException:
            self._torn = True
            self._end = self._position() - written  # others may have appended before
            self._cut_back()
            raise

    def _cut_back(self) -> None:
        """Remove a part of a line that the disk took; raises ``OSError`` if that fails too."""
        os.ftruncate(self._descriptor, self._end)
        self._torn = False

    def _notice_foreign(self) -> None:
        """Look whether the file is longer than what was written here (R064)."""
        with suppress(OSError):  # a broken disk is reported by the fdatasync that follows
            size = os.fstat(self._descriptor).st_size
            if size > self._end:
                self.foreign, self._end = True, size

    def _notice_replaced(self) -> str:
        """Look whether the name is another file's now, and go on elsewhere then; gives what to warn of."""
        if self._elsewhere is None or self._descriptor < 0:
            return ""
        with suppress(OSError):  # no such file: it was deleted, or moved with its folder
            is_ours = os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
            if not is_ours and (path := self._elsewhere()) is not None:
                return self._move(path)
        return ""

    def _move(self, path: Path) -> str:
        """Go on in a new file, which begins with all whole lines; on a refusal nothing has changed."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor, at = os.open(path, flags, 0o666), 0
        try:
            while piece := os.pread(self._descriptor, min(PIECE, self._end - at), at):
                at += os.write(descriptor, piece)
        except OSError as error:
            os.close(descriptor)
            path.unlink()
            return f"{error.strerror} ({self.path}): it was replaced by another file; {remedy(error)}"
        with self._sync_lock:
            os.close(self._descriptor)
            self._descriptor = descriptor
        old, self.path, self._end, self._torn, self._dirty = self.path, path, at, False, True
        return (
            f"another file has replaced {old}, which is being written: all its lines are in {path.name} "
            "and go on there; writers='all' reads them"
        )

    def _refused(self, lines: list[bytes], error: OSError) -> None:
        self._is_behind = self._torn or not self._strict
        if self._strict:
            raise error
        self._note(error)
        self._wait(lines)
        self._warn(
            f"{self._reason} ({self.path}): lines are kept in memory, up to {BUFFER >> 20} MiB, "
            f"until the disk takes them; {remedy(error)}, the training goes on"
        )

    def _note(self, error: OSError) -> None:
        self._reason = error.strerror or str(error)
        self._is_stale = self._is_stale or error.errno == errno.ESTALE
        self._retry_at = time.monotonic() + RETRY_AFTER

    def _follow(self, lines: list[bytes]) -> None:
        """Take lines while others wait for the disk, which is asked again now and then."""
        self._wait(lines)
        if not self._is_draining and time.monotonic() >= self._retry_at:
            self._drain()

    def _wait(self, lines: list[bytes]) -> None:
        for line in lines:
            size = len(line)
            # After the first loss everything is lost until the disk takes lines: the gap has one place.
            if self._lost or self._waiting_bytes + size > BUFFER:
                self._lost += 1
            else:
                self._waiting.append(line)
                self._waiting_bytes += size

    def _drain(self) -> None:
        self._is_draining = True
        try:
            if self._is_stale:
                self._reopen()
            if self._torn:
                self._cut_back()
            while self._waiting or self._lost:
                if self._waiting:
                    self._write(line := self._waiting[0])
                    size = len(line)
                    if self._waiting and self._waiting[0] is line:  # else a signal handler finished the run
                        self._waiting.popleft()
                        self._waiting_bytes -= size
                else:
                    self._write_gap()
            self._is_behind = False
        except OSError as error:
            self._note(error)
        finally:
            self._is_draining = False

    def _write_gap(self) -> None:
        """Write the line that stands for lost ones."""
        lost = self._lost
        if self._gap is not None:
            self._write(self._gap(lost, self._reason))
        self._lost -= lost

    def _reopen(self) -> None:
        """Find the file by its name again, and go on at its last line; raises ``OSError``."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        with self._sync_lock:
            with suppress(OSError):  # the system lets go of a stale one in any case
                os.close(self._descriptor)
            self._descriptor = descriptor
        self._end, self._torn, self._is_stale = _cut_tail(descriptor), False, False

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            warn(text)

    def tail(self, offset: int, size: int = PIECE) -> bytes | None:
        """Lines on the disk from a byte on, about so many bytes of them; None once it is closed."""
        with self._lock:
            if self._descriptor < 0:
                return None
            data = os.pread(self._descriptor, max(0, min(size, self._end - offset)), offset)
            if (end := data.rfind(b"\n") + 1) or len(data) < size:
                return data[:end]
            return self.tail(offset, size * 2)

    def pending(self, offset: int) -> bytes:
        """The lines that wait, from a byte on, as if the disk had them already."""
        with self._lock:
            return b"".join((*self._waiting, *self._buffer))[max(0, offset - self._end) :]

    def sync(self) -> None:
        """Make what was written durable, and try again what was refused; for a background thread."""
        self.flush()
        with self._lock:
            said = self._notice_replaced()
            if self._is_behind:
                self._drain()
            dirty, self._dirty = self._dirty, False
            if dirty and not self._torn:
                self._notice_foreign()
        if said:  # without the lock: what prints it may need that of the stream of what is printed
            warn(said)
        if not dirty:
            return
        with self._sync_lock:  # never the other lock: a slow disk must not stall the caller of append
            if self._descriptor >= 0:
                self._make_durable(may_raise=False)

    def _make_durable(self, *, may_raise: bool = True) -> None:
        try:
            os.fdatasync(self._descriptor)
            deleted = os.fstat(self._descriptor).st_nlink == 0
        except OSError as error:
            if error.errno == errno.EINVAL:  # a pipe or a special file has nothing to sync
                return
            self._dirty = True
            if self._strict and may_raise:
                raise
            self._warn(f"{error.strerror} ({self.path}): a power cut may cost rows; check the disk")
        else:
            if deleted:
                self._warn(f"the run was deleted while it was being written ({self.path}): its rows are lost")

    def close(self) -> int:
        """Write what waits, make all durable, and close; gives the number of lines that were lost."""
        with self._lock:
            if self._descriptor < 0:
                return 0
            self.sync()
            lost = len(self._waiting) + self._lost
            with self._sync_lock:
                descriptor, self._descriptor = self._descriptor, -1
                try:
                    os.close(descriptor)
                except OSError as error:  # the descriptor is gone in any case
                    self._warn(f"{error.strerror} ({self.path}), on closing it: check the disk")
        if lost:
            self._warned = False
            self._warn(f"{self._reason} ({self.path}): {lost:,} lines could not be written and are lost")
        return lost

    def abandon(self) -> None:
        """Close without writing anything, as in a forked child, where the stream is the parent's."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
            self._buffer.clear()


def _cut_tail(descriptor: int) -> int:
    """Cut what follows the last LF (R021); gives the new size."""
    size = os.fstat(descriptor).st_size
    end = size
    while end:
        start = max(0, end - 65536)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end != size:
        os.ftruncate(descriptor, end)
    return end
