"""Media and tables in the rows of W&B, as our own client would have been given them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

from runfmt.layout import is_safe
from runfmt.media import Histogram, Image, Media
from runfmt.tables import Table
from runfmt_sync.importing.old import medium

__all__ = ["Values"]

SAID = {"_type", "path", "sha256", "size", "caption", "artifact_path", "_latest_artifact_path"}
"""Keys of a value that are said anew when it is written."""


class Values:
    """Turns values into ours. ``files`` is the folder that their paths lead from.

    ``labels`` are the names of classes in masks, as the config keeps them. What cannot be taken along
    is null, and a line in ``losses``.
    """

    def __init__(self, files: Path, labels: Mapping[str, Any], losses: list[str]) -> None:
        self._files, self._labels, self._losses = files, labels, losses
        self._makers = {
            "image-file": self._image,
            "images/separated": self._images,
            "histogram": self._histogram,
            "table-file": self._table,
            **dict.fromkeys(("html", "audio", "videos", "object3D"), self._batch),
        }

    def logged(self, key: str, value: Any) -> Any:
        """What ``log`` was given under a key."""
        if not isinstance(value, Mapping):
            return value
        kind = value.get("_type")
        if not isinstance(kind, str):
            return {name: self.logged(f"{key}.{name}", inner) for name, inner in value.items()}
        try:
            return self._makers.get(kind, self._file)(key, value)
        except (OSError, KeyError, TypeError, ValueError) as error:
            self._losses.append(f"{key!r}, a {kind} ({error})")
            return None

    def _file(self, _: str, value: Mapping[str, Any]) -> Media:
        """A value with one file, whatever is in it."""
        path = self._path(value)
        about = {name: inner for name, inner in value.items() if name not in SAID}
        return medium(value["_type"], path, ".".join(path.name.split(".")[1:]), value.get("caption"), **about)

    def _image(self, key: str, value: Mapping[str, Any]) -> Media:
        masks = {
            name: {"path": self._path(mask), "class_labels": self._labels_of(key, name)}
            for name, mask in (value.get("masks") or {}).items()
        }
        boxes = {name: self._document(box) for name, box in (value.get("boxes") or {}).items()}
        caption, grouping = value.get("caption"), value.get("grouping")
        return Image(self._path(value), None, caption, grouping, boxes=boxes, masks=masks)

    def _labels_of(self, key: str, name: str) -> Any:
        return self._labels.get(f"{key}_wandb_delimeter_{name}", {}).get("value")

    def _images(self, key: str, value: Mapping[str, Any]) -> list[Media]:
        parts = (value.get(name) or repeat(None) for name in ("captions", "all_masks", "all_boxes"))
        return [
            self._image(key, {"path": path, "caption": caption or None, "masks": masks, "boxes": boxes})
            for path, caption, masks, boxes in zip(value["filenames"], *parts, strict=False)
        ]

    def _batch(self, key: str, value: Mapping[str, Any]) -> list[Any]:
        """A list of media of another kind, which stands under the kind's name."""
        [items] = [inner for inner in value.values() if isinstance(inner, list) and _are_media(inner)]
        captions = value.get("captions") or repeat(None)
        named = zip(items, captions, strict=False)
        return [
            self.logged(key, {**item, "caption": caption or item.get("caption")}) for item, caption in named
        ]

    def _histogram(self, _: str, value: Mapping[str, Any]) -> Media:
        if packed := value.get("packedBins"):
            bins = [packed["min"] + packed["size"] * at for at in range(packed["count"] + 1)]
            return Histogram(np_histogram=(value["values"], bins))
        return Histogram(np_histogram=(value["values"], value["bins"]))

    def _table(self, key: str, value: Mapping[str, Any]) -> Media:
        table = self._document(value)
        rows = [[self.logged(key, cell) for cell in row] for row in table["data"]]
        return Table(columns=table["columns"], data=rows)

    def _document(self, value: Mapping[str, Any]) -> Any:
        return json.loads(self._path(value).read_bytes())

    def _path(self, value: Mapping[str, Any]) -> Path:
        """A file beside the log; nothing else of this machine."""
        path = str(value["path"])
        if not is_safe(path):
            raise ValueError(f"{path!r} lies elsewhere")
        return (self._files / path).resolve(strict=True)


def _are_media(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, Mapping) and "_type" in item for item in items)
