"""Every line of SECURITY.md has a test that is there: one named after it, or those that are named here."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = {
    "S001": [
        "fuzz/test_files.py::test_run_with_a_file_of_anybody",
        "fuzz/test_files.py::test_table_of_runs_with_one_of_anybody",
    ],
    "S002": [
        "conformance/test_hostile.py::test_links_and_unreadable_streams_hide_nothing_else",
        "server/test_hostile.py::test_links_lead_nowhere",
        "sync/test_push.py::test_links_and_private_names_stay_and_odd_names_are_reported",
    ],
    "S003": [
        "fuzz/test_parsers.py::test_paths_and_names",
        "sync/test_store.py::test_path_that_leads_elsewhere_is_refused",
        "server/test_hostile.py::test_path_that_leads_nowhere_is_not_there",
        "bundle/test_hostile.py::test_path_out_of_the_run_costs_only_that_run",
    ],
    "S004": [
        "bundle/test_hostile.py::test_id_that_is_no_name_is_refused",
        "sync/test_store.py::test_uid_that_is_none_is_refused",
        "server/test_hostile.py::test_name_that_is_no_uid_is_not_there",
    ],
    "S005": [
        "remotes/test_two_sides.py::test_link_at_the_remote_is_not_written_through",
        "bundle/test_hostile.py::test_symbolic_link_at_the_target_is_not_followed",
    ],
    "S006": [
        "bundle/test_hostile.py::test_member_of_another_type_is_refused",
        "bundle/test_hostile.py::test_every_other_order_of_members_is_refused",
    ],
    "S007": [
        "bundle/test_hostile.py::test_wrong_digest_of_the_last_extent_leaves_nothing_of_the_first",
    ],
    "S008": [
        "bundle/test_hostile.py::test_bomb_costs_no_more_than_the_limit",
        "bundle/test_hostile.py::test_window_that_asks_for_too_much_memory_is_refused",
    ],
    "S009": [
        "bundle/test_hostile.py::test_many_names_are_parked_under_names_of_ours",
    ],
    "S010": [
        "bundle/test_signing.py::test_bundle_without_a_good_signature_is_refused",
        "bundle/test_signing.py::test_unsigned_bundle_is_believed_only_without_keys",
    ],
    "S011": [
        "bundle/test_signing.py::test_secret_key_is_private_and_public_key_is_known",
    ],
    "S012": [
        "server/test_many.py::test_answer_that_is_none_is_refused",
        "fuzz/test_parsers.py::test_what_two_sides_say",
    ],
    "S067": [
        "server/test_reading.py::test_answer_that_unpacks_to_more_than_memory_is_refused",
    ],
    "S014": [
        "server/test_reading.py::test_token_goes_over_no_open_network",
    ],
    "S015": [
        "server/test_reading.py::test_netrc_does_not_replace_the_token",
    ],
    "S016": [
        "server/test_reading.py::test_password_in_a_url_is_refused",
    ],
    "S020": [
        "server/test_guard.py::test_tokens_lie_hashed_and_private",
    ],
    "S022": [
        "server/test_commands.py::test_tokens_are_made_listed_and_revoked",
        "server/test_reading.py::test_token_counts_for_its_days",
    ],
    "S023": [
        "server/test_protocol.py::test_scopes_say_what_a_token_may",
    ],
    "S024": [
        "server/test_protocol.py::test_token_of_a_project_sees_and_changes_only_that",
        "server/test_protocol.py::test_edit_of_the_project_moves_no_run_to_another_token",
        "server/test_protocol.py::test_token_of_a_project_shows_no_run_in_another",
    ],
    "S028": [
        "view/test_command.py::test_browser_is_opened_when_asked_for_and_nobody_sees_the_token",
    ],
    "S029": [
        "server/test_guard.py::test_server_for_others_is_not_started_without_tokens",
    ],
    "S030": [
        "view/test_safety.py::test_page_may_load_only_what_is_its_own",
        "view/test_browser.py::test_page_runs_only_scripts_that_are_its_own",
    ],
    "S031": [
        "view/test_safety.py::test_files_of_runs_are_never_run_as_the_page",
    ],
    "S032": [
        "view/test_safety.py::test_frame_for_what_runs_hold_is_of_no_origin_and_loads_nothing",
        "view/test_browser.py::test_html_of_a_run_runs_and_reaches_nothing",
    ],
    "S033": [
        "view/test_safety.py::test_name_that_was_bound_to_this_machine_is_not_heard",
        "server/test_guard.py::test_page_whose_name_leads_here_is_not_heard",
    ],
    "S034": [
        "view/test_safety.py::test_page_of_another_site_is_not_heard",
        "server/test_guard.py::test_page_of_another_site_may_not_ask",
    ],
    "S036": [
        "view/test_safety.py::test_other_machines_do_not_reach_it",
        "view/test_safety.py::test_each_viewer_has_a_token_of_its_own",
    ],
    "S037": [
        "fuzz/test_parsers.py::test_markdown_of_runs",
        "report/test_template.py::test_notes_of_a_run_are_markdown_without_html_and_lead_to_the_web_only",
    ],
    "S038": [
        "report/test_page.py::test_page_that_was_logged_has_neither_scripts_nor_an_origin_nor_a_way_out",
    ],
    "S039": [
        "server/test_hostile.py::test_path_that_leads_nowhere_is_not_there",
    ],
    "S040": [
        "server/test_protocol.py::test_bundle_that_is_too_large_is_refused",
        "view/test_damage.py::test_body_that_is_too_long_or_no_json_is_refused",
    ],
    "S041": [
        "server/test_guard.py::test_caller_that_asks_too_much_is_told_to_wait",
    ],
    "S042": [
        "server/test_guard.py::test_caller_that_falls_silent_is_let_go",
        "server/test_guard.py::test_upload_that_trickles_is_waited_for",
    ],
    "S043": [
        "view/test_damage.py::test_question_that_is_none_is_refused_with_the_reason",
    ],
    "S044": [
        "conformance/test_hostile.py::test_line_without_an_end_is_never_held_whole",
    ],
    "S045": [
        "fuzz/test_found.py::test_edit_that_leads_a_thousand_keys_down_is_ignored_and_said",
        "fuzz/test_parsers.py::test_document",
    ],
    "S046": [
        "fuzz/test_files.py::test_request_of_anybody",
    ],
    "S050": [
        "house/test_invariants.py::test_run_opens_no_socket",
        "house/test_invariants.py::test_client_imports_nothing_that_talks_to_a_network",
    ],
    "S052": [
        "client/test_environment.py::test_no_secret_is_recorded",
    ],
    "S053": [
        "server/test_guard.py::test_every_write_leaves_a_line",
    ],
    "S054": [
        "alerts/test_targets.py::test_secrets_that_others_can_read_are_not_used",
        "alerts/test_targets.py::test_secrets_are_in_no_word_that_is_said_or_kept",
    ],
    "S061": [
        "importing/test_wandb.py::test_paths_in_a_log_lead_to_no_other_files",
        "importing/test_trackio.py::test_path_that_leads_elsewhere_is_not_followed",
    ],
    "S062": [
        "fuzz/test_files.py::test_file_of_another_tool",
        "fuzz/test_files.py::test_log_of_wandb",
        "fuzz/test_files.py::test_database_of_trackio",
    ],
    "S063": [
        "cli/test_commands.py::test_names_do_not_steer_the_terminal",
        "report/test_terminal.py::test_names_cannot_steer_a_terminal",
    ],
}
"""Tests elsewhere that show a line."""


def _lines():
    return re.findall(r"^\| (S\d{3}) \|", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)


def _tests(path):
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def _named():
    here = (name for path in Path(__file__).parent.glob("test_*.py") for name in _tests(path))
    return [found[1].upper() for name in here if (found := re.match(r"test_(s\d{3})_", name))]


def test_every_line_has_its_test_and_every_test_its_line():
    lines = _lines()
    assert len(lines) == len(set(lines)) > 50
    assert sorted([*SHOWN, *set(_named())]) == sorted(lines)


@pytest.mark.parametrize("line", SHOWN)
def test_test_of_a_line_is_there(line):
    for reference in SHOWN[line]:
        path, _, name = reference.partition("::")
        assert name in _tests(ROOT / "tests" / path), reference


def test_it_is_read_in_a_hurry():
    assert len((ROOT / "SECURITY.md").read_text().splitlines()) <= 120
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text().rpartition("## More")[2]
