# SPDX-License-Identifier: Apache-2.0
"""The way to the database: one :class:`Store` a process, transactions with retries.

This package is the only one that knows SQLAlchemy, oslo.db and alembic.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from oslo_config import cfg
from oslo_db import api as oslo_api
from oslo_db import exception as db_exc
from oslo_db import options
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy import Connection, Engine, event
from sqlalchemy import exc as sa_exc

from migprog import exception, outages
from migprog.db import queries, where

LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

_SQLITE_BUSY_TIMEOUT_MS = 30_000


class Unavailable(exception.MigprogError):
    """The database cannot serve now: it is away, overloaded, or has no tables yet.

    ``why`` goes on where the database is already named.
    """

    @property
    def why(self) -> str:
        return str(self).removeprefix("the database ")


class LoginRefused(Unavailable):
    """The database answers, and refuses our user, password or name of the database."""


class Store:
    """A database. Nothing is opened before the first transaction, which may be in any thread.

    ``statements`` is how many it has been sent, ``rows`` how many :meth:`write` has written.
    """

    def __init__(self, facade: Any) -> None:
        self._facade = facade
        self.statements = 0
        self.rows = 0
        event.listen(self.engine, "before_cursor_execute", self._count)
        self._one_writer = threading.Lock()
        self._party: outages.Party | None = None

    @property
    def engine(self) -> Engine:
        engine: Engine = self._facade.writer.get_engine()
        return engine

    @property
    def where(self) -> str:
        """Name the database by its server, without user and password."""
        return where.where(self.engine.url)

    def log_outages(self, follows: str) -> None:
        """From now on log when the database does not serve, and that then ``follows``."""
        self._party = outages.party(LOG, self.where, follows)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            with translated():
                yield
        except Unavailable as error:
            if self._party is not None:
                self._party.failed(error.why, refused=isinstance(error, LoginRefused))
            raise
        if self._party is not None:
            self._party.worked()

    def read(self, work: Callable[[queries.Reader], _T]) -> _T:
        """Run ``work`` in a transaction that only reads. Raises :class:`Unavailable`."""
        with self._watched(), self.engine.connect() as connection:
            return work(queries.Reader(connection))

    def write(self, work: Callable[[queries.Writer], _T]) -> _T:
        """Run ``work`` in one transaction.

        It is run again when the transaction lost a race, or the database went away: it must keep
        nothing between its runs. Raises :class:`Unavailable`.
        """
        with self._watched():
            result: _T = _retry(self._write)(work)
            return result

    def _write(self, work: Callable[[queries.Writer], _T]) -> _T:
        with self.writing() as connection:
            writer = queries.Writer(connection)
            result = work(writer)
        self.rows += writer.rows
        return result

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that may write, for this package; errors as they are."""
        engine = self.engine
        if engine.dialect.name != "sqlite":
            with engine.begin() as connection:
                yield connection
            return
        # SQLite has one writer at a time and waits in C: under eventlet that stops everybody,
        # the writer waited for too. So the writers of one process queue up here.
        with self._one_writer, engine.connect() as connection:
            # oslo.db's mark, to let us begin. A transaction that reads first and writes later
            # fails if another wrote in between: this one says at its start that it will write.
            connection.info["in_transaction"] = True
            with connection.begin():
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection

    def _count(self, *_of_statement: Any) -> None:
        self.statements += 1

    def close(self) -> None:
        """Close idle connections. The store may be used again."""
        self._facade.dispose_pool()


def register_opts(conf: cfg.ConfigOpts) -> None:
    """oslo.db's own ``[database]`` options."""
    conf.register_opts(options.database_opts, "database")


def connect(conf: cfg.ConfigOpts) -> Store:
    """The store that ``[database] connection`` names; whether it is there shows at its first use.

    Raises :class:`exception.ConfigError`.
    """
    register_opts(conf)
    try:
        values = {opt.dest: conf.database[opt.dest] for opt in options.database_opts}
    except ValueError as error:
        raise exception.ConfigError(f"[database] {error}") from error
    # No test of the connection by oslo.db, it would hold up the first transaction for minutes:
    # a database that is away is the business of each transaction.
    values |= {"connection": _url(conf.database.connection), "max_retries": 0}
    facade = enginefacade.transaction_context()
    facade.configure(**values)
    facade.append_on_engine_create(_prepare)
    try:
        facade.writer.get_engine()
    except (ImportError, sa_exc.NoSuchModuleError) as error:
        url = where.parsed(conf.database.connection)
        raise exception.ConfigError(where.missing_driver(url, error)) from error
    except sa_exc.ArgumentError as error:
        raise exception.ConfigError(f"[database] connection: {error}") from error
    return Store(facade)


def _url(connection: str | None) -> str:
    url = where.parsed(connection)
    if url.get_backend_name() == "mysql" and "charset" not in url.query:
        # oslo.db's default is utf8, of at most 3 bytes: not enough for all that tenants type.
        url = url.update_query_dict({"charset": "utf8mb4"})
    return url.render_as_string(hide_password=False)


def _prepare(engine: Engine) -> None:
    """What every new connection needs, in each dialect."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    elif engine.dialect.name == "mysql":
        event.listen(engine, "connect", _prepare_mysql)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout = {_SQLITE_BUSY_TIMEOUT_MS}")
    # Readers and the writer do not wait for each other. It is a property of the file, and SQLite
    # does not wait to set it: locked is, who opens the file while another does just that.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")


def _prepare_mysql(connection: Any, _record: Any) -> None:
    """MySQL's default locks the gaps between rows too, so that two conductors that each store a
    new migration deadlock."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


# oslo.db has words of its own for some of what OperationalError says, for others not.
_OPERATIONAL = (
    db_exc.DBConnectionError,
    db_exc.DBDeadlock,
    db_exc.DBNonExistentDatabase,
    sa_exc.OperationalError,
    sa_exc.TimeoutError,
)


def _may_pass(error: Exception) -> bool:
    """Another run may do: the database was away, or two were after the same row."""
    return isinstance(error, (*_OPERATIONAL, db_exc.DBDuplicateEntry))


# About 6 seconds in all: the agents tell again what does not get in.
_retry = oslo_api.wrap_db_retry(
    max_retries=10,
    retry_interval=0.01,
    inc_retry_interval=True,
    max_retry_interval=2,
    retry_on_deadlock=True,
    exception_checker=_may_pass,
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Errors of operation in our words; errors of programming as they are."""
    try:
        yield
    except db_exc.DBNonExistentTable as error:
        raise Unavailable("the database has no tables: run migprog-manage db sync") from error
    except _OPERATIONAL as error:
        kind = LoginRefused if where.is_refusal(error) else Unavailable
        raise kind(f"the database does not serve: {where.reason(error)}") from error
