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
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote, unquote
from wsgiref.simple_server import make_server

import obstore
import pytest
import requests

import objectstores
from carrying import open_carried
from objectstores import ObjectStore, Rclone, SeaweedFS
from postgres import running
from runfmt.layout import is_stream
from runfmt_sync.inventory import DOCUMENTS
from runfmt_sync.remotes import Remote
from runfmt_sync.remotes.directory import DirectoryRemote
from runfmt_sync.remotes.http import HttpRemote
from runfmt_sync.remotes.objects import ObjectRemote
from runfmt_sync.server.serve import Server
from runfmt_sync.server.service import Service
from runfmt_sync.server.shared import open_shared
from runmaker import OLD, read, runs_in

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

    def needs(self, what: str) -> None:
        """Skip a test for which there must be something that this kind has not."""
        if what in self.lacks:
            pytest.skip(f"there are no {what}")

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """Change in the block what is below ``root``, behind the back of all."""
        yield

    def clear(self) -> None:
        """Remove everything, the id too."""
        shutil.rmtree(self.root)

    def settle(self) -> None:
        """Let everything be so old that times tell nothing."""
        for path in self.root.rglob("*"):
            os.utime(path, (OLD, OLD))


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
        self.root, self._store = root, str(root)
        self._begin(root)

    def _begin(self, root: Path) -> None:
        self.clock, self._folder = Clock(), root.parent.parent
        self._database, self._ports = running().database(), [0, 0]
        self.start()

    def start(self) -> None:
        copies = [self._folder / f"worker{number}" for number in range(2)]
        services = [Service(*open_shared(self._store, self._database, copy)) for copy in copies]
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
    """A place in an object store; ``root`` is a folder that a reader made of it from the specification."""

    kept: type[ObjectStore] = SeaweedFS
    lacks = frozenset({"folders"})

    def __init__(self, root: Path) -> None:
        self._folder, self._is_held = root.parent.with_name("read"), False
        self._store = objectstores.running(self.kept)
        os.environ.update(self._store.environment)
        self.url = self._store.place()
        self._objects = obstore.store.from_url(self.url, client_options={"allow_http": True})

    @property
    def root(self) -> Path:
        if not self._is_held:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
            read_objects(self._objects, self._folder)
        return self._folder

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """Whole runs are put anew where something in them changed, with streams in one segment."""
        before = {run: files_of(run) for run in runs_in(self.root).values()}
        uids = {path: read(path / "run.json")["uid"] for path in before}
        self._is_held = True
        yield
        for path, old in before.items():
            now = files_of(path)
            for name in old.keys() | now.keys():
                if old.get(name) != now.get(name):
                    put_object(self._objects, uids[path], name, now.get(name))
        self._is_held = False

    def clear(self) -> None:
        obstore.delete(self._objects, [one["path"] for page in obstore.list(self._objects) for one in page])

    def settle(self) -> None:
        """A store tells contents apart by more than times."""

    def remote(self) -> Remote:
        return ObjectRemote(self.url)

    @contextmanager
    def hurt(self, how: str) -> Iterator[None]:
        self._store.stop()
        yield
        self._store.start()

    def start(self) -> None:
        """Nobody keeps a place for one test, so this and the next are nothing."""

    restart = close = start


class Careless(Objects):
    """In a store that heeds no precondition."""

    kept = Rclone


class Lab(Shared):
    """Two servers of one object store, on PostgreSQL."""

    lacks = Objects.lacks

    def __init__(self, root: Path) -> None:
        self._place = Objects(root)
        self._store = self._place.url
        self._begin(root)

    @property
    def root(self) -> Path:  # type: ignore[override]
        return self._place.root

    def by_hand(self) -> AbstractContextManager[None]:
        return self._place.by_hand()

    def hurt(self, how: str) -> AbstractContextManager[None]:
        return super().hurt("absent")  # nothing fills up here

    def clear(self) -> None:
        self._place.clear()

    def settle(self) -> None:
        self._place.settle()


def files_of(run: Path) -> dict[str, bytes]:
    """All files of a folder that is there, or was."""
    found = (path for path in run.rglob("*") if path.is_file())
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in found}


def put_object(store: Any, uid: str, path: str, data: bytes | None) -> None:
    """Let a path of a run hold these bytes alone, or nothing."""
    name = f"runs/{uid}/{quote(path)}"
    if is_stream(path):
        obstore.delete(store, [one["path"] for page in obstore.list(store, name) for one in page])
        name += f"/{0:020}-{len(data or b''):020}-{hashlib.sha256(data or b'').hexdigest()[:16]}"
    if data is not None:
        obstore.put(store, name, data)
    elif not is_stream(path):
        obstore.delete(store, name)


def read_objects(store: Any, folder: Path) -> None:
    """Make folders of runs of what lies in an object store (``spec/object-store.md``)."""
    found = obstore.list_with_delimiter(store, "runs")["common_prefixes"]
    for uid in (prefix.rstrip("/").rpartition("/")[2] for prefix in found):
        files = read_run(store, f"runs/{uid}/")
        run_id = json.loads(files["run.json"])["id"] if "run.json" in files else f".incoming/{uid}"
        taken = {path.name.lower() for path in folder.iterdir()}
        place = folder / uid[-8:] / run_id if run_id.lower() in taken else folder / run_id
        for path, data in files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(data)


def read_run(store: Any, head: str) -> dict[str, bytes]:
    """The files of a run: first the documents, which refer to no more than what is listed after them."""

    def get(name: str) -> bytes:
        return bytes(obstore.get(store, head + name).bytes())

    files: dict[str, bytes] = {}
    for name in ("run.json", "config.json", "summary.json", "edits.json"):
        with suppress(FileNotFoundError):
            files[name] = get(name)
    listed = [one["path"].removeprefix(head) for page in obstore.list(store, head) for one in page]
    names = sorted(listed, key=in_order)
    for name in names:
        path, _, last = name.rpartition("/")
        if name.startswith(".large/"):
            said = json.loads(get(name))
            whole = unquote(name.removeprefix(".large/"))
            for piece in (one for one in names if one.startswith(f".pieces/{said['sha256']}/")):
                last = piece.rpartition("/")[2]
                add_segment(files, whole, int(last[:20]), last[-16:], get(piece))
            assert hashlib.sha256(files[whole]).hexdigest() == said["sha256"]
        elif name.startswith(".") or name in DOCUMENTS:
            continue
        elif is_stream(unquote(path)) and re.fullmatch(r"[0-9]{20}-[0-9]{20}-[0-9a-f]{16}", last):
            with suppress(FileNotFoundError):  # a larger one stands for it by now
                add_segment(files, unquote(path), int(last[:20]), last[-16:], get(name))
        else:
            with suppress(FileNotFoundError):
                files[unquote(name)] = get(name)
    return files


def add_segment(files: dict[str, bytes], path: str, start: int, digest: str, data: bytes) -> None:
    """Put a segment behind what is there, if it has the same bytes as far as both reach (O012)."""
    assert hashlib.sha256(data).hexdigest().startswith(digest)
    there = files.setdefault(path, b"")
    known = there[start : start + len(data)]
    if start <= len(there) and data.startswith(known):
        files[path] = there + data[len(known) :]


def in_order(name: str) -> tuple[str, str, int]:
    """Segments of a stream by their start, of equal ones the longest first (O012)."""
    path, _, last = name.rpartition("/")
    return path, last[:20], -int(last[21:41]) if re.match(r"[0-9]{20}-[0-9]{20}-", last) else 0


KINDS = {
    "directory": Directory,
    "http": Http,
    "small": Small,
    "shared": Shared,
    "bundle": Carried,
    "s3": Objects,
    "careless": Careless,
    "lab": Lab,
}
