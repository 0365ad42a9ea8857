"""Arrays of pixels as Pillow images and movies."""

from __future__ import annotations

import io
from typing import Any

from runfmt.arrays import is_torch, numpy, to_numpy
from runfmt.errors import MissingLibrary, UsageError, warn

__all__ = ["movie", "pillow", "pixels", "to_pillow"]

_CHANNELS = (1, 2, 3, 4)
_CODECS = {"mp4": "libx264", "webm": "libvpx-vp9"}
_GRID = 8
"""Images a row in the grid of a batch."""
_GAP = 2
"""Black pixels between them."""


def pillow(what: str = "an image from pixels") -> Any:
    """The ``PIL.Image`` module; raises ``MissingLibrary``."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingLibrary(what, "pillow") from None
    return Image


def to_pillow(data: Any, *, normalize: bool = True) -> Any:
    """A Pillow image of ``(H, W)``, ``(H, W, C)``, torch ``(C, H, W)``, or a batch ``(N, ...)`` of these.

    A batch is drawn as a grid. 1 to 4 channels are grey, grey with alpha, RGB, RGBA.
    Values are taken as :func:`pixels` says. Raises ``UsageError`` for another shape.
    """
    image = pillow()
    array = to_numpy(data, "an image from pixels")
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        form = "(H, W) or (H, W, C), or torch (C, H, W)"
        raise UsageError(f"an image cannot be made of shape {array.shape}: give {form}")
    array = pixels(array, normalize=normalize)
    if array.ndim == 4:
        array = _grid([channels_last(one, first=is_torch(data)) for one in array])
    elif array.ndim == 3:
        array = channels_last(array, first=is_torch(data))
    return image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def channels_last(array: Any, *, first: bool) -> Any:
    """``(H, W, C)`` of an image whose 1 to 4 channels stand first or last; ``first`` decides in doubt."""
    ends = (array.shape[0] in _CHANNELS, array.shape[-1] in _CHANNELS)
    if not any(ends):
        raise UsageError(f"an image of shape {array.shape} has no axis of 1 to 4 channels: give (H, W, C)")
    return array.transpose(1, 2, 0) if ends == (True, False) or (first and ends[0]) else array


def _grid(batch: list[Any]) -> Any:
    """One image of a batch of equal ones, eight a row."""
    np = numpy("an image of a batch")
    if len(batch) == 1:
        return batch[0]
    height, width, channels = batch[0].shape
    rows, columns = -(-len(batch) // _GRID), min(len(batch), _GRID)
    step_y, step_x = height + _GAP, width + _GAP
    sheet = np.zeros((rows * step_y - _GAP, columns * step_x - _GAP, channels), batch[0].dtype)
    for index, image in enumerate(batch):
        y, x = index // _GRID * step_y, index % _GRID * step_x
        sheet[y : y + height, x : x + width] = image
    return sheet


def pixels(array: Any, *, normalize: bool = True) -> Any:
    """Values as ``uint8``: [0, 1] times 255, [-1, 1] rescaled, others clipped to [0, 255] with a warning.

    ``uint8`` is left alone, and ``normalize=False`` scales nothing. NaN counts as 0.
    """
    np = numpy("an image from pixels")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf":
        raise UsageError(f"an image cannot be made of {array.dtype}: give numbers")
    array = np.nan_to_num(array.astype(np.float64), posinf=np.inf, neginf=-np.inf)
    low, high = array.min(), array.max()
    if normalize and low >= 0 and high <= 1:
        array = array * 255
    elif normalize and low >= -1 and high <= 1:
        array = (array + 1) * 127.5
    elif low < 0 or high > 255:
        warn(f"pixels from {low:.4g} to {high:.4g} are clipped to [0, 255]: scale them to [0, 1]")
    return np.rint(array.clip(0, 255)).astype(np.uint8)


def movie(data: Any, fps: int, ending: str) -> tuple[bytes, str]:
    """A file of a video ``(T, C, H, W)``, and its ending.

    The videos of a batch ``(B, T, C, H, W)`` stand side by side. The file is a GIF, with a
    warning, where nothing is installed that could make it an MP4 or WebM.
    """
    pictures = _frames(data)
    if ending in _CODECS and (imageio := _imageio()) is not None:
        rgb = numpy("a video from pixels").stack([picture.convert("RGB") for picture in pictures])
        options = {"fps": fps, "codec": _CODECS[ending], "macro_block_size": 2}
        return imageio.imwrite("<bytes>", rgb, extension=f".{ending}", plugin="FFMPEG", **options), ending
    if ending != "gif":
        warn(f"frames become a GIF, not {ending}: pip install imageio-ffmpeg, or give a file")
    buffer = io.BytesIO()
    first, *rest = pictures
    first.save(buffer, format="GIF", save_all=True, append_images=rest, duration=1000 / fps, loop=0)
    return buffer.getvalue(), "gif"


def _imageio() -> Any:
    """The imageio module, None where it or its ffmpeg is missing."""
    try:
        import imageio.v3
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        return None
    return imageio.v3


def _frames(data: Any) -> list[Any]:
    """The Pillow images of a video."""
    np = numpy("a video from pixels")
    array = to_numpy(data, "a video from pixels")
    if array.ndim == 5:
        array = np.concatenate(list(array), axis=3)
    if array.ndim != 4 or 0 in array.shape or array.shape[1] not in _CHANNELS:
        raise UsageError(
            f"a video cannot be made of shape {array.shape}: give (time, channel, height, width)"
        )
    return [to_pillow(frame) for frame in pixels(array).transpose(0, 2, 3, 1)]
