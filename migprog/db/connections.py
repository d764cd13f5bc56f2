# SPDX-License-Identifier: Apache-2.0
"""Connections to the configured database: options, URL, and how each new connection is set up."""

import contextlib
import functools
from typing import Any

from oslo_config import cfg
from oslo_db import options
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy import Engine, event
from sqlalchemy import exc as sa_exc

from migprog import concurrency, exception
from migprog.db import address, deadlines, pymysql_instants, sqlite
from migprog.db.deadlines import Deadlines
from migprog.db.engine import Store

# The pool is large: a wait for a connection means that all others hang.
_POOL_TIMEOUT_SECONDS = 10


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
    # Green threads get their turn as a connection returns to the pool; others need none, and lose
    # 0.08 ms a transaction.
    values["thread_checkin"] = concurrency.is_green()
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
        if engine.dialect.driver == "pymysql":
            event.listen(engine, "do_connect", pymysql_instants.read_faster)


def _prepare_mysql(connection: Any, _record: Any) -> None:
    """Set READ COMMITTED: MySQL's default locks gaps between rows, so that two conductors which
    store new migrations deadlock."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
