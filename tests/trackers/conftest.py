import pytest

from runfmt.reading import find_runs
from runfmt_sync.track import Track
from trackers.kinds import KINDS


@pytest.fixture
def source(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture(params=KINDS)
def kind(request, tmp_path, monkeypatch):
    """A tracker of each kind."""
    (tmp_path / "there").mkdir()
    made = KINDS[request.param](tmp_path / "there")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@pytest.fixture
def sync(source, kind):
    """Sync all runs of the source; gives the outcomes by folder name."""

    def run(**options):
        track = Track(kind.tracker(), **options)
        outcomes = track.run(list(find_runs(source)))
        if track.fault:
            raise track.fault
        return {outcome.folder.name: outcome for outcome in outcomes}

    return run
