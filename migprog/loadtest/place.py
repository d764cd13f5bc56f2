# SPDX-License-Identifier: Apache-2.0
"""Create a virtual host and a schema for a load test, or use those in use and clean up after it."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from oslo_config import cfg

from migprog import exception, rpc
from migprog.core.messages import Ack
from migprog.db import temporary_database
from migprog.loadtest.plan import HOST_PREFIX
from migprog.rpc import conductor

_RABBITMQCTL_SECONDS = 60.0
# An idle conductor answers within hundredths of a second.
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """The URLs of the broker and of the database."""

    transport_url: str
    database_url: str


@contextlib.contextmanager
def made(conf: cfg.ConfigOpts, beside: Place, run: str) -> Iterator[Place]:
    """Create a virtual host and a schema on the broker and database server of ``beside``.

    Raises :class:`exception.ConfigError`.
    """
    name = f"migprog_loadtest_{run}"
    with (
        temporary_database.database(beside.database_url, name) as database_url,
        _virtual_host(conf, beside.transport_url, name) as transport_url,
    ):
        yield Place(transport_url, database_url)


@contextlib.contextmanager
def in_use(place: Place) -> Iterator[Place]:
    """Use the broker and the database as they are; delete afterwards what the test stored."""
    try:
        yield place
    finally:
        temporary_database.remove_hosts(place.database_url, HOST_PREFIX)


def conductors_answer(conf: cfg.ConfigOpts, place: Place) -> bool:
    """Return whether conductors are running there."""
    transport = rpc.transport(conf, place.transport_url)
    try:
        answer = conductor.ConductorAPI(transport, _ANSWER_SECONDS).report({}, acknowledged=True)
    except conductor.Unreachable as error:
        if error.is_silence:
            return False
        raise exception.ConfigError(f"[DEFAULT] transport_url: {error}") from error
    finally:
        transport.cleanup()
    return bool(Ack.from_wire(answer).refused)


@contextlib.contextmanager
def _virtual_host(conf: cfg.ConfigOpts, url: str, name: str) -> Iterator[str]:
    user = rpc.broker(conf, url).user
    _rabbitmqctl("add_vhost", name)
    try:
        _rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
        yield rpc.in_virtual_host(conf, url, name)
    finally:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*words: str) -> None:
    """Run rabbitmqctl. Raises :class:`exception.ConfigError`."""
    advice = (
        "run migprog-loadtest as root where the broker runs; or create a virtual host, name it in "
        "--transport-url and give --in-place"
    )
    command = ["rabbitmqctl", "--quiet", *words]
    if shutil.which(command[0]) is None:
        raise exception.ConfigError(f"rabbitmqctl is not on this machine; {advice}")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_RABBITMQCTL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise exception.ConfigError(f"{' '.join(command[:3])}: no answer; {advice}") from error
    if done.returncode != 0:
        output = " ".join((done.stderr or done.stdout).split())[:200]
        raise exception.ConfigError(f"{' '.join(command[:3])}: {output}; {advice}")
