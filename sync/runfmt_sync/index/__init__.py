"""A columnar index of runs' streams, from which a curve is had without reading the stream.

    index = RunIndex(Path("runs/first"), state_folder() / "index")
    index.refresh()
    for name in index.numbers():
        step, time, value = index.column(name)

Nothing stands in it that is not in the runs, and nothing of it lies there: it may be deleted.
"""

from runfmt_sync.index.parts import Object, logged
from runfmt_sync.index.runs import RunIndex, forget_unused, keep_only
from runfmt_sync.index.streams import Behind, Points

__all__ = ["Behind", "Object", "Points", "RunIndex", "forget_unused", "keep_only", "logged"]
