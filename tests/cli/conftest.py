import pytest

from program import Program


@pytest.fixture
def runfmt(tmp_path, monkeypatch):
    """The program in an empty folder."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Program(tmp_path / "home")


@pytest.fixture
def work(tmp_path, runfmt):
    return tmp_path / "work"


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
