"""A PostgreSQL of the tests: Debian's programs, a folder of its own, a port of its own, no password."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from functools import cache
from pathlib import Path

PROGRAMS = max(
    Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), default=None
)
USER = "postgres" if os.geteuid() == 0 else None
"""PostgreSQL does not run as root."""


class Postgres:
    """A server that was started; ``url`` names one of its databases."""

    def __init__(self) -> None:
        assert PROGRAMS, "PostgreSQL is missing: make tools"
        self.folder = Path(tempfile.mkdtemp(prefix="runfmt-postgres-"))
        if USER:
            subprocess.run(["chown", USER, self.folder], check=True)
        self._data = self.folder / "data"
        self._run("initdb", "-D", self._data, "-U", "runfmt", "-A", "trust", "-N", "--no-instructions")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def _run(self, program: str, *words: str | Path) -> None:
        subprocess.run([PROGRAMS / program, *words], check=True, user=USER, capture_output=True, cwd="/")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        log = self.folder / "log"
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", log, "-o", options)

    def kill(self) -> None:
        """End all of it at once, as a power cut does."""
        process = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(process, signal.SIGQUIT)  # the others end with it; SIGKILL would leave them
        while Path(f"/proc/{process}").exists():
            time.sleep(0.01)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self._data)

    def database(self) -> str:
        """The URL of a new database."""
        name = f"d{uuid.uuid4().hex}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "runfmt", name)
        return f"postgresql://runfmt@127.0.0.1:{self.port}/{name}"


@cache
def running() -> Postgres:
    """The one of this process."""
    server = Postgres()
    atexit.register(shutil.rmtree, server.folder, ignore_errors=True)
    atexit.register(server.stop)
    return server
