"""What `runfmt view` shows of a path, in a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asking import Client
from runfmt_sync.server.serve import Viewer
from runfmt_sync.viewing import opened


@contextmanager
def showing(path: Path | str) -> Iterator[Client]:
    """The viewer, and a client that has its token."""
    with opened(str(path)) as shown:
        viewer = Viewer(shown)
        thread = threading.Thread(target=viewer.run)
        thread.start()
        client = Client(viewer.url, viewer.token)
        try:
            with client.session:
                yield client
        finally:
            viewer.stop()
            thread.join(60)
            assert not thread.is_alive()
