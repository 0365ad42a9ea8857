"""A run with an empty stream, and its index."""

import pytest

from runfmt_sync.index import RunIndex


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").touch()
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def index(run, cache):
    return RunIndex(run, cache)
