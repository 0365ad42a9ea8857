"""Runs as the HTML that a notebook shows: small, without script, everything that was logged escaped.

What is shown is taken out of one run after the other, so that no more than that is held of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from runfmt.drawing import Curve, color, curves_svg, thinned
from runfmt.layout import METRICS
from runfmt.reading import StoredRun
from runfmt.rows import leaves
from runfmt.scales import number

__all__ = ["LISTED", "here", "run_html", "runs_html", "value_text"]

LISTED = 20
"""Runs that a list shows."""
MOST = 16 * 2**20
"""Bytes of metrics that are read for one cell: in a second or two, and 150 MB of memory."""
CHARTS, COLUMNS = 6, 6
OPEN = 12
"""So many values are shown without a click."""
POINTS = 300
LONGEST = 200
"""Characters of one value."""
STATES = {"running": "#2a8fbd", "finished": "#3a9a55", "preempted": "#b48b00"}
CELL = 'style="text-align:left;padding:1px 12px 1px 0;vertical-align:top;white-space:nowrap"'


class Look(NamedTuple):
    """What is shown of a run; without ``summary`` and ``curves`` where the metrics are too long."""

    name: str
    id: str
    project: str
    state: str
    created: str
    config: dict[str, Any]
    summary: dict[str, Any] | None
    curves: dict[str, Curve] | None


def here(folder: Path) -> tuple[StoredRun, int]:
    """A run on this disk, and the bytes of its metrics."""
    metrics = folder / METRICS
    return StoredRun(folder), metrics.stat().st_size if metrics.is_file() else 0


def _looks(runs: Iterable[tuple[StoredRun, int]]) -> Iterator[Look]:
    """Runs as they are now, each with the bytes of its metrics."""
    left = MOST
    for run, size in runs:
        is_read = size <= left
        left -= size if is_read else 0
        yield _look(run, is_read)


def _look(run: StoredRun, is_read: bool) -> Look:
    return Look(
        name=run.attributes["name"] or run.id,
        id=run.id,
        project=run.attributes["project"],
        state=run.state(),
        created=str(run.document.get("created_at") or "")[:19].replace("T", " "),
        config=dict(leaves(run.config)),
        summary=dict(leaves(run.summary)) if is_read else None,
        curves=_curves(run) if is_read else None,
    )


def _curves(run: StoredRun) -> dict[str, Curve]:
    """The first metrics that are numbers; hidden ones are left out (R054)."""
    history = run.history()
    found: dict[str, list[tuple[float, float]]] = {}
    for row in history.rows:
        for key, value in leaves(row):
            if (
                isinstance(value, (int, float))
                and not key.startswith("_")
                and (key in found or len(found) < 50)
            ):
                found.setdefault(key, []).append((row["_step"], value))
    hidden = {key for key in found if (said := history.definitions.match(key)) and said.hidden}
    shown = [key for key in found if key not in hidden][:CHARTS]
    return {key: _thin(key, found[key]) for key in shown}


def _thin(name: str, points: list[tuple[float, float]]) -> Curve:
    finite = [point for point in points if math.isfinite(point[1])]
    return Curve(name, thinned(finite, POINTS), odd=len(points) - len(finite))


def value_text(value: Any) -> str:
    """A value of a config or a summary in one line, not too long."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, float):
        text = number(value)
    elif isinstance(value, dict) and "_type" in value:
        text = str(value["_type"])
    else:
        text = orjson.dumps(value).decode()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


# HTML


def run_html(stored: StoredRun, size: int) -> str:
    """One run, whose metrics have so many bytes: what it is, its curves, its config and its summary."""
    run = next(_looks([(stored, size)]))
    about = " · ".join(escape(text) for text in (run.project, run.id, run.created) if text)
    head = f"<div><b>{escape(run.name)}</b> {_state(run.state)} {_muted(about)}</div>"
    charts = [curves_svg([curve], title=key) for key, curve in (run.curves or {}).items()]
    parts = [_values("config", run.config), _values("summary", run.summary or {})]
    return _whole(head, _too_long([run]), _flex(charts), _flex(parts))


def runs_html(stored: Iterable[tuple[StoredRun, int]], left: int) -> str:
    """Runs as a table, and their first curves over each other; ``left`` more are not shown."""
    runs = [*_looks(stored)]
    config = _telling([run.config for run in runs])
    summary = [*dict.fromkeys(key for run in runs for key in run.summary or ())][:COLUMNS]
    titles = ["", "run", "state", "created", *config, *summary]
    rows = [_row(f"<b>{escape(title)}</b>" for title in titles)]
    for index, run in enumerate(runs):
        cells = [f'<span style="color:{color(index)}">●</span>', escape(run.name), _state(run.state)]
        cells.append(escape(run.created))
        cells += [escape(_cell(run.config, key)) for key in config]
        cells += [escape(_cell(run.summary or {}, key)) for key in summary]
        rows.append(_row(cells))
    more = f"<div>{_muted(f'and {left:,} more')}</div>" if left else ""
    return _whole(_table(rows), more, _too_long(runs), _flex(_overlaid(runs)))


def _telling(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that tell some configs apart; the first ones, where all are the same."""
    keys = [*dict.fromkeys(key for config in configs for key in config)]
    telling = [key for key in keys if len({_cell(config, key) for config in configs}) > 1]
    return (telling or keys)[:COLUMNS]


def _cell(values: Mapping[str, Any], key: str) -> str:
    return value_text(values[key]) if key in values else ""


def _overlaid(runs: Sequence[Look]) -> Iterable[str]:
    """A chart for each of the first metrics, with the curve of each run that has it."""
    charts: dict[str, list[Curve]] = {}
    for index, run in enumerate(runs):
        for key, curve in (run.curves or {}).items():
            charts.setdefault(key, []).append(curve._replace(name=run.name, color=color(index)))
    return [curves_svg(curves, title=key) for key, curves in [*charts.items()][:CHARTS]]


def _whole(*parts: str) -> str:
    style = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.5;max-width:1000px"
    return f'<div style="{style}">{"".join(parts)}</div>'


def _flex(parts: Iterable[str]) -> str:
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px 20px">{"".join(parts)}</div>'


def _values(title: str, values: Mapping[str, Any]) -> str:
    """Keys and values that can be folded away."""
    rows = [_row([_muted(escape(key)), escape(value_text(value))]) for key, value in values.items()]
    opened = " open" if len(rows) <= OPEN else ""
    return (
        f"<details{opened}><summary>{title} ({len(rows):,})</summary>{_table(rows)}</details>" if rows else ""
    )


def _table(rows: Iterable[str]) -> str:
    return f'<table style="border-collapse:collapse;font-size:inherit;margin:4px 0">{"".join(rows)}</table>'


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td {CELL}>{cell}</td>' for cell in cells)}</tr>"


def _state(state: str) -> str:
    return f'<span style="color:{STATES.get(state, "#c0392b")}">{escape(state)}</span>'


def _muted(html: str) -> str:
    return f'<span style="opacity:0.65">{html}</span>'


def _too_long(runs: Sequence[Look]) -> str:
    """What to say where metrics were not read."""
    count = sum(run.curves is None for run in runs)
    if not count:
        return ""
    which = "the metrics" if len(runs) == 1 else f"the metrics of {count:,} of the runs"
    return f"<div>{_muted(f'{which} are too long to be read for a cell: `runfmt view` shows them')}</div>"
