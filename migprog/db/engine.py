# SPDX-License-Identifier: Apache-2.0
"""Access to the database: one :class:`Store` a process, transactions with retries.

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

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_db import options
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy import Connection, Engine, event
from sqlalchemy import exc as sa_exc

from migprog import exception, outages
from migprog.db import address, deadlines, sqlite
from migprog.db.deadlines import Deadlines
from migprog.db.reader import Reader
from migprog.db.writer import Writer

LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

# The pool is large: a wait for a connection means that all others hang.
_POOL_TIMEOUT_SECONDS = 10
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
        self._party = outages.party(LOG, self.where, follows)

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
        """Run ``work`` in a transaction that only reads. Raises :class:`Unavailable`."""
        deadline = time.monotonic() + self._limits.transaction_seconds
        with self._watched(), self.engine.connect() as connection, _within(connection, deadline):
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


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register oslo.db's ``[database]`` options, and ours of ``[database_timeouts]``."""
    conf.register_opts(options.database_opts, "database")
    conf.set_default("pool_timeout", _POOL_TIMEOUT_SECONDS, "database")
    deadlines.register_opts(conf)


def connect(conf: cfg.ConfigOpts) -> Store:
    """Return the store of ``[database] connection``, without connecting yet.

    Raises :class:`exception.ConfigError`.
    """
    register_opts(conf)
    try:
        values = {opt.dest: conf.database[opt.dest] for opt in options.database_opts}
    except ValueError as error:
        raise exception.ConfigError(f"[database] {error}") from error
    # No connection test by oslo.db, which would block the first transaction for minutes: each
    # transaction handles a database that is away.
    values |= {"connection": _url(conf.database.connection), "max_retries": 0}
    if values["connection"].startswith("sqlite"):
        # oslo.db gives SQLite an unbounded pool, which takes no such argument.
        values["pool_timeout"] = None
    return Store(functools.partial(_facade, values), deadlines.from_conf(conf))


def _facade(values: dict[str, Any], limits: Deadlines) -> Any:
    facade = enginefacade.transaction_context()
    facade.configure(**values)
    facade.append_on_engine_create(functools.partial(_prepare, limits))
    try:
        facade.writer.get_engine()
    except (ImportError, sa_exc.NoSuchModuleError) as error:
        url = address.parsed(values["connection"])
        raise exception.ConfigError(address.missing_driver(url, error)) from error
    except sa_exc.ArgumentError as error:
        raise exception.ConfigError(f"[database] connection: {error}") from error
    return facade


def _url(connection: str | None) -> str:
    url = address.parsed(connection)
    if url.get_backend_name() == "mysql" and "charset" not in url.query:
        # oslo.db's default is utf8 of at most 3 bytes, which lacks some of tenants' characters.
        url = url.update_query_dict({"charset": "utf8mb4"})
    return url.render_as_string(hide_password=False)


def _prepare(limits: Deadlines, engine: Engine) -> None:
    """Set up every new connection, by dialect."""
    deadlines.keep(engine, limits)
    if engine.dialect.name == "sqlite":
        busy_ms = int(1000 * limits.transaction_seconds)
        event.listen(engine, "connect", functools.partial(sqlite.prepare, busy_ms))
        event.listen(engine, "do_connect", sqlite.create_private)
    elif engine.dialect.name == "mysql":
        event.listen(engine, "connect", _prepare_mysql)


def _prepare_mysql(connection: Any, _record: Any) -> None:
    """Set READ COMMITTED: MySQL's default locks gaps between rows, so that two conductors which
    store new migrations deadlock."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


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
