"""A report's Markdown with panels in it: ``{{ chart "loss" log }}`` alone on a line. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from runfmt.errors import UsageError

__all__ = ["DEFAULT", "PANELS", "Panel", "notes_html", "to_html"]

DEFAULT = """\
{{ title }}

{{ runs }}

## Metrics

{{ chart "*" }}

## Config

{{ config }}

## Results

{{ table }}

## Media

{{ media "*" }}
"""
PANELS: Mapping[str, tuple[str, ...]] = {
    "title": (),
    "runs": (),
    "table": (),
    "config": ("all",),
    "chart": ("x", "log", "smooth"),
    "media": ("steps",),
}
"""The panels, each with its options."""
NAMED = ("table", "chart", "media")
"""Panels of certain keys, or patterns of keys."""
_PANEL = re.compile(r"\{\{\s*(\w+)((?:\"[^\"]*\"|[^\"{}])*)\}\}")
_WORD = re.compile(r"\s+(?:(\w+)(?:=(?:\"([^\"]*)\"|([^\s\"]+)))?|\"([^\"]*)\")(?=\s|$)")


class Panel(NamedTuple):
    """A panel: the keys that it is of, and its options; one without a value is on."""

    name: str
    keys: tuple[str, ...] = ()
    options: Mapping[str, str] = {}

    def matching(self, keys: Sequence[str]) -> list[str]:
        """The keys that are meant, in the order of the patterns; one that is written out is itself."""
        found: dict[str, None] = {}
        for pattern in self.keys:
            found |= dict.fromkeys(key for key in keys if key == pattern or fnmatchcase(key, pattern))
        return list(found)

    def number(self, option: str, default: float, low: float, high: float) -> float:
        """The number of an option. Raises ``UsageError`` if it is none, or out of range."""
        said = self.options.get(option, default)
        try:
            value = float(said)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise UsageError(f"{self.name}: {option}={said!r} is no number from {low} to {high}")
        return value


def to_html(text: str, render: Callable[[Panel], str], source: str = "the template") -> str:
    """The HTML of a template. Raises ``UsageError``, which names the line, for a panel that is none.

    HTML in the template is its author's own, and stays.
    """
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

    def block(state: StateBlock, start: int, _end: int, silent: bool) -> bool:
        line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
        if state.is_code_block(start) or not line.startswith("{{"):
            return False
        if not silent:
            try:
                panel = _panel(line.strip())
            except UsageError as error:
                raise UsageError(f"{source}, line {start + 1}: {error}") from None
            state.line = start + 1
            state.push("panel", "", 0).meta["panel"] = panel
        return True

    def panel_html(_self: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
        return render(tokens[index].meta["panel"])

    ends = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    markdown.block.ruler.before("fence", "panel", block, ends)  # type: ignore[arg-type]
    markdown.add_render_rule("panel", panel_html)
    return str(markdown.render(text))


class _Notes(MarkdownIt):
    """The Markdown of who is not the report's author: links lead to the web, and HTML stays text."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False})
        self.disable("image")
        self.add_render_rule("link_open", _link)

    def validateLink(self, url: str) -> bool:  # noqa: N802
        return url.startswith(("http://", "https://"))


def _link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _env: Any) -> str:
    tokens[index].attrs["rel"] = "noopener noreferrer"
    return renderer.renderToken(tokens, index, options, {})


def notes_html(text: str) -> str:
    """The HTML of a run's notes."""
    return str(_Notes().render(text))


def _panel(line: str) -> Panel:
    found = _PANEL.fullmatch(line)
    if found is None:
        raise UsageError(f'{line} is no panel: write it as {{{{ chart "loss" log }}}}')
    name, rest = found[1], found[2].rstrip()
    if name not in PANELS:
        raise UsageError(f"there is no panel {name}, but {', '.join(PANELS)}")
    keys: list[str] = []
    options: dict[str, str] = {}
    words = list(_WORD.finditer(rest))
    if sum(len(word[0]) for word in words) != len(rest):
        raise UsageError(f'{line} is not understood: keys stand in quotes, options as x="epoch"')
    for word in words:
        if word[4] is not None:
            keys.append(word[4])
        elif word[1] in PANELS[name]:
            options[word[1]] = word[2] or word[3] or ""
        else:
            known = ", ".join(PANELS[name]) or "none"
            raise UsageError(f"{name} has no option {word[1]}; there is: {known}")
    if keys and name not in NAMED:
        raise UsageError(f"{name} takes no key")
    if not keys and name in ("chart", "media"):
        raise UsageError(f'{name} needs a key: {{{{ {name} "*" }}}} is of all')
    return Panel(name, tuple(keys), options)
