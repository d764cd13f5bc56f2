# SPDX-License-Identifier: Apache-2.0
"""Find what a user names: a server by its UUID or name, one of its migrations."""

import uuid

from migprog.cli import text
from migprog.cli.client import Client
from migprog.cli.errors import ApiRefused, NotFound
from migprog.cli.record import Record

_MAX_NAMED = 10


def is_uuid(given: str) -> bool:
    """Return whether a text is a UUID in its form with hyphens."""
    try:
        return str(uuid.UUID(given)) == given.lower()
    except ValueError:
        return False


def server_uuid(client: Client, given: str) -> str:
    """Return the UUID of a server that is given by its UUID, or by the name that its migrations
    have: of those in progress, else of the newest page.

    Raises :class:`NotFound` if there is none, or if several servers have that name.
    """
    if is_uuid(given):
        return given.lower()
    for page in (client.in_progress({}), client.migrations({})):
        found = {each["server_uuid"] for each in page.records if each["server_name"] == given}
        if len(found) == 1:
            return str(found.pop())
        if found:
            named = ", ".join(sorted(found)[:_MAX_NAMED])
            raise NotFound(
                f"{len(found)} servers are called {text.printable(given)!r}; give the UUID: {named}"
            )
    raise NotFound(
        f"no migration in progress and none of the newest is of a server called "
        f"{text.printable(given)!r}; give its UUID"
    )


def migration(client: Client, server: str, id_or_uuid: str | None) -> Record:
    """Return a migration of a server, the newest unless one is given. Raises :class:`NotFound`."""
    server = server_uuid(client, server)
    if id_or_uuid is None:
        found = client.newest(server)
        if found is None:
            raise NotFound(f"no migration of server {server} is recorded")
        return found
    try:
        return client.migration(server, id_or_uuid)
    except ApiRefused as error:
        if error.status == 404:
            raise NotFound(str(error)) from error
        raise
