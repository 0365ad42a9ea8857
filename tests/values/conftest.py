import pytest

from runfmt.media import DirectorySink


@pytest.fixture
def sink(tmp_path):
    """A run directory's media folder; nothing else of a run is needed."""
    return DirectorySink(tmp_path)
