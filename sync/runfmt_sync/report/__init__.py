"""Runs as one HTML file that needs nothing else: ``write_report(["runs"], Path("report.html"))``.

It opens without a server, a network, and in ten years: text, tables, media and a drawing of each chart
are HTML, and one script, which has all that it needs, makes charts move and tables sort.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from runfmt.documents import replace
from runfmt.errors import UsageError
from runfmt.frames import AnyPath
from runfmt_sync.measured import Measured, measured
from runfmt_sync.report.html import script_json, tag
from runfmt_sync.report.panels import Panels
from runfmt_sync.report.script import script, style
from runfmt_sync.report.template import DEFAULT, to_html
from runfmt_sync.words import counted

__all__ = ["Written", "write_report"]


class Written(NamedTuple):
    """What a report holds; ``size`` is in bytes."""

    size: int
    runs: int
    charts: int
    pieces: int


def write_report(
    paths: Sequence[AnyPath], output: Path, *, template: Path | None = None, title: str | None = None
) -> Written:
    """Write a report of runs, as they are now. Raises ``UsageError`` for a template with an error."""
    runs = measured(paths)
    panels = Panels(runs, title or _title(runs))
    text = DEFAULT if template is None else _text(template)
    body = to_html(text, panels.render, "the template" if template is None else str(template))
    data = _page(panels, body).encode("utf-8", "replace")
    replace(output, data)
    return Written(len(data), len(runs), len(panels.charts.data), panels.pieces)


def _text(template: Path) -> str:
    try:
        return template.read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{template} is no text in UTF-8: write it as Markdown") from None


def _title(runs: Sequence[Measured]) -> str:
    """The projects of the runs."""
    projects = list(
        dict.fromkeys(one.run.attributes["project"] for one in runs if one.run.attributes["project"])
    )
    return ", ".join(projects[:3]) or "Report"


def _page(panels: Panels, body: str) -> str:
    code = script()
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    # Nothing is fetched, and no script runs but ours: neither one in the runs nor one in the template.
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src 'sha256-{digest}'",
            "style-src 'unsafe-inline'",
            "img-src data:",
            "media-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    made = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    foot = f"{counted(len(panels.runs), 'run')} as of {made}, by runfmt {metadata.version('runfmt')}"
    head = [
        '<meta charset="utf-8">',
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        tag("title", escape(panels.title)),
        tag("style", style()),
    ]
    data = tag("script", script_json(panels.charts.data), type="application/json", id="charts")
    main = tag("main", body, tag("footer", escape(foot)))
    return "\n".join(
        ["<!doctype html>", '<html lang="en">', *head, main, data, tag("script", code), "</html>\n"]
    )
