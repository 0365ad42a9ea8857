"""A server with one run in its data, and requests to it."""

import pytest

from asking import Client
from runfmt_sync.server import service
from runmaker import make_run, read
from serving import serving


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def run(data):
    """A run that was copied into the data by hand."""
    return make_run(data)


@pytest.fixture
def uid(run):
    return read(run / "run.json")["uid"]


@pytest.fixture
def server(data, monkeypatch):
    for waiting in ("LOOK_EVERY", "REST"):
        monkeypatch.setattr(service, waiting, 0)  # what a test puts there by hand is seen at once
    with serving(data) as server:
        yield server


@pytest.fixture
def client(server):
    client = Client(server.url)
    with client.session:
        yield client


@pytest.fixture
def with_token(server):
    """Makes a client with a new token; from then on, nobody comes in without."""
    clients = []

    def make(*scopes, project=None):
        clients.append(Client(server.url, server.service.tokens.add("ann", scopes or ("admin",), project)))
        return clients[-1]

    yield make
    for client in clients:
        client.session.close()
