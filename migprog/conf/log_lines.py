# SPDX-License-Identifier: Apache-2.0
"""Escape unprintable characters in each log line, and limit the length of the line.

Data from the broker, clients and guests also reaches the log through libraries, in messages and in
tracebacks. So this is the last step before a line is written.
"""

import logging
import re

from oslo_log import formatters

MAX_LINE = 4096
MAX_RECORD = 32 * 1024
# Everything that moves a cursor, begins another line, or writes from right to left.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class OneLine(logging.Filter):
    """Make each message one printable line of at most :data:`MAX_LINE` characters."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _message(record), None
        return True


class Printable(logging.Formatter):
    """Format with another formatter, then make each line printable. A traceback keeps its lines,
    at most :data:`MAX_RECORD` characters of them."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        text = self._formatter.format(record)
        cut = text[:MAX_RECORD]
        lines = [_bounded(line) for line in cut.split("\n")]
        if len(cut) < len(text):
            lines.append(f"... {len(text) - len(cut)} more characters")
        return "\n".join(lines)


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception as error:
        # Otherwise logging writes the raw arguments to stderr.
        text = f"cannot format the log message {record.msg!r:.200}: {error!r:.200}"
    line = _bounded(text[:MAX_RECORD])
    return line.replace("\n", "\\n")


def _bounded(line: str) -> str:
    line = printable(line)
    left = len(line) - MAX_LINE
    return line if left <= 0 else f"{line[:MAX_LINE]}... {left} more characters"


def printable(text: str) -> str:
    """Return the text with unprintable characters escaped as in Python; tabs and newlines stay."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def keep_printable(logger: logging.Logger) -> None:
    """Make everything printable that the handlers of a logger write."""
    for handler in logger.handlers:
        handler.addFilter(OneLine())
        # JSON escapes by itself, and a truncated document would be invalid.
        if not isinstance(handler.formatter, formatters.JSONFormatter | formatters.FluentFormatter):
            handler.setFormatter(Printable(handler.formatter or logging.Formatter()))
