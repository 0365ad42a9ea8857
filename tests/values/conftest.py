import pytest

import runfmt
from runfmt.media import DirectorySink
from runfmt.rows import decode


@pytest.fixture
def sink(tmp_path):
    """A run directory's media folder; nothing else of a run is needed."""
    return DirectorySink(tmp_path)


@pytest.fixture
def run(tmp_path):
    """A run that is being written."""
    with runfmt.init(project="p", dir=tmp_path / "runs") as run:
        yield run


@pytest.fixture
def rows(run):
    """The rows of the run that are on disk, as a function."""
    return lambda: [decode(line)[0] for line in (run.directory / "metrics.jsonl").read_bytes().splitlines()]
