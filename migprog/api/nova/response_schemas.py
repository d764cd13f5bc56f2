# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of this API's documents. They cover all microversions: fields that a microversion
added or removed are optional."""

from collections.abc import Iterable

from migprog.api import response_schemas
from migprog.api.nova import errors, microversion, views
from migprog.api.response_schemas import document, listed, ref
from migprog.api.schemas import TEXT, Schema

_LINKS = listed(ref("Link"))


def _of(keys: Iterable[views.Key], links: bool, always_links: bool = False) -> Schema:
    properties: dict[str, Schema] = {}
    optional = set()
    for key in keys:
        schema = response_schemas.nullable(key.schema) if key.name in views.OF_HOSTS else key.schema
        properties[key.name] = schema
        if key.since > microversion.MIN or key.until < microversion.MAX or key.shown:
            optional.add(key.name)
    if links:
        properties["links"] = _LINKS
        if not always_links:
            optional.add("links")
    return document(properties, optional)


_VERSION = {
    **dict.fromkeys(("id", "status", "version", "min_version", "updated"), TEXT),
    "links": _LINKS,
    "media-types": listed(document({"base": TEXT, "type": TEXT})),
}
_FAULT = document({"code": {"type": "integer"}, "message": TEXT})

COMPONENTS: dict[str, Schema] = {
    "NovaServerMigration": _of(views.SERVER_MIGRATION, links=False),
    "NovaMigration": _of(views.OS_MIGRATION, links=True),
    "NovaServer": _of(views.SERVER, links=True, always_links=True),
    "NovaServerBrief": _of(views.SERVER_BRIEF, links=True, always_links=True),
    "NovaError": {
        "type": "object",
        "properties": dict.fromkeys(errors.NAMES, _FAULT),
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    },
}

VERSION = document({"version": document(_VERSION)})
SERVER_MIGRATIONS = document({"migrations": listed(ref("NovaServerMigration"))})
SERVER_MIGRATION = document({"migration": ref("NovaServerMigration")})
OS_MIGRATIONS = response_schemas.page("migrations", ref("NovaMigration"))
SERVER = document({"server": ref("NovaServer")})
SERVERS_DETAIL = response_schemas.page("servers", ref("NovaServer"))
SERVERS = response_schemas.page("servers", ref("NovaServerBrief"))
