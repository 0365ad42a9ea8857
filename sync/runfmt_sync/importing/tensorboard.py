"""Runs in event files of TensorBoard: a folder that holds some is a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runfmt.errors import MissingLibrary, UsageError
from runfmt.media import Histogram, Media
from runfmt_sync.importing.old import OldRun, Point, medium, rows_of
from runfmt_sync.trackers.eventfile import masked_crc

__all__ = ["find"]

SUMMARY = "_hparams_/session_start_info"
"""The tag under which TensorBoard's page of hyperparameters looks for them."""


def find(folder: Path, names: Iterable[str]) -> Iterable[OldRun] | None:
    """The run in the event files of a folder."""
    logs = [folder / name for name in sorted(names) if "tfevents" in name]
    return [_run(folder.absolute(), logs)] if any(log.stat().st_size for log in logs) else None


def _run(folder: Path, logs: list[Path]) -> OldRun:
    run = OldRun(f"tensorboard:{folder.name}/{logs[0].name}", folder.name)
    run.about = {"project": folder.parent.name}
    points: list[Point] = []
    for log in logs:
        for event in _events(log, run.losses):
            run.started = min(run.started or event.wall_time, event.wall_time)
            run.ended = max(run.ended or event.wall_time, event.wall_time)
            points += _points(run, event)
    run.rows = rows_of(points)
    return run


def _events(log: Path, losses: list[str]) -> Iterator[Any]:
    """The events of a file as far as they are whole, in their newest form."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    except ImportError as error:
        raise MissingLibrary("reading event files", "tensorboard") from error
    with log.open("rb") as file:
        if not file.read(1):
            return
    count = 0
    try:
        for event in EventFileLoader(str(log)).Load():
            count += 1
            yield event
        if count < _records(log):
            losses.append(f"what comes behind event {count:,} of {log.name}, where it is damaged")
    except Exception as error:  # protobuf and numpy have no common one
        raise UsageError(f"{log} cannot be read as event file: {error}") from error


def _records(log: Path) -> int:
    """How many records a file holds; what has no right head counts as one, an unfinished end as none.

    A record is a length, its checksum, so many bytes, and theirs.
    """
    count, size = 0, log.stat().st_size
    with log.open("rb") as file:
        while len(head := file.read(12)) == 12:
            if head[8:] != masked_crc(head[:8]):
                return count + 1
            file.seek(int.from_bytes(head[:8], "little") + 4, os.SEEK_CUR)
            if file.tell() > size:
                break
            count += 1
    return count


def _points(run: OldRun, event: Any) -> Iterator[Point]:
    """What an event says; hyperparameters go into the config."""
    for value in event.summary.value:
        plugin = value.metadata.plugin_data.plugin_name
        if plugin == "hparams":
            if value.tag == SUMMARY:
                run.config |= _hyperparameters(value.metadata.plugin_data.content)
            continue
        make = MAKERS.get(plugin)
        if make is None:
            run.losses.append(f"{value.tag!r}, which is for TensorBoard's {plugin or 'unnamed'} plugin")
            continue
        try:
            yield event.step, event.wall_time, value.tag, make(value)
        except (ValueError, TypeError, IndexError, UsageError) as error:
            run.losses.append(f"{value.tag!r} at step {event.step}, which is no {plugin} ({error})")


def _hyperparameters(content: bytes) -> Mapping[str, Any]:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    said = HParamsPluginData.FromString(content).session_start_info.hparams
    return {key: getattr(said[key], said[key].WhichOneof("kind") or "", None) for key in sorted(said)}


def _array(value: Any) -> Any:
    from tensorboard.util.tensor_util import make_ndarray

    return make_ndarray(value.tensor)


def _scalar(value: Any) -> float:
    number: float = _array(value).item()
    if value.tensor.dtype == 1:  # a float of 32 bits: 0.1 is 0.1, as it is printed there
        return float(str(_array(value).ravel()[0]))
    return number


def _images(value: Any) -> list[Media] | Media:
    """Encoded pictures, behind width and height as texts."""
    width, height, *pictures = (bytes(text) for text in _array(value).ravel())
    size: dict[str, Any] = {"width": int(width), "height": int(height)}
    made = [medium("image-file", data, _ending(data), format=_ending(data), **size) for data in pictures]
    return made[0] if len(made) == 1 else made


def _ending(data: bytes) -> str:
    beginnings = {b"\x89PNG": "png", b"\xff\xd8": "jpg", b"GIF8": "gif", b"RIFF": "wav"}
    return next((ending for beginning, ending in beginnings.items() if data.startswith(beginning)), "bin")


def _sounds(value: Any) -> list[Media] | Media:
    """Encoded sounds, each with its label."""
    clips = [bytes(text) for text in _array(value).reshape(value.tensor.tensor_shape.dim[0].size, -1)[:, 0]]
    made = [medium("audio-file", data, _ending(data)) for data in clips]
    return made[0] if len(made) == 1 else made


def _histogram(value: Any) -> Histogram | None:
    """Rows of left edge, right edge and count; one without a width is counted with the one before."""
    counts: list[float] = []
    edges: list[float] = []
    for left, right, count in _array(value).tolist():
        if counts and right <= edges[-1]:
            counts[-1] += count
        else:
            edges = edges or ([left] if left < right else [left - 0.5])
            counts.append(count)
            edges.append(right if left < right else right + 0.5)
    while len(counts) > Histogram.MAX_LENGTH:  # two become one
        last = edges[-1]
        counts = [sum(counts[at : at + 2]) for at in range(0, len(counts), 2)]
        edges = [*edges[:-1:2], last]
    return Histogram(np_histogram=(counts, edges)) if counts else None


def _text(value: Any) -> str | list[str]:
    texts = [bytes(text).decode("utf-8", "replace") for text in _array(value).ravel()]
    return texts[0] if len(texts) == 1 else texts


MAKERS: Mapping[str, Callable[[Any], Any]] = {
    "scalars": _scalar,
    "images": _images,
    "audio": _sounds,
    "histograms": _histogram,
    "text": _text,
}
