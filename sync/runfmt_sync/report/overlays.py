"""What lies over a picture: boxes as a drawing, masks as pictures, each class in its colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from html import escape
from io import BytesIO
from typing import Any, NamedTuple

from runfmt.drawing import color
from runfmt_sync.report.html import absent, data_uri, tag

__all__ = ["Overlay", "boxes", "masks"]

Corners = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""


class Overlay(NamedTuple):
    """Something over a picture, and the classes that are seen in it, each with its colour."""

    html: str
    names: list[tuple[str, str]]


def boxes(groups: Any, size: tuple[int, int]) -> Iterator[Overlay]:
    """Boxes over a picture of a size in pixels; what does not say where it is, is left out."""
    for group in _objects(groups):
        shapes, names = [], []
        found = group.get("box_data")
        for box in found if isinstance(found, list) else []:
            corners = _corners(box, size) if isinstance(box, dict) else None
            if corners is not None:
                number = box.get("class_id") if isinstance(box.get("class_id"), int) else 0
                names.append((_label(group, number), color(number)))
                shapes.append(_box(corners, str(box.get("box_caption") or names[-1][0]), color(number)))
        if shapes:
            view = f"0 0 {size[0]} {size[1]}"
            yield Overlay(tag("svg", *shapes, class_="over", viewBox=view, preserveAspectRatio="none"), names)


def masks(groups: Any, contents: Callable[[Mapping[str, Any]], bytes | None]) -> Iterator[Overlay]:
    """Masks over a picture, class 0 transparent; those that cannot be read are left out."""
    for mask in _objects(groups):
        data = contents(mask)
        if data is not None:
            yield from _mask(mask, data)


def _objects(found: Any) -> list[dict[str, Any]]:
    return [one for one in found.values() if isinstance(one, dict)] if isinstance(found, dict) else []


def _label(group: Mapping[str, Any], number: int) -> str:
    """The name of a class, whose number is a text in JSON."""
    labels = group.get("class_labels")
    name = labels.get(str(number)) if isinstance(labels, dict) else None
    return str(number if name is None else name)


def _box(corners: Corners, title: str, stroke_color: str) -> str:
    place = dict(zip(("x", "y", "width", "height"), corners, strict=True))
    stroke = {
        "fill": "none",
        "stroke": stroke_color,
        "stroke_width": 2,
        "vector_effect": "non-scaling-stroke",
    }
    return tag("g", tag("rect", **place, **stroke), tag("title", escape(title)))


def _corners(box: Mapping[str, Any], size: tuple[int, int]) -> Corners | None:
    """Where a box is, in pixels or in parts of the picture; None if it does not say."""
    place = box.get("position")
    if not isinstance(place, dict):
        return None
    across, down = (1, 1) if box.get("domain") == "pixel" else size
    if "minX" in place:
        said = [place.get(name) for name in ("minX", "minY", "maxX", "maxY")]
        if numbers := _numbers(said):
            left, top, right, bottom = numbers
            return left * across, top * down, (right - left) * across, (bottom - top) * down
        return None
    middle = place.get("middle")
    said = [*(middle if isinstance(middle, list) else []), place.get("width"), place.get("height")]
    if (numbers := _numbers(said)) and len(numbers) == 4:
        x, y, width, height = numbers
        return (x - width / 2) * across, (y - height / 2) * down, width * across, height * down
    return None


def _numbers(values: list[Any]) -> list[float] | None:
    """Finite numbers; None if there is anything else among them."""
    are_good = all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)
    return [*map(float, values)] if are_good else None


def _mask(mask: Mapping[str, Any], data: bytes) -> Iterator[Overlay]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        yield Overlay(absent("masks are drawn with Pillow: pip install 'runfmt[media]'"), [])
        return
    try:
        with Image.open(BytesIO(data)) as picture:
            classes = picture.convert("L")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError):
        return
    there = [number for number, count in enumerate(classes.histogram()) if count and number]
    classes.putpalette([int(color(number)[at : at + 2], 16) for number in range(256) for at in (1, 3, 5)])
    buffer = BytesIO()
    classes.save(buffer, "PNG", transparency=0)
    names = [(_label(mask, number), color(number)) for number in there]
    yield Overlay(tag("img", src=data_uri(buffer.getvalue(), "image/png"), alt="", class_="over"), names)
