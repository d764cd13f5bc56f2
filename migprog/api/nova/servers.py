# SPDX-License-Identifier: Apache-2.0
"""``/servers``: what Nova's clients ask before they ask for migrations. Those that
have migrated."""

import uuid
from collections.abc import Sized
from typing import Any
from urllib import parse

import falcon

from migprog import exception, objects
from migprog.api.nova import schemas, views
from migprog.api.nova.resource import Resource
from migprog.api.resource import Parts


def not_there(server_id: str) -> falcon.HTTPNotFound:
    return falcon.HTTPNotFound(description=f"Instance {server_id[:64]} could not be found.")


def known(parts: Parts, server_id: str) -> objects.ServerNow:
    """The server of this id. Raises :class:`falcon.HTTPNotFound`."""
    try:
        return objects.ServerNow.get(parts.store, check_id(server_id))
    except exception.NotFound:
        raise not_there(server_id) from None


def check_id(server_id: str) -> str:
    """The id, if a server may have it. As in Nova, only the usual form of a UUID is one.

    Raises :class:`falcon.HTTPNotFound`.
    """
    try:
        usual = str(uuid.UUID(server_id))
    except ValueError:
        usual = None
    if usual != server_id:
        raise not_there(server_id)
    return server_id


class Server(Resource):
    """``/servers/{id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        schemas.SERVER.read(req.query_string, req.context.version)
        now = known(self.parts, server_id)
        resp.media = {"server": views.server(now, req.context.version, req.context.addresses)}


class Servers(Resource):
    """``/servers``"""

    BRIEF = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = schemas.SERVERS.read(req.query_string, req.context.version)
        limit = schemas.limit(query.get("limit"), self.parts.max_limit)
        found = self._found(query, limit) if limit else []
        version, addresses = req.context.version, req.context.addresses
        page: dict[str, Any] = {
            "servers": [views.server(each, version, addresses, self.BRIEF) for each in found]
        }
        if is_full(found, limit):
            page["servers_links"] = next_page(req, query | {"marker": found[-1].server.uuid})
        resp.media = page

    def _found(self, query: dict[str, str], limit: int) -> list[objects.ServerNow]:
        marker, name = query.get("marker"), query.get("name")
        if not is_storable(name):
            return []
        try:
            return objects.ServerNow.list(
                self.parts.store,
                limit=limit,
                marker=None if marker is None else check_id(marker),
                name=name,
            )
        except (exception.BadRequest, falcon.HTTPNotFound):
            raise no_marker(str(marker)) from None


class ServersDetail(Servers):
    """``/servers/detail``"""

    BRIEF = False


def is_storable(text: str | None) -> bool:
    """Tell whether a text could be in the store at all; databases may choke on others."""
    return text is None or (text.isprintable() and len(text) <= 255)


def no_marker(marker: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(description=f"Marker {marker[:64]} could not be found.")


def is_full(found: Sized, limit: int) -> bool:
    """Tell whether a page links to the next one.

    As in Nova a full one does, even if nothing follows: openstacksdk would ask for the rest of a
    list by the number of its last migration, which is no marker.
    """
    return len(found) == limit > 0


def next_page(req: falcon.Request, query: dict[str, str]) -> list[dict[str, str]]:
    """The link of a list to its next page, which ``query`` asks for."""
    address = f"{req.prefix}{parse.quote(req.path)}?{parse.urlencode(query)}"
    return [{"rel": "next", "href": address}]
