# SPDX-License-Identifier: Apache-2.0
"""What SQLite needs: a private file, and a lock at the start of each transaction that writes."""

import contextlib
import os
import random
import sqlite3
import time
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import exc as sa_exc

# How long a transaction without a deadline waits for the lock of another process.
_LOCK_SECONDS = 600.0
# Pause between two attempts to lock, drawn from this range.
_LOCK_RETRY_SECONDS = (0.001, 0.005)


def begin_immediate(connection: Connection, deadline: float | None) -> None:
    """Begin a transaction that writes, as soon as no other process has one.

    SQLite itself waits in C, which under eventlet blocks all threads, and tries every 100 ms: where
    another process writes one transaction after the other the lock is free for a millisecond at a
    time, and such a wait fails after half a minute.
    """
    give_up_at = time.monotonic() + _LOCK_SECONDS if deadline is None else deadline
    driver: Any = connection.connection.dbapi_connection
    (waits_ms,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while not _has_begun(connection, give_up_at):
            time.sleep(random.uniform(*_LOCK_RETRY_SECONDS))  # noqa: S311
    finally:
        driver.execute(f"PRAGMA busy_timeout = {waits_ms}")


def _has_begun(connection: Connection, give_up_at: float) -> bool:
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except sa_exc.OperationalError as error:
        if not _is_locked(error) or time.monotonic() + max(_LOCK_RETRY_SECONDS) >= give_up_at:
            raise
        return False
    return True


def _is_locked(error: sa_exc.OperationalError) -> bool:
    # The lower byte of an extended error code is the primary one.
    code: int = getattr(error.orig, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY


def create_private(_dialect: Any, _record: Any, arguments: list[Any], _options: Any) -> None:
    """Create the database file readable by its owner alone.

    SQLite would create it readable by all, with all projects' migrations. The files beside it
    (-wal, -shm) get its mode.
    """
    path = arguments[0]
    if path and path != ":memory:" and not path.startswith("file:"):
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_EXCL, 0o600))


def prepare(busy_ms: int, connection: Any, _record: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
    # With WAL readers and the writer do not wait for each other. It is a property of the file.
    # SQLite does not wait to set it, and fails while another process sets it.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")
