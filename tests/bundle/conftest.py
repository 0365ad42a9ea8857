import pytest

from forging import Gap


@pytest.fixture
def gap(tmp_path):
    """Runs here, a stick, and the other side."""
    return Gap(tmp_path)


@pytest.fixture
def source(gap):
    return gap.source


@pytest.fixture
def far(gap):
    return gap.far
