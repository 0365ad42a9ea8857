"""What trainers write into the events of a run, and how time is made to pass."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from runfmt_sync.alerts.targets import Home


def write_events(run: Path, *rows: dict[str, Any], path: str = "events.jsonl") -> None:
    """Append rows to the events of a run, each of now unless it says otherwise."""
    with (run / path).open("a") as stream:
        for row in rows:
            stream.write(json.dumps({"_timestamp": time.time(), **row}) + "\n")


def alert(title: str, **more: Any) -> dict[str, Any]:
    return {"event": "alert", "title": title, "text": "", "level": "INFO", **more}


def ended(state: str, code: int = 0) -> dict[str, Any]:
    return {"event": "finish", "state": state, "exit_code": code}


def change(home: Home, statement: str) -> None:
    """Change the outbox by hand."""
    with sqlite3.connect(home.folder / "outbox.sqlite") as database:
        database.execute(statement)
    database.close()


def all_due(home: Home) -> None:
    """The time between two tries has passed."""
    change(home, "UPDATE deliveries SET due = 0")


def added_long_ago(home: Home) -> None:
    """The targets were added when time began."""
    change(home, "UPDATE made SET at = 0")
    document = json.loads(home.path.read_text())
    for target in document["targets"].values():
        target["since"] = 0
    home.path.write_text(json.dumps(document))
