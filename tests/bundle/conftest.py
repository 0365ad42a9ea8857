import pytest
from hypothesis import settings

from forging import Gap

settings.register_profile("bundle", deadline=None)
settings.load_profile("bundle")


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """State and configuration of this test alone."""
    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RUNFMT_CONFIG", str(tmp_path / "remotes.json"))
    return tmp_path / "state"


@pytest.fixture
def gap(tmp_path):
    """Runs here, a stick, and the other side."""
    return Gap(tmp_path)


@pytest.fixture
def source(gap):
    return gap.source


@pytest.fixture
def far(gap):
    return gap.far
