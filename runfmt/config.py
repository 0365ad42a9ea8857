"""``run.config``: the hyperparameters, a dict that guards itself and is on disk after every change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from runfmt.errors import ConfigError, UsageError
from runfmt.rows import NONFINITE, encode_document

__all__ = ["Config", "plain_config"]


class Config(MutableMapping[str, Any]):
    """Items and attributes are the same: ``config.lr`` is ``config["lr"]``.

    An existing key takes another value only with ``allow_val_change``; a refused
    update changes nothing. Nested dicts may be changed in place. A copy, also of a pickle, is
    a plain dict.
    """

    def __init__(
        self, save: Callable[[], None], check: Callable[[], None], *, allow_val_change: bool = False
    ) -> None:
        """``save`` is called after a change, ``check`` before one: it raises where none is possible."""
        given = {"_items": {}, "_save": save, "_check": check, "_allow": allow_val_change, "_saved": b""}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def update(self, d: Any = None, *, allow_val_change: bool | None = None, **values: Any) -> None:  # type: ignore[override]
        """Take a dict, ``argparse.Namespace``, dataclass, absl flags, OmegaConf, YAML path or any object.

        Raises ``ConfigError`` if an existing key would get another value without leave.
        """
        from runfmt.values import config_mapping

        new = {} if d is None else config_mapping(d)
        self._set({**new, **values}, allow=self._allow if allow_val_change is None else allow_val_change)

    def setdefaults(self, d: Any) -> None:
        """Set only the keys that are not there yet."""
        from runfmt.values import config_mapping

        new = {key: value for key, value in config_mapping(d).items() if _clean(key) not in self._items}
        self._set(new, allow=False)

    def _set(self, new: dict[str, Any], *, allow: bool) -> None:
        plain = plain_config(new)
        for key, value in plain.items():
            if not allow and key in self._items and not _same(self._items[key], value):
                raise ConfigError(
                    f"config key {key!r} is {self._items[key]!r} and would become {value!r}: "
                    "pass allow_val_change=True to config.update() or init() to allow it"
                )
        if plain:
            self._check()
            self._items.update(plain)
            self._save_items()

    def _save_items(self) -> None:
        object.__setattr__(self, "_saved", encode_document(self._items))
        self._save()

    def _load(self, items: dict[str, Any]) -> None:
        """Take what stands on disk already, without saving."""
        self._items.update(items)
        object.__setattr__(self, "_saved", encode_document(self._items))

    def changed_in_place(self) -> bool:
        """Whether a nested value differs from what was saved last."""
        return bool(encode_document(self._items) != self._saved)

    def as_dict(self) -> dict[str, Any]:
        """The plain dict of all items."""
        return dict(self._items)

    def get(self, key: str, default: Any = None) -> Any:
        return self._items.get(key, default)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._set({key: value}, allow=self._allow)

    def __delitem__(self, key: str) -> None:
        raise ConfigError(f"config key {key!r} cannot be deleted: set another value instead")

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        try:
            return self._items[key]
        except KeyError:
            there = ", ".join(self._items) or "nothing"
            raise AttributeError(f"config has no {key!r}; it has {there}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (self.as_dict(),)

    def __repr__(self) -> str:
        return repr(self._items)


def plain_config(new: dict[str, Any]) -> dict[str, Any]:
    """Hyperparameters as plain JSON values."""
    from runfmt.values import normalise_config

    plain = {}
    for key, value in new.items():
        name = _clean(key)
        if name == NONFINITE:
            raise UsageError(f"config key {NONFINITE!r} is reserved: choose another name")
        plain[name] = normalise_config(value, name)
    return plain


def _clean(key: Any) -> str:
    """A key as text, without the dashes of a command line option."""
    return str(key).strip("-")


def _same(old: Any, new: Any) -> bool:
    return bool(old == new) or (old != old and new != new)
