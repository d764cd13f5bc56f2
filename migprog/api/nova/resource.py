# SPDX-License-Identifier: Apache-2.0
"""What the resources of Nova's API share: who may ask for what, from which microversion on."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib import parse

import falcon
from microversion_parse import Version

from migprog.api.access import Rules
from migprog.api.nova import microversion, schemas
from migprog.api.resource import Parts
from migprog.api.schemas import Schema

PREFIX = "/v2.1"
_PROJECT = re.compile(r"[A-Za-z0-9_-]{1,255}")


class Resource:
    """Something at an address of this API.

    ``RULES``: the rule of each of its methods.
    ``SINCE``: the microversion that brought a method, if not the first.
    ``QUERY`` are the parameters of its GET, ``ANSWER`` is the schema of its document, ``BODY`` that
    of what is sent to it. ``NOTES``: what the OpenAPI document says of parameters of its GET.
    """

    RULES: ClassVar[Rules]
    NOTES: ClassVar[Mapping[str, str]] = {}
    SINCE: ClassVar[Mapping[str, Version]] = {}
    QUERY: ClassVar[schemas.Query]
    ANSWER: ClassVar[Schema]
    BODY: ClassVar[Schema | None] = None

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    @classmethod
    def documented_query(cls, _max_limit: int) -> Mapping[str, Schema]:
        """Of the newest microversion; a microversion that has no strict rules takes more."""
        return {name: each.schema for name, each in cls.QUERY.parameters.items()}


class Addresses:
    """Where a request finds its fellows. ``project``: the part of its path, if it has one."""

    def __init__(self, root: str, project: str | None) -> None:
        project = f"/{parse.quote(project, safe='')}" if project else ""
        self._self = f"{root}{PREFIX}{project}"
        self._bookmark = f"{root}{project}"

    def at(self, path: str) -> str:
        """The address of a path such as ``/servers/UUID``."""
        return self._self + path

    def links(self, path: str) -> list[dict[str, str]]:
        """As Nova links to a thing: with its version, and without any."""
        return [
            {"rel": "self", "href": self._self + path},
            {"rel": "bookmark", "href": self._bookmark + path},
        ]


class Negotiation:
    """Falcon middleware: settles version and project before a resource is asked.

    ``req.context.version`` is the microversion, ``req.context.addresses`` are the
    :class:`Addresses`.
    """

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.version = microversion.NOVA.negotiate(req.env)

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Resource, params: dict[str, Any]
    ) -> None:
        if "" in params.values():
            # A slash at the end, or two in a row.
            raise falcon.HTTPNotFound
        project = params.pop("project_id", None)
        if project is not None:
            _check_project(project, req.get_header("X-Project-Id"))
        req.context.addresses = Addresses(req.prefix, project)
        require(req, resource.SINCE.get(req.method, microversion.MIN))


def require(req: falcon.Request, since: Version) -> None:
    """Raises :class:`falcon.HTTPNotFound` to a request of an older version."""
    if req.context.version < since:
        raise falcon.HTTPNotFound


def _check_project(asked: str, own: str | None) -> None:
    """A project in the address must be the token's. Without Keystone there is none to compare."""
    if not _PROJECT.fullmatch(asked):
        raise falcon.HTTPNotFound
    if own is not None and asked != own:
        raise falcon.HTTPBadRequest(
            description=f"Malformed request URL: URL's project_id '{asked}' doesn't match "
            f"Context's project_id '{own}'"
        )
