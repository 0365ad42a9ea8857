"""The panels of a report as HTML, with the points that its charts draw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from html import escape
from typing import Any

from runfmt.drawing import COLORS, Curve, curves_svg, thinned
from runfmt.errors import UsageError
from runfmt.reading import unix_time
from runfmt.rows import leaves
from runfmt.scales import axis_of, duration
from runfmt_sync.curves import extent, reduce
from runfmt_sync.index import Object
from runfmt_sync.measured import AXES, Measured
from runfmt_sync.report.histograms import over_steps
from runfmt_sync.report.html import absent, cell, named, sortable, tag
from runfmt_sync.report.media import media_html
from runfmt_sync.report.template import Panel

__all__ = ["Panels"]

MOST_POINTS, LEAST_POINTS, ALL_POINTS = 500, 60, 100_000
"""Points of a curve, and of all curves of a report together, about."""
STILL = 100
"""Cells of a drawing that is seen without a script."""
MOST_KEYS = 200
"""Keys of one panel."""
MOST_STEPS = 200
"""Steps of a histogram over steps."""
TABLE_COLUMNS = 60


class Panels:
    """Renders panels of some runs; ``charts`` are the data of those that were rendered."""

    def __init__(self, runs: Sequence[Measured], title: str) -> None:
        self.runs, self.title = runs, title
        self.charts: list[dict[str, Any]] = []
        self.pieces = 0

    def render(self, panel: Panel) -> str:
        """The HTML of a panel. Raises ``UsageError`` for an option that is not understood."""
        show = {
            "title": self._title,
            "runs": self._runs,
            "table": self._table,
            "config": self._config,
            "chart": self._chart,
            "media": self._media,
        }[panel.name]
        return show(panel)

    def _name(self, number: int) -> str:
        one = self.runs[number]
        return named(one.title, _color(number), str(number))

    def _title(self, _: Panel) -> str:
        return tag("h1", escape(self.title))

    # Runs and their values

    def _runs(self, _: Panel) -> str:
        titles = ["run", "id", "project", "state", "began", "took", "tags", "notes"]
        return sortable(titles, ([*self._about(number)] for number in range(len(self.runs))))

    def _about(self, number: int) -> Iterator[str]:
        run = self.runs[number].run
        about, began = run.attributes, unix_time(run.document.get("created_at"))
        took = max(run.newest_line - began, 0.0) if began else None
        state = tag("span", class_=f"state {run.state()}") + " " + escape(run.state())
        yield tag("td", self._name(number))
        yield from (cell(text) for text in (run.id, about["project"]))
        yield tag("td", state, class_="nowrap")
        yield tag(
            "td", escape(str(run.document.get("created_at") or "")[:16].replace("T", " ")), class_="nowrap"
        )
        yield tag("td", "" if took is None else escape(duration(took)), data_number=took)
        yield tag("td", *(tag("span", escape(one), class_="tag") for one in about["tags"]))
        yield tag("td", escape(about["notes"]), class_="notes")

    @cached_property
    def _configs(self) -> list[dict[str, Any]]:
        return [dict(leaves(one.run.config)) for one in self.runs]

    @cached_property
    def _summaries(self) -> list[dict[str, Any]]:
        return [dict(leaves(one.summary)) for one in self.runs]

    def _config(self, panel: Panel) -> str:
        """The config, a row a key: of several runs only what tells them apart."""
        keys = list(dict.fromkeys(key for config in self._configs for key in config))
        shown = (
            keys
            if len(self.runs) < 2 or "all" in panel.options
            else [key for key in keys if self._tells(key)]
        )
        if not shown:
            return absent("all runs have the same config" if keys else "there is no config")
        rows = ([cell(key), *(_cell(config, key) for config in self._configs)] for key in shown)
        left = len(keys) - len(shown)
        same = absent(f"{left:,} more keys are the same in all runs") if left else ""
        return sortable(["", *(one.title for one in self.runs)], rows) + same

    def _tells(self, key: str) -> bool:
        return len({_cell(config, key) for config in self._configs}) > 1

    def _table(self, panel: Panel) -> str:
        """A row a run: the config that tells them apart, and the summary; or the columns that are named."""
        configs = list(dict.fromkeys(key for config in self._configs for key in config if self._tells(key)))
        results = list(dict.fromkeys(key for one in self._summaries for key in one if _is_plain(one[key])))
        known = [f"config.{key}" for key in configs] + results
        if panel.keys:
            known = _matching(panel.keys, sorted({key for values in self._values for key in values}))
        shown, left = known[:TABLE_COLUMNS], len(known) - TABLE_COLUMNS
        rows = (
            [tag("td", self._name(number)), *(_cell(self._values[number], key) for key in shown)]
            for number in range(len(self.runs))
        )
        return sortable(["run", *shown], rows) + (absent(f"and {left:,} more columns") if left > 0 else "")

    @cached_property
    def _values(self) -> list[dict[str, Any]]:
        """What the table may have of each run: ``config.*``, and the summary."""
        both = zip(self._configs, self._summaries, strict=True)
        return [{**{f"config.{key}": value for key, value in one.items()}, **other} for one, other in both]

    # Charts

    def _chart(self, panel: Panel) -> str:
        keys = _matching(panel.keys, self._numbers)
        if not keys:
            return absent(f"no run has a number {', '.join(panel.keys)}")
        shown, left = keys[:MOST_KEYS], len(keys) - MOST_KEYS
        figures = "".join(self._figure(key, panel, len(shown)) for key in shown)
        more = absent(f"and {left:,} more metrics") if left > 0 else ""
        return self._legend() + tag("div", figures, class_="grid") + more

    @cached_property
    def _numbers(self) -> list[str]:
        """The metrics that charts may be of: the hidden ones are left out (R054)."""
        found: set[str] = set()
        for one in self.runs:
            for key in one.index.numbers():
                said = one.index.definitions().match(key)
                if not key.startswith("_") and not (said and said.hidden):
                    found.add(key)
        return sorted(found)

    def _legend(self) -> str:
        return tag("div", *(self._name(number) for number in range(len(self.runs))), class_="names")

    def _figure(self, key: str, panel: Panel, charts: int) -> str:
        """A chart of a key: its points for the script, and a drawing for who has none."""
        axis, log, smooth = self._axis(key, panel), "log" in panel.options, _weight(panel)
        curves = [one.curve(key, axis) for one in self.runs]
        low, high = extent(curves) or (0.0, 1.0)
        points = min(max(ALL_POINTS // (len(self.runs) * charts), LEAST_POINTS), MOST_POINTS)
        lines, still = [], []
        for number, curve in enumerate(curves):
            there = reduce(curve, low, high, points)
            if len(there.x) or there.marks:
                title, color = self.runs[number].title, _color(number)
                line = {
                    "id": str(number),
                    "name": title,
                    "color": color,
                    "x": _numbers(there.x, 15),
                    "y": _numbers(there.y),
                }
                if there.low is not None:
                    line |= {"min": _numbers(there.low), "max": _numbers(there.high)}
                lines.append(line | {"marks": there.marks})
                pairs = [*zip(there.x.tolist(), there.y.tolist(), strict=True)]
                still.append(Curve(title, thinned(pairs, STILL), color, len(there.marks)))
        name = axis_of(axis).name
        self.charts.append(
            {"title": key, "axis": axis, "axisName": name, "log": log, "smooth": smooth, "lines": lines}
        )
        drawn = curves_svg(still, title=f"{key} over {name}", axis=axis, log=log, width=360, height=190)
        caption = tag(
            "figcaption",
            tag("span", escape(key), class_="grow"),
            tag("span", escape(name), class_="axis-name"),
        )
        return tag(
            "figure",
            caption,
            tag("div", drawn, class_="still"),
            class_="panel",
            data_chart=len(self.charts) - 1,
        )

    def _axis(self, key: str, panel: Panel) -> str:
        """What lies along: what the panel says, else what the runs defined (R080), else the step."""
        if x := panel.options.get("x"):
            return AXES.get(x, x)
        said = (one.index.definitions().match(key) for one in self.runs)
        return next(
            (one.step_metric for one in said if one and one.step_metric and one.step_metric != key), "_step"
        )

    # Media

    def _media(self, panel: Panel) -> str:
        every = [run.index.objects() for run in self.runs]
        keys = _matching(panel.keys, sorted({one.path for objects in every for one in objects}))
        if not keys:
            return absent(
                "no run has media" if panel.keys == ("*",) else f"no run has media {', '.join(panel.keys)}"
            )
        parts = []
        for key in keys[:MOST_KEYS]:
            of_runs = ([one for one in objects if one.path == key] for objects in every)
            shown = [self._media_of(number, found, panel) for number, found in enumerate(of_runs) if found]
            parts.append(tag("h3", escape(key)) + tag("div", *shown, class_="beside"))
        left = len(keys) - MOST_KEYS
        return "".join(parts) + (absent(f"and {left:,} more keys") if left > 0 else "")

    def _media_of(self, number: int, found: Sequence[Object], panel: Panel) -> str:
        """What a run has of a key: the last value, or as many as asked for; histograms over steps."""
        one = self.runs[number]
        head = tag("div", self._name(number)) if len(self.runs) > 1 else ""
        if all(each.type == "histogram" for each in found):
            chosen = _spread(found, MOST_STEPS)
            self.pieces += 1
            drawn = over_steps([each.step for each in chosen], [one.value(each) for each in chosen])
            return tag("div", head, drawn, class_="media-run")
        parts = [head]
        for each in _spread(found, _count(panel)):
            self.pieces += 1
            shown = media_html(one.value(each), one.file)
            parts += [tag("div", f"step {each.step:,}", class_="muted"), tag("div", shown, class_="pieces")]
        return tag("div", *parts, class_="media-run")


def _cell(values: Mapping[str, Any], key: str) -> str:
    """A cell, empty where there is no such key."""
    return cell(values[key]) if key in values else tag("td")


def _is_plain(value: Any) -> bool:
    return not isinstance(value, (dict, list))


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]


def _matching(patterns: Iterable[str], keys: Sequence[str]) -> list[str]:
    """The keys of some patterns, in their order, each once; a key that is written out is itself."""
    found: dict[str, None] = {}
    for pattern in patterns:
        found |= dict.fromkeys(key for key in keys if key == pattern or fnmatchcase(key, pattern))
    return list(found)


def _numbers(values: Any, digits: int = 7) -> list[float]:
    """Numbers in so many digits, which is more than a chart shows."""
    return [float(f"{value:.{digits}g}") for value in values.tolist()]


def _weight(panel: Panel) -> float:
    return _number(panel, "smooth", "0", 0, 0.999)


def _count(panel: Panel) -> int:
    return int(_number(panel, "steps", "1", 1, 1000))


def _number(panel: Panel, option: str, default: str, low: float, high: float) -> float:
    said = panel.options.get(option, default)
    try:
        value = float(said)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise UsageError(f"{panel.name}: {option}={said!r} is no number from {low} to {high}")
    return value


def _spread(found: Sequence[Object], count: int) -> list[Object]:
    """So many of the values, evenly spread, the last one among them."""
    last = len(found) - 1
    places = {last - round(number * last / max(count - 1, 1)) for number in range(count)}
    return [found[place] for place in sorted(places)]
