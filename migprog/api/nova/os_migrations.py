# SPDX-License-Identifier: Apache-2.0
"""``/os-migrations``: live migrations of all servers, in progress and ended, newest first."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import falcon
from oslo_utils import timeutils

from migprog import exception, objects
from migprog.api import conditional
from migprog.api.access import Access, Rules
from migprog.api.nova import response_schemas, schemas, views
from migprog.api.nova.resource import Resource
from migprog.api.nova.servers import is_full, is_storable, next_page, no_marker
from migprog.core.status import Status
from migprog.policies import nova as rules

# Nova's filters that the store supports, with their names there.
_AS_ASKED = {
    "host": "host",
    "instance_uuid": "server_uuid",
    "source_compute": "source_compute",
    "user_id": "nova_user_id",
    "project_id": "nova_project_id",
}
# Only Nova knows who requested a migration.
_INITIATORS = frozenset({"user_id", "project_id"})
_FEW = "only together with instance_uuid or a status in progress: running, running (post-copy)"
# Nova's statuses, with migprog's statuses that they include.
_STATUSES = {
    views.status(status).value: frozenset(
        each for each in Status if views.status(each) is views.status(status)
    )
    for status in Status
}
_INSTANTS = {"changes-since": "changed_since", "changes-before": "changed_before"}


class OsMigrations(Resource):
    """Live migrations of all servers."""

    RULES: ClassVar[Rules] = {"GET": rules.OS_MIGRATIONS_INDEX}
    NOTES: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("host", "source_compute", "user_id", "project_id", *_INSTANTS),
        "One of host, source_compute, user_id, project_id and changes-since or changes-before, or "
        f"project_id with user_id or these; two others {_FEW}, else 400.",
    )
    QUERY = schemas.OS_MIGRATIONS
    ANSWER = response_schemas.OS_MIGRATIONS

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        version = req.context.version
        query = self.QUERY.read(req.query_string, version)
        limit = schemas.limit(query.get("limit"), self.parts.max_limit)
        access = req.context.access
        hosts = access.may(rules.OS_MIGRATIONS_HOST)
        _check_allowed(query, access)
        addresses = req.context.addresses
        found = conditional.migrations(
            req,
            resp,
            self.parts,
            lambda kind: self._found(query, limit, kind) if limit else [],
            *(version, hosts),
        )
        if found is None:
            return
        found = [views.named(each, self.parts.nova_names) for each in found]
        page: dict[str, Any] = {
            "migrations": [views.os_migration(each, version, addresses, hosts) for each in found]
        }
        if version >= schemas.V2_59 and is_full(found, limit):
            page["migrations_links"] = next_page(req, query | {"marker": found[-1].uuid})
        resp.media = page

    def _found(
        self, query: dict[str, str], limit: int, kind: type[objects.MigrationQuery]
    ) -> Sequence[Any]:
        asked: dict[str, Any] = {
            ours: query[theirs] for theirs, ours in _AS_ASKED.items() if theirs in query
        }
        asked |= _instants(query)
        if "marker" in query:
            asked["marker"] = query["marker"]
        if not _is_possible(query) or (_INITIATORS & query.keys() and not self.parts.nova_names):
            return []
        if "status" in query:
            asked["status"] = _STATUSES[query["status"]]
        try:
            return kind.list(
                self.parts.store, limit=limit, named_in_nova=self.parts.nova_names, **asked
            )
        except exception.NotTogether as error:
            raise falcon.HTTPBadRequest(description=_not_together(error)) from None
        except exception.BadRequest:
            raise no_marker(query["marker"]) from None


def _not_together(error: exception.NotTogether) -> str:
    names = {ours: theirs for theirs, ours in (_AS_ASKED | _INSTANTS).items()}
    one, other = (names[field] for field in (error.field, error.other))
    return f"The filters {one} and {other} may be combined {_FEW}."


def _check_allowed(query: dict[str, str], access: Access) -> None:
    """Raise :class:`falcon.HTTPForbidden` if the user may not use these filters: by hosts that the
    user may not see, as the results would reveal them; or, as in Nova, for more than what was
    requested in the user's own project."""
    if "host" in query or "source_compute" in query:
        access.check(rules.OS_MIGRATIONS_HOST)
    if not access.project or query.get("project_id") != access.project:
        access.check(rules.OS_MIGRATIONS_ALL)


def _is_possible(query: dict[str, str]) -> bool:
    """Return whether migprog can have such migrations; it has live migrations only."""
    return (
        query.get("migration_type", views.MIGRATION_TYPE) == views.MIGRATION_TYPE
        and ("status" not in query or query["status"] in _STATUSES)
        and all(is_storable(query[name]) for name in _AS_ASKED if name in query)
    )


def _instants(query: dict[str, str]) -> dict[str, datetime]:
    instants = {
        ours: timeutils.normalize_time(timeutils.parse_isotime(query[theirs])).replace(tzinfo=UTC)
        for theirs, ours in _INSTANTS.items()
        if theirs in query
    }
    if len(instants) == 2 and instants["changed_since"] > instants["changed_before"]:
        raise falcon.HTTPBadRequest(
            description="The value of changes-since must be less than or equal to changes-before."
        )
    return instants
