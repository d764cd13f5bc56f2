# SPDX-License-Identifier: Apache-2.0
"""Deadlines of all database calls, by dialect and driver.

They are enforced in three places. The *server* ends a statement, a wait for a lock, and a
transaction whose client is silent: :func:`_configure_mysql`, :func:`_configure_postgresql`. The
*driver* gives up on a server that does not answer: PyMySQL by socket timeouts, psycopg2 by a wait
callback (libpq has no timeout for an answer), those in C by :mod:`.c_driver_deadlines`. The
*transaction* has a deadline: no statement begins after it, and none waits for longer than the rest.

With other drivers only the server's limits and the transaction's deadline apply.
"""

import logging
import select
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import Connection, Engine, event
from sqlalchemy import exc as sa_exc

from migprog.conf import database_timeouts as database_conf
from migprog.db import c_driver_deadlines

LOG = logging.getLogger(__name__)
# The client waits so much longer than the server's own limit before it closes the connection.
_GRACE_SECONDS = 1.0
# When the kernel gives up a connection on which nothing arrives.
_DEAD_SECONDS = 30
# libpq's: the kernel's own limits, so that dead connections are closed.
_KERNEL = {
    "tcp_user_timeout": str(1000 * _DEAD_SECONDS),
    "keepalives_idle": str(_DEAD_SECONDS),
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
# Key of Connection.info: the transaction's deadline, by the monotonic clock.
_DEADLINE = "migprog_deadline"
# A connection that was checked is not checked again for so long. Attribute of the driver's: until
# when.
CHECKED_SECONDS = 1.0
_CHECKED_UNTIL = "migprog_checked_until"
# PyMySQL's own attribute; without it timeouts cannot change after the connect.
_PYMYSQL_READ = "_read_timeout"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds; see :mod:`migprog.conf.database_timeouts`."""

    connect_seconds: float
    statement_seconds: float
    transaction_seconds: float
    idle_transaction_seconds: float

    @property
    def answer_seconds(self) -> float:
        """Return how long a client waits for the answer to a statement."""
        return self.statement_seconds + _GRACE_SECONDS


def register_opts(conf: cfg.ConfigOpts) -> None:
    database_conf.register_opts(conf)


def from_conf(conf: cfg.ConfigOpts) -> Deadlines:
    """Return the options' values. Raises :class:`migprog.exception.ConfigError`."""
    database_conf.check(conf)
    group = conf[database_conf.GROUP.name]
    return Deadlines(group.connect, group.statement, group.transaction, group.idle_transaction)


def keep(engine: Engine, deadlines: Deadlines) -> None:
    """Enforce deadlines on an engine's connections; call it before the first one is opened.

    Raises :class:`migprog.exception.ConfigError`.
    """
    c_driver_deadlines.refuse_eventlet(engine)
    keep_driver = _DRIVERS.get((engine.dialect.name, engine.dialect.driver))
    if keep_driver is not None:
        keep_driver(engine, deadlines)
        _ping_within(engine, deadlines)
    elif engine.dialect.name != "sqlite":
        LOG.warning(
            "[database] connection: migprog sets no timeouts for the driver %s: a silent server "
            "blocks its callers; use mysqldb, pymysql, psycopg2 or psycopg",
            engine.dialect.driver,
        )
    if engine.dialect.name != "sqlite":
        _ping_rarely(engine)
    _keep_server(engine, deadlines)
    event.listen(engine, "before_cursor_execute", _Limit(deadlines))


def begin(connection: Connection, deadline: float) -> None:
    """Set the deadline of a connection's transaction, by the monotonic clock."""
    connection.info[_DEADLINE] = deadline


def end(connection: Connection) -> None:
    """Remove the deadline, before the connection returns to the pool."""
    if not connection.invalidated:
        connection.info.pop(_DEADLINE, None)


class _Limit:
    """Refuses statements after the deadline, and limits how long clients wait for the others."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._answer_seconds = deadlines.answer_seconds

    def __call__(self, connection: Connection, *_of_statement: Any) -> None:
        seconds = self._answer_seconds
        deadline = connection.info.get(_DEADLINE)
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise sa_exc.TimeoutError(
                    f"the transaction has taken too long, {-left:.1f} s beyond [database_timeouts] "
                    "transaction"
                )
            seconds = min(seconds, left + _GRACE_SECONDS)
        _set_patience(connection.connection.dbapi_connection, seconds)


def _set_patience(connection: Any, seconds: float) -> None:
    """Set how long a driver's connection waits for an answer from now on."""
    for name in ("patience_seconds", _PYMYSQL_READ):
        if hasattr(connection, name):
            setattr(connection, name, seconds)


def _on_connect(engine: Engine, **arguments: Any) -> None:
    """Pass the driver arguments for each new connection; those in the URL win."""

    @event.listens_for(engine, "do_connect")
    def add(_dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> None:
        for name, value in arguments.items():
            parameters.setdefault(name, value)


def _keep_pymysql(engine: Engine, deadlines: Deadlines) -> None:
    driver: Any = engine.dialect.loaded_dbapi
    adjustable = hasattr(driver.connections.Connection(defer_connect=True), _PYMYSQL_READ)
    # connect_timeout covers only the TCP connect; the server's greeting has read_timeout.
    first = deadlines.connect_seconds if adjustable else deadlines.answer_seconds
    _on_connect(
        engine,
        connect_timeout=deadlines.connect_seconds,
        read_timeout=first,
        write_timeout=deadlines.answer_seconds,
    )


def _keep_mysqldb(engine: Engine, deadlines: Deadlines) -> None:
    _on_connect(
        engine,
        connect_timeout=int(deadlines.connect_seconds),
        read_timeout=int(deadlines.answer_seconds),
        write_timeout=int(deadlines.answer_seconds),
    )
    c_driver_deadlines.keep_mysqldb(engine, deadlines.connect_seconds, _is_ready)


def _keep_psycopg2(engine: Engine, deadlines: Deadlines) -> None:
    driver: Any = engine.dialect.loaded_dbapi

    class Patient(driver.extensions.connection):
        # Of the connect, too.
        patience_seconds: float = deadlines.connect_seconds

    # For all connections of this process: those without the attribute wait for ever.
    driver.extensions.set_wait_callback(_waiter(driver))
    _on_connect(engine, connection_factory=Patient, **_KERNEL)


def _keep_psycopg(engine: Engine, deadlines: Deadlines) -> None:
    _on_connect(engine, connect_timeout=str(int(deadlines.connect_seconds)), **_KERNEL)
    c_driver_deadlines.keep_psycopg(engine, deadlines.connect_seconds)


_DRIVERS: dict[tuple[str, str], Callable[[Engine, Deadlines], None]] = {
    ("mysql", "pymysql"): _keep_pymysql,
    ("mysql", "mysqldb"): _keep_mysqldb,
    ("postgresql", "psycopg2"): _keep_psycopg2,
    ("postgresql", "psycopg"): _keep_psycopg,
}


def _ping_within(engine: Engine, deadlines: Deadlines) -> None:
    """Limit the check of an idle connection to the time that a connect may take."""
    ping: Callable[[Any], bool] = engine.dialect.do_ping

    def do_ping(connection: Any) -> bool:
        _set_patience(connection, deadlines.connect_seconds)
        return ping(connection)

    engine.dialect.do_ping = do_ping  # type: ignore[method-assign, assignment]


def _ping_rarely(engine: Engine) -> None:
    """Check an idle connection only if it has not been checked for a moment. Who reads or writes
    begins again if it was lost since then."""
    ping: Callable[[Any], bool] = engine.dialect.do_ping

    def do_ping(connection: Any) -> bool:
        now = time.monotonic()
        if now < getattr(connection, _CHECKED_UNTIL, now):
            return True
        is_alive = ping(connection)
        if hasattr(connection, "__dict__"):
            setattr(connection, _CHECKED_UNTIL, now + CHECKED_SECONDS)
        return is_alive

    engine.dialect.do_ping = do_ping  # type: ignore[method-assign, assignment]


def _waiter(driver: Any) -> Callable[[Any], None]:
    """Return psycopg2's wait callback: other (green) threads run meanwhile."""
    ok, read = driver.extensions.POLL_OK, driver.extensions.POLL_READ

    def wait(connection: Any) -> None:
        patience = getattr(connection, "patience_seconds", None)
        deadline = None if patience is None else time.monotonic() + patience
        while (state := connection.poll()) != ok:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not _is_ready(connection.fileno(), state == read, left):
                # It closes the connection.
                raise driver.OperationalError(f"no answer within {patience:g} s")

    return wait


def _is_ready(descriptor: int, to_read: bool, seconds: float | None) -> bool:
    if not hasattr(select, "poll"):
        # eventlet's, which takes any descriptor.
        which = ([descriptor], []) if to_read else ([], [descriptor])
        return any(select.select(*which, [], seconds))
    poll = select.poll()
    poll.register(descriptor, select.POLLIN if to_read else select.POLLOUT)
    return bool(poll.poll(None if seconds is None else 1000 * seconds))


def _keep_server(engine: Engine, deadlines: Deadlines) -> None:
    configure = {"mysql": _configure_mysql, "postgresql": _configure_postgresql}.get(
        engine.dialect.name
    )
    if configure is not None:
        event.listen(
            engine, "connect", lambda connection, _record: configure(connection, deadlines)
        )


def _configure_mysql(connection: Any, deadlines: Deadlines) -> None:
    statement, idle = deadlines.statement_seconds, int(deadlines.idle_transaction_seconds)
    is_mariadb = "mariadb" in str(connection.get_server_info()).lower()
    settings = {"innodb_lock_wait_timeout": int(statement)}
    if is_mariadb:
        settings |= {"max_statement_time": int(statement), "idle_transaction_timeout": idle}
    else:
        # MySQL ends an idle connection whether it is in a transaction or not; the pool notices.
        settings |= {"max_execution_time": int(1000 * statement), "wait_timeout": idle}
    with closing(connection.cursor()) as cursor:
        cursor.execute("SET " + ", ".join(f"SESSION {k} = {v}" for k, v in settings.items()))


def _configure_postgresql(connection: Any, deadlines: Deadlines) -> None:
    settings = {
        "statement_timeout": deadlines.statement_seconds,
        "lock_timeout": deadlines.statement_seconds,
        "idle_in_transaction_session_timeout": deadlines.idle_transaction_seconds,
    }
    with closing(connection.cursor()) as cursor:
        for name, seconds in settings.items():
            cursor.execute(f"SET SESSION {name} = {int(1000 * seconds)}")
    # A rollback would undo the settings.
    connection.commit()
