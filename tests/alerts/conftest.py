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
def home():
    return Home.of_user()
