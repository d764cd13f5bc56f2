# SPDX-License-Identifier: Apache-2.0
"""What may be done to a migration, as the API asks for it; whoever wires the API says how."""

from typing import NoReturn, Protocol

from migprog import exception
from migprog.objects import Migration


class Actions(Protocol):
    """Asks the agent that has a migration, and returns when that has been asked: not done.

    Called for a migration that was in the right state when it was read. May raise
    :class:`exception.NotEnabled`.
    """

    def force_complete(self, migration: Migration) -> None: ...

    def abort(self, migration: Migration) -> None: ...


class Disabled:
    """Where nothing may be done."""

    def force_complete(self, migration: Migration) -> NoReturn:
        raise exception.NotEnabled(_MESSAGE)

    def abort(self, migration: Migration) -> NoReturn:
        raise exception.NotEnabled(_MESSAGE)


_MESSAGE = (
    "Steering is not enabled: this service watches migrations and does nothing to them. "
    "Nova itself can do it."
)
