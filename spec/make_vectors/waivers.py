"""The rules that no file can show, each with the reason and the test that shows it."""

WAIVERS = {
    "R002": {
        "reason": "A version control system keeps no pipes and no modes.",
        "test": "tests/conformance/test_writer.py::test_entry_that_is_no_file_is_reported",
    },
    "R008": {
        "reason": "Every vector is a copy, at a place that its writer did not know.",
        "test": "tests/conformance/test_vectors.py::test_our_reader_reads_the_vector",
    },
    "R015": {
        "reason": "About two runs, and about the moment of making one.",
        "test": "tests/conformance/test_writer.py::test_id_is_claimed_once_whatever_its_case",
    },
    "R016": {
        "reason": "About a run under two names.",
        "test": "tests/remotes/test_two_sides.py::test_renamed_run_stays_where_it_is",
    },
    "R018": {
        "reason": "About what a power cut leaves.",
        "test": "tests/fault/test_durability.py::test_run_and_config_are_durable_before_the_first_row",
    },
    "R027": {
        "reason": "A vector would have 10 MiB.",
        "test": "tests/conformance/test_writer.py::test_row_of_ten_mebibytes_is_the_longest",
    },
    "R032": {
        "reason": "About a clock that is set back.",
        "test": "tests/conformance/test_writer.py::test_time_of_rows_goes_on_when_the_clock_is_set_back",
    },
    "R073": {
        "reason": "About the order of two moments.",
        "test": "tests/fault/test_durability.py::test_fsync_mode_makes_media_durable_before_the_row",
    },
    "R110": {
        "reason": "About what a killed process leaves.",
        "test": "tests/fault/test_kill.py::test_killed_trainings_lose_nothing_and_go_on",
    },
    "R111": {
        "reason": "About what a power cut leaves.",
        "test": "tests/conformance/test_writer.py::test_streams_are_made_durable_unasked",
    },
}
