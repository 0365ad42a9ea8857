import pytest


@pytest.fixture
def runs(work):
    """The folder of runs that commands take when none is named."""
    (work / "runs").mkdir()
    return work / "runs"
