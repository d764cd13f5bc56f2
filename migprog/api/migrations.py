# SPDX-License-Identifier: Apache-2.0
"""Migrations, in progress and ended, newest first: of all hosts, of one server, a single one; and
actions on it."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import falcon

from migprog import exception, objects, policies
from migprog.api import (
    action_requests,
    bodies,
    conditional,
    news_request,
    response_schemas,
    schemas,
    views,
)
from migprog.api.access import Rules
from migprog.api.resource import Resource
from migprog.core.actions import Action, refusal


class OfMigrations(Resource):
    """What resources of migrations have in common."""

    def _view(self, req: falcon.Request, migration: objects.Migration) -> dict[str, Any]:
        return views.migration(
            migration,
            req.prefix,
            self.parts.clock(),
            self.parts.stale_after_seconds,
            req.context.access.may(policies.migrations.HOSTS),
            req.context.version,
        )

    def find(
        self, req: falcon.Request, resp: falcon.Response, server_uuid: str, id_or_uuid: str
    ) -> objects.Migration | None:
        """Return a migration; None if the client has its current state."""
        project = req.context.access.only_project()
        found = conditional.migrations(
            req,
            resp,
            self.parts,
            lambda kind: [kind.get(self.parts.store, server_uuid, id_or_uuid, project_id=project)],
            req.context.access.may(policies.migrations.HOSTS),
        )
        return found[0] if found else None

    def _act(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        server_uuid: str,
        id_or_uuid: str,
        action: Action,
    ) -> None:
        """Request an action. Raises :class:`exception.Conflict`, and what :meth:`Actions.ask`
        raises."""
        project = req.context.access.only_project()
        migration = objects.Migration.get(
            self.parts.store, server_uuid, id_or_uuid, project_id=project
        )
        why = refusal(action, migration.status, migration.phase)
        if why is not None:
            raise action_requests.conflict(action, why.message, why)
        self.parts.actions.ask(req.context.user, action, migration)
        resp.status = falcon.HTTP_ACCEPTED

    def _page(
        self, req: falcon.Request, resp: falcon.Response, query: Mapping[str, Any], **only: Any
    ) -> None:
        """Answer with a page of the migrations that ``query`` and ``only`` select, and a link to
        the next one."""
        limit = query.get("limit", self.parts.max_limit)
        # One more than the limit, to see whether there is a next page.
        only["limit"] = limit + 1
        if (project := req.context.access.only_project()) is not None:
            only["project_id"] = project
        found = conditional.migrations(
            req,
            resp,
            self.parts,
            lambda kind: kind.list(self.parts.store, **(dict(query) | only)),
            req.context.access.may(policies.migrations.HOSTS),
        )
        if found is None:
            return
        page: dict[str, Any] = {"migrations": [self._view(req, each) for each in found[:limit]]}
        if len(found) > limit:
            page["migrations_links"] = self.next_page(req, found[limit - 1].uuid)
        resp.media = page


class Migrations(OfMigrations):
    """Migrations of all hosts, with all outcomes, newest first.

    With ``wait`` it is answered as soon as something is new in the list since the cursor ``since``.
    """

    RULES: ClassVar[Rules] = {"GET": policies.migrations.LIST}
    NOTES: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("host", "changed_since", "sort_key"),
            "One of host, changed_since and a sort_key other than created_at; two "
            f"{exception.NotTogether.RULE}, else 400.",
        ),
        "wait": "Seconds to wait for news of the list; with in_progress=true, else 400.",
        "since": "The cursor of the last answer with news; with wait, else 400.",
    }
    QUERY = staticmethod(schemas.migrations)
    ANSWER = response_schemas.MIGRATIONS_OR_NEWS

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = self.query(req)
        access = req.context.access
        if "host" in query:
            # Otherwise users who may not see hosts could find a migration by trying hosts.
            access.check(policies.migrations.HOSTS)
        if query.get("project_id", access.project) != access.project:
            access.check(policies.base.ALL_PROJECTS)
        if news_request.is_meant(query, req.context.version):
            news_request.answer(req, resp, self.parts.news, self.parts.long_polls, query)
            return
        self._page(req, resp, _asked(query))


# Ids are assigned in the order of creation.
_SORTED_BY = {"created_at": "id"}


def _asked(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return a query of ``/migrations`` as arguments of :meth:`objects.Migration.list`."""
    asked = dict(query)
    if "changed_since" in asked:
        asked["changed_since"] = schemas.instant(asked["changed_since"])
    if "sort_key" in asked:
        asked["sort_key"] = _SORTED_BY.get(asked["sort_key"], asked["sort_key"])
    if "sort_dir" in asked:
        asked["descending"] = asked.pop("sort_dir") == "desc"
    return asked


class ServerMigrations(OfMigrations):
    """A server's migrations, newest first."""

    RULES: ClassVar[Rules] = {"GET": policies.migrations.OF_SERVER}
    QUERY = staticmethod(schemas.page)
    ANSWER = response_schemas.MIGRATIONS

    def on_get(self, req: falcon.Request, resp: falcon.Response, server_uuid: str) -> None:
        query = self.query(req)
        server = objects.Server.get(
            self.parts.store, server_uuid, project_id=req.context.access.only_project()
        )
        self._page(req, resp, query, server_uuid=server.uuid)


class ServerMigration(OfMigrations):
    """One migration, by its number or its UUID.

    With ``wait`` it is answered as soon as its sequence is greater than ``since``, or it has ended.
    """

    RULES: ClassVar[Rules] = {
        "GET": policies.migrations.SHOW,
        "DELETE": policies.migrations.ABORT,
    }
    QUERY = staticmethod(schemas.migration)
    ANSWER = response_schemas.MIGRATION

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, server_uuid: str, id_or_uuid: str
    ) -> None:
        query = self.query(req)
        for given, missing in (("wait", "since"), ("since", "wait")):
            if given in query and missing not in query:
                raise exception.BadRequest(missing, f"must be given with {given}")
        if query:
            self._wait(req, server_uuid, id_or_uuid, **query)
        migration = self.find(req, resp, server_uuid, id_or_uuid)
        if migration is not None:
            resp.media = {"migration": self._view(req, migration)}

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, server_uuid: str, id_or_uuid: str
    ) -> None:
        """Abort the migration."""
        self._act(req, resp, server_uuid, id_or_uuid, Action.ABORT)

    def _wait(
        self, req: falcon.Request, server_uuid: str, id_or_uuid: str, wait: int, since: int
    ) -> None:
        project = req.context.access.only_project()

        def has_changed() -> bool:
            version = objects.ResourceVersion.get(
                self.parts.store, server_uuid, id_or_uuid, project_id=project
            )
            return version.sequence > since or not version.in_progress

        self.parts.long_polls.until(req, has_changed, wait)


class MigrationAction(OfMigrations):
    """Force a migration to complete."""

    RULES: ClassVar[Rules] = {"POST": policies.migrations.FORCE_COMPLETE}
    BODY = schemas.ACTION
    # The resource cannot be read.
    on_head = None  # type: ignore[assignment]

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, server_uuid: str, id_or_uuid: str
    ) -> None:
        """Force the migration to complete, the only action there is."""
        asked = {Action.FORCE_COMPLETE.value: None}
        if bodies.read(req, falcon.MEDIA_JSON) != asked:
            raise exception.BadBody(f"must be {json.dumps(asked)}")
        self._act(req, resp, server_uuid, id_or_uuid, Action.FORCE_COMPLETE)


class History(OfMigrations):
    """Earlier figures of a migration."""

    RULES: ClassVar[Rules] = {"GET": policies.migrations.HISTORY}
    ANSWER = response_schemas.HISTORY

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, server_uuid: str, id_or_uuid: str
    ) -> None:
        self.query(req)
        migration = self.find(req, resp, server_uuid, id_or_uuid)
        if migration is not None:
            points = objects.Point.list(self.parts.store, migration)
            resp.media = {"history": [views.point(point) for point in points]}
