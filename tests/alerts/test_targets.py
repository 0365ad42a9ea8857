"""Who is told: named, kept from others' eyes, and tried."""

import json
import os
import subprocess
import sys

import pytest

from alerts.telling import alert, write_events
from program import RUNFMT
from runfmt_sync.alerts.targets import without_secrets
from runmaker import make_run

SECRETS = ("secretpassword", "secrettoken")


@pytest.fixture
def said(runfmt):
    """Calls commands; what they say must hold no secret of a target."""

    def call(*words, **options):
        done = runfmt(*words, **options)
        assert not any(secret in done.output for secret in SECRETS)
        return done

    return call


def test_targets_are_added_listed_and_removed(said, runfmt, http, home):
    assert said("alerts", "list").stderr == "nobody is told: `runfmt alerts add URL` adds somebody\n"
    assert (
        said("alerts", "add", http.url).stdout
        == "json is told of alert, finish, failure, crash, from now on\n"
    )
    said("alerts", "add", http.url, "--on", "crash,alert", "--project", "p")
    said("alerts", "add", http.url, "--name", "team")
    listed = runfmt.json("alerts", "list")
    assert [(row["name"], row["on"], row["project"]) for row in listed] == [
        ("json", ["alert", "finish", "failure", "crash"], None),
        ("json-2", ["alert", "crash"], "p"),
        ("team", ["alert", "finish", "failure", "crash"], None),
    ]
    assert {row["url"] for row in listed} == {"json://***"}
    assert said("alerts", "list").stdout.splitlines()[1].split("\t")[:4] == [
        "json-2", "json://***", "alert,crash", "p",
    ]  # fmt: skip
    said("alerts", "remove", "json")
    assert [row["name"] for row in runfmt.json("alerts", "list")] == ["json-2", "team"]
    assert home.path.stat().st_mode & 0o777 == 0o600
    assert home.folder.stat().st_mode & 0o077 == 0


def test_url_is_read_from_standard_input(runfmt, http):
    command = [RUNFMT, "alerts", "add", "-"]
    done = subprocess.run(
        command, env=runfmt.environment, input=http.url + "\n", text=True, capture_output=True, check=True
    )
    assert done.stdout.startswith("json is told")
    assert runfmt("alerts", "test").stdout == "json: sent\n"
    assert http.titles == ["A test of runfmt"]


def test_all_are_tried_and_those_that_do_not_take_it_are_named(said, http, mail):
    said("alerts", "add", http.url)
    said("alerts", "add", mail.url)
    http.answer = lambda _: False
    done = said("alerts", "test", code=3)
    assert "mailto: sent" in done.stdout
    assert "json: Failed to send JSON" in done.stdout
    assert done.stderr == "runfmt: 1 target did not take it: json\n"
    assert said("alerts", "test", "mailto").stdout == "mailto: sent\n"
    assert len(set(mail.keys)) == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["add", "nothing://secretpassword@secrettoken"], "Apprise takes no such URL: "),
        (["add", "secrettoken"], "a URL of Apprise's is wanted, as slack://"),
        (["add", "json://127.0.0.1", "--name", "a b"], "a target's name 'a b' must match"),
        (["add", "json://127.0.0.1", "--name", "taken"], "there is a target taken already"),
        (
            ["add", "json://127.0.0.1", "--on", "alert,joy"],
            "nobody can be told on joy: there are alert, finish",
        ),
        (["remove", "who"], "alerts have no target who"),
        (["test", "who"], "alerts have no target who"),
    ],
)
def test_mistakes_are_said(said, runfmt, words, error):
    said("alerts", "add", "json://127.0.0.1", "--name", "taken")
    assert runfmt.error("alerts", *words).startswith(error)
    said("alerts", *words, code=2)


def test_nobody_to_try_is_a_mistake(runfmt):
    assert runfmt.error("alerts", "test").startswith("nobody is told")


def test_secrets_that_others_can_read_are_not_used(runfmt, runs, sync, http, home):
    runfmt("alerts", "add", http.url)
    home.path.chmod(0o644)
    write_events(make_run(runs), alert("a"))
    assert sync() == [f"alerts are not sent: others can read the secrets in {home.path}: `chmod 600 {home.path}`, and change them"]  # fmt: skip # noqa: E501
    assert runfmt.error("alerts", "list").startswith("others can read")
    home.path.chmod(0o600)
    sync()
    assert http.titles == ["n: a"]


@pytest.mark.parametrize("text", ["{", '{"targets": []}', '{"targets": {"a": {"url": "json://x"}}}'])
def test_broken_settings_are_said_and_cost_no_sync(runfmt, runs, sync, home, text):
    home.path.parent.mkdir(parents=True)
    home.path.write_text(text)
    home.path.chmod(0o600)
    make_run(runs)
    (line,) = sync()
    assert line.startswith("alerts are not sent: ")
    assert str(home.path) in line
    assert (
        json.loads(runfmt("sync", runs, "--remote", "./far", "--json").stdout)["runs"][0]["status"]
        == "unchanged"
    )


def test_secrets_are_in_no_word_that_is_said_or_kept(said, runs, http, home):
    said("alerts", "add", http.url)
    url = http.url
    http.close()
    write_events(make_run(runs), alert("a"))
    said("sync", runs, "--remote", "./far")
    assert "1 waiting: A Connection error" in said("alerts", "list").stdout
    kept = (home.folder / "outbox.sqlite").read_bytes()
    assert not any(secret.encode() in kept for secret in SECRETS)
    assert (
        without_secrets(f"{url} failed at 127.0.0.1", url) == "json://***:***@***:***/***/*** failed at ***"
    )


def test_without_apprise_it_is_said_what_to_install(runfmt, runs, home):
    hidden = "import sys; sys.modules['apprise'] = None; from runfmt_sync.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "alerts", "add", "json://127.0.0.1"],
        env={**os.environ, **runfmt.environment},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'runfmt[alerts]'" in done.stderr
    assert not home.path.exists()
