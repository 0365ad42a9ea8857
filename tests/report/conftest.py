import pytest

from reporting import make_hostile_runs
from runfmt_sync.report import write_report


@pytest.fixture
def runs(work):
    """The folder of runs that commands take when none is named."""
    (work / "runs").mkdir()
    return work / "runs"


@pytest.fixture(scope="session", autouse=True)
def state_of_all(tmp_path_factory):
    """A state for what is made once for many tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNFMT_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Two runs with everything that can be logged, in names that try to act."""
    root = tmp_path_factory.mktemp("report") / "runs"
    make_hostile_runs(root)
    return root


@pytest.fixture(scope="session")
def usual(root):
    """The usual report of these runs."""
    write_report([root], root.parent / "usual.html")
    return root.parent / "usual.html"
