"""A folder of runs that is shown on loopback, and who has its address."""

import pytest

from runfmt_sync.server import folder
from viewing import showing


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """What a test puts into the folder is seen at once."""
    for waiting in ("LOOK_EVERY", "REST"):
        monkeypatch.setattr(folder, waiting, 0)


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def client(runs):
    with showing(runs) as client:
        yield client
