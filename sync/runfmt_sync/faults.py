"""Named points at which the tests kill the tool.

``RUNFMT_FAULT=name`` ends the process by SIGKILL when it first comes to that
point, ``RUNFMT_FAULT=name:3`` the third time. Otherwise a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from itertools import count

__all__ = ["fault_point"]

_ARMED, _, _HIT = os.environ.get("RUNFMT_FAULT", "").partition(":")
_hits = count(1)


def fault_point(name: str) -> None:
    """Die here if the environment says so."""
    if name == _ARMED and next(_hits) == int(_HIT or 1):
        os.kill(os.getpid(), signal.SIGKILL)
