"""Keeps runs for others, by spec/remote.md, bundle.md and run-layout.md: `remote_server.py DATA [PORT]`.

It lets anybody in, so it listens to this machine only. It deletes nothing, and lists runs as they came.
"""

import errno
import hashlib
import io
import json
import mmap
import os
import re
import sys
import tarfile
import threading
import uuid
import zlib
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

BLOCK, MAX_BODY = 4 * 2**20, 64 * 2**20
STREAM = re.compile(r"[^/]+\.(jsonl|log)")  # R003
SAFE = re.compile(r"(?![A-Za-z]:|(.*/)?([./]|$))[^\\\0-\x1f\x7f]+")  # R005, R007
DIGEST = re.compile(r"[0-9a-f]{64}")
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ID = re.compile(
    r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(\.|$))[a-zA-Z0-9]([\w.-]{0,126}[\w-])?", re.ASCII
)  # R013
FULL = (errno.ENOSPC, errno.EDQUOT)
WRONG = (ValueError, LookupError, TypeError, AttributeError, tarfile.TarError, zlib.error)


class Refused(Exception):
    """An extent that does not fit: why, and True if it may after asking what is there (H032)."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def fsync(places):
    """Make files and folders durable, and forget them."""
    if len(places) > 32:
        os.sync()  # all in one go, so that what follows finds little to do
    while places:
        descriptor = os.open(places.pop(), os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def unpack(body, coding):
    """The extents of a bundle with their bytes; all of it is compared first (B001-B006)."""
    body = zlib.decompressobj(31).decompress(body, MAX_BODY) if coding == "gzip" else body
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        parts = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}
        count = len(tar.getmembers()) // 2 - 1
    names = [f"{number}.{kind}" for number in range(count) for kind in ("json", "bin")]
    if [*parts] != ["manifest.json", *names, "end.json"] or json.loads(parts["manifest.json"])["bundle"] != 1:
        raise ValueError("this is no bundle of version 1, or not a whole one")
    listings, end = [parts[name] for name in names[::2]], json.loads(parts["end.json"])
    extents = []
    for listing, name in zip(listings, names[1::2], strict=True):
        data = io.BytesIO(parts[name])
        extents += [(extent, data.read(extent["length"])) for extent in json.loads(listing)]
    is_same = all(sha256(data) == extent["sha256"] for extent, data in extents)
    if not is_same or (end["groups"], end["sha256"]) != (count, sha256(b"".join(listings))):
        raise ValueError("other bytes than were announced")
    return extents


def merge(*sides):
    """Several edits.json as one (R096); the marks of R035 go with their entries."""
    best = {}
    for side in sides:
        for pointer in side.keys() - {"_nonfinite"}:
            above = "/" + pointer.replace("~", "~0").replace("/", "~1") + "/"
            own = {
                place: mark for place, mark in side.get("_nonfinite", {}).items() if place.startswith(above)
            }
            text = json.dumps([side[pointer], own], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            best[pointer] = max(best.get(pointer, (-1, "")), (side[pointer]["time"], text))
    merged = {pointer: json.loads(text) for pointer, (_, text) in best.items()}
    marks = dict(mark for _, own in merged.values() for mark in own.items())
    return {pointer: entry for pointer, (entry, _) in merged.items()} | (
        {"_nonfinite": marks} if marks else {}
    )


def is_part(folder, path):
    """Whether a path is a file of the run: no private name, and reached through no link (R005-R007)."""
    return (
        SAFE.fullmatch(path)
        and (folder / path).resolve() == folder.resolve() / path
        and (folder / path).is_file()
    )


def load(folder, path):
    """The bytes of a file, of a stream up to its last LF (R020)."""
    with open(folder / path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    return memoryview(data)[: data.rfind(b"\n") + 1 if STREAM.fullmatch(path) else size]


def prove(folder, asked):
    """What is in a run, with proofs, of a stream as far as was asked (B030, H021); and its digest (B033)."""
    entries, lines = {}, []
    for path in (place.relative_to(folder).as_posix() for place in folder.rglob("*")):
        if is_part(folder, path):
            data, is_stream = load(folder, path), STREAM.fullmatch(path)
            part = data[: asked.get(path)] if is_stream else data
            whole = len(part) // BLOCK * BLOCK if is_stream else 0
            blocks = [sha256(part[at : at + BLOCK]) for at in range(0, whole, BLOCK)]
            tail = sha256(part[whole:])
            digest = sha256("".join([*blocks, tail]).encode()) if blocks else tail
            proof = {"size": len(part), "sha256": digest, "blocks": blocks, "tail": tail}
            entries[path] = {"length": len(data), **proof}
            lines.append(f"{path}\0{len(data)}\0{digest}\n".encode())
    return entries, sha256(b"".join(sorted(lines)))


def apply(folder, parts, extent, data):
    """Apply an extent by the rule of bundle.md; gives the places that are to become durable."""
    path, offset, whole = extent["path"], extent["offset"], extent.get("whole")
    place = folder / path
    if not SAFE.fullmatch(path) or bool(STREAM.fullmatch(path)) == bool(whole) or offset < 0:
        raise Refused(f"{path!r} may not be written")
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.resolve() != folder.resolve() / path:
        raise Refused(f"{path} leads through a symbolic link")
    if whole:
        put_aside(place, path, parts, offset, data, **whole)
    else:
        append(place, path, load(folder, path) if place.exists() else b"", offset, data)
    return {*place.parents[: path.count("/") + 2], *([] if whole else [place])}


def append(place, path, there, offset, data):
    if offset > len(there):
        raise Refused(f"{path}: only {len(there):,} bytes are here", True)
    known = data[: len(there) - offset] if offset < len(there) else b""
    if there[offset:][: len(data)] != known or data[-1:] not in (b"", b"\n"):
        raise Refused(f"{path} has diverged: other bytes are here", True)
    with open(place, "ab") as file:
        file.truncate(len(there))  # B014
        file.write(data[len(known) :])


def put_aside(place, path, parts, offset, data, size, sha256):
    """Keep a piece of a file under the digest of the whole; when that is there it gets its name."""
    if not DIGEST.fullmatch(sha256):
        raise Refused(f"{path}: {sha256!r} is no digest")
    part = parts / sha256
    part.touch()
    if offset > part.stat().st_size:
        raise Refused(f"{path}: only {part.stat().st_size:,} bytes of it are here", True)
    with open(part, "r+b") as file:
        file.seek(offset)
        file.write(data)
        if is_whole := file.tell() == size:
            file.truncate()
    if is_whole and hashlib.sha256(load(parts, sha256)).hexdigest() != sha256:
        part.unlink()
        raise Refused(f"{path}: its pieces do not make it", True)
    if is_whole and path == "edits.json" and place.exists():
        theirs = json.loads(part.read_bytes())
        if (merged := merge(json.loads(place.read_bytes()), theirs)) != theirs:
            part.write_text(json.dumps(merged))
    fsync({part})
    if is_whole:
        part.replace(place)


class Server(BaseHTTPRequestHandler):
    """Answers one request after the other; what is not whole yet is in `coming` and `parts`."""

    protocol_version, disable_nagle_algorithm, lock = "HTTP/1.1", True, threading.Lock()

    def runs(self):
        """The folder and the run.json of each run that is there, by uid."""
        found = {}
        for place in self.root.rglob("run.json"):
            with suppress(OSError, *WRONG):
                about = json.loads(place.read_bytes())
                if SAFE.fullmatch(place.relative_to(self.root).as_posix()) and UID.fullmatch(about["uid"]):
                    found[about["uid"]] = place.parent, about
        return dict(sorted(found.items()))

    def have(self, asks):
        runs, answer = self.runs(), {}
        for ask in asks:
            folder, about = runs.get(ask["uid"], (self.coming / ask["uid"], {}))
            entries, digest = prove(folder, ask["streams"])
            is_known = about.get("runfmt", 1) == 1 and not about.get("requires")
            if not about:
                entries.pop("run.json", None)  # H025
            if not about or not is_known or digest != ask["digest"]:
                staged = {part.name: part.stat().st_size for part in self.parts.iterdir()}
                refused = "" if is_known else "its format is newer: upgrade [R011, R012]"
                answer[ask["uid"]] = {"entries": entries, "staged": staged, "refused": refused, "deleted": ""}
        return {"runs": answer}

    def take(self, extents):
        """Apply the extents of each run in their order, until one does not fit; all is durable in the end."""
        runs, refused, whole, dirty = self.runs(), {}, [], set()
        for uid, group in groupby(extents, key=lambda one: one[0]["uid"]):
            with self.refusals(refused, uid):
                if not UID.fullmatch(uid):
                    raise Refused("a uid is a UUID in lower case [R010]")
                folder, _ = runs.get(uid, (self.coming / uid, {}))
                for extent, data in group:
                    dirty |= apply(folder, self.parts, extent, data)
                    if uid in runs:  # B017
                        fsync(dirty)
                if uid not in runs and extent["path"] == "run.json":
                    whole.append((uid, folder))
        fsync(dirty)
        for uid, folder in whole:
            with self.refusals(refused, uid):
                dirty |= self.publish(uid, folder)
        fsync(dirty)
        return {"refused": refused}

    @contextmanager
    def refusals(self, refused, uid):
        """What does not fit, or has a name that the disk cannot hold, is no matter of the other runs."""
        try:
            yield
        except Refused as error:
            refused[uid] = {"reason": error.args[0], "again": error.args[1:] == (True,)}
        except OSError as error:
            if error.errno in FULL:
                raise
            refused[uid] = {"reason": f"it cannot be kept: {error}", "again": False}

    def publish(self, uid, folder):
        """Let a run appear, by one rename (B016)."""
        about = json.loads((folder / "run.json").read_bytes())
        if about.get("uid") != uid or not ID.fullmatch(about.get("id", "")):
            raise Refused("run.json is of another run, or its id is no name [R013]")
        for home in self.root, self.root / uid[-8:]:
            home.mkdir(exist_ok=True)
            if about["id"].lower() not in map(str.lower, os.listdir(home)):  # R015
                folder.rename(home / about["id"])
                return {home, self.root}
        raise Refused(f"the id {about['id']} is taken by another run [R015]")

    def list(self, project=None, after="", limit="1000"):
        rows = [
            {
                "uid": uid,
                "path": str(folder.relative_to(self.root)),
                "state": about.get("state"),
                "attributes": about,
            }
            for uid, (folder, about) in self.runs().items()
            if uid > after and project in (None, about.get("project"))
        ]
        return {
            "runs": rows[: int(limit)],
            "next": rows[int(limit) - 1]["uid"] if rows[int(limit) :] else None,
        }

    def answer(self, body):
        """What is said to a request, or the bytes of a file."""
        where = urlsplit(self.path)
        match self.command, [unquote(part) for part in where.path.split("/")[1:]]:
            case "GET", ["v1"]:
                return {"runfmt": 1, "store": self.id, "codings": ["identity", "gzip"], "max_body": MAX_BODY}
            case "POST", ["v1", "have"]:
                return self.have(json.loads(body)["runs"])
            case "POST", ["v1", "bundles"]:
                return self.take(unpack(body, self.headers.get("Content-Encoding")))
            case "GET", ["v1", "runs"]:
                return self.list(**dict(parse_qsl(where.query)))
            case "GET", ["v1", "runs", uid] if found := self.runs().get(uid):
                entries, digest = prove(found[0], {})
                return {"uid": uid, "id": found[1].get("id"), "digest": digest, "files": entries}
            case "GET", ["v1", "runs", uid, "files", *path] if found := self.runs().get(uid):
                if is_part(found[0], "/".join(path)):
                    return load(found[0], "/".join(path))
            case "PATCH", ["v1", "runs", uid, "edits"] if found := self.runs().get(uid):
                whole = {"size": len(body), "sha256": sha256(body)}
                fsync(apply(found[0], self.parts, {"path": "edits.json", "offset": 0, "whole": whole}, body))
                return load(found[0], "edits.json")
        raise FileNotFoundError(errno.ENOENT, "there is nothing of that name")

    def respond(self):
        length = int(self.headers.get("Content-Length", 0))
        try:
            if length > MAX_BODY:
                self.close_connection = True
                raise Refused(f"more than {MAX_BODY:,} bytes")
            body = self.rfile.read(length)
            with self.lock:
                said, status = self.answer(body), 200
        except (OSError, Refused, *WRONG) as error:
            kinds = {
                FileNotFoundError: 404,
                Refused: 413,
                OSError: 507 if getattr(error, "errno", 0) in FULL else 500,
            }
            status = next((kinds[kind] for kind in type(error).__mro__ if kind in kinds), 400)
            said = {"title": type(error).__name__, "status": status, "detail": str(error)}  # H002
        if isinstance(said, memoryview):
            self.say_bytes(said)
        else:
            kind = "application/json" if status == 200 else "application/problem+json"
            self.say(status, json.dumps(said).encode(), {"Content-Type": kind})

    do_GET = do_POST = do_PATCH = respond  # noqa: N815

    def say_bytes(self, data):
        """Serve a file, or the part of it that is asked for (H043)."""
        headers = {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
        status, first, last = 200, 0, len(data) - 1
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            status, first, last = 206, int(asked[1]), min(int(asked[2] or last), last)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            if first > last:
                status, headers["Content-Range"] = 416, f"bytes */{len(data)}"
        self.say(status, data[first : last + 1], headers)

    def say(self, status, data, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        with suppress(ConnectionError):  # who hung up asks again
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing of requests."""


def make_server(data, port):
    """A server that listens; port 0 is any that is free."""
    Server.root, Server.coming, Server.parts = (Path(data, *name) for name in ([], [".coming"], [".parts"]))
    Server.parts.mkdir(parents=True, exist_ok=True)
    if not (Server.root / ".store").exists():
        (Server.root / ".store").write_text(str(uuid.uuid4()))
    Server.id = (Server.root / ".store").read_text()
    os.sync()  # what a server that was killed wrote may not be durable yet
    return ThreadingHTTPServer(("127.0.0.1", port), Server)


if __name__ == "__main__":
    server = make_server(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else 8300)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
