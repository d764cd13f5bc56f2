# SPDX-License-Identifier: Apache-2.0
"""``/servers/{id}/migrations``: a server's live migrations in progress, and actions on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import falcon
from microversion_parse import Version

from migprog import exception, objects
from migprog.api import conditional
from migprog.api.access import Access, Rules
from migprog.api.nova import response_schemas, schemas, views
from migprog.api.nova.resource import Resource, require
from migprog.api.nova.servers import check_id, known
from migprog.core.actions import Action
from migprog.core.status import Status
from migprog.policies import nova as rules

_Kind = TypeVar("_Kind", objects.Migration, objects.ResourceVersion)
# With [nova], older reports are not shown: Nova's own figures are newer.
_FRESH_SECONDS = 15.0

V2_22, V2_23, V2_24 = Version(2, 22), Version(2, 23), Version(2, 24)


@dataclass(frozen=True, slots=True)
class Step:
    """An action on a migration: Nova's names for it in errors, and the error for a migration that
    does not exist."""

    of_server: str
    of_migration: str
    absent: Callable[..., falcon.HTTPError]
    # Nova also aborts queued and preparing migrations, which libvirt and migprog do not know.
    possible_in: frozenset[Status] = frozenset({Status.RUNNING})


FORCE_COMPLETE = Step(Action.FORCE_COMPLETE.value, "force complete", falcon.HTTPBadRequest)
ABORT = Step("abort live migration", "abort live migration", falcon.HTTPNotFound)


class _OfServer(Resource):
    def named(self, migration: objects.Migration) -> objects.Migration:
        return views.named(migration, self.parts.nova_names)

    def speaks_for_nova(self, found: objects.Migration | objects.ResourceVersion) -> bool:
        """Return whether Nova would show the same migration in progress, with older figures.

        Only Nova knows what became of a migration whose source is silent, or whose server has left
        the source.
        """
        age_seconds = (self.parts.clock() - found.last_reported_at).total_seconds()
        if found.status is Status.POST_MIGRATING or age_seconds > _FRESH_SECONDS:
            return False
        if isinstance(found, objects.ResourceVersion):
            return True
        return found.nova_record is not None and found.nova_record.is_alone

    def _find(self, server_id: str, number: str, access: Access, kind: type[_Kind]) -> _Kind | None:
        """Return a migration by its number; as in Nova, its UUID is not accepted in a path."""
        if not (number.isascii() and number.isdigit()):
            return None
        try:
            return kind.get(
                self.parts.store,
                server_id,
                number,
                project_id=access.only_project(),
                named_in_nova=self.parts.nova_names,
            )
        except exception.NotFound:
            return None

    def _ready_for(
        self, step: Step, server_id: str, number: str, access: Access
    ) -> objects.Migration:
        """Return the migration if the action is possible now.

        Raises :class:`falcon.HTTPError`, for the first of the reasons in Nova's order.
        """
        if not known(self.parts, server_id, access).migrates:
            raise falcon.HTTPConflict(
                description=f"Instance {server_id} is in an invalid state for '{step.of_server}'"
            )
        migration = self._find(server_id, number, access, objects.Migration)
        if migration is None:
            raise step.absent(
                description=f"Migration {number[:64]} not found for instance {server_id}"
            )
        if migration.status not in step.possible_in:
            status = views.status(migration.status)
            raise falcon.HTTPBadRequest(
                description=f"Migration {number} state of instance {server_id} is {status}. "
                f"Cannot {step.of_migration} while the migration is in this state."
            )
        return migration


class Migrations(_OfServer):
    """A server's migrations in progress."""

    RULES: ClassVar[Rules] = {"GET": rules.MIGRATIONS_INDEX}
    SINCE: ClassVar = {"GET": V2_23}
    QUERY = schemas.MIGRATIONS
    ANSWER = response_schemas.SERVER_MIGRATIONS

    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        self.QUERY.read(req.query_string, req.context.version)
        access = req.context.access
        version, hosts = req.context.version, access.may(rules.MIGRATIONS_HOST)

        def find(kind: type[_Kind]) -> list[_Kind]:
            found = kind.list(
                self.parts.store,
                server_uuid=check_id(server_id),
                project_id=access.only_project(),
                in_progress=True,
                limit=self.parts.max_limit,
            )
            if not found:
                known(self.parts, server_id, access)
            if self.parts.nova_names:
                self._check_complete(found, server_id)
            return found

        found = conditional.migrations(req, resp, self.parts, find, version, hosts)
        if found is not None:
            resp.media = {
                "migrations": [
                    views.server_migration(self.named(each), version, hosts) for each in found
                ]
            }

    def _check_complete(self, found: Sequence[_Kind], server_id: str) -> None:
        """Raise :class:`falcon.HTTPNotFound` if Nova may list migrations that migprog does not.

        Nova does while it prepares a migration, after libvirt has ended one, if it has another one
        that it has not ended, and while migprog does not know its id of a migration. A proxy asks
        Nova next. ``found`` may be resource versions: what else is checked of a migration changes
        only with its resource version.
        """
        if not found or not all(self.speaks_for_nova(each) for each in found):
            raise falcon.HTTPNotFound(
                description=f"Nova may know more of the migrations of instance {server_id}."
            )


class Migration(_OfServer):
    """A migration in progress."""

    RULES: ClassVar[Rules] = {"GET": rules.MIGRATIONS_SHOW, "DELETE": rules.MIGRATIONS_DELETE}
    SINCE: ClassVar = {"GET": V2_23, "DELETE": V2_24}
    QUERY = schemas.MIGRATIONS
    ANSWER = response_schemas.SERVER_MIGRATION

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, server_id: str, number: str
    ) -> None:
        self.QUERY.read(req.query_string, req.context.version)
        access = req.context.access
        version, hosts = req.context.version, access.may(rules.MIGRATIONS_HOST)
        found = conditional.migrations(
            req,
            resp,
            self.parts,
            lambda kind: [self._in_progress(server_id, number, access, kind)],
            *(version, hosts),
        )
        if found is not None:
            resp.media = {"migration": views.server_migration(self.named(found[0]), version, hosts)}

    def _in_progress(self, server_id: str, number: str, access: Access, kind: type[_Kind]) -> _Kind:
        """Return a migration in progress. Raises :class:`falcon.HTTPNotFound`."""
        migration = self._find(check_id(server_id), number, access, kind)
        if migration is None:
            known(self.parts, server_id, access)
            raise falcon.HTTPNotFound(
                description=f"In-progress live migration {number[:64]} is not found for server "
                f"{server_id}."
            )
        if not migration.in_progress or (
            self.parts.nova_names and not self.speaks_for_nova(migration)
        ):
            raise falcon.HTTPNotFound(
                description=f"Live migration {number} for server {server_id} is not in progress."
            )
        return migration

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, server_id: str, number: str
    ) -> None:
        """Abort the migration."""
        migration = self._ready_for(ABORT, server_id, number, req.context.access)
        self.parts.actions.ask(req.context.user, Action.ABORT, migration)
        resp.status = falcon.HTTP_ACCEPTED


class MigrationAction(_OfServer):
    """Force a migration to complete."""

    RULES: ClassVar[Rules] = {"POST": rules.MIGRATIONS_FORCE_COMPLETE}
    BODY = schemas.ACTION

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, server_id: str, number: str
    ) -> None:
        """Force the migration to complete, the only action there is."""
        body = schemas.action(req)
        # As in Nova, a malformed body is reported in every version.
        require(req, V2_22)
        schemas.check_action(body)
        migration = self._ready_for(FORCE_COMPLETE, server_id, number, req.context.access)
        self.parts.actions.ask(req.context.user, Action.FORCE_COMPLETE, migration)
        resp.status = falcon.HTTP_ACCEPTED
