"""What every test has: a state of its own, and the program in an empty folder."""

import pytest
from hypothesis import settings

from program import Program

settings.register_profile("runfmt", deadline=None)
settings.load_profile("runfmt")


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """State, configuration and tokens of this test alone."""
    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RUNFMT_CONFIG", str(tmp_path / "remotes.json"))
    monkeypatch.delenv("RUNFMT_TOKEN", raising=False)
    return tmp_path / "state"


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
