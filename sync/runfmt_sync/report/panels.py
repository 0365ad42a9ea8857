"""The panels of a report as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from runfmt.drawing import color
from runfmt_sync.index import Object
from runfmt_sync.measured import Measured
from runfmt_sync.report.charts import Charts
from runfmt_sync.report.histograms import over_steps
from runfmt_sync.report.html import absent, named, tag
from runfmt_sync.report.media import media_html
from runfmt_sync.report.tables import Tables
from runfmt_sync.report.template import Panel

__all__ = ["Panels"]

MOST_KEYS = 200
"""Keys of one panel."""
MOST_STEPS = 200
"""Steps of a histogram over steps."""


class Panels:
    """Renders the panels of some runs; ``pieces`` are the media values that were rendered."""

    def __init__(self, runs: Sequence[Measured], title: str) -> None:
        self.runs, self.title, self.pieces = runs, title, 0
        self.charts = Charts(runs)
        tables = Tables(runs)
        self._render = {
            "title": lambda _: tag("h1", escape(title)),
            "runs": tables.runs,
            "table": tables.table,
            "config": tables.config,
            "chart": self.charts.html,
            "media": self._media,
        }

    def render(self, panel: Panel) -> str:
        """The HTML of a panel. Raises ``UsageError`` for an option that is not understood."""
        return self._render[panel.name](panel)

    def _media(self, panel: Panel) -> str:
        every = [run.index.objects() for run in self.runs]
        keys = panel.matching(sorted({one.path for objects in every for one in objects}))
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
        head = tag("div", named(one.title, color(number), number)) if len(self.runs) > 1 else ""
        if all(each.type == "histogram" for each in found):
            chosen = _spread(found, MOST_STEPS)
            self.pieces += 1
            drawn = over_steps([each.step for each in chosen], [one.value(each) for each in chosen])
            return tag("div", head, drawn, class_="media-run")
        parts = [head]
        for each in _spread(found, int(panel.number("steps", 1, 1, 1000))):
            self.pieces += 1
            shown = media_html(one.value(each), one.file)
            parts += [tag("div", f"step {each.step:,}", class_="muted"), tag("div", shown, class_="pieces")]
        return tag("div", *parts, class_="media-run")


def _spread(found: Sequence[Object], count: int) -> list[Object]:
    """So many of the values, evenly spread, the last one among them."""
    last = len(found) - 1
    places = {last - round(number * last / max(count - 1, 1)) for number in range(count)}
    return [found[place] for place in sorted(places)]
