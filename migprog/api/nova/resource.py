# SPDX-License-Identifier: Apache-2.0
"""Base class of this API's resources, with their microversions and projects."""

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
    """A resource at a path of this API.

    ``RULES``: the policy rule of each method.
    ``SINCE``: the microversion that brought a method, if not the first.
    ``QUERY``: the parameters of GET; ``ANSWER``: the schema of the document; ``BODY``: that of a
    request's body. ``NOTES``: descriptions of GET parameters in the OpenAPI document.
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
        """Return the newest microversion's parameters; non-strict microversions accept more."""
        return {name: each.schema for name, each in cls.QUERY.parameters.items()}


class Addresses:
    """URLs for links in answers. ``project``: the project in the request's path, if any."""

    def __init__(self, root: str, project: str | None) -> None:
        project = f"/{parse.quote(project, safe='')}" if project else ""
        self._self = f"{root}{PREFIX}{project}"
        self._bookmark = f"{root}{project}"

    def at(self, path: str) -> str:
        """Return the URL of a path such as ``/servers/UUID``."""
        return self._self + path

    def links(self, path: str) -> list[dict[str, str]]:
        """Return Nova's links to a resource: with the API version, and without it."""
        return [
            {"rel": "self", "href": self._self + path},
            {"rel": "bookmark", "href": self._bookmark + path},
        ]


class Negotiation:
    """Falcon middleware: checks version and project before a resource is used.

    ``req.context.version`` is the microversion, ``req.context.addresses`` are the
    :class:`Addresses`.
    """

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.version = microversion.NOVA.negotiate(req.env)

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Resource, params: dict[str, Any]
    ) -> None:
        if "" in params.values():
            # A trailing slash, or two in a row.
            raise falcon.HTTPNotFound
        project = params.pop("project_id", None)
        if project is not None:
            _check_project(project, req.get_header("X-Project-Id"))
        req.context.addresses = Addresses(req.prefix, project)
        require(req, resource.SINCE.get(req.method, microversion.MIN))


def require(req: falcon.Request, since: Version) -> None:
    """Raise :class:`falcon.HTTPNotFound` for a request of an older version."""
    if req.context.version < since:
        raise falcon.HTTPNotFound


def _check_project(asked: str, own: str | None) -> None:
    """Check that a project in the path is the token's. Without Keystone any project is accepted."""
    if not _PROJECT.fullmatch(asked):
        raise falcon.HTTPNotFound
    if own is not None and asked != own:
        raise falcon.HTTPBadRequest(
            description=f"Malformed request URL: URL's project_id '{asked}' doesn't match "
            f"Context's project_id '{own}'"
        )
