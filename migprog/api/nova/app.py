# SPDX-License-Identifier: Apache-2.0
"""The Nova-compatible API: its routes, its middleware, its form of errors."""

from collections.abc import Iterable, Iterator
from typing import Any

import falcon

from migprog.api import access, json_bytes
from migprog.api.nova import errors, migrations, os_migrations, servers, versions
from migprog.api.nova.resource import PREFIX, Negotiation, Resource
from migprog.api.resource import Parts

# Public.
DISCOVERY = (PREFIX, f"{PREFIX}/")

# Below the prefix, or below the prefix and a project's id.
ROUTES: dict[str, type[Resource]] = {
    "/servers": servers.Servers,
    "/servers/detail": servers.ServersDetail,
    "/servers/{server_id}": servers.Server,
    "/servers/{server_id}/migrations": migrations.Migrations,
    "/servers/{server_id}/migrations/{number}": migrations.Migration,
    "/servers/{server_id}/migrations/{number}/action": migrations.MigrationAction,
    "/os-migrations": os_migrations.OsMigrations,
}


def serves(path: str) -> bool:
    """Return whether a path belongs to this API."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def routes() -> Iterator[tuple[str, type[Resource]]]:
    """Return every path of this API with its resource."""
    for path in DISCOVERY:
        yield path, versions.Version
    for path, resource in ROUTES.items():
        for project in ("", "/{project_id}"):
            yield f"{PREFIX}{project}{path}", resource


def create(parts: Parts, middleware: Iterable[Any]) -> "falcon.App[Any, Any]":
    """Return the falcon application; ``middleware`` runs before its own."""
    app = falcon.App(middleware=[*middleware, Negotiation(), access.Enforcement()])
    errors.install(app)
    json_bytes.install(app)
    for path, resource in routes():
        app.add_route(path, resource(parts))
    return app
