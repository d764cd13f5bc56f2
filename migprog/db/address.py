# SPDX-License-Identifier: Apache-2.0
"""The database's URL, its name for logs, and what its errors mean."""

import re

import sqlalchemy
from sqlalchemy import exc as sa_exc

from migprog import exception

SUPPORTED = ("mysql", "postgresql", "sqlite")
PORTS = {"mysql": 3306, "postgresql": 5432}
_EXTRAS = {"mysql": "mysql", "postgresql": "postgresql"}
_EXTRAS_OF_DRIVERS = {"mysqldb": "mysqlclient", "psycopg": "psycopg"}
_LINE = "\n"
# SQLite's messages of SQLITE_NOTADB and SQLITE_CORRUPT.
_DAMAGE = ("file is not a database", "database disk image is malformed")

# Errors of a login that fails until someone changes the configuration. MySQL's and MariaDB's
# numbers: access denied (three kinds), host not allowed, no such database.
_MYSQL_REFUSALS = (1044, 1045, 1049, 1130, 1698)
# While it connects, psycopg2 has the server's message and no SQLSTATE.
_POSTGRESQL_REFUSALS = re.compile(
    r"authentication failed|no pg_hba\.conf entry|no password supplied"
    r"|permission denied for database|(?:role|database) \".*\" does not exist"
    r"|is not permitted to log in"
)


def parsed(connection: str | None) -> sqlalchemy.URL:
    """Parse the option ``[database] connection``. Raises :class:`exception.ConfigError`, whose text
    has nothing that may be a password."""
    if not connection:
        raise exception.ConfigError(
            "[database] connection: is not set; for instance "
            "mysql+pymysql://migprog:PASSWORD@controller/migprog"
        )
    try:
        url = sqlalchemy.make_url(connection)
    except (sa_exc.ArgumentError, ValueError):
        # Neither error's text is shown: it may quote part of the password.
        raise exception.ConfigError(
            "[database] connection: is not a database URL, DIALECT+DRIVER://USER:PASSWORD@HOST:PORT"
            "/DATABASE with a number as PORT and special characters of PASSWORD as %XX"
        ) from None
    backend = url.get_backend_name()
    if backend not in SUPPORTED:
        raise exception.ConfigError(
            f"[database] connection: {backend!r} must be one of: {', '.join(SUPPORTED)}"
        )
    if "@" in (url.host or ""):
        raise exception.ConfigError(
            "[database] connection: there is more than one @; one in the password is written %40"
        )
    if url.port is not None and not 0 < url.port < 65536:
        raise exception.ConfigError(
            f"[database] connection: port {url.port} must be from 1 to 65535"
        )
    return url


def missing_driver(url: sqlalchemy.URL, error: Exception) -> str:
    """Return an error that says what to install for the driver of ``url``."""
    _, _, driver = url.drivername.partition("+")
    extra = _EXTRAS_OF_DRIVERS.get(driver, _EXTRAS.get(url.get_backend_name()))
    hint = "" if extra is None else f"; pip install 'migprog[{extra}]' brings one"
    return f"[database] connection: no driver for {url.drivername}: {error}{hint}"


def where(url: sqlalchemy.URL) -> str:
    """Return the database's name and server, without user and password."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return f"database {url.database or 'in memory'}"
    host = url.host or "localhost"
    host = f"[{host}]" if ":" in host else host
    return f"database {backend} {host}:{url.port or PORTS[backend]}/{url.database or ''}"


def reason(error: BaseException) -> str:
    """Return the server's or driver's message in one line, without statement and values."""
    origin = _origin(error)
    match origin.args:
        case (int() as number, str() as text):
            return f"{text.strip().partition(_LINE)[0]} ({number})"
    return str(origin).strip().partition(_LINE)[0]


def is_refusal(error: BaseException) -> bool:
    """Return whether the server refuses the login (wrong user, password or database), rather than
    being away, starting or full."""
    origin = _origin(error)
    if origin.args and isinstance(origin.args[0], int):
        return origin.args[0] in _MYSQL_REFUSALS
    return _POSTGRESQL_REFUSALS.search(str(origin)) is not None


def is_damage(error: BaseException) -> bool:
    """Return whether the file is damaged, or not SQLite's."""
    return str(_origin(error)) in _DAMAGE


def _origin(error: BaseException) -> BaseException:
    """Return the driver's error, which SQLAlchemy and oslo.db have wrapped."""
    for name in ("inner_exception", "orig", "orig"):
        inner = getattr(error, name, None)
        if isinstance(inner, BaseException):
            error = inner
    return error
