"""Makes the next item while the last one is used: one is read while another is written or on the line."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["ahead"]

T = TypeVar("T")
_END: Any = object()


def ahead(items: Iterable[T], drop: Callable[[T], object] = lambda item: None) -> Generator[T, None, None]:
    """The items, each made by another thread while the one before is used.

    ``drop`` takes one that was made and that nobody asked for any more.
    """
    each = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, each, _END)
        try:
            while (item := coming.result()) is not _END:
                coming = pool.submit(next, each, _END)
                yield item
        except GeneratorExit:
            if coming.exception() is None and coming.result() is not _END:
                drop(coming.result())
            raise
