"""Runs in files of rows: CSV, JSON Lines, and the folders of Lightning's ``CSVLogger``."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from runfmt.errors import FormatError, MissingLibrary
from runfmt_sync.importing.old import OldRow, OldRun

__all__ = ["find_lightning", "read_table"]

STEPS = ("_step", "step", "global_step", "Step", "iteration", "epoch")
"""What the column of the steps is called; of several, the first here."""
TIMES = ("_timestamp", "timestamp", "time", "wall_time", "Wall time", "datetime", "date")
WORDS = {"true": True, "false": False}
INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*)")
NUMBER = re.compile(
    r"[+-]?(((0|[1-9][0-9]*)([.][0-9]*)?|[.][0-9]+)(e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE
)


def find_lightning(folder: Path, names: Iterable[str]) -> Iterable[OldRun] | None:
    """The run that Lightning's ``CSVLogger`` wrote into a folder: its rows beside its hyperparameters."""
    if not {"metrics.csv", "hparams.yaml"} <= set(names):
        return None
    run = read_table(folder / "metrics.csv")
    run.origin, run.id = f"lightning:{folder.absolute()}", folder.absolute().name
    run.about = {"project": folder.absolute().parent.name}
    run.config = _yaml(folder / "hparams.yaml")
    return [run]


def read_table(path: Path) -> OldRun:
    """The run of one file, a row a step."""
    path = path.absolute()
    run = OldRun(f"file:{path}", path.stem, about={"project": path.parent.name})
    read = _csv if path.suffix.lower() == ".csv" else _json_lines
    run.started, run.is_undated = path.stat().st_mtime, True
    run.rows = _with_steps(lambda: read(path, run), run)
    return run


def _with_steps(read: Callable[[], Iterable[Mapping[str, Any]]], run: OldRun) -> Iterator[OldRow]:
    """Find step and time of rows: in their columns, else their number and the time of the run."""
    column = _step_column(read())
    step = 0 if column else -1
    for row in read():
        step = int(row.get(column, step)) if column else step + 1
        time = next((name for name in TIMES if name in row and _seconds(row[name]) is not None), None)
        used = {column if column != "epoch" else None, time, "_runtime"}
        values = {key: value for key, value in row.items() if key not in used}
        yield step, _time(row, time, run), values


def _time(row: Mapping[str, Any], column: str | None, run: OldRun) -> float:
    return (run.started if column is None else _seconds(row[column])) or 0.0


def _step_column(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The column of the steps: one that holds nothing but integers."""
    found: dict[str, bool] = {}
    for row in rows:
        for name in STEPS:
            if name in row:
                found[name] = found.get(name, True) and _is_integer(row[name])
    return next((name for name in STEPS if found.get(name)), None)


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value % 1 == 0


def _seconds(value: Any) -> float | None:
    """Unix seconds of a number or of a date as in ISO 8601, which is UTC unless it says otherwise."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15:
        return value / 1000 if abs(value) > 1e11 else float(value)
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


def _csv(path: Path, run: OldRun) -> Iterator[Mapping[str, Any]]:
    """The rows of a file with commas, semicolons (then with commas in numbers) or tabs between."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        head = file.readline()
        between = max(",;\t", key=head.count)
        file.seek(0)
        reader = csv.reader(file, delimiter=between)
        try:
            names = _distinct(next(reader, []))
            for cells in reader:
                if len(cells) > len(names):
                    run.losses.append(f"cells in line {reader.line_num} that have no column")
                named = zip(names, cells, strict=False)
                yield {name: _cell(text, between) for name, text in named if name and text}
        except csv.Error as error:
            raise FormatError("R023", f"{path}, line {reader.line_num}: {error}") from error


def _distinct(names: Iterable[str]) -> list[str]:
    """Names of columns; one that is there again gets a number."""
    found: list[str] = []
    for name in names:
        count = sum(other == name or other.startswith(f"{name} (") for other in found)
        found.append(f"{name} ({count + 1})" if count and name else name)
    return found


def _cell(text: str, between: str) -> Any:
    """A number or a truth value where the text is one."""
    plain = text.replace(",", ".") if between == ";" else text
    if INTEGER.fullmatch(plain):
        return int(plain)
    if NUMBER.fullmatch(plain):
        return float(plain)
    return WORDS.get(text.lower(), text)


def _json_lines(path: Path, run: OldRun) -> Iterator[Mapping[str, Any]]:
    """The objects of a file; what is none is counted."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if isinstance(row, dict):
                yield row
            else:
                run.losses.append(f"line {number}, which is no JSON object")


def _yaml(path: Path) -> dict[str, Any]:
    """A document of YAML; objects of Python in it are taken as the plain values that they are made of."""
    try:
        import yaml
    except ImportError as error:
        raise MissingLibrary("reading hparams.yaml", "PyYAML") from error

    def plain(loader: Any, _suffix: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    loader: Any = type(
        "Loader", (yaml.SafeLoader,), {}
    )  # one of its own, to which a constructor may be added
    loader.add_multi_constructor("tag:yaml.org,2002:python/", plain)
    try:
        found = yaml.load(path.read_bytes(), loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise FormatError("R091", f"{path} cannot be read: {error}") from error
    return dict(found) if isinstance(found, dict) else {}
