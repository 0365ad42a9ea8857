"""Images, sounds, videos, pages, shapes, plots and histograms, and where their files go.

A media object takes its contents when it is made, needs no run, and can be logged
any number of times. Its file is named by key and digest (R072), so that equal media
of a key are stored once, and is whole on disk before the row that names it (R073).
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import orjson

from runfmt.arrays import is_array, is_of, is_torch, numpy, to_numpy
from runfmt.documents import copy_named, leave_to_system, make_folder, may_be_file, replace
from runfmt.errors import MissingLibrary, UsageError, warn
from runfmt.layout import media_path
from runfmt.pixels import movie, pillow, to_pillow

__all__ = [
    "Audio",
    "Batch",
    "DirectorySink",
    "Histogram",
    "Html",
    "Image",
    "Media",
    "MediaFile",
    "Object3D",
    "Plotly",
    "Sink",
    "Video",
    "divides",
]


class Sink(Protocol):
    """Takes the contents of media and says how a row names them.

    ``strict`` says that a disk that refuses is an error; otherwise the value is null, with a warning.
    """

    strict: bool

    def put(self, kind: str, key: str, data: bytes | Path, ending: str) -> dict[str, Any]:
        """Store contents or a copy of a file; gives ``path``, ``sha256`` and ``size`` (R070, R071)."""


class DirectorySink:
    """Puts media into a run directory.

    ``settle`` is called with each file in its place, before a row names it: it makes the
    file durable, or sees to it that this will happen.
    """

    def __init__(
        self, directory: Path, settle: Callable[[Path], None] = leave_to_system, *, strict: bool = False
    ) -> None:
        self._directory, self._settle = directory, settle
        self.strict = strict

    def put(self, kind: str, key: str, data: bytes | Path, ending: str) -> dict[str, Any]:
        """Store contents, or a copy of a file made in pieces; equal media of a key once (R074).

        Whole on disk when this returns.
        """
        ending = _ending(ending)
        if isinstance(data, Path):
            folder = (self._directory / media_path(kind, key, "", ending)).parent
            make_folder(folder, self._directory)
            name = lambda digest: Path(media_path(kind, key, digest, ending)).name  # noqa: E731
            target, digest, size = copy_named(data, folder, name, keep=True)
            self._settle(target)
            return {"path": media_path(kind, key, digest, ending), "sha256": digest, "size": size}
        digest = hashlib.sha256(data).hexdigest()
        path = media_path(kind, key, digest, ending)
        target = self._directory / path
        if not (target.is_file() and target.stat().st_size == len(data)):
            make_folder(target.parent, self._directory)
            replace(target, data, durable=False)
        self._settle(target)
        return {"path": path, "sha256": digest, "size": len(data)}


def _ending(text: str) -> str:
    """An ending that is safe in a file name, ``[a-z0-9.]``."""
    parts = re.findall(r"[a-z0-9]+", text.lower())
    return ".".join(part[:16] for part in parts[-2:]) or "bin"


class Media:
    """A value that a row shows as an object with a ``_type``."""

    type: ClassVar[str]

    def snapshot(self) -> Media:
        """What a row of now holds; raises ``TypeError`` for contents that cannot be written."""
        return self

    def to_json(self, key: str, sink: Sink) -> dict[str, Any]:
        """What the row holds, with the files written through the sink; ``key`` is the path of the key."""
        raise NotImplementedError


class MediaFile(Media):
    """Media of one file: ``contents`` are bytes, or the path of a file that is copied when it is logged.

    ``kind`` is the folder below ``media/``; a list of such media is written as one
    value of type ``batch[0]``, with the files under ``batch[1]``.
    """

    kind: ClassVar[str]
    batch: ClassVar[tuple[str, str] | None] = None

    def __init__(self, contents: bytes | Path, ending: str, caption: str | None = None, **about: Any) -> None:
        from runfmt.values import plain

        self.contents = contents
        self.ending = ending
        self.caption = None if caption is None else plain(str(caption), "caption")
        about["caption"] = self.caption
        self.about = plain({name: value for name, value in about.items() if value is not None}, self.type)

    def to_json(self, key: str, sink: Sink) -> dict[str, Any]:
        from runfmt.values import stored

        named = sink.put(self.kind, key, self.contents, self.ending)
        return {"_type": self.type, **named, **stored(self.about, key, sink)}


class Batch(Media):
    """A list of media of one kind, which a row holds as one value."""

    def __init__(self, items: Sequence[MediaFile]) -> None:
        self.items = items

    @staticmethod
    def takes(items: Sequence[Any]) -> bool:
        """Whether a list is one of media that are batched."""
        first = items[0] if items else None
        return (
            isinstance(first, MediaFile)
            and first.batch is not None
            and len({type(item) for item in items}) == 1
        )

    def to_json(self, key: str, sink: Sink) -> dict[str, Any]:
        type, name = self.items[0].batch or ("", "")
        found: dict[str, Any] = {"_type": type, "count": len(self.items)}
        if any(item.caption is not None for item in self.items):
            found["captions"] = [item.caption or "" for item in self.items]
        return {**found, name: [item.to_json(key, sink) for item in self.items]}


def _file(path: str | Path) -> Path:
    """A file that is there, as an absolute path: the working directory may change before it is logged."""
    found = Path(path).absolute()
    if not may_be_file(found):
        raise FileNotFoundError(f"no such file ({path}): give the path of a file, or its contents as bytes")
    return found


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, Path))


def _read(source: Any, what: str) -> bytes:
    """The contents of bytes, a buffer or an open file."""
    if hasattr(source, "seek"):  # a buffer that was just written stands at its end
        source.seek(0)
    data = source.read() if hasattr(source, "read") else source
    if isinstance(data, str):
        return data.encode("utf-8", "replace")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"{what} is made from a path, bytes, an open file or an array, not {type(data).__name__}"
        )
    return bytes(data)


def _known(ending: str | None, endings: Sequence[str], what: str) -> str:
    if ending is None or ending not in endings:
        raise UsageError(f"{what} {ending!r} is unknown: use one of {', '.join(endings)}")
    return ending


class Image(MediaFile):
    """A picture.

    ``data_or_path`` is a path, a Pillow image, a matplotlib figure or axes, a numpy
    array ``(H, W)`` or ``(H, W, C)``, a torch tensor ``(C, H, W)``, a batch ``(N, ...)``
    of these, drawn as a grid, or another ``Image``. Arrays: ``uint8`` as it is, [0, 1]
    times 255, [-1, 1] rescaled, others clipped with a warning; ``normalize=False``
    scales nothing. ``mode`` is a Pillow mode to convert to, ``file_type`` is ``png``
    (default), ``jpg`` or ``bmp``. ``classes``, ``boxes`` and ``masks`` are kept in the value.
    """

    type = "image-file"
    kind = "image"
    batch = ("images/separated", "images")

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Any = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        file_type: str | None = None,
        normalize: bool = True,
    ) -> None:
        about = {"grouping": grouping, **_overlays(classes, boxes, masks)}
        if isinstance(data_or_path, Image):
            contents, ending = data_or_path.contents, data_or_path.ending
            caption = data_or_path.caption if caption is None else caption
            about = {
                **data_or_path.about,
                **{name: value for name, value in about.items() if value is not None},
            }
            about.pop("caption", None)
        elif _is_path(data_or_path):
            path = _file(data_or_path)
            contents, ending = path, path.suffix[1:].lower() or "png"
            about.update(_about_picture(path))
        else:
            ending = _known(file_type or "png", ("png", "jpg", "jpeg", "bmp"), "file_type")
            contents, (width, height) = _encoded(_picture(data_or_path, normalize), mode, ending)
            about.update(format=ending, width=width, height=height)
        super().__init__(contents, ending, caption, **about)

    @property
    def image(self) -> Any:
        """The picture as a Pillow image."""
        source = self.contents if isinstance(self.contents, Path) else io.BytesIO(self.contents)
        return pillow("Image.image").open(source)


def _overlays(classes: Any, boxes: Any, masks: Any) -> dict[str, Any]:
    """What lies over an image; masks become media of their own."""
    for name, value in (("boxes", boxes), ("masks", masks)):
        if value is not None and not isinstance(value, Mapping):
            raise UsageError(f"{name} is a dict of names to {name}, not {type(value).__name__}")
    found = {
        "classes": [dict(one) for one in classes] if classes is not None else None,
        "boxes": {name: {"_type": "boxes2D", **box} for name, box in boxes.items()} if boxes else None,
        "masks": {name: Mask(mask) for name, mask in masks.items()} if masks else None,
    }
    return {name: value for name, value in found.items() if value is not None}


class Mask(MediaFile):
    """A class a pixel, over an image: ``mask_data`` is ``(H, W)`` of 0 to 255, or ``path`` a grey picture."""

    type = "mask"
    kind = "mask"

    def __init__(self, mask: Mapping[str, Any]) -> None:
        labels = mask.get("class_labels")
        if "path" in mask:
            path = _file(mask["path"])
            super().__init__(path, path.suffix[1:] or "png", class_labels=labels)
        elif "mask_data" in mask:
            array = to_numpy(mask["mask_data"], "a mask")
            if array.ndim != 2:
                raise UsageError(f"mask_data has shape {array.shape}: give (H, W)")
            picture = to_pillow(array.astype("uint8"))
            super().__init__(_encoded(picture, None, "png")[0], "png", class_labels=labels)
        else:
            raise UsageError("a mask is a dict with mask_data or path, and class_labels")


def _picture(data: Any, normalize: bool) -> Any:
    """The Pillow image of what is no path."""
    kind = type(data)
    if is_of(kind, "PIL", "Image"):
        return data
    data = data.gcf() if hasattr(data, "gcf") else data  # matplotlib.pyplot itself
    figure: Any = data if hasattr(data, "savefig") else getattr(data, "figure", None)
    if hasattr(figure, "savefig"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return pillow().open(buffer)
    if isinstance(data, (bytes, bytearray, io.BytesIO)) or hasattr(data, "read"):
        return pillow().open(io.BytesIO(_read(data, "an image")))
    if not is_array(data) and not isinstance(data, (list, tuple)):
        raise TypeError(
            f"an image is made from a path, an array, a Pillow image or a figure, not {kind.__name__}"
        )
    return to_pillow(data, normalize=normalize)


def _encoded(picture: Any, mode: str | None, ending: str) -> tuple[bytes, tuple[int, int]]:
    """The bytes of a Pillow image, and its width and height in pixels."""
    if mode is not None:
        picture = picture.convert(mode)
    if ending != "png" and picture.mode in ("RGBA", "LA", "PA"):
        warn(f"a {ending} has no transparency: the alpha channel is left out")
        picture = picture.convert("L" if picture.mode == "LA" else "RGB")
    elif picture.mode not in (
        ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16") if ending == "png" else ("L", "RGB")
    ):
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    # Level 4 takes a third of the time of the default 6, for 1 % more bytes.
    options = {"compress_level": 4} if ending == "png" else {}
    picture.save(buffer, format="JPEG" if ending == "jpg" else ending.upper(), **options)
    return buffer.getvalue(), picture.size


def _about_picture(path: Path) -> dict[str, Any]:
    """Format, width and height of a picture file; the size is unknown without Pillow or to Pillow."""
    about = {"format": path.suffix[1:].lower() or None}
    try:
        from PIL import Image
    except ImportError:
        return about
    try:
        with Image.open(path) as picture:
            width, height = picture.size
    except OSError:  # an SVG, say: any file is kept, and what cannot be read is told when it is logged
        return about
    return {**about, "width": width, "height": height}


class Audio(MediaFile):
    """A sound: a path, the bytes of a WAV file, or samples ``(T,)`` or ``(T, channels)``.

    Samples need their ``sample_rate`` in Hz, and soundfile. Float samples lie in
    [-1, 1]; torch tensors are ``(channels, T)``.
    """

    type = "audio-file"
    kind = "audio"
    batch = ("audio", "audio")

    def __init__(self, data_or_path: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        if _is_path(data_or_path):
            path = _file(data_or_path)
            super().__init__(path, path.suffix[1:] or "wav", caption, sample_rate=sample_rate)
        elif is_array(data_or_path) or isinstance(data_or_path, (list, tuple)):
            if not sample_rate:
                raise UsageError("Audio from samples needs their sample_rate, in Hz")
            contents, seconds = _sound(data_or_path, int(sample_rate))
            super().__init__(contents, "wav", caption, sample_rate=int(sample_rate), duration=seconds)
        else:
            super().__init__(_read(data_or_path, "Audio"), "wav", caption, sample_rate=sample_rate)


def _sound(data: Any, sample_rate: int) -> tuple[bytes, float]:
    """A WAV file of samples, and its length in seconds."""
    try:
        import soundfile
    except ImportError:
        raise MissingLibrary("Audio from samples", "soundfile") from None
    samples = to_numpy(data, "Audio from samples")
    samples = samples.T if is_torch(data) and samples.ndim == 2 else samples
    samples = samples.astype("float32") if samples.dtype.name == "float16" else samples
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="WAV")
    return buffer.getvalue(), len(samples) / sample_rate


class Video(MediaFile):
    """A video: a path, bytes or an open file with its ``format``, or frames ``(T, C, H, W)``.

    Frames become a GIF, or with imageio-ffmpeg an MP4 or WebM, with ``fps`` frames a second
    (default 4); the videos of a batch ``(B, T, C, H, W)`` stand side by side.
    """

    type = "video-file"
    kind = "video"
    batch = ("videos", "videos")
    endings = ("gif", "mp4", "webm", "ogg")

    def __init__(
        self, data_or_path: Any, caption: str | None = None, fps: int | None = None, format: str | None = None
    ) -> None:
        if _is_path(data_or_path):
            path = _file(data_or_path)
            contents: bytes | Path = path
            ending = _known(path.suffix[1:].lower() or format, self.endings, "a video's ending")
        else:
            ending = _known(format or "gif", self.endings, "format")
            if is_array(data_or_path):
                contents, ending = movie(data_or_path, fps or 4, ending)
            else:
                contents = _read(data_or_path, "Video")
        super().__init__(contents, ending, caption, format=ending)


class Html(MediaFile):
    """A page: HTML text, the path of an ``.html`` file, or an open file; nothing is fetched from anywhere.

    ``data_is_not_path`` takes a text that ends in ``.html`` as text. ``inject`` means nothing here.
    """

    type = "html-file"
    kind = "html"
    batch = ("html", "html")

    def __init__(
        self, data: Any, inject: bool = True, data_is_not_path: bool = False, caption: str | None = None
    ) -> None:
        is_name = isinstance(data, str) and data.endswith((".html", ".htm")) and os.path.isfile(data)
        names_file = isinstance(data, Path) or is_name
        contents = _file(data) if names_file and not data_is_not_path else _read(data, "Html")
        super().__init__(contents, "html", caption)


class Object3D(MediaFile):
    """A shape or a cloud of points.

    A path (``.obj .gltf .glb .babylon .stl .pts.json``), an open file or bytes with its
    ``file_type``, points ``(N, 3)``, ``(N, 4)`` with a category, or ``(N, 6)`` with a
    colour, or a dict of ``type``, ``points``, ``boxes`` and ``vectors``.
    """

    type = "object3D-file"
    kind = "object3D"
    batch = ("object3D", "objects")
    endings = ("obj", "gltf", "glb", "babylon", "stl", "pts.json")

    def __init__(self, data_or_path: Any, caption: str | None = None, file_type: str | None = None) -> None:
        if _is_path(data_or_path):
            contents: bytes | Path = _file(data_or_path)
            name = str(data_or_path).lower()
            ending = next((one for one in self.endings if name.endswith(f".{one}")), None) or file_type
        elif isinstance(data_or_path, Mapping) or is_array(data_or_path) or isinstance(data_or_path, list):
            contents, ending = _points(data_or_path), "pts.json"
        else:
            contents, ending = _read(data_or_path, "Object3D"), file_type
        super().__init__(contents, _known(ending, self.endings, "a 3D object's ending"), caption)

    @classmethod
    def from_numpy(cls, data: Any) -> Object3D:
        """The same as the constructor, of points."""
        return cls(data)

    @classmethod
    def from_file(cls, data_or_path: Any, file_type: str | None = None) -> Object3D:
        """The same as the constructor, of a file."""
        return cls(data_or_path, file_type=file_type)

    @classmethod
    def from_point_cloud(
        cls, points: Any, boxes: Any = (), vectors: Any = None, point_cloud_type: str = "lidar/beta"
    ) -> Object3D:
        """Points with boxes and vectors around them."""
        return cls({"type": point_cloud_type, "points": points, "boxes": boxes, "vectors": vectors or []})


def _points(data: Any) -> bytes:
    if isinstance(data, Mapping):
        return orjson.dumps({key: _nested(value) for key, value in data.items()})
    array = to_numpy(data, "a cloud of points")
    if array.ndim != 2 or array.shape[1] not in (3, 4, 6):
        raise UsageError(f"points have shape {array.shape}: give (N, 3), (N, 4) or (N, 6)")
    return orjson.dumps(array.tolist())


def _nested(value: Any) -> Any:
    """Lists and dicts of what holds arrays."""
    if is_array(value):
        return to_numpy(value).tolist()
    if isinstance(value, Mapping):
        return {str(key): _nested(item) for key, item in value.items()}
    return [_nested(item) for item in value] if isinstance(value, (list, tuple)) else value


class Plotly(MediaFile):
    """A plotly figure, or the dict of one."""

    type = "plotly-file"
    kind = "plotly"

    def __init__(self, val: Any) -> None:
        if hasattr(val, "to_plotly_json"):
            contents = val.to_json().encode()
        elif isinstance(val, Mapping):
            contents = orjson.dumps(_nested(val))
        else:
            raise TypeError(
                f"Plotly takes a plotly figure or its dict, not {type(val).__name__}: log Image for others"
            )
        super().__init__(contents, "plotly.json")


def divides(low: float, high: float, bins: int) -> bool:
    """Whether floats can divide a range into so many bins: it is not empty, nor too narrow or too wide."""
    return math.ulp(max(-low, high)) <= (high - low) / bins < math.inf


class Histogram(Media):
    """How often values fall into bins.

    ``sequence`` is any array or list, of which NaN and the infinities are left out and
    counted; ``np_histogram`` is ``(values, bins)`` as ``numpy.histogram`` gives them,
    with ``len(bins) == len(values) + 1``. At most 512 bins. Raises ``UsageError`` otherwise.
    """

    type = "histogram"
    MAX_LENGTH = 512

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int | None = 64) -> None:
        self.nonfinite = 0
        if np_histogram is not None:
            if len(np_histogram) != 2:
                raise UsageError("np_histogram is (values, bins), as numpy.histogram gives them")
            self.histogram, self.bins = (list(_nested(part)) for part in np_histogram)
        elif sequence is None:
            raise UsageError("a histogram needs a sequence or an np_histogram")
        else:
            self._count(sequence, 64 if num_bins is None else num_bins)
        if len(self.histogram) > self.MAX_LENGTH:
            raise UsageError(f"a histogram has at most {self.MAX_LENGTH} bins, not {len(self.histogram)}")
        if len(self.bins) != len(self.histogram) + 1:
            raise UsageError(
                f"a histogram of {len(self.histogram)} values has one bin edge more, not {len(self.bins)}"
            )

    def _count(self, sequence: Any, num_bins: int) -> None:
        if not 1 <= num_bins <= self.MAX_LENGTH:
            raise UsageError(f"num_bins={num_bins} is out of range: use 1 to {self.MAX_LENGTH}")
        np = numpy("a histogram")
        array = to_numpy(sequence, "a histogram").ravel()
        array = array.astype(np.float64)
        finite = array[np.isfinite(array)]
        self.nonfinite = array.size - finite.size
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        if divides(low, high, num_bins):
            values, bins = np.histogram(finite, bins=num_bins, range=(low, high))
            self.histogram, self.bins = values.tolist(), bins.tolist()
        else:
            self.histogram, self.bins = [finite.size], [low, high]

    def to_json(self, key: str = "", sink: Sink | None = None) -> dict[str, Any]:
        """What the row holds; there is no file."""
        counted = {"nonfinite": self.nonfinite} if self.nonfinite else {}
        return {"_type": self.type, "bins": self.bins, "values": self.histogram, **counted}
