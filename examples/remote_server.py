"""Keeps runs for others, on Python's standard library alone: `remote_server.py DATA PORT`.

It speaks spec/remote.md without what a small server may leave out (H060-H065), to anybody on this machine.
A run becomes the folder DATA/<uid>/<id>; while it is not whole it is called `.new`, and a file `.<digest>`.
So it may be killed at any moment: extents are applied one after the other, each is durable before the next,
streams only grow, and files and runs appear by one rename. What it looks at has to fit into memory.
"""

import errno
import io
import json
import os
import re
import sys
import tarfile
from hashlib import sha256
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

HERE = ("127.0.0.1", "localhost")
BLOCK = 4 * 2**20
STREAM = re.compile(r"[^/]+\.(jsonl|log)")  # R003
SAFE = re.compile(r"(?![A-Za-z]:|(.*/)?([./]|$))[^\\\0-\x1f\x7f]+")  # R005, R007
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # R010
ID = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(\.|$))[A-Za-z0-9]([\w.-]{0,126}[\w-])?", re.A)  # R013
WRONG = (ValueError, LookupError, TypeError, AttributeError, tarfile.TarError)
FULL = "507 Insufficient Storage"
STATUS = {None: "400 Bad Request", errno.ENOENT: "404 Not Found", errno.ENOSPC: FULL, errno.EDQUOT: FULL}


def is_inside(folder, path):
    """Whether a path may be one of a run: no private name, and through no link (R005-R007)."""
    return SAFE.fullmatch(path) and (folder / path).resolve() == folder.resolve() / path


def load(folder, path):
    """The bytes of a file, of a stream up to its last LF (R020); none if it is not there."""
    data = (folder / path).read_bytes() if (folder / path).exists() else b""
    return data[: data.rfind(b"\n") + 1] if STREAM.fullmatch(path) else data


def unpack(body):
    """The extents of a bundle of one group (H061) with their bytes, once all is compared (B001-B005)."""
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:") as tar:
        names, files = zip(*((one.name, one.isreg() and tar.extractfile(one)) for one in tar), strict=True)
        about, listing, data, end = (file.read() for file in files)
    if (*names, repr(json.loads(about)["bundle"])) != ("manifest.json", "0.json", "0.bin", "end.json", "1"):
        raise ValueError("this is no bundle of version 1 with one group")
    rest = io.BytesIO(data)
    extents = [(extent, rest.read(extent["length"])) for extent in json.loads(listing)]
    is_same = {"groups": 1, "sha256": sha256(listing).hexdigest()}.items() <= json.loads(end).items()
    is_all = not rest.read() and bytes(20_480).startswith(body[tar.offset :])  # B003, B008
    if not (is_same and is_all and all(sha256(data).hexdigest() == one["sha256"] for one, data in extents)):
        raise ValueError("other bytes than were announced")
    return extents


class Store:
    """A folder of runs that answers requests, as an application of WSGI (PEP 3333)."""

    def __init__(self, root):
        self.root, self.mark = root, next(root.glob(".store-*"), root / f".store-{os.urandom(16).hex()}")
        self.mark.mkdir(parents=True, exist_ok=True)
        os.sync()  # what a server that was killed wrote may not be durable yet

    def find(self, uid):
        """The folder of a run, whose name has a dot while nobody is to see it (B016)."""
        if not UID.fullmatch(uid):
            raise ValueError(f"{uid!r} is no UUID in lower case [R010]")
        return next((self.root / uid).glob("[!.]*"), self.root / uid / ".new")

    def make_durable(self, place):
        """Let a file, and the folders in which it is, survive a power cut."""
        for each in (place, *place.parents):
            if each.is_relative_to(self.root):
                descriptor = os.open(each, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)

    def have(self, uid, streams, **_):
        """What is here of a run, each file with its proof (B030), and of files that are not whole (H022)."""
        folder, entries = self.find(uid), {}
        for place in folder.rglob("*"):
            path = place.relative_to(folder).as_posix()
            if is_inside(folder, path) and place.is_file() and (folder.name, path) != (".new", "run.json"):
                data = load(folder, path)
                part = data[: streams.get(path)]  # H021
                step = BLOCK if STREAM.fullmatch(path) else len(part) + 1
                cuts = [part[at : at + step] for at in range(0, len(part) + 1, step)]
                *blocks, tail = [sha256(cut).hexdigest() for cut in cuts]
                entries[path] = {"length": len(data), "size": len(part), "blocks": blocks, "tail": tail}
        staged = {part.name[1:]: part.stat().st_size for part in folder.parent.glob(".*") if part.is_file()}
        return {"entries": entries, "staged": staged, "refused": ""}

    def take(self, extents):
        """Apply the extents of each run in their order, until one does not fit (H031, H032)."""
        refused = {}
        for extent, data in extents:
            try:
                if extent["uid"] not in refused:
                    self.apply(data, **extent)
            except (OSError, *WRONG) as error:
                if STATUS.get(getattr(error, "errno", None)) == FULL:
                    raise
                refused[extent["uid"]] = {"reason": str(error), "again": isinstance(error, LookupError)}
        return {"refused": refused}

    def apply(self, data, uid, path, offset, whole=None, **_):
        """Apply an extent by the rule of bundle.md; LookupError if it may fit after asking what is here."""
        folder, is_stream = self.find(uid), bool(STREAM.fullmatch(path))
        if not is_inside(folder, path) or is_stream != (whole is None) or offset < 0:
            raise ValueError(f"{path!r} is private, behind a symbolic link, or of another kind [R003-R007]")
        place = folder / path if is_stream else folder.parent / f".{bytes.fromhex(whole['sha256']).hex()}"
        there = load(folder, path) if is_stream else b""
        size = len(there) if is_stream or not place.exists() else place.stat().st_size
        if offset > size:
            raise LookupError(f"{path}: only {size:,} bytes are here")
        known = data[: size - offset]
        if is_stream and (there[offset:][: len(known)] != known or data[-1:] not in (b"", b"\n")):
            raise LookupError(f"{path} has diverged: other bytes are here")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with open(place, "ab") as file:
            file.truncate(size)  # B014
            file.write(data[len(known) :])
        self.make_durable(place)
        if whole and size + len(data) - len(known) >= whole["size"]:
            self.complete(uid, folder, path, place)

    def complete(self, uid, folder, path, part):
        """Let a file that is whole appear, and with its run.json a new run."""
        data = part.read_bytes()
        if part.name != f".{sha256(data).hexdigest()}":
            part.unlink()
            raise LookupError(f"{path}: its pieces do not make it; it starts anew")
        said = json.loads(data) if path in ("run.json", "edits.json") else {}
        if path == "run.json" and (said["uid"] != uid or not ID.fullmatch(said["id"])):
            raise ValueError("run.json is of another run, or its id is no name [R013, R016]")
        if path == "edits.json":
            for pointer, entry in json.loads(load(folder, path) or b"{}").items():
                if said.get(pointer, {}).get("time", -1) < entry.get("time", -1):
                    raise LookupError("edits.json: later edits are here, to be merged first [H062]")
        self.make_durable(part.replace(folder / path))
        if path == "run.json" and folder.name == ".new":
            self.make_durable(folder.rename(folder.with_name(said["id"])))

    def answer(self, body, *asked):
        """What is said to a request: an object, or the bytes of a file."""
        match asked:
            case "GET", "v1":
                return {"runfmt": 1, "store": self.mark.name, "codings": ["identity"], "max_body": 64 * 2**20}
            case "POST", "v1", "have":
                return {"runs": {ask["uid"]: self.have(**ask) for ask in json.loads(body)["runs"]}}
            case "POST", "v1", "bundles":
                return self.take(unpack(body))
            case "GET", "v1", "runs":
                found = sorted(place.parts[-3:-1] for place in self.root.glob(f"{'?' * 36}/[!.]*/run.json"))
                rows = [{"uid": uid, "path": f"{uid}/{id}", "attributes": {"id": id}} for uid, id in found]
                return {"runs": rows, "next": None}
            case "GET", "v1", "runs", uid, "files", *names:
                folder, path = self.find(uid), "/".join(names)
                if folder.name != ".new" and is_inside(folder, path) and (folder / path).is_file():
                    return load(folder, path)
        raise FileNotFoundError(errno.ENOENT, "there is nothing of that name")

    def __call__(self, environ, start_response):
        """Answer a request, or say what is wrong with it (H002)."""
        status, kind = "200 OK", "application/json"
        try:
            if "HTTP_ORIGIN" in environ or environ["HTTP_HOST"].split(":")[0] not in HERE:
                raise ValueError("a page of another site asks for this [H007]")
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            path = environ["PATH_INFO"].encode("latin-1").decode()
            said = self.answer(body, environ["REQUEST_METHOD"], *path.split("/")[1:])
        except (OSError, *WRONG) as error:
            status = STATUS.get(getattr(error, "errno", None), "500 Internal Server Error")
            kind = "application/problem+json"
            said = {"title": status[4:], "status": int(status[:3]), "detail": str(error)}
        is_file = isinstance(said, bytes)
        start_response(status, [("Content-Type", "application/octet-stream" if is_file else kind)])
        return [said if is_file else json.dumps(said).encode()]


if __name__ == "__main__":
    WSGIRequestHandler.timeout = 60  # whoever stalls does not stop the others
    WSGIRequestHandler.wbufsize = -1  # an answer begins with all of its headers
    server = make_server("127.0.0.1", int(sys.argv[2]), Store(Path(sys.argv[1])))
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
