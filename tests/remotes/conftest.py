import pytest

from remotes.kinds import KINDS
from runfmt.reading import find_runs
from runfmt_sync.push import Push


@pytest.fixture
def source(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    """A mirror of each kind."""
    (tmp_path / "disk").mkdir()
    made = KINDS[request.param](tmp_path / "disk" / "remote")
    yield made
    made.close()


@pytest.fixture
def remote(kind):
    """Where the runs end up."""
    return kind.root


@pytest.fixture
def sync(source, kind):
    """Sync all runs of the source; gives the outcomes by folder name."""

    def run(**options):
        push = Push(kind.remote(), **options)
        outcomes = push.run(list(find_runs(source)))
        if push.fault:
            raise push.fault
        return {outcome.folder.name: outcome for outcome in outcomes}

    return run
