"""Several processes that answer at one address; one that dies is started anew."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence

__all__ = ["LISTENER", "Workers"]

LISTENER = "RUNFMT_LISTENER"
"""The environment variable by which a worker is told the descriptor of the socket that all listen at."""
PAUSE = 1.0
"""Seconds, at least, between two starts of one that dies again and again."""

log = logging.getLogger("runfmt.server")


class Workers:
    """So many processes of a command, each given the socket."""

    def __init__(self, command: Sequence[str], count: int, listener: socket.socket) -> None:
        self._command, self._count, self._listener = [*command], count, listener
        self._ended = threading.Event()

    def run(self) -> None:
        """Keep them running until SIGTERM or SIGINT, then let them end what they are at."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ended.set())
        threads = [threading.Thread(target=self._keep) for _ in range(self._count)]
        for thread in threads:
            thread.start()
        self._ended.wait()
        for thread in threads:
            thread.join()

    def _keep(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            code = self._run_one()
            if not self._ended.is_set():
                log.error("a worker ended with %d, and is started anew", code)
                self._ended.wait(max(0.0, began + PAUSE - time.monotonic()))

    def _run_one(self) -> int:
        descriptor = self._listener.fileno()
        worker = subprocess.Popen(
            self._command, pass_fds=[descriptor], env={**os.environ, LISTENER: str(descriptor)}
        )
        stopping = threading.Thread(target=self._stop, args=(worker,), daemon=True)
        stopping.start()
        return worker.wait()

    def _stop(self, worker: subprocess.Popen[bytes]) -> None:
        self._ended.wait()
        worker.terminate()
