"""The web page: its files out of the package, the chart library out of its own."""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["asset", "index"]

HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for again each time: after an upgrade all files are of one version
    "Vary": "Accept-Encoding",
}
PAGE = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob: data:",
        "font-src 'self'",
        "connect-src 'self'",
        "frame-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""What the page may do: nothing that does not come from here, and nothing that stands in it."""
FRAME = "; ".join(
    [
        "sandbox allow-scripts",
        "default-src 'none'",
        "script-src 'unsafe-inline' 'unsafe-eval'",
        "style-src 'unsafe-inline'",
        "img-src blob: data:",
        "media-src blob: data:",
        "font-src data:",
        "frame-ancestors 'self'",
    ]
)
"""What a run's own HTML may do, in a frame of nobody's origin: run, and load nothing from anywhere."""
POLICIES = {"frame.html": FRAME}
CHARTS = {"plotly.min.js": ("plotly", "package_data/plotly.min.js")}
"""What lies in other packages."""
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
"""What files are, wherever this runs: a browser takes a script only as one."""
WORTH = 1000
"""Bytes from which compressing is worth it."""


def index(request: Request) -> Response:
    """The page."""
    return _answer("index.html", request)


def asset(request: Request) -> Response:
    """A file of it."""
    return _answer(request.path_params["name"], request)


def _answer(name: str, request: Request) -> Response:
    place = _place(name)
    if place is None:
        needs = f": pip install 'runfmt[view]' brings {CHARTS[name][0]}" if name in CHARTS else ""
        raise HTTPException(404, f"the page has no file {name}{needs}")
    status = place.stat()
    plain, packed, tag = _read(place, status.st_mtime_ns, status.st_size)
    headers = {**HEADERS, "Content-Security-Policy": POLICIES.get(name, PAGE), "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    kind = TYPES.get(place.suffix, "application/octet-stream")
    if packed and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=kind)
    return Response(plain, headers=headers, media_type=kind)


def _place(name: str) -> Path | None:
    """Where a file of the page lies, if there is one of that name."""
    if name in CHARTS:
        package, path = CHARTS[name]
        found = find_spec(package)
        place = Path(found.origin).parent / path if found and found.origin else None
        return place if place and place.is_file() else None
    folder = Path(str(resources.files("runfmt_sync"))) / "web"
    files = (place for place in folder.rglob("*") if place.is_file())
    return next((place for place in files if place.relative_to(folder).as_posix() == name), None)


@lru_cache(maxsize=64)
def _read(place: Path, _time: int, _size: int) -> tuple[bytes, bytes, str]:
    """A file's bytes, compressed too where that is worth it, and its entity tag."""
    plain = place.read_bytes()
    packed = gzip.compress(plain, 6) if len(plain) >= WORTH and place.suffix != ".png" else b""
    return plain, packed, f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"'
