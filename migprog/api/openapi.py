# SPDX-License-Identifier: Apache-2.0
"""``/openapi.json``: both APIs as an OpenAPI 3.1 document. Public.

It is made from the routes and their resources' rules, parameters and schemas. A test compares it
with the code, and all answers in the other tests with it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import falcon

from migprog import SERVICE_TYPE, version
from migprog.api import conditional, microversion, response_schemas
from migprog.api.access import PUBLIC, Rules
from migprog.api.nova import response_schemas as nova_documents
from migprog.api.nova.resource import Resource as NovaResource
from migprog.api.resource import Resource
from migprog.api.response_schemas import ref
from migprog.api.schemas import TEXT, UUID, Schema

Routes = Iterable[tuple[str, type[Resource] | type[NovaResource]]]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_DESCRIPTION = (
    "The native API is at the root, the Nova-compatible one below /v2.1. Schemas cover all "
    "microversions: fields that a microversion added or removed are optional. HEAD is accepted "
    "wherever GET is."
)
_NATIVE_VERSION = rf"^{SERVICE_TYPE} (1\.(0|[1-9][0-9]{{0,2}})|latest)$"
_NOVA_VERSION = r"^compute (2\.[1-9][0-9]{0,2}|latest)$"
_IN_PATHS: Mapping[str, Schema] = {
    "server_uuid": {**UUID, "description": "UUID of a server."},
    "server_id": {**UUID, "description": "UUID of a server."},
    "id_or_uuid": {**TEXT, "description": "A migration's number or its UUID."},
    "number": {**TEXT, "description": "A migration's number."},
    "host": {**TEXT, "description": "A compute host, by its name in Nova."},
    "project_id": {**TEXT, "description": "The token's project."},
}
_REFUSALS = {
    400: "A parameter or the body breaks a rule, or the microversion is malformed.",
    401: "There is no token, or it is not valid.",
    403: "The policy does not allow it, actions or measuring are disabled, or the client is on "
    "another machine.",
    404: "It does not exist, or it is another project's.",
    406: "The microversion is not supported.",
    409: "The present state of the migration or the server does not permit it.",
    411: "The request has no Content-Length.",
    413: "The body is too large.",
    414: "The URL is too long.",
    415: "The body is not JSON.",
    501: "Actions are disabled.",
    503: "The database, Keystone, the agent or a free long poll is not available.",
}
_ALWAYS = (400, 403, 406, 413, 414, 503)


def build(routes: Routes, max_limit: int) -> dict[str, Any]:
    """Return the document of these routes."""
    paths: dict[str, Any] = {}
    for path, resource in routes:
        paths[path] = {
            method.lower(): _operation(path, method, resource, max_limit)
            for method in METHODS
            if hasattr(resource, f"on_{method.lower()}")
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "migprog",
            "version": version.version_info.version_string(),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {**response_schemas.COMPONENTS, **nova_documents.COMPONENTS},
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}
            },
        },
    }


def _operation(
    path: str, method: str, resource: type[Resource] | type[NovaResource], max_limit: int
) -> dict[str, Any]:
    is_nova = issubclass(resource, NovaResource)
    public = resource.RULES is PUBLIC
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _IN_PATHS[name]}
        for name in re.findall(r"{(\w+)}", path)
    ]
    if method == "GET":
        query = resource.documented_query(max_limit)
        parameters += [
            {"name": name, "in": "query", "schema": query[name]}
            | ({"description": resource.NOTES[name]} if name in resource.NOTES else {})
            for name in query
        ]
    pattern = _NOVA_VERSION if is_nova else _NATIVE_VERSION
    parameters.append(
        {"name": microversion.HEADER, "in": "header", "schema": {**TEXT, "pattern": pattern}}
    )
    operation: dict[str, Any] = {
        "summary": _summary(method, resource),
        "parameters": parameters,
        "responses": _responses(path, method, resource, is_nova, public),
        "security": [] if public else [{"token": []}],
    }
    if not public:
        operation["description"] = f"Rule: {resource.RULES.get(method, 'none')}"
    if method in ("POST", "PUT", "PATCH") and resource.BODY is not None:
        operation["requestBody"] = {"required": True, "content": _json(resource.BODY)}
    return operation


def _summary(method: str, resource: type[Resource] | type[NovaResource]) -> str:
    """Return the first sentence about a method: that of its own docstring, else of its resource."""
    own = getattr(resource, f"on_{method.lower()}").__doc__
    return " ".join((own or resource.__doc__ or "").partition(".")[0].split()).replace("``", "")


def _responses(
    path: str,
    method: str,
    resource: type[Resource] | type[NovaResource],
    is_nova: bool,
    public: bool,
) -> dict[str, Any]:
    document = {"description": "The document."}
    accepted = getattr(resource, "ACCEPTED", None)
    answers: dict[str, Any] = {}
    if method == "GET" or getattr(resource, "ANSWERS_POST", False):
        answers["200"] = document | {"content": _json(resource.ANSWER)}
    if method == "GET":
        answers["304"] = {"description": "Not modified (If-None-Match)."}
    if method != "GET" or accepted is not None:
        answers["202"] = {"description": accepted or "The action has been requested."}
    codes = {*_ALWAYS, *(() if public else (401,))}
    if "{" in path or is_nova or path == "/healthcheck":
        codes.add(404)
    if method != "GET":
        codes |= {404, 409, 411, 415, *((501,) if is_nova else ())}
    elif accepted is not None:
        codes.add(409)
    refusal = _json(ref("NovaError" if is_nova else "Error"))
    return answers | {
        str(code): {"description": _REFUSALS[code], "content": refusal} for code in sorted(codes)
    }


def _json(schema: Schema) -> dict[str, Any]:
    return {falcon.MEDIA_JSON: {"schema": schema}}


class OpenApi(Resource):
    """This document. It is a valid OpenAPI 3.1 object."""

    RULES: ClassVar[Rules] = PUBLIC
    ANSWER = response_schemas.OPENAPI

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.query(req)
        if not conditional.is_known(req, resp, self.parts.max_limit):
            resp.media = self.parts.openapi
