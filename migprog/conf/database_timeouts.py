# SPDX-License-Identifier: Apache-2.0
"""Timeouts of the database. Its URL and the size of the pool are in oslo.db's ``[database]``."""

from oslo_config import cfg

from migprog import exception
from migprog.conf import registration

GROUP = cfg.OptGroup(
    "database_timeouts", title="Database timeouts of conductors, APIs and commands"
)

OPTS = [
    cfg.IntOpt(
        "connect",
        default=5,
        min=1,
        max=600,
        help="Timeout in seconds for opening a connection, and for testing whether an idle one "
        "still works, including the server's greeting and the login. With the driver psycopg it "
        "is at least 2.",
    ),
    cfg.IntOpt(
        "statement",
        default=10,
        min=1,
        max=3600,
        help="Timeout in seconds for one SQL statement, including waiting for locks. It is also "
        "set in the server's session (MariaDB: max_statement_time; MySQL: max_execution_time, for "
        "reads; both: innodb_lock_wait_timeout; PostgreSQL: statement_timeout, lock_timeout). If "
        "the server does not answer, the client closes the connection one second later.",
    ),
    cfg.IntOpt(
        "transaction",
        default=30,
        min=1,
        max=3600,
        help="Timeout in seconds for one transaction, from waiting for a connection to the last "
        "retry. Agents send again what was not stored by then, and the API answers 503. On SQLite "
        "also the time to wait for another process's lock. Must not be less than statement.",
    ),
    cfg.IntOpt(
        "idle_transaction",
        default=30,
        min=1,
        max=3600,
        help="Seconds after which the server ends a transaction whose client is idle, and frees "
        "its locks (MariaDB: idle_transaction_timeout; MySQL: wait_timeout; PostgreSQL: "
        "idle_in_transaction_session_timeout).",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    registration.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Check rules between options. Raises :class:`exception.ConfigError`."""
    group = conf[GROUP.name]
    if group.transaction < group.statement:
        raise exception.ConfigError(
            f"[{GROUP.name}] transaction: {group.transaction} must not be less than "
            f"[{GROUP.name}] statement, {group.statement}"
        )
