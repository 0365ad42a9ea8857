"""Real servers on a free port of 127.0.0.1: in a thread of this process, or in a process to kill.

Both listen before they are handed out, so nobody waits for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runfmt_sync.server.serve import Server

PROGRAM = """
import sys
from pathlib import Path
from runfmt_sync.server.serve import Server
server = Server(Path(sys.argv[1]), port=int(sys.argv[2]))
print(server.url, flush=True)
server.run()
"""


@contextmanager
def serving(root: Path, **options: Any) -> Iterator[Server]:
    """A server of a directory of runs, in a thread; ``url`` is its address."""
    server = Server(root, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


class ServerProcess:
    """A server in a process of its own; after :meth:`kill` it starts again on the same port."""

    program: tuple[str, ...] = ("-c", PROGRAM)

    def __init__(self, root: Path, environment: dict[str, str] | None = None) -> None:
        self.root, self.environment, self.url = root, environment, ""
        self.start()

    def start(self, **more: str) -> None:
        """Start it, ``more`` being set in its environment, as ``RUNFMT_FAULT``."""
        self.process = subprocess.Popen(
            [sys.executable, *self.program, self.root, self.url.rpartition(":")[2] or "0"],
            env={**(os.environ if self.environment is None else self.environment), **more},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()
        assert self.url, "the server did not start"

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self.process.kill()
        self.wait()

    def stop(self) -> int:
        """Tell it to end (SIGTERM); gives its exit code."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """The exit code, when it has ended."""
        code = self.process.wait(60)
        assert self.process.stdout
        self.process.stdout.close()
        return code

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
