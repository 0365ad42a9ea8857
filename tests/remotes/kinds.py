"""The kinds of mirrors that all keep one contract, each with a real counterpart.

A kind has ``root``, where the runs end up, on a disk of its own, and ``run(id)``, where one of them does;
``url``, and ``remote()``, as a sync that begins opens it, in another process by its ``opener``; ``start``,
``close``, ``restart``; ``hurt(how)``, a context in which the counterpart is ``absent`` or ``full``; and
``lacks``, what it leaves out as it may.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote
from wsgiref.simple_server import make_server

import obstore
import pytest
import requests

import objectstores
from carrying import open_carried
from objectstores import ObjectStore, Rclone, SeaweedFS
from postgres import running
from runfmt_sync.remotes import Remote
from runfmt_sync.remotes.directory import DirectoryRemote
from runfmt_sync.remotes.http import HttpRemote
from runfmt_sync.remotes.objects import ObjectRemote
from runfmt_sync.server.serve import Server
from runfmt_sync.server.service import Service
from runfmt_sync.server.shared import open_shared

EXAMPLE = Path(__file__).parents[2] / "examples" / "remote_server.py"


class Clock:
    """Time that passes only because somebody waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@contextmanager
def full_disk(root: Path) -> Iterator[None]:
    """Refuse at fsync what was written below a folder, as a network disk that is full does."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(f"{root}{os.sep}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(root))
        real(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


class Kind:
    """What most have in common."""

    root: Path
    lacks: frozenset[str] = frozenset()
    opener = "runfmt_sync.remotes:open_remote"

    def run(self, run_id: str) -> Path:
        """Where a run is, or would be."""
        return self.root / run_id


class Directory(Kind):
    """A folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def remote(self) -> Remote:
        return DirectoryRemote(self.url)

    @contextmanager
    def hurt(self, how: str) -> Iterator[None]:
        if how == "full":
            with full_disk(self.root):
                yield
            return
        away = self.root.parent.with_name("unplugged")
        self.root.parent.rename(away)
        yield
        away.rename(self.root.parent)

    def start(self) -> None:
        """Nobody keeps a folder, so this and the next are nothing."""

    restart = close = start


class Http(Kind):
    """A server of runfmt, in a thread of this process."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock = root, Clock()
        self._port = 0
        self.start()

    def start(self) -> None:
        self._server = Server(self.root, port=self._port)
        self.url = self._server.url
        self._port = int(self.url.rpartition(":")[2])
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()

    def close(self) -> None:
        self._server.stop()
        self._thread.join(60)

    def remote(self) -> Remote:
        return HttpRemote(self.url, sleep=self.clock.sleep)

    def restart(self) -> None:
        self.close()
        self.start()

    @contextmanager
    def hurt(self, how: str) -> Iterator[None]:
        if how == "full":
            with full_disk(self.root):
                yield
            return
        self.close()
        yield
        self.start()


class Small(Http):
    """The server of the examples, in a thread of this process."""

    lacks = frozenset(
        {"looking for runs", "looking into runs", "ranges", "pages of rows"}
    )  # H060, H063, H064

    def start(self) -> None:
        self._server = make_server("127.0.0.1", self._port, load_example().Store(self.root))
        self._port = self._server.server_port
        self.url = f"http://127.0.0.1:{self._port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()

    def run(self, run_id: str) -> Path:
        return next(self.root.glob(f"*/{run_id}"), self.root / run_id)


class Shared(Http):
    """Two servers of one store, which clients ask in turns; what is looked at are their copies."""

    opener = "remotes.kinds:open_in_turns"

    def __init__(self, root: Path) -> None:
        self.root, self.clock = root, Clock()
        self._database, self._ports = running().database(), [0, 0]
        self.start()

    def start(self) -> None:
        copies = [self.root.parent.with_name(f"worker{number}") for number in range(2)]
        services = [Service(*open_shared(str(self.root), self._database, copy)) for copy in copies]
        pairs = zip(services, self._ports, strict=True)
        self._servers = [Server(service, port=port) for service, port in pairs]
        self.url = " ".join(server.url for server in self._servers)
        self._ports = [int(server.url.rpartition(":")[2]) for server in self._servers]
        self._threads = [threading.Thread(target=server.run) for server in self._servers]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.stop()
            thread.join(60)

    def remote(self) -> Remote:
        return InTurns(self.url, self.clock.sleep)


class InTurns(HttpRemote):
    """Each request goes to the next of some servers."""

    def __init__(self, urls: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._turns = cycle(urls.split())
        super().__init__(next(self._turns), sleep=sleep)

    def request(self, *words: Any, **options: Any) -> requests.Response:
        self.url = next(self._turns)
        return super().request(*words, **options)


def open_in_turns(urls: str) -> Remote:
    """The servers, in another process."""
    return InTurns(urls)


class Carried(Directory):
    """A folder that is reached by files only."""

    opener = "carrying:open_carried"

    def remote(self) -> Remote:
        return open_carried(self.url)


def load_example() -> ModuleType:
    """The example, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("remote_server", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Objects(Kind):
    """A place in an object store. ``root`` is a folder that a reader made of it from the specification."""

    kept: type[ObjectStore] = SeaweedFS

    def __init__(self, root: Path) -> None:
        self._folder = root.parent.with_name("read")
        self._store = objectstores.running(self.kept)
        os.environ.update(self._store.environment)
        self.url = self._store.place()

    @property
    def root(self) -> Path:
        shutil.rmtree(self._folder, ignore_errors=True)
        read_objects(self.url, self._folder)
        return self._folder

    def remote(self) -> Remote:
        return ObjectRemote(self.url)

    @contextmanager
    def hurt(self, how: str) -> Iterator[None]:
        self._store.kill()
        yield
        self._store.start()

    def start(self) -> None:
        """Nobody keeps a place for one test, so this and the next are nothing."""

    restart = close = start


class Careless(Objects):
    """In a store that heeds no precondition."""

    kept = Rclone


def read_objects(url: str, folder: Path) -> None:
    """Make folders of runs of what lies in an object store (``spec/object-store.md``)."""
    store = obstore.store.from_url(url, client_options={"allow_http": True})
    names = [one["path"] for page in obstore.list(store) for one in page]
    runs = {name.split("/")[1] for name in names if name.startswith("runs/")}
    for uid in runs:
        head = f"runs/{uid}/"
        get = partial(_get, store)
        mine = [name.removeprefix(head) for name in names if name.startswith(head)]
        is_seen = "run.json" in mine
        run_id = json.loads(get(f"{head}run.json"))["id"] if is_seen else uid
        place = folder / (run_id if is_seen else f".incoming/{uid}")
        if place.exists():
            place = folder / uid[-8:] / run_id
        streams: dict[str, bytes] = {}
        for name in sorted(mine):  # in the order of their offsets
            path, _, last = name.rpartition("/")
            if re.fullmatch(r"[0-9]{20}-[0-9]{20}-[0-9a-f]{16}", last) and not name.startswith("."):
                start, data = int(last[:20]), get(head + name)
                assert hashlib.sha256(data).hexdigest().startswith(last[-16:])
                there = streams.setdefault(unquote(path), b"")
                if start <= len(there):
                    known = len(there) - start
                    assert there[start:] == data[:known] or data == there[start : start + len(data)]
                    streams[unquote(path)] = there + data[known:]
            elif name.startswith(".large/"):
                said = json.loads(get(head + name))
                pieces = sorted(one for one in mine if one.startswith(f".pieces/{said['sha256']}/"))
                data = b"".join(get(head + one) for one in pieces)
                assert hashlib.sha256(data).hexdigest() == said["sha256"]
                _write(place / unquote(name.removeprefix(".large/")), data)
            elif not name.startswith("."):
                _write(place / unquote(name), get(head + name))
        for path, data in streams.items():
            _write(place / path, data)


def _get(store: Any, name: str) -> bytes:
    return bytes(obstore.get(store, name).bytes())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


KINDS = {
    "directory": Directory,
    "http": Http,
    "small": Small,
    "shared": Shared,
    "bundle": Carried,
    "s3": Objects,
    "careless": Careless,
}
