"""Histograms as drawings: one as bars, those of many steps as an area whose depth says how many."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from runfmt.drawing import color
from runfmt.scales import Scale, labels, number
from runfmt_sync.report.html import absent, data_uri, tag

__all__ = ["bars", "framed", "over_steps"]

WIDTH, HEIGHT, LEFT, BELOW = 360, 180, 50, 18
MOST = 1e300
"""What is larger, or no number, is in no histogram that can be drawn."""
CELLS = 64
"""Bins of the area."""
INK = tuple(int(color(0)[at : at + 2], 16) for at in (1, 3, 5))


def bars(value: Mapping[str, Any]) -> str:
    """One histogram."""
    found = _arrays(value)
    if found is None:
        return absent("a histogram that cannot be read")
    bins, counts = found
    across, up = Scale(float(bins[0]), float(bins[-1])), Scale(0, float(counts.max()) or 1.0)
    inner = WIDTH - LEFT, HEIGHT - BELOW
    shapes = []
    for low, high, count in zip(bins, bins[1:], counts, strict=False):
        x, end = (LEFT + across.place(float(edge)) * inner[0] for edge in (low, high))
        height = up.place(float(count)) * inner[1]
        said = f"{number(float(low))} to {number(float(high))}: {number(float(count))}"
        path = f"M{x:.1f} {inner[1]:.1f}v{-height:.1f}H{end:.1f}V{inner[1]:.1f}z"
        shapes.append(f'<path d="{path}" fill="{color(0)}">{tag("title", escape(said))}</path>')
    return framed("".join(shapes), across, up)


def over_steps(steps: Sequence[int], values: Sequence[Mapping[str, Any]]) -> str:
    """Histograms of rising steps side by side: how deep the colour is, is the share of a step's values."""
    found = [(step, *arrays) for step, value in zip(steps, values, strict=True) if (arrays := _arrays(value))]
    if len(found) < 2:
        return bars(values[-1])
    low, high = min(float(bins[0]) for _, bins, _ in found), max(float(bins[-1]) for _, bins, _ in found)
    edges = np.linspace(low, high, CELLS + 1)
    shares = np.stack([_spread(bins, counts, edges) for _, bins, counts in found], axis=1)[::-1]
    picture = data_uri(_png(shares / (shares.max() or 1)), "image/png")
    place = {"x": LEFT, "y": 0, "width": WIDTH - LEFT, "height": HEIGHT - BELOW}
    image = tag("image", href=picture, preserveAspectRatio="none", style="image-rendering:pixelated", **place)
    return framed(image, Scale(found[0][0], found[-1][0]), Scale(low, high))


def _arrays(value: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Edges and counts of a histogram whose numbers are finite."""
    try:
        bins, counts = (np.array(value[name], dtype=float) for name in ("bins", "values"))
    except (KeyError, TypeError, ValueError):
        return None
    is_good = bins.ndim == counts.ndim == 1 and len(bins) == len(counts) + 1 > 1
    if not is_good or not (abs(bins) < MOST).all() or not ((counts >= 0) & (counts < MOST)).all():
        return None
    return (bins, counts) if (bins[1:] >= bins[:-1]).all() else None


def _spread(bins: Any, counts: Any, edges: Any) -> Any:
    """The share of the values in other bins, as if they lay evenly in each of their own."""
    below = np.concatenate([[0.0], np.cumsum(counts)])
    return np.diff(np.interp(edges, bins, below)) / (below[-1] or 1)


def _png(depth: Any) -> bytes:
    """A picture of one colour, as deep as an array ``(H, W)`` of 0 to 1 says (PNG, colour type 6)."""
    height, width = depth.shape
    pixels = np.empty((height, 1 + width * 4), np.uint8)
    pixels[:, 0] = 0  # no filter
    pixels[:, 1:] = np.dstack([*(np.full(depth.shape, part) for part in INK), depth**0.5 * 255]).reshape(
        height, -1
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(pixels.tobytes(), 9)), (b"IEND", b""))
    said = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(said)


def framed(shapes: str, across: Scale, up: Scale) -> str:
    """Shapes above and beside axes, in a drawing of WIDTH and HEIGHT, the axes at LEFT and BELOW."""
    texts = []
    for tick, label in _said(up):
        y = max((1 - up.place(tick)) * (HEIGHT - BELOW) + 4, 9)
        texts.append(f'<text x="{LEFT - 5}" y="{y:.1f}" text-anchor="end">{label}</text>')
    for tick, label in _said(across):
        at = across.place(tick)
        x, anchor = LEFT + at * (WIDTH - LEFT), "end" if at > 0.95 else "middle"
        texts.append(f'<text x="{x:.1f}" y="{HEIGHT - 4}" text-anchor="{anchor}">{label}</text>')
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    font = 'font-family="system-ui,sans-serif" font-size="10" fill="currentColor"'
    return f"<svg {size} {font}>{shapes}{''.join(texts)}</svg>"


def _said(scale: Scale) -> Iterable[tuple[float, str]]:
    ticks = scale.ticks(4)
    return zip(ticks, labels(ticks), strict=True)
