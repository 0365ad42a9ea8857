"""Bundles made by the tool and by hand, and the two sides of a gap over which they are carried."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from runfmt.layout import is_stream
from runfmt.reading import find_runs
from runfmt_sync.places import ReceiptRemote, open_receipt, write_receipt
from runfmt_sync.remotes import open_remote
from runfmt_sync.signing import trusted_keys
from runfmt_sync.sneakernet import Written, write_bundle
from runfmt_sync.unbundle import Unbundled, unbundle

VERSION = "2026-11-24T03:07:10.000001Z"
UID = "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77"


class Gap:
    """Runs on one side, a stick that is carried, and the other side."""

    def __init__(self, root: Path) -> None:
        self.root, self.stick = root, root / "stick"
        self.source, self.far = root / "runs", root / "far"
        self.source.mkdir()

    def bundle(self, channel: str | None = "lab", **options: Any) -> Written:
        """Bundle all runs onto the stick."""
        folder = options.pop("folder", self.stick)
        written = write_bundle([*find_runs(self.source)], folder, channel=channel, **options)
        assert all(path.parent == folder for path in written.paths)
        return written

    def files(self) -> list[Path]:
        """What lies on the stick."""
        return sorted(self.stick.glob("*.runfmt"))

    def unbundle(self, files: Iterable[Path] | None = None) -> Unbundled:
        """Apply files, or all on the stick, at the other side."""
        paths = self.files() if files is None else [*files]
        return unbundle(paths, open_remote(str(self.far)), trusted_keys())

    def receipt(self) -> ReceiptRemote:
        """What the other side holds, carried back."""
        path = self.root / "receipt.json"
        write_receipt(open_remote(str(self.far)), path)
        return open_receipt(path)

    def parked(self) -> list[Path]:
        """What waits at the other side."""
        return [*(self.far / ".runfmt" / "parked").iterdir()]


def statuses(done: Unbundled) -> list[str]:
    """What became of each file."""
    return [arrival.status for arrival in done.arrivals]


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file that readers see, with contents and time."""
    paths = (path for path in root.rglob("*") if path.is_file() and not _is_private(path, root))
    return {path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def _is_private(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def extent(path: str, data: bytes, uid: str = UID, offset: int = 0, **lies: Any) -> dict[str, Any]:
    """An extent as a listing has it."""
    said = {"uid": uid, "path": path, "offset": offset, "length": len(data), "sha256": sha256(data)}
    if not is_stream(path):
        said["whole"] = {"size": len(data), "sha256": sha256(data)}
    return said | lies


def run_json(uid: str = UID, run_id: str = "forged", **about: Any) -> bytes:
    document = {"runfmt": 1, "requires": [], "uid": uid, "id": run_id, "state": "finished"}
    return json.dumps(document | about).encode()


def a_run(uid: str = UID, run_id: str = "forged") -> list[tuple[dict[str, Any], bytes]]:
    """The extents of a whole small run."""
    line, document = b'{"_step":0,"_timestamp":1.0}\n', run_json(uid, run_id)
    return [(extent("metrics.jsonl", line, uid), line), (extent("run.json", document, uid), document)]


Members = list[tuple[tarfile.TarInfo, bytes]]


def member(name: str, data: bytes = b"", **about: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in about.items():
        setattr(info, key, value)
    return info, data


def members(*groups: list[tuple[dict[str, Any], bytes]], end: Any = None, **manifest: Any) -> Members:
    """The members of a bundle that is right."""
    said = {"bundle": 1, "channel": "evil", "number": 1, "volume": 1, "created_at": VERSION} | manifest
    made = [member("manifest.json", json.dumps(said).encode())]
    listings = [json.dumps([one for one, _ in group]).encode() for group in groups]
    for number, (listing, group) in enumerate(zip(listings, groups, strict=True)):
        made.append(member(f"{number}.json", listing))
        made.append(member(f"{number}.bin", b"".join(data for _, data in group)))
    said = {"groups": len(groups), "sha256": sha256(b"".join(listings)), "last": True} | (end or {})
    return [*made, member("end.json", json.dumps(said).encode())]


def tar(parts: Members) -> bytes:
    """An archive of members as they are, also such as no archiver makes."""
    blocks = [info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512) for info, data in parts]
    return b"".join(blocks) + bytes(1024)


def pack(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def unpack(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()


def put(folder: Path, data: bytes, name: str = "evil-000001-1.runfmt") -> Path:
    """A file of a bundle with this archive in it."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pack(data))
    return folder / name


def orders(items: list[Any], random: Any, count: int) -> Iterator[list[Any]]:
    """Some orders of items."""
    for _ in range(count):
        yield random.sample(items, len(items))
