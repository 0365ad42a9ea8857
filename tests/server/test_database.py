"""What workers share: nobody misses a change, two never write at once, nothing hangs on who was killed."""

import subprocess
import sys
import threading

import pytest

from postgres import running
from runfmt.errors import UsageError
from runfmt_sync.server.database import Database
from runfmt_sync.server.tokens import Tokens

KILLED = """
import os, sys
from runfmt_sync.server.database import Database
with Database(sys.argv[1]).writing([sys.argv[2]]):
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.sqlite"
    return running().database()


@pytest.fixture
def database(url):
    made = Database(url)
    yield made
    made.close()


def names(changes):
    return [change.uid for change in changes]


def test_change_is_seen_once_by_who_remembers_how_far_he_was(database):
    with database.writing(["a", "b"]):
        assert {*names(database.changes(0))} == {"a", "b"}  # it may have changed already
    [first, second] = database.changes(0)
    assert {first.uid, second.uid} == {"a", "b"}
    assert database.changes(first.version) == []
    with database.writing(["b"], deleted=True):
        pass
    assert [(change.uid, change.deleted) for change in database.changes(first.version)] == [("b", True)]


def test_write_that_failed_may_have_changed_something(database):
    with pytest.raises(OSError, match="disk"), database.writing(["a"]):
        raise OSError("disk")
    assert names(database.changes(0)) == ["a"]
    assert database.changes(database.changes(0)[0].version) == []  # and no mark is left


def test_two_never_write_to_one_run_and_no_change_is_passed_over(database, url):
    inside, most, seen = [], [], []

    def write(number):
        mine = Database(url)
        for _ in range(10):
            with mine.writing(["shared", f"own{number}"]):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)
        mine.close()

    def follow():
        since = 0
        while not done.is_set() or database.changes(since):
            changes = [change for change in database.changes(since) if change.version]
            seen.extend(changes)
            since = max([since, *(change.version for change in changes)])

    done = threading.Event()
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    follower = threading.Thread(target=follow)
    for thread in (follower, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    follower.join()
    assert max(most) == 1
    last = {change.uid: change.version for change in database.changes(0)}
    assert last.keys() == {"shared", *(f"own{number}" for number in range(4))}
    assert {change.uid: change.version for change in seen} == last


def test_what_a_killed_worker_was_writing_counts_as_changed(database, url):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, url, "a"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "there\n"
    assert database.take_over() == []  # while it lives it is left alone
    process.kill()
    process.communicate()
    assert names(database.changes(0)).count("a") >= 1
    if url.startswith("postgresql"):
        while not (taken := database.take_over()):  # the server notices within moments
            pass
        assert taken == ["a"]
        assert [change.version > 0 for change in database.changes(0)] == [True]
    with database.writing(["a"]):
        pass
    assert [change.version > 0 for change in database.changes(0)] == [True]


def test_runs_of_the_store_that_are_not_known_count_as_changed(database):
    with database.writing(["a"]):
        pass
    since = database.changes(0)[0].version
    database.know(["a", "b"])
    assert names(database.changes(since)) == ["b"]
    database.know(["a", "b"])
    assert len(database.changes(since)) == 1


def test_tokens_of_workers_that_add_at_once_are_all_kept(database, url):
    def add(number):
        mine = Database(url)
        made[number] = Tokens(mine.document("tokens")).add(f"ann{number}", ["read"])
        mine.close()

    made = {}
    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tokens = Tokens(database.document("tokens"))
    assert {tokens.caller(token).name for token in made.values()} == {f"ann{number}" for number in range(8)}
    assert tokens.revoke("ann3") == 1
    assert tokens.caller(made[3]) is None


def test_database_that_is_away_is_a_fault_that_passes():
    postgres = running()
    database = Database(postgres.database())
    with database.writing(["a"]):
        pass
    postgres.kill()
    with pytest.raises(ConnectionError, match="the database is away"):
        database.changes(0)
    postgres.start()
    assert names(database.changes(0)) == ["a"]
    database.close()


@pytest.mark.parametrize("url", ["nothing", "mysql://x/y", ""])
def test_what_is_no_database_is_said(url):
    with pytest.raises(UsageError, match="postgresql://"):
        Database(url)


def test_database_of_a_newer_version_is_left_alone(database, url, monkeypatch):
    from runfmt_sync.server import database as module

    monkeypatch.setattr(module, "MIGRATIONS", ())
    with pytest.raises(UsageError, match="newer"):
        Database(url)
