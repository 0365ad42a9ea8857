"""Histograms of a torch model's gradients and parameters, logged by hooks.

A hook never breaks the training: what goes wrong in one is warned of once. Hooks do
nothing after the run ended, in a forked child, and in a copied or unpickled model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from runfmt.arrays import is_of
from runfmt.errors import UsageError, warn
from runfmt.media import Histogram, divides

if TYPE_CHECKING:
    from runfmt.run import Run

__all__ = ["tensor_histogram", "unwatch", "watch"]

BINS = 64
_LOGS = ("gradients", "parameters", "all", None)
_handles: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()
"""The hooks of each watched model."""
_counts: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""How many models each run has watched."""


def watch(
    models: Any,
    criterion: Any = None,
    log: str | None = "gradients",
    *,
    run: Run,
    log_freq: int = 1000,
    idx: int | None = None,
    log_graph: bool = False,
) -> None:
    """Log histograms of ``gradients``, ``parameters`` or ``all`` every ``log_freq`` passes, at the open step.

    The keys are ``gradients/<name>`` and ``parameters/<name>``, with ``graph_<n>`` before the
    name from the second model on. ``criterion`` and ``log_graph`` are accepted and mean
    nothing. A model that is watched already is watched anew. Raises ``UsageError`` for
    another ``log``, ``TypeError`` for what is no torch module.
    """
    if log not in _LOGS:
        raise UsageError(f"watch(log={log!r}) is unknown: use 'gradients', 'parameters', 'all' or None")
    listed = _listed(models)
    for model in listed:
        if not is_of(type(model), "torch", "Module"):
            raise TypeError(f"watch takes torch modules, not {type(model).__name__}")
    first = _counts.get(run, 0) if idx is None else idx
    _counts[run] = first + len(listed)
    for number, model in enumerate(listed, first):
        unwatch(model)
        _handles[model] = list(
            _hooked(model, f"graph_{number}" if number else "", log, run, max(log_freq, 1))
        )


def unwatch(models: Any = None) -> None:
    """Take the hooks of these models away, or of all."""
    for model in list(_handles) if models is None else _listed(models):
        for handle in _handles.pop(model, ()):
            handle.remove()


def _listed(models: Any) -> list[Any]:
    return list(models) if isinstance(models, (list, tuple)) else [models]


def _hooked(model: Any, prefix: str, log: str | None, run: Run, every: int) -> Iterable[Any]:
    """Set the hooks; gives their handles."""
    if log in ("parameters", "all"):
        yield model.register_forward_hook(_Hook(run, every, lambda module, *_: _parameters(module, prefix)))
    if log in ("gradients", "all"):
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                key = f"gradients/{prefix}{name}"
                yield parameter.register_hook(_Hook(run, every, lambda grad, key=key: [(key, grad)]))


def _parameters(module: Any, prefix: str) -> list[tuple[str, Any]]:
    return [(f"parameters/{prefix}{name}", parameter) for name, parameter in module.named_parameters()]


class _Hook:
    """Every so many calls, logs histograms of the tensors that a function finds in the arguments."""

    def __init__(
        self, run: Run | None, every: int, tensors: Callable[..., list[tuple[str, Any]]] | None
    ) -> None:
        self._run, self._every, self._tensors = run, every, tensors
        self._calls = 0
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> None:
        if self._run is None or self._tensors is None or self._run._finished or self._run._forked:
            return
        with self._lock:  # several devices go backward in several threads
            self._calls = (self._calls + 1) % self._every
            if self._calls:
                return
        try:
            found = {name: tensor_histogram(tensor) for name, tensor in self._tensors(*arguments)}
            row = {name: value for name, value in found.items() if value is not None}
            if row:
                self._run.log(row, commit=False)
        except Exception as error:
            self._run = None
            warn(f"{type(error).__name__}: {error} (watch): this hook stops, the training goes on")

    def __reduce__(self) -> tuple[Any, ...]:
        return _Hook, (None, 1, None)


def tensor_histogram(tensor: Any) -> Histogram | None:
    """The histogram of a torch tensor, counted on its device; None without any finite value.

    The zeros that a sparse tensor does not hold are counted.
    """
    import torch

    with torch.no_grad():
        flat, zeros = tensor.detach(), 0
        if flat.layout != torch.strided:
            flat = flat.coalesce() if flat.layout == torch.sparse_coo else flat
            zeros, flat = flat.numel() - flat.values().numel(), flat.values()
        flat = flat.reshape(-1)
        flat = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
        finite = flat[torch.isfinite(flat)]
        left_out = flat.numel() - finite.numel()
        if finite.numel() + zeros == 0:
            return None
        low, high = (float(edge) for edge in finite.aminmax()) if finite.numel() else (0.0, 0.0)
        if zeros:
            low, high = min(low, 0.0), max(high, 0.0)
        counts, bins = _counted(finite, low, high)
        if zeros:
            counts[next(index for index, edge in enumerate(bins[1:]) if edge > 0 or edge == bins[-1])] += (
                zeros
            )
    histogram = Histogram(np_histogram=(counts, bins))
    histogram.nonfinite = left_out
    return histogram


def _counted(finite: Any, low: float, high: float) -> tuple[list[int], list[float]]:
    """Counts and edges; one bin where all values are equal."""
    import torch

    if not divides(low, high, BINS):
        return [finite.numel()], [low, high]
    bins = [low + (high - low) / BINS * index for index in range(BINS)] + [high]
    finite = finite.double() if high - low > torch.finfo(finite.dtype).max else finite
    try:
        counts = finite.histc(BINS, low, high)
    except RuntimeError:  # devices without histc, and deterministic mode
        counts = finite.cpu().histc(BINS, low, high)
    return [int(count) for count in counts.tolist()], bins
