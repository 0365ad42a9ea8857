"""Values with a ``_type`` as HTML that holds their contents; scripts in these do not run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from runfmt_sync.report.html import absent, cell, data_uri, figure, named, sortable, tag
from runfmt_sync.report.overlays import boxes, masks
from runfmt_sync.report.plots import plot_html
from runfmt_sync.words import human

__all__ = ["Files", "media_html"]

Files = Callable[[object], Path | None]
"""The file of a path in a value, None if it is none of the run or is not there."""

BATCHES = {
    "images/separated": "images",
    "audio": "audio",
    "videos": "videos",
    "html": "html",
    "object3D": "objects",
}
"""Values of several media, and where these stand."""
PICTURES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "bmp": "image/bmp", "svg": "image/svg+xml", "avif": "image/avif",
}  # fmt: skip
SOUNDS = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
}
VIDEOS = {"mp4": "video/mp4", "webm": "video/webm", "ogg": "video/ogg"}
MOST = 50 * 2**20
"""Bytes of a file that a report takes in."""
MOST_ROWS = 1_000
"""Rows of a table that are shown."""
SMALL = 64
"""Pixels up to which a picture is enlarged."""


def media_html(value: Mapping[str, Any], files: Files) -> str:
    """A value as HTML; of what cannot be shown it is said where it lies."""
    kind = value.get("_type")
    if isinstance(kind, str) and kind in BATCHES:
        return _batch(value, value.get(BATCHES[kind]), files)
    show = _KINDS.get(str(kind))
    return show(value, files) if show else absent(f"{kind}: not shown in a report, but by runfmt view")


def _batch(value: Mapping[str, Any], items: Any, files: Files) -> str:
    """Several of a kind, with the captions that stand at the batch."""
    captions = value.get("captions")
    shown = []
    for place, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            if isinstance(captions, list) and place < len(captions) and "caption" not in item:
                shown.append(media_html({**item, "caption": captions[place]}, files))
            else:
                shown.append(media_html(item, files))
    return "".join(shown)


def _caption(value: Mapping[str, Any]) -> str:
    caption = value.get("caption")
    return caption if isinstance(caption, str) else ""


def _source(value: Mapping[str, Any], files: Files, kinds: Mapping[str, str]) -> str | None:
    """The address of a file of one of some kinds, by its ending; None if there is none."""
    kind = kinds.get(str(value.get("path")).rpartition(".")[2].lower())
    data = _contents(value, files) if kind else None
    return data_uri(data, kind) if kind and data is not None else None


def _contents(value: Mapping[str, Any], files: Files) -> bytes | None:
    """The bytes of a value's file; None if it is not there, or too large."""
    path = files(value.get("path"))
    return path.read_bytes() if path and path.stat().st_size <= MOST else None


def _missing(value: Mapping[str, Any], what: str) -> str:
    why = f"the file is not there, larger than {human(MOST)}, or of a kind that no page shows"
    return absent(f"{what} {value.get('path')}: {why}")


# Pictures


def _image(value: Mapping[str, Any], files: Files) -> str:
    source = _source(value, files, PICTURES)
    if source is None:
        return _missing(value, "image")
    width, height = (_size(value.get(name)) for name in ("width", "height"))
    is_small = width is not None and width <= SMALL
    size = {"width": width and width * (2 if is_small else 1), "class_": "small" if is_small else None}
    picture = tag("img", src=source, alt=_caption(value), **size)
    over = [*masks(value.get("masks"), lambda mask: _contents(mask, files))]
    if width and height:
        over += boxes(value.get("boxes"), (width, height))
    if not over:
        return figure(picture, _caption(value))
    legend = dict.fromkeys(name for one in over for name in one.names)
    drawn = tag("div", picture, *(one.html for one in over), class_="overlaid")
    return figure(drawn + tag("div", *(named(*name) for name in legend), class_="names"), _caption(value))


def _size(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value <= 100_000 else None


# Other kinds


def _audio(value: Mapping[str, Any], files: Files) -> str:
    source = _source(value, files, SOUNDS)
    return (
        figure(tag("audio", controls=True, src=source), _caption(value))
        if source
        else _missing(value, "audio")
    )


def _video(value: Mapping[str, Any], files: Files) -> str:
    if source := _source(value, files, {"gif": "image/gif"}):
        return figure(tag("img", src=source, alt=_caption(value)), _caption(value))
    source = _source(value, files, VIDEOS)
    return (
        figure(tag("video", controls=True, src=source), _caption(value))
        if source
        else _missing(value, "video")
    )


def _page(value: Mapping[str, Any], files: Files) -> str:
    """A page within the page: it has no scripts, no forms, and no origin."""
    data = _contents(value, files)
    if data is None:
        return _missing(value, "page")
    html = data.decode("utf-8", "replace")
    return figure(tag("iframe", sandbox="", srcdoc=html, title=_caption(value) or "HTML"), _caption(value))


def _table(value: Mapping[str, Any], files: Files) -> str:
    data = _contents(value, files)
    if data is None:
        return _missing(value, "table")
    try:
        table = orjson.loads(data)
        columns, rows = [str(name) for name in table["columns"]], [list(row) for row in table["data"]]
    except (TypeError, KeyError, ValueError):
        return _missing(value, "table")
    left = len(rows) - MOST_ROWS
    more = absent(f"and {left:,} more rows") if left > 0 else ""
    shown = sortable(columns, ([_cell(one, files) for one in row] for row in rows[:MOST_ROWS]))
    return plot_html(value.get("plot"), columns, rows) + shown + more


def _cell(value: Any, files: Files) -> str:
    is_media = isinstance(value, dict) and str(value.get("_type")) in _KINDS
    return tag("td", media_html(value, files)) if is_media else tag("td") if value is None else cell(value)


def _histogram(value: Mapping[str, Any], _: Files) -> str:
    from runfmt_sync.report.histograms import bars

    return bars(value)


_KINDS: dict[str, Callable[[Mapping[str, Any], Files], str]] = {
    "image-file": _image,
    "audio-file": _audio,
    "video-file": _video,
    "html-file": _page,
    "table-file": _table,
    "histogram": _histogram,
}
