import pytest
from hypothesis import settings

from runfmt_sync.push import Push
from runfmt_sync.remotes import open_remote

settings.register_profile("sync", deadline=None)
settings.load_profile("sync")


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """State and configuration of this test alone."""
    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RUNFMT_CONFIG", str(tmp_path / "remotes.json"))
    return tmp_path / "state"


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
