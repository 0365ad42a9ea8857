"""One item is made while another is used; nothing is lost, and nothing is left open."""

import threading

import pytest

from runfmt_sync.ahead import ahead


def test_items_come_in_their_order_and_all():
    assert [*ahead(range(100))] == [*range(100)]
    assert [*ahead([])] == []


def test_next_item_is_made_while_one_is_used():
    made = [threading.Event() for _ in range(3)]

    def items():
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in ahead(items()):
        assert made[min(number + 1, 2)].wait(10)


def test_error_comes_where_the_item_would():
    def items():
        yield 1
        raise OSError("gone")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(OSError, match="gone"):
        next(found)


def test_item_that_nobody_asks_for_is_dropped():
    dropped = []
    found = ahead(iter("abc"), drop=dropped.append)
    assert next(found) == "a"
    found.close()
    assert dropped == ["b"]


@pytest.mark.parametrize("more", [[], [OSError("gone")]])
def test_nothing_is_dropped_where_nothing_was_made(more):
    def items():
        yield "a"
        for error in more:
            raise error

    dropped = []
    found = ahead(items(), drop=dropped.append)
    next(found)
    found.close()
    assert dropped == []
