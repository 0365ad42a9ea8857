"""What the workers of one server share besides the store: documents, which runs changed, who writes one now.

SQLite for one machine, PostgreSQL for several. Nothing in it is the truth about a run: lost or
restored from yesterday, it is filled again from the store; only tokens have to be given out anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    func,
    literal,
    select,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError

from runfmt.errors import UsageError
from runfmt.locks import Locks

__all__ = ["Change", "Database", "Document"]

TABLES = MetaData()
DOCUMENTS = Table(
    "documents", TABLES, Column("name", String(64), primary_key=True), Column("body", Text, nullable=False)
)
"""Small JSON objects that are changed whole: the tokens."""
COUNTERS = Table(
    "counters",
    TABLES,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
RUNS = Table(
    "runs",
    TABLES,
    Column("uid", String(36), primary_key=True),
    Column("version", BigInteger, nullable=False, index=True),
    Column("deleted", Boolean, nullable=False),
)
"""The number of the last change of each run; the numbers come in the order in which changes are seen."""
WRITING = Table("writing", TABLES, Column("uid", String(36), primary_key=True))
"""Runs to which somebody writes, or wrote when he was killed."""
MIGRATIONS: Sequence[Callable[[Connection], None]] = (TABLES.create_all,)
"""Each brings a database from its place in this row to the next; what has been released stays."""
MIGRATING = 7_216_083_145
"""A number for PostgreSQL's lock on migrating, which no other program is likely to take."""


Ending = Callable[[], AbstractContextManager[Connection]]


class Change(NamedTuple):
    """A run that changed, and how far a worker is then that has seen it."""

    uid: str
    version: int
    deleted: bool


class Database:
    """May be used by several threads and processes. Raises ``ConnectionError`` while it is away."""

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            parsed = None
        if parsed is None or parsed.drivername not in ("sqlite", "postgresql"):
            raise UsageError(f"{url!r} is no database of a server: write postgresql://user@host/name")
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self._engine = create_engine(parsed, pool_pre_ping=True, pool_size=8, max_overflow=32)
        self._dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        self._locks = Path(f"{parsed.database}.locks") if self._dialect is sqlite else None
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _migrate(self) -> None:
        with self.transaction() as connection:
            if self._dialect is postgresql:
                connection.execute(select(func.pg_advisory_xact_lock(MIGRATING)))
            COUNTERS.create(connection, checkfirst=True)
            names = ({"name": name, "value": 0} for name in ("migrations", "changes"))
            connection.execute(self.insert(COUNTERS), [*names])
            done = _counter(connection, "migrations")
            if done > len(MIGRATIONS):
                raise UsageError("the database is of a newer runfmt: use that one, or a newer")
            for step in MIGRATIONS[done:]:
                step(connection)
                _count(connection, "migrations")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise ConnectionError(f"the database is away: {error.orig}") from error

    def document(self, name: str) -> Document:
        """A small JSON object that is kept here."""
        return Document(self, name)

    # Runs

    @contextmanager
    def writing(self, uids: Sequence[str], *, deleted: bool = False) -> Iterator[None]:
        """Be the only one who writes to these runs; when it ends they have changed, whether it failed or not.

        A worker that is killed meanwhile leaves a mark: others then find that the run may have changed.
        """
        error: BaseException | None = None
        with self.transaction() as connection:
            new = [{"uid": uid, "version": 0, "deleted": False} for uid in sorted(uids)]
            connection.execute(self.insert(RUNS), new)
        with self.locked(RUNS.c.uid, uids) as ending:
            with self.transaction() as connection:
                connection.execute(self.insert(WRITING), [{"uid": uid} for uid in uids])
            try:
                yield
            except BaseException as caught:
                error = caught
            with ending() as connection:
                _change(connection, uids, deleted=deleted)
        if error:
            raise error

    def changes(self, since: int) -> list[Change]:
        """What changed behind a number, in the order of the changes; what is being written may have, too."""
        behind = select(RUNS.c.uid, RUNS.c.version, RUNS.c.deleted).where(RUNS.c.version > since)
        written = select(WRITING.c.uid, literal(0), literal(False))
        with self.transaction() as connection:
            found = connection.execute(union(behind, written)).all()
        return [Change(*row) for row in sorted(found, key=lambda row: row[1])]

    def latest(self) -> int:
        """The number of the last change."""
        with self.transaction() as connection:
            return _counter(connection, "changes")

    def take_over(self) -> list[str]:
        """Count as changed what workers were writing that are dead; gives these runs."""
        if self._locks:
            return []  # a file's locks are not asked: the next who writes to the run clears the mark
        with self.transaction() as connection:
            marked = connection.scalars(select(WRITING.c.uid)).all()
            held = _among(RUNS.c.uid, marked).with_for_update(skip_locked=True)
            free = connection.scalars(held).all()
            _change(connection, free, deleted=False)
        return list(free)

    def know(self, uids: Sequence[str]) -> None:
        """Count runs as changed that are in the store and not known here."""
        with self.transaction() as connection:
            known = {*connection.scalars(select(RUNS.c.uid)).all()}
            new = [uid for uid in uids if uid not in known]
            if new:
                rows = [{"uid": uid, "version": 0, "deleted": False} for uid in new]
                connection.execute(self.insert(RUNS), rows)
                _change(connection, new, deleted=False)

    @contextmanager
    def locked(self, column: Column[str], names: Sequence[str]) -> Iterator[Ending]:
        """Hold rows that are there; gives the transaction in which they are changed at the end.

        PostgreSQL holds them in that transaction; SQLite has no locks on rows, and files have them instead.
        """
        if self._locks:
            with Locks(self._locks) as locks:
                for name in sorted(names):
                    locks.take(name)
                yield self.transaction
            return
        with self.transaction() as connection:
            connection.execute(_among(column, names).order_by(column).with_for_update())
            yield lambda: nullcontext(connection)

    def insert(self, table: Table) -> Any:
        """Insert rows, but not those that are there."""
        return self._dialect.insert(table).on_conflict_do_nothing()


class Document:
    """A small JSON object in a database."""

    def __init__(self, database: Database, name: str) -> None:
        self._database, self._name = database, name

    def read(self) -> dict[str, Any]:
        """What is in it, nothing if there is none."""
        with self._database.transaction() as connection:
            body = connection.scalar(select(DOCUMENTS.c.body).where(DOCUMENTS.c.name == self._name))
        found: dict[str, Any] = orjson.loads(body) if body else {}
        return found

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """What is in it, to be changed in the block while others wait."""
        with self._database.transaction() as connection:
            connection.execute(self._database.insert(DOCUMENTS), {"name": self._name, "body": "{}"})
        with self._database.locked(DOCUMENTS.c.name, [self._name]) as ending:
            document = self.read()
            yield document
            with ending() as connection:
                changed = update(DOCUMENTS).where(DOCUMENTS.c.name == self._name)
                connection.execute(changed.values(body=orjson.dumps(document).decode()))


def _among(column: Column[str], names: Sequence[str]) -> Any:
    return select(column).where(column.in_(names))


def _change(connection: Connection, uids: Sequence[str], *, deleted: bool) -> None:
    """Give runs the next number. Whoever takes one holds the counter until all see it."""
    if uids:
        changed = update(RUNS).where(RUNS.c.uid.in_(uids))
        connection.execute(delete(WRITING).where(WRITING.c.uid.in_(uids)))
        connection.execute(changed.values(version=_count(connection, "changes"), deleted=deleted))


def _counter(connection: Connection, name: str) -> int:
    return connection.scalar(select(COUNTERS.c.value).where(COUNTERS.c.name == name)) or 0


def _count(connection: Connection, name: str) -> int:
    """Count on; gives the number. Others who count wait until the transaction ends."""
    counting = update(COUNTERS).where(COUNTERS.c.name == name)
    connection.execute(counting.values(value=COUNTERS.c.value + 1))
    return _counter(connection, name)
