"""How many inputs those get that take longer than the others."""

import pytest

from fuzz.watching import COUNT


@pytest.fixture
def inputs_of_slow():
    """For parsers that open files, or are libraries in Python."""
    return max(COUNT // 8, 200)
