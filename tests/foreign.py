"""The readers that share nothing with runfmt, and what the three of them say of the same runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runfmt.reading import describe

READERS = Path(__file__).parents[1] / "examples" / "readers"
COMMANDS = {"python": [sys.executable, READERS / "read_run.py"], "node": ["node", READERS / "read_run.mjs"]}
NOT_CHECKED = ("R053", "R054")
"""What a reader that computes no summary need not look at (R055)."""


def canonical(value: Any) -> Any:
    """The value with each number in one spelling: 1 and 1.0 are one number, true is none."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return (float(value) + 0.0).hex() if type(value) in (int, float) else value


def foreign(language: str, runs: Sequence[Path], now: float) -> list[Any]:
    """What a foreign reader says of some runs, all read by one process."""
    command = [*COMMANDS[language], *runs, "--now", str(now)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=300)
    return [canonical(json.loads(line)) for line in done.stdout.splitlines()]


def ours(run: Path, now: float) -> Any:
    """What our reader says of a run, without what foreign readers leave out."""
    seen = describe(run, now)
    seen.pop("summary", None)
    seen["problems"] = [problem for problem in seen["problems"] if problem["rule"] not in NOT_CHECKED]
    return canonical(seen)
