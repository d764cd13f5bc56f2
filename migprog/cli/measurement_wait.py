# SPDX-License-Identifier: Apache-2.0
"""Wait until what was asked for has been measured."""

import time
from collections.abc import Callable
from typing import Any

from migprog.cli.client import Client, Later
from migprog.cli.errors import ClientError
from migprog.core.duration import describe

# By the default of [compute] measure_windows.
_EACH_SECONDS = 30.0


def of_server(server_uuid: str) -> str:
    """Return what is said while a server is measured."""
    return (
        f"server {server_uuid} is being measured: about half a minute by default, longer if it has "
        "to wait for its turn"
    )


def of_host(host: str, servers: int | None) -> str:
    """Return what is said while the servers of a host are measured, None: not known how many."""
    said = f"the servers of host {host} are being measured, one after the other, "
    if servers is None:
        return f"{said}half a minute each by default; how many run there is not known yet"
    takes = "takes" if servers == 1 else "take"
    seconds = servers * _EACH_SECONDS
    return f"{said}half a minute each by default: {servers} {takes} about {describe(seconds)}"


def wait(
    client: Client,
    ask: Callable[[], dict[str, Any] | Later],
    subject: tuple[str, str],
    begun: Callable[[], None],
    timeout_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Return what ``ask`` asks for, at the pace that the API sets, once it is there.

    ``subject``: what is measured with its verb, and its pronoun, as in "server X has", "it".
    ``begun`` is called once it is being measured, which the API may refuse.
    Raises :class:`ClientError` if that takes longer than ``timeout_seconds``.
    """
    give_up_at = clock() + timeout_seconds
    found = ask()
    if isinstance(found, Later):
        begun()
    while isinstance(found, Later):
        if clock() >= give_up_at:
            who, pronoun = subject
            raise ClientError(
                f"{who} not been measured within {timeout_seconds:g} s; {pronoun} may yet be: ask "
                "again without --measure"
            )
        sleep(found.seconds)
        found = client.follow(found)
    return found
