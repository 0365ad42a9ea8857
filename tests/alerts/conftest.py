import warnings

import apprise
import pytest

from alerts.sinks import HttpSink, MailSink
from runfmt_sync.alerts.targets import Home

with warnings.catch_warnings():  # Apprise loads all it knows, and with it what Python will do without
    warnings.simplefilter("ignore")
    apprise.Apprise.instantiate("json://127.0.0.1")


@pytest.fixture
def http():
    sink = HttpSink()
    yield sink
    sink.close()


@pytest.fixture
def mail():
    sink = MailSink()
    yield sink
    sink.close()


@pytest.fixture
def home(tmp_path):
    """That of the user who calls the program."""
    folder = tmp_path / "home"
    return Home(folder / ".config/runfmt/alerts.json", folder / ".local/state/runfmt/alerts")


@pytest.fixture
def runs(work):
    (work / "runs").mkdir()
    return work / "runs"


@pytest.fixture
def sync(runfmt, runs):
    """Sync; gives what was said of alerts."""
    return lambda *words: runfmt("sync", runs, "--remote", "./far", *words).stderr.splitlines()
