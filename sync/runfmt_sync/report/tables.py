"""Tables of runs: what they are, what tells them apart, what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from html import escape
from typing import Any

from runfmt.drawing import color
from runfmt.reading import unix_time
from runfmt.rows import leaves
from runfmt.scales import duration
from runfmt_sync.measured import Measured
from runfmt_sync.report.html import absent, cell, named, sortable, tag
from runfmt_sync.report.template import Panel, notes_html
from runfmt_sync.words import counted

__all__ = ["Tables"]

MOST_COLUMNS = 60


class Tables:
    """The panels ``runs``, ``config`` and ``table``."""

    def __init__(self, runs: Sequence[Measured]) -> None:
        self._runs = runs

    def runs(self, _: Panel) -> str:
        """What the runs are."""
        titles = ["run", "id", "project", "state", "began", "took", "tags", "notes"]
        return sortable(titles, ([*self._about(number)] for number in range(len(self._runs))))

    def _about(self, number: int) -> Iterator[str]:
        run = self._runs[number].run
        about, began = run.attributes, unix_time(run.document.get("created_at"))
        took = max(run.newest_line - began, 0.0) if began else None
        state = tag("span", class_=f"state {run.state()}") + " " + escape(run.state())
        yield tag("td", named(self._runs[number].title, color(number), number))
        yield from (cell(text) for text in (run.id, about["project"]))
        yield tag("td", state, class_="nowrap")
        yield tag("td", escape(_minute(run.document.get("created_at"))), class_="nowrap")
        yield tag("td", "" if took is None else escape(duration(took)), data_number=took)
        yield tag("td", *(tag("span", escape(one), class_="tag") for one in about["tags"]))
        yield tag("td", notes_html(about["notes"]), class_="notes prose")

    @cached_property
    def _configs(self) -> list[dict[str, Any]]:
        return [dict(leaves(one.run.config)) for one in self._runs]

    @cached_property
    def _summaries(self) -> list[dict[str, Any]]:
        return [dict(leaves(one.summary)) for one in self._runs]

    def config(self, panel: Panel) -> str:
        """The config, a row a key: of several runs only what tells them apart."""
        keys = list(dict.fromkeys(key for config in self._configs for key in config))
        is_all = len(self._runs) < 2 or "all" in panel.options
        shown = [key for key in keys if is_all or self._tells(key)]
        if not shown:
            return absent("all runs have the same config" if keys else "there is no config")
        rows = ([cell(key), *(_cell(config, key) for config in self._configs)] for key in shown)
        left = len(keys) - len(shown)
        same = absent(f"the same in all runs: {counted(left, 'key')} more") if left else ""
        return sortable(["key", *(one.title for one in self._runs)], rows) + same

    def _tells(self, key: str) -> bool:
        return len({_cell(config, key) for config in self._configs}) > 1

    def table(self, panel: Panel) -> str:
        """A row a run: the config that tells them apart, and the summary; or the columns that are named."""
        configs = list(dict.fromkeys(key for config in self._configs for key in config if self._tells(key)))
        results = list(dict.fromkeys(key for one in self._summaries for key in one if _is_plain(one[key])))
        known = [f"config.{key}" for key in configs] + results
        if panel.keys:
            known = panel.matching(sorted({key for values in self._both for key in values}))
        shown, left = known[:MOST_COLUMNS], len(known) - MOST_COLUMNS
        rows = (
            [
                tag("td", named(self._runs[number].title, color(number), number)),
                *(_cell(self._both[number], key) for key in shown),
            ]
            for number in range(len(self._runs))
        )
        return sortable(["run", *shown], rows) + (absent(f"and {left:,} more columns") if left > 0 else "")

    @cached_property
    def _both(self) -> list[dict[str, Any]]:
        """What the table may have of each run: ``config.*``, and the summary."""
        both = zip(self._configs, self._summaries, strict=True)
        return [{**{f"config.{key}": value for key, value in one.items()}, **other} for one, other in both]


def _minute(created: Any) -> str:
    """A time of ``run.json`` up to the minute, in UTC."""
    return str(created or "")[:16].replace("T", " ")


def _cell(values: Mapping[str, Any], key: str) -> str:
    """A cell, empty where there is no such key."""
    return cell(values[key]) if key in values else tag("td")


def _is_plain(value: Any) -> bool:
    return not isinstance(value, (dict, list))
