"""Values with a ``_type`` as HTML that holds their contents; scripts in these do not run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson

from runfmt.drawing import COLORS
from runfmt_sync.report.html import absent, cell, data_uri, figure, sortable, tag
from runfmt_sync.words import human

__all__ = ["Files", "media_html"]

Files = Callable[[object], Path | None]
"""The file of a path in a value, None if it is none of the run or is not there."""

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
    batch = {
        "images/separated": "images",
        "audio": "audio",
        "videos": "videos",
        "html": "html",
        "object3D": "objects",
    }
    if kind in batch:
        return _batch(value, value.get(batch[str(kind)]), files)
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
    names: list[tuple[str, str]] = []
    over = [*_masks(value, files, names)]
    if width and height:
        over += _boxes(value, (width, height), names)
    if not over:
        return figure(picture, _caption(value))
    legend = (
        tag(
            "span", tag("span", class_="swatch", style=f"background:{color}"), escape(name), class_="run-name"
        )
        for name, color in dict.fromkeys(names)
    )
    return figure(
        tag("div", picture, *over, class_="overlaid") + tag("div", *legend, class_="names"), _caption(value)
    )


def _size(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value <= 100_000 else None


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]


def _label(labels: Any, number: Any) -> str:
    """The name of a class, whose number is a text in JSON."""
    name = labels.get(str(number)) if isinstance(labels, dict) else None
    return str(name if name is not None else number)


def _boxes(value: Mapping[str, Any], size: tuple[int, int], names: list[tuple[str, str]]) -> Iterable[str]:
    """Boxes over a picture as a drawing of its size in pixels."""
    shapes = []
    for group in _objects(value.get("boxes")):
        for box in group.get("box_data") or ():
            corners = _corners(box, size) if isinstance(box, dict) else None
            if corners is None:
                continue
            number = box.get("class_id") if isinstance(box.get("class_id"), int) else 0
            names.append((_label(group.get("class_labels"), number), _color(number)))
            x, y, width, height = corners
            title = tag("title", escape(str(box.get("box_caption") or names[-1][0])))
            stroke = {
                "fill": "none",
                "stroke": _color(number),
                "vector_effect": "non-scaling-stroke",
                "stroke_width": 2,
            }
            shapes.append(tag("g", tag("rect", x=x, y=y, width=width, height=height, **stroke), title))
    if shapes:
        yield tag(
            "svg", *shapes, class_="over", viewBox=f"0 0 {size[0]} {size[1]}", preserveAspectRatio="none"
        )


def _objects(found: Any) -> list[dict[str, Any]]:
    return [one for one in found.values() if isinstance(one, dict)] if isinstance(found, dict) else []


def _corners(box: Mapping[str, Any], size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Left, top, width and height of a box in pixels; None if it does not say them."""
    place = box.get("position")
    if not isinstance(place, dict):
        return None
    scale = (1, 1) if box.get("domain") == "pixel" else size
    try:
        if "minX" in place:
            x, y = place["minX"] * scale[0], place["minY"] * scale[1]
            return x, y, place["maxX"] * scale[0] - x, place["maxY"] * scale[1] - y
        width, height = place["width"] * scale[0], place["height"] * scale[1]
        return (
            place["middle"][0] * scale[0] - width / 2,
            place["middle"][1] * scale[1] - height / 2,
            width,
            height,
        )
    except (KeyError, TypeError, IndexError):
        return None


def _masks(value: Mapping[str, Any], files: Files, names: list[tuple[str, str]]) -> Iterable[str]:
    """Masks over a picture, each class in its colour, class 0 transparent."""
    for mask in _objects(value.get("masks")):
        path = files(mask.get("path"))
        if path is None:
            continue
        try:
            from PIL import Image, UnidentifiedImageError
        except ImportError:
            yield absent("masks are drawn with Pillow: pip install 'runfmt[media]'")
            return
        try:
            with Image.open(path) as picture:
                classes = picture.convert("L")
        except (UnidentifiedImageError, OSError, ValueError):
            yield _missing(mask, "mask")
            continue
        there = [number for number, count in enumerate(classes.histogram()) if count and number]
        names += [(_label(mask.get("class_labels"), number), _color(number)) for number in there]
        palette = [int(_color(number)[at : at + 2], 16) for number in range(256) for at in (1, 3, 5)]
        classes.putpalette(palette)
        buffer = BytesIO()
        classes.save(buffer, "PNG", transparency=0)
        yield tag("img", src=data_uri(buffer.getvalue(), "image/png"), alt="", class_="over")


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
    return sortable(columns, ([_cell(one, files) for one in row] for row in rows[:MOST_ROWS])) + more


def _cell(value: Any, files: Files) -> str:
    is_media = isinstance(value, dict) and value.get("_type") in _KINDS
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
