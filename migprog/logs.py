# SPDX-License-Identifier: Apache-2.0
"""Reduce what libraries log about an unavailable broker or database.

Each attempt of oslo.messaging, amqp, oslo.db and SQLAlchemy logs a line or a traceback, without the
address. Failures that migprog itself logs (:mod:`migprog.outages`) are demoted to DEBUG. Of other
records the first is kept, and similar ones are counted.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

from migprog import exception, outages
from migprog.core.log_limit import LogLimit

# By the beginning of the message in the library's code: failures to reach the broker ...
_RABBIT = "oslo.messaging._drivers.impl_rabbit"
_BROKER_FAILS = (
    "Connection failed: ",
    "[%(connection_id)s] AMQP server",
    "Unable to connect to AMQP server",
    "Failed to publish message",
    "Failed to consume message",
    "Failed to declare consumer",
    "Unexpected error during heartbeat",
    "A recoverable connection/channel error",
)
_BROKER_WORKS = "[%(connection_id)s] Reconnected to AMQP server"
# ... and failures that migprog also gets as an exception, or that follow each lost connection.
_REPORTED = {
    "oslo.db.api": ("DB exceeded retry limit",),
    "oslo.db.sqlalchemy.exc_filters": ("DBAPIError exception wrapped",),
    "sqlalchemy.pool": (
        "Exception during reset",
        "Error closing",
        "Exception closing",
        "Exception terminating",
    ),
    "amqp": ("Received method",),
    # The connection broke while a message came in; the broker delivers it again.
    "oslo.messaging._drivers.amqpdriver": ("Discarding RPC request due to failed acknowledge",),
    "oslo.messaging._drivers.common": ("Fail to reset the connection",),
    "keystonemiddleware.auth_token": ("Unable to validate token",),
}
# Loggers with floods of records while a remote party is unavailable.
_LOUD = (
    _RABBIT,
    "oslo.messaging._drivers.amqpdriver",
    "oslo.messaging._drivers.common",
    "oslo.messaging._drivers.pool",
    "oslo.messaging.rpc.server",
    "oslo.messaging.server",
    "oslo.db.api",
    "oslo.db.sqlalchemy.engines",
    "oslo.db.sqlalchemy.exc_filters",
    "keystonemiddleware.auth_token",
    "keystonemiddleware.auth_token._identity",
    "keystoneauth.session",
    "sqlalchemy.pool",
    "sqlalchemy.pool.impl.QueuePool",
    "sqlalchemy.pool.impl.NullPool",
    "sqlalchemy.pool.impl.SingletonThreadPool",
    "amqp",
    "amqp.connection.Connection.heartbeat_tick",
)
_SUMMARY_SECONDS = 300.0
# Of all kinds together within that time.
_MOST_LINES = 1000


class _Tame(logging.Filter):
    """Drops, demotes or counts the records of one library's logger."""

    def __init__(self) -> None:
        super().__init__()
        self.broker: outages.Party | None = None
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget which lines were written."""
        self._lines = LogLimit(_SUMMARY_SECONDS, most=_MOST_LINES)

    def filter(self, record: logging.LogRecord) -> bool:
        text, name = str(record.msg), _dotted(record.name)
        if getattr(_LOCAL, "failures_are_raised", False):
            return _demoted(record)
        if name == _RABBIT:
            # Without a party nothing else logs the outage.
            if self.broker is not None and text.startswith(_BROKER_WORKS):
                self.broker.worked()
                return _demoted(record)
            if self.broker is not None and text.startswith(_BROKER_FAILS):
                _broker_failed(self.broker, record)
                return _demoted(record)
            # The logger's level is INFO only for the message about the reconnection.
            if record.levelno < logging.WARNING:
                return _debugging()
        if record.exc_info and isinstance(record.exc_info[1], exception.MigprogError):
            # An endpoint of migprog raised it; its caller gets the reason.
            return _demoted(record)
        for logger, beginnings in _REPORTED.items():
            if name.startswith(logger) and text.startswith(beginnings):
                return _demoted(record)
        return record.levelno < logging.WARNING or self._is_worth_it(record)

    def _is_worth_it(self, record: logging.LogRecord) -> bool:
        with self._lock:
            kind = (record.name, str(record.msg))
            held_back = self._lines.held_back(kind, time.monotonic())
        if held_back is None:
            return _debugging()
        if held_back:
            more = f"{held_back} more like this since the last such line"
            record.msg, record.args = f"{record.getMessage()} ({more})", ()
        return True


def _dotted(name: str) -> str:
    """Return a logger's name as oslo.log has it; only some modules use oslo.log."""
    return name.replace("oslo_", "oslo.", 1) if name.startswith("oslo_") else name


def _broker_failed(broker: outages.Party, record: logging.LogRecord) -> None:
    if record.levelno >= logging.ERROR:
        error, seconds = _broker_error(record)
        broker.failed(error, seconds)


def _broker_error(record: logging.LogRecord) -> tuple[str, float | None]:
    """Return the error in a record of oslo.messaging, and the seconds until its next attempt."""
    arguments: Any = record.args
    if isinstance(arguments, dict):
        seconds = arguments.get("sleep_time")
        return _cannot_connect(arguments.get("err_str", "")), seconds
    if isinstance(arguments, tuple) and len(arguments) == 2:
        return _cannot_connect(arguments[0]), float(arguments[1])
    return _cannot_connect(record.getMessage()), None


def _cannot_connect(error: object) -> str:
    return f"cannot connect: {str(error).strip().partition(chr(10))[0][:300]}"


def _debugging() -> bool:
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def _demoted(record: logging.LogRecord) -> bool:
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return _debugging()


class _Once(logging.Formatter):
    """Formats with another formatter, without the current exception if the line includes it.

    oslo.log appends the exception that is being handled to each line from WARNING on.
    """

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        text = self._formatter.format(record)
        summary = getattr(record, "error_summary", None)
        if summary and not record.exc_info and text.endswith(f": {summary}"):
            error = summary.partition(": ")[2] or summary
            without = text[: -len(summary) - 2]
            if getattr(record, outages.IS_COMPLETE, False) or error[:100] in without:
                return without
        return text


_TAME = _Tame()
_LOCAL = threading.local()


def tame() -> None:
    """Install the filters and formatters. Call this after oslo.log's own setup."""
    for name in _LOUD:
        for logger in {name, name.replace("oslo.", "oslo_", 1)}:
            logging.getLogger(logger).addFilter(_TAME)
    for logger in (_RABBIT, _RABBIT.replace("oslo.", "oslo_", 1)):
        logging.getLogger(logger).setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        if handler.formatter is not None and not isinstance(handler.formatter, _Once):
            handler.setFormatter(_Once(handler.formatter))


def report_broker(party: outages.Party | None) -> None:
    """Pass failures of the broker that oslo.messaging handles by itself on to ``party``."""
    _TAME.broker = party


@contextlib.contextmanager
def failures_raised() -> Iterator[None]:
    """Demote what libraries log in this thread while the block runs: its caller gets failures as
    exceptions, and its broker may be another one than that of :func:`report_broker`."""
    _LOCAL.failures_are_raised = True
    try:
        yield
    finally:
        _LOCAL.failures_are_raised = False
