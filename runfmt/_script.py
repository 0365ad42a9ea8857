"""The ``runfmt`` command where ``runfmt[sync]`` may be missing."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say in one line what to install and exit with 2."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        sys.stderr.write("The runfmt command needs its sync tool: pip install 'runfmt[sync]'\n")
        sys.exit(2)
    # By name: the client's code never refers to the tool's (see ARCHITECTURE.md).
    __import__("runfmt_sync.cli")
    sys.modules["runfmt_sync.cli"].main()
