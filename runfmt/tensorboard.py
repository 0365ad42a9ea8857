"""What a ``SummaryWriter`` of torch or tensorboardX is given, recorded in the run as well.

The ``add_*`` methods of the classes are wrapped, whether they are imported already or
later. The writers do what they always did; recording never breaks the training.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runfmt.arrays import is_torch, to_numpy
from runfmt.errors import warn
from runfmt.media import Audio, Histogram, Image, Video

if TYPE_CHECKING:
    from runfmt.run import Run

__all__ = ["patch", "unpatch"]

_MODULES = ("torch.utils.tensorboard.writer", "tensorboardX.writer")
_originals: dict[tuple[type, str], Any] = {}


def patch(run: Run | None = None, root_logdir: str = "", **_: Any) -> None:
    """Record from now on, in ``run``, or in what is ``runfmt.run`` at the time.

    ``global_step`` becomes the step of the row, and stands in it. The tags of a second log
    directory are preceded by its name, or its path below ``root_logdir``.
    """
    _recorder.start(run, root_logdir)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    for name in _MODULES:
        if name in sys.modules:
            _wrap(sys.modules[name])


def unpatch() -> None:
    """Record no longer."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for (kind, name), original in _originals.items():
        setattr(kind, name, original)
    _originals.clear()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the writers' modules as usual, and wraps them when they have run."""

    def __init__(self) -> None:
        self._looking = threading.local()

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name not in _MODULES or getattr(self._looking, "now", False):
            return None
        self._looking.now = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking.now = False
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def run_and_wrap(module: ModuleType) -> None:
            execute(module)
            _wrap(module)

        spec.loader.exec_module = run_and_wrap  # type: ignore[method-assign]
        return spec


def _wrap(module: ModuleType) -> None:
    kind = module.SummaryWriter
    for name in _VALUES:
        original = vars(kind).get(name)
        if original is not None and (kind, name) not in _originals:
            _originals[kind, name] = original
            setattr(kind, name, _recording(original, name))


def _recording(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        # Before the writer gets it: add_figure closes the figure.
        with _recorder.once() as outermost:
            if outermost:
                _recorder.record(name, signature, args, kwargs)
            return original(*args, **kwargs)

    return method


class _Recorder:
    """Where the values go. One call is recorded once, however many others the writer makes of it."""

    def __init__(self) -> None:
        self._nested = threading.local()
        self.start(None, "")

    def start(self, run: Run | None, root: str) -> None:
        self._run, self._root = run, root
        self._first: str | None = None
        self._failed: set[str] = set()

    def once(self) -> _Depth:
        return _Depth(self._nested)

    def record(self, name: str, signature: inspect.Signature, args: Any, kwargs: Any) -> None:
        run = self._run or _current_run()
        if run is None or run._finished or run._forked:
            return
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return  # the writer itself will say so
        bound.apply_defaults()
        try:
            self._log(run, name, bound.arguments, self._prefix(args[0]))
        except Exception as error:
            if name not in self._failed:
                self._failed.add(name)
                warn(f"{type(error).__name__}: {error} ({name}): it is not recorded; the training goes on")

    def _log(self, run: Run, name: str, given: dict[str, Any], prefix: str) -> None:
        if name == "add_hparams":
            run.config.update(given["hparam_dict"], allow_val_change=True)
        row = {prefix + str(tag): value for tag, value in _VALUES[name](given).items()}
        if not row:
            return
        if given.get("walltime") is not None:
            row["_timestamp"] = float(given["walltime"])
        step = given.get("global_step")
        if step is None:
            run.log(row)
        else:
            row["global_step"] = int(step)
            run.log(row, step=int(step) if int(step) >= 0 else None)

    def _prefix(self, writer: Any) -> str:
        """What precedes the tags of a writer: nothing for the first log directory."""
        folder = str(getattr(writer, "log_dir", None) or getattr(writer, "logdir", None) or "")
        if self._root and PurePath(folder).is_relative_to(self._root):
            inner = PurePath(folder).relative_to(self._root).as_posix()
            return "" if inner == "." else f"{inner}/"
        if self._first is None:
            self._first = folder
        return "" if folder == self._first else f"{PurePath(folder).name}/"


class _Depth:
    """A ``with`` block that knows whether it is the outermost of its thread."""

    def __init__(self, local: threading.local) -> None:
        self._local = local

    def __enter__(self) -> bool:
        self._local.depth = getattr(self._local, "depth", 0) + 1
        return bool(self._local.depth == 1)

    def __exit__(self, *_: object) -> None:
        self._local.depth -= 1


def _current_run() -> Run | None:
    return getattr(sys.modules.get("runfmt"), "run", None)


# What a row shows of the arguments of each method


def _hwc(data: Any, dataformats: str) -> Any:
    """An array with the axes in the order N, H, W, C."""
    array = to_numpy(data, "an image from pixels")
    return array.transpose([dataformats.index(axis) for axis in "NHWC" if axis in dataformats])


def _image(given: Mapping[str, Any]) -> dict[str, Any]:
    return {given["tag"]: Image(_hwc(given["img_tensor"], given["dataformats"].upper()))}


def _images(given: Mapping[str, Any]) -> dict[str, Any]:
    batch = _hwc(given["img_tensor"], given["dataformats"].upper())
    return {given["tag"]: [Image(image) for image in batch]}


def _figures(given: Mapping[str, Any]) -> dict[str, Any]:
    figures = given["figure"]
    return {given["tag"]: [Image(one) for one in figures] if isinstance(figures, list) else Image(figures)}


def _raw_histogram(given: Mapping[str, Any]) -> dict[str, Any]:
    """TensorBoard gives the upper limits of the bins."""
    limits = [float(limit) for limit in given["bucket_limits"]]
    counts = [float(count) for count in given["bucket_counts"]]
    return {given["tag"]: Histogram(np_histogram=(counts, [min(float(given["min"]), limits[0]), *limits]))}


def _audio(given: Mapping[str, Any]) -> dict[str, Any]:
    samples = given["snd_tensor"]
    array = to_numpy(samples, "Audio from samples").squeeze()
    is_channels_first = array.ndim == 2 and is_torch(samples) and array.shape[0] < array.shape[1]
    return {given["tag"]: Audio(array.T if is_channels_first else array, sample_rate=given["sample_rate"])}


def _pr_curve(given: Mapping[str, Any]) -> dict[str, Any]:
    from runfmt.plot import pr_curve

    labels = to_numpy(given["labels"]).astype(int).ravel()
    return {given["tag"]: pr_curve(labels, to_numpy(given["predictions"]).ravel(), classes_to_plot=[1])}


_VALUES: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "add_scalar": lambda given: {given["tag"]: given["scalar_value"]},
    "add_scalars": lambda given: {
        f"{given['main_tag']}/{tag}": value for tag, value in given["tag_scalar_dict"].items()
    },
    "add_text": lambda given: {given["tag"]: given["text_string"]},
    "add_histogram": lambda given: {given["tag"]: Histogram(given["values"])},
    "add_histogram_raw": _raw_histogram,
    "add_image": _image,
    "add_images": _images,
    "add_image_with_boxes": _image,
    "add_figure": _figures,
    "add_video": lambda given: {given["tag"]: Video(given["vid_tensor"], fps=given["fps"])},
    "add_audio": _audio,
    "add_pr_curve": _pr_curve,
    "add_hparams": lambda given: dict(given["metric_dict"]),
}

_recorder = _Recorder()
_finder = _Finder()
