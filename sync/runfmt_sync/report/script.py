"""The script of a report: the modules with which the viewer draws, as one."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

__all__ = ["script", "style"]

STYLES = ("../web/base.css", "../web/charts.css", "report.css")
_IMPORT = re.compile(r"^import (\{[^}]*\}) from '\./([\w.]+)';$", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=((?:async )?function\*?|class|const) (\w+))", re.MULTILINE)


def style() -> str:
    """The style sheets of a report, which are those of the viewer and its own."""
    return "".join((_here() / name).read_text(encoding="utf-8") for name in STYLES)


def script() -> str:
    """All modules that ``report.js`` needs, each in a function of its own, in one script."""
    parts: dict[str, str] = {}
    _add("report.js", parts)
    return "'use strict';\n" + "".join(parts.values())


def _add(name: str, parts: dict[str, str]) -> None:
    """Add a module behind those that it needs."""
    if name in parts:
        return
    code = _source(name).read_text(encoding="utf-8")
    for _, needed in _IMPORT.findall(code):
        _add(needed, parts)
    exports = [name for _, name in _EXPORT.findall(code)]
    body = _EXPORT.sub(
        "", _IMPORT.sub(lambda found: f"const {found[1].replace(' as ', ': ')} = {_name(found[2])};", code)
    )
    parts[name] = f"const {_name(name)} = (() => {{\n{body}return {{ {', '.join(exports)} }};\n}})();\n"


def _name(module: str) -> str:
    return "$" + module.removesuffix(".js")


def _source(name: str) -> Path:
    """A module of the report's own, else of the viewer's."""
    own = _here() / name
    return own if own.is_file() else _here() / "../web" / name


def _here() -> Path:
    return Path(str(resources.files("runfmt_sync"))) / "report"
