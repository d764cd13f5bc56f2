# SPDX-License-Identifier: Apache-2.0
"""The action ``migprog_migrate`` (entry point ``watcher_actions``)."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from oslo_config import cfg
from watcher.applier.actions import base
from watcher.common import exception

from migprog.cli.record import Record
from migprog.watcher import waiting
from migprog.watcher.services import NovaError, Services
from migprog.watcher.waiting import Kind, Outcome, Patience, Seen

LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
# Before Watcher 2026.1 an action cannot be skipped.
_SKIPPED = getattr(exception, "ActionSkipped", exception.ActionExecutionFailure)
# How long the end of a migration that is aborted is waited for.
_ABORT_SECONDS = 600.0
_UUID = "^[a-fA-F0-9]{8}(-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}$"
_HOST = {"type": ["string", "null"], "minLength": 1, "maxLength": 255}


class MigprogMigrate(base.BaseAction):
    """Live-migrates a server through Nova, and waits until the migration has ended.

    It takes the parameters of Watcher's ``migrate``, and ``give_up_after_seconds``. Its failure
    has the reason by migprog's verdict.
    """

    @classmethod
    def get_config_opts(cls) -> list[cfg.Opt]:
        return [
            cfg.StrOpt(
                "interface",
                default="public",
                help="Interface of the endpoints of Nova and migprog in Keystone's catalog.",
            ),
            cfg.StrOpt("region_name", help="Region of these endpoints."),
            cfg.StrOpt(
                "endpoint_override", help="Address of migprog's API, instead of the catalog's."
            ),
            cfg.FloatOpt(
                "poll_interval",
                default=5.0,
                min=0.1,
                help="Seconds between two looks at a migration.",
            ),
            cfg.FloatOpt(
                "start_timeout",
                default=120.0,
                min=0,
                help="Seconds that a migration may take to begin; 0: no limit.",
            ),
            cfg.FloatOpt(
                "give_up_after",
                default=0.0,
                min=0,
                help="Ask Nova to abort a migration after its verdict was not-converging, stalled "
                "or post-copy-paused for so many seconds without a break; 0: never. In post-copy "
                "Nova refuses, and the action fails. An action's give_up_after_seconds overrides "
                "this.",
            ),
            cfg.FloatOpt(
                "timeout",
                default=0.0,
                min=0,
                help="Seconds after which a migration is aborted whatever its verdict; 0: never.",
            ),
        ]

    @property
    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "resource_id": {"type": "string", "pattern": _UUID},
                "resource_name": {"type": "string"},
                "migration_type": {"const": "live"},
                "source_node": _HOST,
                "destination_node": _HOST,
                "give_up_after_seconds": {"type": "number", "minimum": 0},
            },
            "required": ["resource_id"],
            "additionalProperties": False,
        }

    def get_description(self) -> str:
        return "Live-migrate a server and wait by migprog's verdict until the migration has ended"

    def check_abort(self) -> bool:
        return True

    def pre_condition(self) -> None:
        """Skip a server that is not there any more, or not at its source; refuse one that cannot be
        live-migrated."""
        server = self._of_nova(self._services().server)
        if server is None:
            raise _SKIPPED(f"server {self.resource_id} is not known to Nova")
        host, source = server.get("OS-EXT-SRV-ATTR:host"), self._parameter("source_node")
        if source is not None and host != source:
            raise _SKIPPED(f"server {self.resource_id} is on {host}, not on {source}")
        if server["status"] not in ("ACTIVE", "PAUSED"):
            self._fail(f"its status is {server['status']}: must be ACTIVE or PAUSED")
        if server.get("OS-EXT-STS:task_state"):
            self._fail(f"its task_state is {server['OS-EXT-STS:task_state']}: must be none")

    def execute(self) -> bool:
        return self._migrate(self._parameter("destination_node"))

    def revert(self) -> bool:
        """Migrate the server back to its source, if that is known and it is elsewhere."""
        source = self._parameter("source_node")
        if source is None or self._of_nova(self._services().host) == source:
            return True
        return self._migrate(source)

    def post_condition(self) -> None:
        """Do nothing: :meth:`execute` has seen the end."""

    def abort(self) -> bool:
        """Abort the migration in progress; return whether the server has stayed at its source."""
        services = self._services()
        its, record = self._of_nova(services.migration), services.record()
        if its is None or not services.abort():
            return False
        newest = _newest(services, record)
        before = newest - 1 if record is not None and record.get("in_progress") else newest
        outcome = self._wait(
            services, its["id"] - 1, before, Patience(total_seconds=_ABORT_SECONDS)
        )
        LOG.info("server %s: abort requested: %s", self.resource_id, outcome.message)
        return outcome.kind is Kind.FAILED

    def _migrate(self, destination: str | None) -> bool:
        services = self._services()
        # What is newer than these is the migration that is requested now.
        its, record = self._of_nova(services.migration), services.record()
        nova_before, before = 0 if its is None else its["id"], _newest(services, record)
        self._of_nova(lambda: services.migrate(destination))
        outcome = self._wait(services, nova_before, before, self._patience())
        if outcome.kind is Kind.GIVEN_UP:
            outcome = self._give_up(services, nova_before, before, outcome)
        if outcome.kind is not Kind.COMPLETED:
            self._fail(outcome.message)
        LOG.info("server %s: its live migration has %s", self.resource_id, outcome.message)
        return True

    def _give_up(
        self, services: Services, nova_before: int, before: float, why: Outcome
    ) -> Outcome:
        """Abort the migration; it may complete all the same."""
        LOG.warning(
            "server %s: giving up its migration: %s; asking Nova to abort it",
            *(self.resource_id, why.message),
        )
        said = "aborted" if services.abort() else "Nova does not abort it"
        ended = self._wait(services, nova_before, before, Patience(total_seconds=_ABORT_SECONDS))
        if ended.kind is Kind.COMPLETED:
            return ended
        return Outcome(Kind.FAILED, f"given up, {said}: {why.message}; {ended.message}")

    def _wait(
        self, services: Services, nova_before: int, before: float, patience: Patience
    ) -> Outcome:
        """Wait for the end of the migration that is newer than those with these ids, Nova's and
        migprog's."""
        began = trouble_since = time.monotonic()
        while True:
            # Nova first: else it may show the end of a migration whose record was not there yet.
            status = self._status(services, nova_before)
            record = services.record()
            if record is not None and record["id"] <= before:
                record = None
            now = time.monotonic()
            if not waiting.is_in_trouble(record):
                trouble_since = now
            seen = Seen(now - began, record, status, now - trouble_since)
            outcome = waiting.decide(seen, patience)
            if outcome is not None:
                return outcome
            time.sleep(self.config.poll_interval)

    @staticmethod
    def _status(services: Services, before: int) -> str | None:
        """Return the status of Nova's migration; None while there is none, or Nova is away."""
        try:
            its = services.migration()
        except NovaError as error:
            LOG.debug("Nova's migration is not known now: %s", error)
            return None
        return None if its is None or its["id"] <= before else its["status"]

    def _patience(self) -> Patience:
        give_up = self._parameter("give_up_after_seconds")
        config = self.config
        return Patience(
            start_seconds=config.start_timeout,
            trouble_seconds=config.give_up_after if give_up is None else give_up,
            total_seconds=config.timeout,
        )

    def _services(self) -> Services:
        config = self.config
        return Services(
            self.osc.session,
            self.resource_id,
            interface=config.interface,
            region_name=config.region_name,
            endpoint_override=config.endpoint_override,
        )

    def _parameter(self, name: str) -> Any:
        return self.input_parameters.get(name)

    def _of_nova(self, ask: Callable[[], _T]) -> _T:
        try:
            return ask()
        except NovaError as error:
            self._fail(str(error))

    def _fail(self, why: str) -> NoReturn:
        raise exception.ActionExecutionFailure(f"live migration of {self.resource_id}: {why}")


def _newest(services: Services, record: Record | None) -> float:
    """Return the id of the server's newest record; where it is not known, one beyond all: then only
    Nova's record says which migration is the one that is requested."""
    if not services.knows_records:
        return math.inf
    return 0 if record is None else record["id"]
