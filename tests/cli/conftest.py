import pytest


@pytest.fixture
def runs(work):
    """The folder of runs that commands take when none is named."""
    (work / "runs").mkdir()
    return work / "runs"


@pytest.fixture
def stick(work, runfmt):
    """The default remote, which is not there yet."""
    runfmt("remote", "add", "stick", "stick")
    return work / "stick"
