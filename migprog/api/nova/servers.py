# SPDX-License-Identifier: Apache-2.0
"""``/servers``: what Nova's clients request before they request migrations. It has servers that
have migrated."""

import uuid
from collections.abc import Sized
from typing import Any, ClassVar
from urllib import parse

import falcon
from oslo_utils import strutils

from migprog import exception, objects
from migprog.api import conditional
from migprog.api.access import Access, Rules
from migprog.api.nova import response_schemas, schemas, views
from migprog.api.nova.resource import Resource
from migprog.api.resource import Parts
from migprog.policies import nova as rules


def not_there(server_id: str) -> falcon.HTTPNotFound:
    return falcon.HTTPNotFound(description=f"Instance {server_id[:64]} could not be found.")


def known(parts: Parts, server_id: str, access: Access) -> objects.ServerNow:
    """Return the server if the user may see it. Raises :class:`falcon.HTTPNotFound`."""
    try:
        return objects.ServerNow.get(
            parts.store, check_id(server_id), project_id=access.only_project()
        )
    except exception.NotFound:
        raise not_there(server_id) from None


def check_id(server_id: str) -> str:
    """Return the id if it is valid. As in Nova, only the usual form of a UUID is.

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
    """A server that has migrated."""

    RULES: ClassVar[Rules] = {"GET": rules.SERVERS_SHOW}
    QUERY = schemas.SERVER
    ANSWER = response_schemas.SERVER

    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        self.QUERY.read(req.query_string, req.context.version)
        access = req.context.access
        now = known(self.parts, server_id, access)
        version, hosts = req.context.version, access.may(rules.SERVERS_HOST)
        if not conditional.is_known(req, resp, now, version, hosts):
            resp.media = {"server": views.server(now, version, req.context.addresses, hosts)}


class Servers(Resource):
    """Servers that have migrated."""

    RULES: ClassVar[Rules] = {"GET": rules.SERVERS_INDEX}
    QUERY = schemas.SERVERS
    ANSWER = response_schemas.SERVERS
    ALL_PROJECTS = rules.SERVERS_INDEX_ALL
    BRIEF = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = self.QUERY.read(req.query_string, req.context.version)
        limit = schemas.limit(query.get("limit"), self.parts.max_limit)
        access = req.context.access
        project_id = self._project(access, query.get("all_tenants"))
        found = self._found(query, limit, project_id) if limit else []
        version, addresses = req.context.version, req.context.addresses
        hosts = access.may(rules.SERVERS_HOST)
        if conditional.is_known(req, resp, found, version, hosts):
            return
        page: dict[str, Any] = {
            "servers": [views.server(each, version, addresses, hosts, self.BRIEF) for each in found]
        }
        if is_full(found, limit):
            page["servers_links"] = next_page(req, query | {"marker": found[-1].server.uuid})
        resp.media = page

    def _project(self, access: Access, all_tenants: str | None) -> str | None:
        """Return the project whose servers are listed, None for all. As in Nova, admins also get
        their own project's, unless the request says otherwise."""
        # The parameter without a value means yes.
        every = all_tenants is not None and strutils.bool_from_string(all_tenants, default=True)
        if access.project and not every:
            return access.project
        access.check(self.ALL_PROJECTS)
        return None

    def _found(
        self, query: dict[str, str], limit: int, project_id: str | None
    ) -> list[objects.ServerNow]:
        marker, name = query.get("marker"), query.get("name")
        if not is_storable(name):
            return []
        try:
            return objects.ServerNow.list(
                self.parts.store,
                limit=limit,
                marker=None if marker is None else check_id(marker),
                name=name,
                project_id=project_id,
            )
        except (exception.BadRequest, falcon.HTTPNotFound):
            raise no_marker(str(marker)) from None


class ServersDetail(Servers):
    """Servers that have migrated, with all their keys."""

    RULES: ClassVar[Rules] = {"GET": rules.SERVERS_DETAIL}
    ANSWER = response_schemas.SERVERS_DETAIL
    ALL_PROJECTS = rules.SERVERS_DETAIL_ALL
    BRIEF = False


def is_storable(text: str | None) -> bool:
    """Return whether the store can have a text; some databases fail on others."""
    return text is None or (text.isprintable() and len(text) <= 255)


def no_marker(marker: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(description=f"Marker {marker[:64]} could not be found.")


def is_full(found: Sized, limit: int) -> bool:
    """Return whether a page links to the next one.

    As in Nova a full page does, even if nothing follows: otherwise openstacksdk would request the
    rest of a list by the number of its last migration, which is no valid marker.
    """
    return len(found) == limit > 0


def next_page(req: falcon.Request, query: dict[str, str]) -> list[dict[str, str]]:
    """Return the link to the next page, which ``query`` requests."""
    address = f"{req.prefix}{parse.quote(req.path)}?{parse.urlencode(query)}"
    return [{"rel": "next", "href": address}]
