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
QUOTED = re.compile(r'"[^"]*"')
WORDS = {"true": True, "false": False}
INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*)")
NUMBER = re.compile(
    r"[+-]?(((0|[1-9][0-9]*)([.][0-9]*)?|[.][0-9]+)(e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE
)


def find_lightning(folder: Path, names: Iterable[str]) -> Iterable[OldRun] | None:
    """The run that Lightning's ``CSVLogger`` wrote into a folder: its rows beside its hyperparameters."""
    if not {"metrics.csv", "hparams.yaml"} <= set(names):
        return None
    folder = folder.resolve()
    run = _read_table(folder / "metrics.csv", "step")
    run.origin, run.id = f"lightning:{folder}", folder.name
    run.about = {"project": folder.parent.name}
    run.config = _yaml(folder / "hparams.yaml")
    return [run]


def read_table(path: Path) -> OldRun:
    """The run of one file, a row a step."""
    return _read_table(path.resolve())


def _read_table(path: Path, column: str | None = None) -> OldRun:
    run = OldRun(f"file:{path}", path.stem, about={"project": path.parent.name})
    read = _csv if path.suffix.lower() == ".csv" else _json_lines
    run.started, run.is_undated = path.stat().st_mtime, True
    run.rows = _with_steps(lambda: read(path, run), run, column)
    return run


def _with_steps(
    read: Callable[[], Iterable[Mapping[str, Any]]], run: OldRun, column: str | None
) -> Iterator[OldRow]:
    """Find step and time of rows: in their columns, else their number and the time of the run."""
    column = column or _step_column(read())
    for number, row in enumerate(read()):
        dated = next((name for name in TIMES if name in row and _seconds(row[name]) is not None), None)
        used = {column if column != "epoch" else None, dated}
        values = {key: value for key, value in row.items() if key not in used}
        step = number if column is None else int(row.get(column, number))
        yield step, (run.started if dated is None else _seconds(row[dated])) or 0.0, values


def _step_column(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The column of the steps: an integer in every row, never falling, by which no row hides another."""
    left: dict[str, dict[str, Any]] = {name: {} for name in STEPS}
    for row in rows:
        for name, before in [*left.items()]:
            step: Any = row.get(name)
            if not _is_integer(step) or step < before.get(name, step):
                del left[name]
            elif step > before.get(name, step - 1):
                left[name] = dict(row)
            elif any(before.get(key, value) != value for key, value in row.items() if key not in TIMES):
                del left[name]
            else:
                left[name] = {**before, **row}
    return next(iter(left), None)


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value % 1 == 0


def _seconds(value: Any) -> float | None:
    """Unix seconds of a number or of a date as in ISO 8601, which is UTC unless it says otherwise."""
    if isinstance(value, (int, float)):  # since 2001; others count something else
        return next((value / unit for unit in (1, 1000) if 1e9 <= value / unit < 1e11), None)
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


def _csv(path: Path, run: OldRun) -> Iterator[Mapping[str, Any]]:
    """The rows of a file with commas, semicolons (then with commas in numbers) or tabs between."""
    with path.open(encoding=_encoding(path), errors="replace", newline="") as file:
        head = file.readline()
        if "\ufffd" in head:
            run.losses.append("letters in the names of columns: the file is not in UTF-8")
        between = max(",;\t", key=QUOTED.sub("", head).count)
        file.seek(0)
        reader = csv.reader(_whole(file, run), delimiter=between)
        try:
            names = _distinct(next(reader, []))
            for cells in reader:
                if len(cells) > len(names):
                    run.losses.append(f"cells in line {reader.line_num} that have no column")
                named = zip(names, cells, strict=False)
                yield {name: _cell(text, between) for name, text in named if name and text}
        except csv.Error as error:
            raise FormatError("R023", f"{path}, line {reader.line_num}: {error}") from error


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _whole(lines: Iterable[str], run: OldRun) -> Iterator[str]:
    """Lines, but for a last one without an end: who knows whether its last number is whole."""
    for line in lines:
        if line.endswith(("\n", "\r")):
            yield line
        else:
            run.losses.append("the last line, which has no end: if it is whole, end it")


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
            except (ValueError, RecursionError):
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

    loader: Any = type("Loader", (yaml.SafeLoader,), {})  # its own, as a constructor is added to it
    loader.add_multi_constructor("tag:yaml.org,2002:python/", plain)
    try:
        found = yaml.load(path.read_bytes(), loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise FormatError("R091", f"{path} cannot be read: {error}") from error
    return dict(found) if isinstance(found, dict) else {}
