import pytest

from runfmt_sync.push import Push
from runfmt_sync.remotes import open_remote


@pytest.fixture
def source(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def remote(tmp_path):
    return tmp_path / "remote"


@pytest.fixture
def sync(source, remote):
    """Sync all runs of the source; gives the outcomes by id."""
    from runfmt.reading import find_runs

    def run(**options):
        push = Push(open_remote(str(remote)), **options)
        outcomes = push.run(list(find_runs(source)))
        if push.fault:
            raise push.fault
        return {outcome.folder.name: outcome for outcome in outcomes}

    return run
