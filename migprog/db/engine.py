# SPDX-License-Identifier: Apache-2.0
"""Transactions with retries: one :class:`Store` a process.

This package is the only one that knows SQLAlchemy, oslo.db and alembic.
"""

import contextlib
import dataclasses
import functools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from oslo_db import exception as db_exc
from sqlalchemy import Connection, Engine, event
from sqlalchemy import exc as sa_exc

from migprog import exception, outages
from migprog.db import address, deadlines, sqlite
from migprog.db.deadlines import Deadlines
from migprog.db.reader import Reader
from migprog.db.writer import Writer

LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

# Pause between two runs of a transaction, doubled each time up to a limit; about 6 s in all.
_RETRIES = 10
_RETRY_SECONDS = (0.01, 2.0)
# For schema changes, which may take long while an operator watches.
_A_DAY_SECONDS = 86_400.0


class Unavailable(exception.MigprogError):
    """The database cannot serve now: it is away, overloaded, or has no tables yet.

    ``why`` is the text without the name of the database, for lines that have it already.
    """

    def __init__(self, why: str, database: str = "the database") -> None:
        super().__init__(f"{database} {why}")
        self.why = why


class LoginRefused(Unavailable):
    """The database server refuses our user, password or database name."""


@dataclass(slots=True)
class Cost:
    """The cost of transactions: statements sent, retries included, and rows written."""

    statements: int = 0
    rows: int = 0


class Store:
    """A database. The first transaction connects, in any thread.

    Each transaction ends within ``[database_timeouts] transaction`` seconds, or soon after.
    """

    def __init__(self, connect: Callable[[Deadlines], Any], limits: Deadlines) -> None:
        self._connect = connect
        self._limits = limits
        self._facade = connect(limits)
        self._one_writer = threading.Lock()
        # By thread: the Cost that counts now.
        self._counting = threading.local()
        event.listen(self.engine, "before_cursor_execute", self._count)
        self._party: outages.Party | None = None

    @property
    def engine(self) -> Engine:
        engine: Engine = self._facade.writer.get_engine()
        return engine

    @property
    def where(self) -> str:
        """Return the database's name and server, without user and password."""
        return address.where(self.engine.url)

    def log_outages(self, follows: str) -> None:
        """Log outages of the database from now on; ``follows`` says what they cause."""
        self._party = outages.party(LOG, self.where, follows, outages.CHECK_DATABASE)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            with translated(self.engine):
                yield
        except Unavailable as error:
            if self._party is not None:
                self._party.failed(error.why, refused=isinstance(error, LoginRefused))
            raise
        if self._party is not None:
            self._party.worked()

    def read(self, work: Callable[[Reader], _T]) -> _T:
        """Run ``work`` in a transaction that only reads.

        It is run again after a lost connection: it must keep no state between runs.
        Raises :class:`Unavailable`.
        """
        begun = time.monotonic()
        deadline = begun + self._limits.transaction_seconds
        with self._watched():
            try:
                return self._read(work, deadline)
            except db_exc.DBConnectionError:
                # One that was in use a moment ago, and is not checked again so soon. A server that
                # does not answer has had its time.
                if time.monotonic() - begun > deadlines.CHECKED_SECONDS:
                    raise
            return self._read(work, deadline)

    def _read(self, work: Callable[[Reader], _T], deadline: float) -> _T:
        with self.engine.connect() as connection, _within(connection, deadline):
            return work(Reader(connection))

    def write(self, work: Callable[[Writer], _T]) -> _T:
        """Run ``work`` in one transaction.

        It is run again after a deadlock or a lost connection: it must keep no state between runs.
        Raises :class:`Unavailable`.
        """
        deadline = time.monotonic() + self._limits.transaction_seconds
        with self._watched():
            return _retried(functools.partial(self._write, work, deadline), deadline)

    def _write(self, work: Callable[[Writer], _T], deadline: float) -> _T:
        with self.writing(deadline) as connection:
            writer = Writer(connection)
            result = work(writer)
        cost: Cost | None = getattr(self._counting, "cost", None)
        if cost is not None:
            cost.rows += writer.rows
        return result

    @contextlib.contextmanager
    def writing(self, deadline: float | None = None) -> Iterator[Connection]:
        """Run one transaction that may write, for this package; errors are not translated.

        ``deadline``: when it must end, by the monotonic clock.
        """
        engine = self.engine
        if engine.dialect.name != "sqlite":
            with engine.connect() as connection, _within(connection, deadline), connection.begin():
                yield connection
            return
        # SQLite has one writer at a time. The writers of one process queue up here.
        left = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
        if not self._one_writer.acquire(timeout=left):
            raise sa_exc.TimeoutError(
                "an earlier transaction of this process has not ended in time"
            )
        try:
            with engine.connect() as connection, _within(connection, deadline):
                # Keeps oslo.db from its own BEGIN. A transaction that reads first and writes later
                # fails if another wrote in between: this one takes the write lock at its start.
                connection.info["in_transaction"] = True
                with connection.begin():
                    sqlite.begin_immediate(connection, deadline)
                    yield connection
        finally:
            self._one_writer.release()

    @contextlib.contextmanager
    def counting(self) -> Iterator[Cost]:
        """Count the cost of this thread's transactions during the block."""
        cost = self._counting.cost = Cost()
        try:
            yield cost
        finally:
            self._counting.cost = None

    def _count(self, *_of_statement: Any) -> None:
        cost: Cost | None = getattr(self._counting, "cost", None)
        if cost is not None:
            cost.statements += 1

    @contextlib.contextmanager
    def unhurried(self) -> Iterator["Store"]:
        """Give the same database by connections whose statements may take hours."""
        if self.engine.dialect.name == "sqlite":
            yield self
            return
        limits = dataclasses.replace(
            self._limits,
            statement_seconds=_A_DAY_SECONDS,
            transaction_seconds=_A_DAY_SECONDS,
            idle_transaction_seconds=_A_DAY_SECONDS,
        )
        store = Store(self._connect, limits)
        try:
            yield store
        finally:
            store.close()

    def close(self) -> None:
        """Close idle connections. The store may be used again."""
        self._facade.dispose_pool()


@contextlib.contextmanager
def _within(connection: Connection, deadline: float | None) -> Iterator[None]:
    if deadline is None:
        yield
        return
    deadlines.begin(connection, deadline)
    try:
        yield
    finally:
        deadlines.end(connection)


# oslo.db translates some OperationalErrors, and lets others pass.
_OPERATIONAL = (
    db_exc.DBConnectionError,
    db_exc.DBDeadlock,
    db_exc.DBNonExistentDatabase,
    sa_exc.OperationalError,
    sa_exc.TimeoutError,
)


def _may_pass(error: Exception) -> bool:
    """Return whether another run may succeed: after a lost connection or a conflict on a row."""
    return isinstance(error, (*_OPERATIONAL, db_exc.DBDuplicateEntry))


def _retried(run: Callable[[], _T], deadline: float) -> _T:
    """Run until it succeeds, fails for good, or there is no time for another run."""
    pause, most = _RETRY_SECONDS
    for _ in range(_RETRIES):
        try:
            return run()
        except Exception as error:
            if not _may_pass(error) or time.monotonic() + pause >= deadline:
                raise
        # Random, so that two transactions on the same rows do not collide again.
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
        pause = min(2 * pause, most)
    return run()


@contextlib.contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Translate operational errors to :class:`Unavailable`; let programming errors pass."""
    try:
        yield
    except db_exc.DBNonExistentTable as error:
        raise Unavailable("has no tables: run migprog-manage db sync") from error
    except _OPERATIONAL as error:
        kind = LoginRefused if address.is_refusal(error) else Unavailable
        raise kind(*_not_serving(engine, error)) from error
    except (db_exc.DBError, sa_exc.DatabaseError) as error:
        if not address.is_damage(error):
            raise
        raise Unavailable(*_not_serving(engine, error)) from error


def _not_serving(engine: Engine, error: Exception) -> tuple[str, str]:
    return f"does not serve: {address.reason(error)}", address.where(engine.url)
