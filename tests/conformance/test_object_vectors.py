"""Runs in a real object store are put together as their vectors say, by our pull and by another reader."""

import json
import os

import obstore
import pytest

import objectstores
from conformance.test_vectors import VECTORS, names_of
from forging import UID
from objectstores import SeaweedFS
from remotes.kinds import files_of, read_objects
from runfmt_sync.plan import Ask
from runfmt_sync.pull import pull
from runfmt_sync.remotes.objects import ObjectRemote


@pytest.fixture(params=names_of("objects/"))
def vector(request):
    """A vector, and the URL of a place where what it holds lies."""
    store = objectstores.running(SeaweedFS)
    os.environ.update(store.environment)
    url = store.place()
    for name, data in files_of(VECTORS / request.param / "store").items():
        obstore.put(opened(url), name, data)
    return VECTORS / request.param, url


def opened(url):
    return obstore.store.from_url(url, client_options={"allow_http": True})


def seen(root):
    """The files that readers see below a folder of runs."""
    return {path: data for path, data in files_of(root).items() if "/." not in f"/{path}"}


def test_our_pull_puts_the_run_together(vector, tmp_path):
    folder, url = vector
    remote, expected = ObjectRemote(url), files_of(folder / "expected")
    assert remote.store_id == json.loads((folder / "store/.runfmt/store.json").read_bytes())["id"]
    outcomes, fault = pull(remote, remote.ids(), tmp_path / "runs")
    assert fault is None
    assert {outcome.status for outcome in outcomes} == ({"synced"} if expected else set())
    assert seen(tmp_path / "runs") == expected


def test_another_reader_puts_the_run_together(vector, tmp_path):
    folder, url = vector
    read_objects(opened(url), tmp_path)
    assert seen(tmp_path) == files_of(folder / "expected")


def test_our_reader_gives_each_file_where_it_lies(vector):
    folder, url = vector
    remote = ObjectRemote(url)
    for path, data in files_of(folder / "expected" / "run").items():
        with remote.read(UID, path) as file:
            assert file.read() == data


def test_writer_is_told_of_a_tombstone(vector):
    folder, url = vector
    [tombstone] = [*(folder / "store" / ".runfmt" / "deleted").glob("*")] or [None]
    time = json.loads(tombstone.read_bytes())["time"] if tombstone else ""
    assert ObjectRemote(url).have([Ask(UID, "", {})])[UID].deleted == time
