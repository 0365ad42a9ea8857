"""What every test has: a state of its own, and the program in an empty folder; long ones begin first."""

import os
from contextlib import ExitStack

import pytest
from hypothesis import settings

from program import Program

settings.register_profile("runfmt", deadline=None)
settings.load_profile("runfmt")


def pytest_collection_modifyitems(items):
    """Begin with what takes long, so that with several workers the others need not wait for it."""
    items.sort(key=lambda item: item.get_closest_marker("soak") is None)


def pytest_terminal_summary(terminalreporter):
    """Say what was counted, a line for each test that did."""
    for report in terminalreporter.getreports("passed"):
        for line in (value for name, value in report.user_properties if name == "counted"):
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {line}")


@pytest.fixture
def counted(record_property):
    """Takes what a test has counted; it is printed when all tests are over."""

    def take(**counts):
        words = (f"{count:,} {what.replace('_', ' ')}" for what, count in counts.items())
        record_property("counted", ", ".join(words))

    return take


@pytest.fixture(autouse=True)
def environment():
    """What a test changes in the environment, no later one has."""
    before = {**os.environ}
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def state(environment, tmp_path, monkeypatch):
    """State, configuration and tokens of this test alone."""
    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RUNFMT_CONFIG", str(tmp_path / "remotes.json"))
    monkeypatch.delenv("RUNFMT_TOKEN", raising=False)
    return tmp_path / "state"


@pytest.fixture
def runfmt(tmp_path, monkeypatch):
    """The program in an empty folder."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Program(tmp_path / "home")


@pytest.fixture
def work(tmp_path, runfmt):
    return tmp_path / "work"


@pytest.fixture(scope="module")
def browser():
    """A real Chromium; it ends with the module, as Playwright suffers no event loop beside its own."""
    from browsing import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def faults():
    """What pages did that none should; one that no test expected fails it at its end."""
    from browsing import Faults

    faults = Faults()
    yield faults
    faults.check()


@pytest.fixture
def new_page(browser, faults):
    """Opens a page with options of Playwright's contexts, as ``color_scheme="dark"``."""
    from browsing import watched

    with ExitStack() as pages:
        yield lambda **options: pages.enter_context(watched(browser, faults, **options))


@pytest.fixture
def page(new_page):
    """A page that fails its test on errors in its console, of its scripts or policy, and on asking others."""
    return new_page()
