"""A tracker of your own: runs in a SQLite file, as `runfmt sync ./runs --remote sqlite:runs.db` brings them.

An installed package makes it known in its `pyproject.toml`:

    [project.entry-points."runfmt.remotes"]
    sqlite = "tracker:Database"
"""

import json
import sqlite3

from runfmt_sync.trackers import Tracked, Tracker

TABLES = """
create table if not exists runs (uid primary key, id, state, config, cursor default '{}');
create table if not exists points (uid, name, step, time, value, primary key (uid, name, step));
"""


class Database(Tracker):
    def __init__(self, url):
        self.url, self.path = url, url.partition(":")[2]

    def open(self, run):
        return Run(self.path, run)


class Run(Tracked):
    def __init__(self, path, run):
        self.uid, self.database = run.uid, sqlite3.connect(path, timeout=60)
        self.database.executescript(TABLES)
        self.change("insert or ignore into runs (uid, id) values (?, ?)", run.uid, run.id)

    def cursor(self):
        found = self.database.execute("select cursor from runs where uid = ?", [self.uid])
        return json.loads(found.fetchone()[0])

    def keep(self, cursor):
        self.change("update runs set cursor = ? where uid = ?", json.dumps(cursor), self.uid)

    def rows(self, rows):
        insert = "insert or replace into points values (?, ?, ?, ?, ?)"
        with self.database as database:
            for row in rows:
                for path, value in row.values.items():
                    text = json.dumps(value)
                    database.execute(insert, [self.uid, row.name(path), row.step, row.time, text])
        return {}

    def describe(self, run):
        config = json.dumps(run.config)
        self.change("update runs set state = ?, config = ? where uid = ?", run.state(), config, self.uid)
        return {}

    def end(self, run):
        self.describe(run)

    def change(self, statement, *values):
        with self.database as database:
            database.execute(statement, values)

    def close(self):
        self.database.close()
