# SPDX-License-Identifier: Apache-2.0
"""Nova and migprog, asked with Watcher's Keystone session. Every call has a deadline."""

import logging
from typing import Any
from urllib import parse

from keystoneauth1 import adapter, exceptions
from keystoneauth1.session import Session

from migprog import SERVICE_TYPE
from migprog.cli import client
from migprog.cli.errors import ApiRefused, ApiUnavailable
from migprog.cli.record import Record

LOG = logging.getLogger(__name__)
# The first without "force"; it has UUIDs of migrations, too.
_MICROVERSION = "2.68"
_TIMEOUT_SECONDS = 60.0
_IN_PROGRESS = frozenset({"queued", "preparing", "running", "post-migrating"})
_MOST_MIGRATIONS = 20


class NovaError(Exception):
    """Nova refused a request, or did not answer."""


class Services:
    """Nova and migprog, about one server."""

    def __init__(
        self,
        session: Session,
        server_uuid: str,
        *,
        interface: str,
        region_name: str | None,
        endpoint_override: str | None,
    ) -> None:
        where: dict[str, Any] = {"interface": interface, "region_name": region_name}
        self._server = parse.quote(server_uuid, safe="")
        self._nova = adapter.Adapter(
            session, service_type="compute", default_microversion=_MICROVERSION, **where
        )
        self._migprog = client.Client(
            adapter.Adapter(
                session,
                service_type=SERVICE_TYPE,
                endpoint_override=endpoint_override,
                **where,
            ),
            deadline_seconds=_TIMEOUT_SECONDS,
        )
        self._server_uuid = server_uuid
        # Whether migprog has answered the latest request.
        self.knows_records = True

    def server(self) -> dict[str, Any] | None:
        """Return Nova's record of the server; None if there is none. Raises :class:`NovaError`."""
        try:
            found: dict[str, Any] = self._ask("GET", f"/servers/{self._server}").json()["server"]
        except exceptions.NotFound:
            return None
        return found

    def host(self) -> str | None:
        """Return where Nova has the server now. Raises :class:`NovaError`."""
        return (self.server() or {}).get("OS-EXT-SRV-ATTR:host")

    def migrate(self, host: str | None) -> None:
        """Request a live migration, to the host that the scheduler chooses if it is None. Raises
        :class:`NovaError`."""
        body = {"os-migrateLive": {"host": host, "block_migration": "auto"}}
        self._ask("POST", f"/servers/{self._server}/action", json=body)

    def migration(self) -> dict[str, Any] | None:
        """Return Nova's newest live migration of the server. Raises :class:`NovaError`."""
        query = {
            "instance_uuid": self._server_uuid,
            "migration_type": "live-migration",
            "limit": _MOST_MIGRATIONS,
        }
        found = self._ask("GET", f"/os-migrations?{parse.urlencode(query)}").json()["migrations"]
        newest: dict[str, Any] | None = max(found, key=lambda each: each["id"], default=None)
        return newest

    def abort(self) -> bool:
        """Ask Nova to abort the migration in progress; return whether it has accepted."""
        try:
            its = self.migration()
            if its is None or its["status"] not in _IN_PROGRESS:
                return False
            self._ask("DELETE", f"/servers/{self._server}/migrations/{its['id']}")
        except (NovaError, exceptions.NotFound) as error:
            LOG.warning(
                "server %s: its migration is not aborted and may go on: %s; abort it in Nova if it "
                "must not complete",
                *(self._server_uuid, error),
            )
            return False
        return True

    def record(self) -> Record | None:
        """Return migprog's newest migration of the server; None if it knows none, or does not
        answer, which is logged."""
        try:
            found = self._migprog.newest(self._server_uuid)
        except (ApiUnavailable, ApiRefused) as error:
            if self.knows_records:
                LOG.warning(
                    "server %s: migprog does not answer: %s; waiting by Nova's record until it "
                    "does; check the endpoint of the service type migration-progress",
                    *(self._server_uuid, error),
                )
            self.knows_records = False
            return None
        self.knows_records = True
        return found

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            return self._nova.request(path, method, timeout=_TIMEOUT_SECONDS, **options)
        except exceptions.NotFound:
            if method == "POST":
                raise NovaError("Nova has no such server") from None
            raise
        except exceptions.ClientException as error:
            raise NovaError(f"Nova: {_why(error)}") from error
        except (OSError, ValueError) as error:
            raise NovaError(f"Nova: {type(error).__name__}: {error}") from error


def _why(error: Exception) -> str:
    """Return the message in Nova's answer: {"badRequest": {"code": 400, "message": "..."}}."""
    try:
        (its,) = error.response.json().values()  # type: ignore[attr-defined]
        return str(its["message"])
    except (AttributeError, LookupError, TypeError, ValueError):
        return str(error)
