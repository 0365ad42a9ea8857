"""A tracker of your own: runs in a SQLite file, by `runfmt sync ./runs --remote sqlite:runs.db`."""

import json
import sqlite3
from pathlib import Path

from runfmt_sync.trackers import Tracked, Tracker

TABLES = """
create table if not exists runs (uid primary key, id, state, config, cursor default '{}');
create table if not exists points (uid, name, step, time, value, primary key (uid, name, step));
"""


class Database(Tracker):
    def __init__(self, url):
        self.path = Path(url.partition(":")[2]).absolute()
        self.url = f"sqlite:{self.path}"

    def open(self, run):
        return Run(self.path, run)


class Run(Tracked):
    def __init__(self, path, run):
        self.uid, self.database = run.uid, sqlite3.connect(path, timeout=60)
        self.database.executescript(TABLES)
        self.change("insert or ignore into runs (uid, id) values (?, ?)", run.uid, run.id)

    def cursor(self):
        found = self.database.execute("select cursor from runs where uid = ?", [self.uid])
        return json.loads(*found.fetchone())

    def keep(self, cursor):
        self.change("update runs set cursor = ? where uid = ?", json.dumps(cursor), self.uid)

    def rows(self, rows):
        for row in rows:
            for path, value in row.values.items():
                point = (self.uid, row.name(path), row.step, row.time, json.dumps(value))
                self.database.execute("insert or replace into points values (?, ?, ?, ?, ?)", point)
        self.database.commit()
        return {}

    def describe(self, run):
        self.change("update runs set config = ? where uid = ?", json.dumps(run.config), self.uid)
        self.end(run)
        return {}

    def end(self, run):
        self.change("update runs set state = ? where uid = ?", run.state(), self.uid)

    def change(self, statement, *values):
        self.database.execute(statement, values)
        self.database.commit()

    def close(self):
        self.database.close()
