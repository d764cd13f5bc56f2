# SPDX-License-Identifier: Apache-2.0
"""Deadlines of the drivers that wait in C: mysqlclient and psycopg 3.

Both release the GIL while they wait. Neither lets a timeout change after the connect, so their
connections wait for ``patience_seconds`` here, as the other drivers do (:mod:`.deadlines`). Under
eventlet a wait in C would block all green threads, so these drivers are refused there.
"""

import importlib
import time
from collections.abc import Callable, Generator
from typing import Any

from sqlalchemy import Engine, event

from migprog import concurrency, exception

_INSTEAD = {"mysqldb": "pymysql", "psycopg": "psycopg2"}
# MySQL's number of a connection that is lost during a statement.
_LOST = 2013
IsReady = Callable[[int, bool, float], bool]


def refuse_eventlet(engine: Engine) -> None:
    """Raise :class:`exception.ConfigError` if the driver would block eventlet's threads."""
    driver = engine.dialect.driver
    if driver in _INSTEAD and concurrency.is_green():
        raise exception.ConfigError(
            f"[database] connection: the driver {driver} waits in C and would block all of "
            f"eventlet's threads; use {_INSTEAD[driver]}, or threads (unset MIGPROG_CONCURRENCY)"
        )


def keep_mysqldb(engine: Engine, connect_seconds: float, is_ready: IsReady) -> None:
    """Have connections of mysqlclient wait for ``patience_seconds``, at first for a connect's.

    ``is_ready`` waits for a descriptor. The driver's own ``read_timeout`` covers the rest of an
    answer that has begun.
    """
    driver: Any = engine.dialect.loaded_dbapi

    # The driver imports its class when it connects.
    made_by: Any = importlib.import_module(f"{driver.__name__}.connections")

    class Patient(made_by.Connection):
        patience_seconds: float = connect_seconds

        def query(self, query: bytes | bytearray) -> None:
            self.send_query(bytes(query))
            if not is_ready(self.fileno(), True, self.patience_seconds):
                raise driver.OperationalError(
                    _LOST, f"no answer within {self.patience_seconds:g} s"
                )
            self.read_query_result()

        # The driver's own wait for read_timeout, which is fixed.
        def commit(self) -> None:
            self.query(b"COMMIT")

        def rollback(self) -> None:
            self.query(b"ROLLBACK")

        def ping(self, *_reconnect: bool) -> None:
            self.query(b"DO 0")

    _connect_by(engine, Patient)


def keep_psycopg(engine: Engine, connect_seconds: float) -> None:
    """Have connections of psycopg 3 wait for ``patience_seconds``, at first for a connect's."""
    driver: Any = engine.dialect.loaded_dbapi

    class Patient(driver.Connection):
        patience_seconds: float = connect_seconds

        def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
            deadline = time.monotonic() + self.patience_seconds
            try:
                return super().wait(_until(deadline, gen), *arguments, **named)
            except _TooLateError:
                # Its state is unknown.
                self.pgconn.finish()
                raise driver.OperationalError(
                    f"no answer within {self.patience_seconds:g} s"
                ) from None

    _connect_by(engine, Patient.connect)


class _TooLateError(Exception):
    pass


def _until(deadline: float, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Pass on what psycopg's generator waits for; its waiter resumes it each 0.1 s at least."""
    ready: Any = None
    try:
        while True:
            wanted = gen.send(ready)
            if time.monotonic() >= deadline:
                raise _TooLateError
            ready = yield wanted
    except StopIteration as end:
        return end.value


def _connect_by(engine: Engine, connect: Callable[..., Any]) -> None:
    @event.listens_for(engine, "do_connect")
    def made(_dialect: Any, _record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
        return connect(*arguments, **parameters)
