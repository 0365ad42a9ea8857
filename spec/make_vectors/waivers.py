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
    "B006": {
        "reason": "A vector would have megabytes.",
        "test": "tests/bundle/test_hostile.py::test_group_that_is_too_large_is_refused",
    },
    "B017": {
        "reason": "About what a power cut leaves.",
        "test": "tests/sync/test_store.py::test_everything_is_durable_before_the_next_phase",
    },
    "B020": {
        "reason": "About the file around the archive.",
        "test": "tests/bundle/test_hostile.py::test_window_that_asks_for_too_much_memory_is_refused",
    },
    "B021": {
        "reason": "About the file around the archive.",
        "test": "tests/bundle/test_hostile.py::test_manifest_of_another_form_is_refused",
    },
    "B022": {
        "reason": "About several bundles.",
        "test": "tests/bundle/test_gap.py::test_lost_number_is_told_made_again_and_all_is_there",
    },
    "B023": {
        "reason": "About several bundles.",
        "test": "tests/bundle/test_gap.py::test_everything_arrives_in_any_order_of_calls",
    },
    "B024": {
        "reason": "About keys, and a file beside the bundle.",
        "test": "tests/bundle/test_signing.py::test_bundle_without_a_good_signature_is_refused",
    },
    "B025": {
        "reason": "About several bundles.",
        "test": "tests/bundle/test_gap.py::test_clock_that_goes_back_makes_no_older_bundles",
    },
    "B026": {
        "reason": "About the id of a place, which each has of its own.",
        "test": "tests/bundle/test_gap.py::test_bundle_since_another_places_receipt_is_refused",
    },
    "B027": {
        "reason": "About several bundles.",
        "test": "tests/bundle/test_gap.py::test_replayed_old_bundle_changes_nothing_after_newer_ones",
    },
    "B028": {
        "reason": "About several bundles.",
        "test": "tests/bundle/test_gap.py::test_bundle_made_again_is_not_undone_by_older_ones",
    },
    "O002": {
        "reason": "About what a client knew of another place.",
        "test": "tests/remotes/test_hurt.py::test_store_replaced_by_another_is_asked_anew",
    },
    "O004": {
        "reason": "About a run that is read while it is written.",
        "test": "tests/remotes/test_hurt.py::test_live_run_is_a_true_prefix_at_every_moment",
    },
    "O013": {
        "reason": "About what a writer puts.",
        "test": "tests/remotes/test_two_sides.py::test_ahead_is_told_from_diverged_across_blocks",
    },
    "O014": {
        "reason": "About what a writer puts and removes in time.",
        "test": "tests/remotes/test_placed.py::test_many_small_segments_become_one_and_go_later",
    },
    "O022": {
        "reason": "About two writers.",
        "test": "tests/remotes/test_hurt.py::test_pushers_of_two_copies_with_edits_of_their_own_end_equal",
    },
    "O023": {
        "reason": "About what is removed in time.",
        "test": "tests/remotes/test_placed.py::test_replaced_large_file_leaves_no_pieces_for_long",
    },
}
