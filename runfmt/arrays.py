"""Arrays of numpy, torch, jax, TensorFlow and others, recognised by what they can do.

Importing this imports none of them; numpy is imported when an array is needed.
"""

from __future__ import annotations

import math
from typing import Any

from runfmt.errors import MissingLibrary

__all__ = ["is_array", "is_array_type", "is_of", "is_torch", "numpy", "size", "to_numpy"]


def numpy(what: str) -> Any:
    """The numpy module; raises ``MissingLibrary``, which says what needs it."""
    try:
        import numpy as np
    except ImportError:
        raise MissingLibrary(what, "numpy") from None
    return np


def is_of(kind: type, library: str, *names: str) -> bool:
    """Whether a class is, or derives from, one of these classes of a library that need not be installed."""
    return any(
        base.__name__ in names and str(base.__module__).partition(".")[0] == library for base in kind.__mro__
    )


def is_array_type(kind: type) -> bool:
    """Whether values of a class have a shape and a dtype: arrays, tensors, and scalars of their libraries."""
    return hasattr(kind, "shape") and hasattr(kind, "dtype")


def is_array(value: Any) -> bool:
    """Whether a value is an array, a tensor, or a scalar of an array library."""
    return is_array_type(type(value))


def is_torch(value: Any) -> bool:
    """Whether a value is a torch tensor."""
    return is_of(type(value), "torch", "Tensor")


def size(value: Any) -> int:
    """The number of elements of an array."""
    return math.prod(value.shape)


def to_numpy(value: Any, what: str = "an array") -> Any:
    """A numpy array of the same shape, of a dtype that numpy itself knows; a view where that is possible.

    Takes arrays on any device, with gradients, in bfloat16 or float8, and plain
    sequences. Raises ``MissingLibrary`` without numpy; ``what`` says what needs it.
    """
    np = numpy(what)
    if is_torch(value):
        value = value.detach()
        value = (value.to_dense() if value.layout != _torch_strided() else value).cpu().resolve_conj()
        if value.is_floating_point() and value.element_size() < 4:
            value = value.float()
        return value.numpy()
    for method in ("to_numpy", "numpy"):
        if hasattr(value, method):
            value = getattr(value, method)()
            break
    array = np.asarray(value)
    # bfloat16 and float8 of ml_dtypes are numpy dtypes of kind V, which numpy cannot compute with.
    return array.astype(np.float32) if array.dtype.kind == "V" and array.dtype.names is None else array


def _torch_strided() -> Any:
    import torch

    return torch.strided
