"""Values in W&B's words: most are what they are here. Pure.

A file of a medium is saved under the path that it has in the run, so a value may name it as it does here.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from runfmt.layout import slug
from runfmt.rows import split_path

__all__ = ["Translation", "nested"]

BATCHES = {"images/separated": "images", "object3D": "objects"}
"""Where a batch has its values, if not under its type."""


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path as a row, nested again."""
    row: dict[str, Any] = {}
    for path, value in values.items():
        *above, last = split_path(path)
        place = row
        for key in above:
            place = place.setdefault(key, {})
        place[last] = value
    return row


@dataclass
class Translation:
    """Translates values; what they need beside them is gathered.

    ``files`` are to be saved, ``labels`` name the classes of masks by ``METRIC_wandb_delimeter_MASK``, and
    ``unsaid`` is what cannot be said, with how often.
    """

    unsaid: Counter[str] = field(default_factory=Counter)
    files: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)

    def row(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a row by path, nested, each as W&B has it."""
        said = {}
        for path, value in values.items():
            try:
                said[path] = self._say(path, value) if isinstance(value, dict) and value else value
            except (LookupError, TypeError, ValueError, AttributeError):
                self.unsaid["values that have not the form of their type"] += 1  # whoever wrote them
        empty = [path for path, value in said.items() if value == {}]
        self.unsaid["empty objects"] += len(empty)
        return nested({path: value for path, value in said.items() if path not in empty})

    def _say(self, path: str, value: dict[str, Any]) -> dict[str, Any]:
        kind = value["_type"]
        if kind == "histogram":
            self.unsaid["histograms' counts of what is no number"] += "nonfinite" in value
            return {key: value[key] for key in ("_type", "bins", "values")}
        if kind == "image-file":
            return self._picture(path, value)
        if kind == "table-file":
            self.unsaid["charts of tables"] += "plot" in value
            return {key: item for key, item in value.items() if key != "plot"}
        if "count" in value:
            return self._batch(path, kind, value)
        return value

    def _batch(self, path: str, kind: str, batch: dict[str, Any]) -> dict[str, Any]:
        items = [*map(dict, batch[BATCHES.get(kind, kind)])]
        if kind == "object3D":
            return {**batch, "filenames": [PurePosixPath(item["path"]).name for item in items]}
        if kind == "audio":
            rates, lengths = ([item.get(key) for item in items] for key in ("sample_rate", "duration"))
            return {**batch, "sampleRates": rates, "durations": lengths}
        if kind != "images/separated":
            return batch
        pictures = [self._picture(path, item) for item in items]
        said = {key: item for key, item in batch.items() if key != "images"}
        said |= {key: pictures[0][key] for key in ("width", "height", "format") if key in pictures[0]}
        for key in ("boxes", "masks"):
            if any(key in picture for picture in pictures):
                said[f"all_{key}"] = [picture.get(key) for picture in pictures]
        return {**said, "filenames": [picture["path"] for picture in pictures]}

    def _picture(self, path: str, value: Mapping[str, Any]) -> dict[str, Any]:
        said = {key: item for key, item in value.items() if key not in ("boxes", "masks", "classes")}
        if "boxes" in value:
            said["boxes"] = {name: self._boxes(path, boxes) for name, boxes in value["boxes"].items()}
        for name, mask in value.get("masks", {}).items():
            if "class_labels" in mask:
                self.labels[f"{path}_wandb_delimeter_{name}"] = mask["class_labels"]
            shown = {key: item for key, item in mask.items() if key != "class_labels"}
            said.setdefault("masks", {})[name] = shown
        return said

    def _boxes(self, path: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """Boxes are a file at W&B."""
        about = {key: value[key] for key in ("box_data", "class_labels") if key in value}
        data = json.dumps(about).encode()
        digest = hashlib.sha256(data).hexdigest()
        name = f"media/metadata/boxes2D/{slug(path)}_{digest[:20]}.boxes2D.json"
        self.files[name] = data
        return {"_type": "boxes2D", "path": name, "sha256": digest, "size": len(data)}
