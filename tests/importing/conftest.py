"""What the tests of importing share: a call, and the run that came of it."""

import pytest

from runfmt.reading import StoredRun, find_runs
from runfmt_sync.importing import import_runs
from runfmt_sync.validate import validate


class Imported:
    """A folder of runs to which other tools' runs are brought."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *sources, **how):
        """Import; gives what became of each run, by id. What is there then is valid."""
        outcomes, fault = import_runs([str(source) for source in sources], self.folder, **how)
        assert fault is None
        for run in find_runs(self.folder):
            assert validate(run) == []
        return {outcome.id: outcome for outcome in outcomes}

    def again(self, *sources, **how):
        """Import once more, by which nothing may change."""
        outcomes = self(*sources, **how)
        assert {(one.status, one.extents) for one in outcomes.values()} == {("unchanged", 0)}

    def run(self, run_id):
        return StoredRun(self.folder / run_id)

    def rows(self, run_id):
        """The logical rows of a run, without their times."""
        rows = (dict(row) for row in self.run(run_id).history().rows)
        return [{key: value for key, value in row.items() if key != "_timestamp"} for row in rows]


@pytest.fixture
def imported(tmp_path):
    return Imported(tmp_path / "imported")
