"""Real object stores of the tests: SeaweedFS, and rclone, which heeds no precondition."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from functools import cache
from pathlib import Path

import obstore

KEYS = {"AWS_ACCESS_KEY_ID": "runfmt", "AWS_SECRET_ACCESS_KEY": "runfmtrunfmt", "AWS_REGION": "us-east-1"}
PROGRAMS = Path(sys.executable).parent
PATIENCE = 60
"""Seconds until a store answers."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody has, nor the ones 10,000 above them, which SeaweedFS takes too."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as above:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                above.bind(("127.0.0.1", (port + 10_000) % 65_536 or 1))
            except OSError:
                continue
            if port < 55_000 and port not in found:
                found.append(port)
    return found


class ObjectStore:
    """A store that was started. ``environment`` is how clients reach it; ``place()`` is an empty one."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="runfmt-objects-"))
        self.ports = free_ports(4)
        self.environment = KEYS | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports[0]}",
            "AWS_ALLOW_HTTP": "true",
        }
        self._had_begun = False
        self.start()

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=os.environ | KEYS, start_new_session=True
            )
        begun = time.monotonic()
        while not self._gives_what_it_has():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() - begun < PATIENCE, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def _gives_what_it_has(self) -> bool:
        """Whether an object is given that was put at the first start: SeaweedFS answers seconds before."""
        options = {name.lower(): value for name, value in self.environment.items()}
        store = obstore.store.S3Store(
            "runs", config=options, client_options={"allow_http": True}, retry_config={"max_retries": 0}
        )
        try:
            if not self._had_begun:
                obstore.put(store, "begun", b"begun")
                self._had_begun = True
            return bytes(obstore.get(store, "begun").bytes()) == b"begun"
        except (obstore.exceptions.BaseError, OSError):
            return False

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        self._process.terminate()
        self._process.wait()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def place(self) -> str:
        """The URL of an empty place."""
        return f"s3://runs/{uuid.uuid4().hex}"


class SeaweedFS(ObjectStore):
    """One that keeps to the rules."""

    def command(self) -> list[str]:
        s3, master, volume, filer = self.ports
        (self.folder / "data").mkdir(exist_ok=True)
        return [
            str(PROGRAMS / "weed"), "mini", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", "-master.telemetry=false", "-admin.ui=false", "-webdav=false",
            f"-s3.port={s3}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", "-bucket=runs",
        ]  # fmt: skip


class Rclone(ObjectStore):
    """One that answers 200 to what it should refuse."""

    def command(self) -> list[str]:
        (self.folder / "data" / "runs").mkdir(parents=True, exist_ok=True)
        keys = f"{KEYS['AWS_ACCESS_KEY_ID']},{KEYS['AWS_SECRET_ACCESS_KEY']}"
        return [
            str(PROGRAMS / "rclone"), "serve", "s3", str(self.folder / "data"), "--addr",
            f"127.0.0.1:{self.ports[0]}", "--auth-key", keys, "--config", str(self.folder / "none"),
            "--vfs-cache-mode", "off",
        ]  # fmt: skip


@cache
def running(kind: type[ObjectStore]) -> ObjectStore:
    """The one of a kind in this process."""
    store = kind()
    atexit.register(store.remove)
    return store
