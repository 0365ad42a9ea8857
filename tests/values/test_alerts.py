from datetime import timedelta

import pytest

from runfmt.alerts import AlertLevel, check_alert


def test_levels_and_times_are_taken_as_users_give_them():
    assert check_alert() == ("INFO", 60.0)
    assert check_alert("WARN", 5) == check_alert(AlertLevel.WARN, timedelta(seconds=5)) == ("WARN", 5.0)
    assert check_alert("ERROR", 0) == ("ERROR", 0.0)


@pytest.mark.parametrize("level", ["warn", "", "FATAL", 3])
def test_another_level_is_a_value_error(level):
    with pytest.raises(ValueError, match="use 'INFO', 'WARN' or 'ERROR'"):
        check_alert(level, 1)


@pytest.mark.parametrize("wait", ["60", [1], True])
def test_a_waiting_time_that_is_no_number_is_a_type_error(wait):
    with pytest.raises(TypeError, match="wait_duration"):
        check_alert("INFO", wait)
