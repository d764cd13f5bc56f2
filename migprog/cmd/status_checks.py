# SPDX-License-Identifier: Apache-2.0
"""The table of ``migprog-status upgrade check``: which processes need what.

It imports all that is checked, so it is imported once a check begins.
"""

import functools
import importlib
from collections.abc import Callable, Sequence

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from migprog import conf, exception
from migprog.cmd import checks, nova_conf
from migprog.cmd.status import API, COMPUTE, CONDUCTOR
from migprog.conf.api import KEYSTONE


class Checks(upgradecheck.UpgradeCommands):
    """The checks of ``migprog-status upgrade check``: they try what the processes of this machine
    will use, with this configuration.

    Each method returns a result, or raises a :class:`exception.MigprogError`: that is a failure
    with the error's text.
    """

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._conf = config

    def check(self) -> Code:
        """Run the checks for the selected processes."""
        processes = self._processes()
        self._upgrade_checks = tuple(
            (name, functools.partial(self._result, check, sorted(set(who) & set(processes))))
            for name, who, check in (
                ("configuration", (COMPUTE, CONDUCTOR, API), self._configuration),
                ("message broker", self._users_of_broker(), self._broker),
                ("notifications", self._users_of_broker(without=COMPUTE), self._notifications),
                ("database tables", (CONDUCTOR, API), self._of_store("tables")),
                ("database rights", (CONDUCTOR,), self._of_store("may_write")),
                ("Keystone", (API,), self._keystone),
                ("Nova", (CONDUCTOR,), self._nova),
                ("libvirt", (COMPUTE,), self._libvirt),
                ("state directory", (COMPUTE,), self._state_dir),
                ("nova-compute and steering", (COMPUTE,), self._nova_compute),
                ("agents", (CONDUCTOR, API), self._of_store("agents")),
                ("database credentials", (CONDUCTOR, API), self._of_store("credentials")),
            )
            if set(who) & set(processes)
        )
        return super().check()

    def _processes(self) -> list[str]:
        asked: list[str] = self._conf.process or []
        if asked:
            return asked
        return [CONDUCTOR, API] if self._has_database() else [COMPUTE]

    def _has_database(self) -> bool:
        try:
            connections = importlib.import_module("migprog.db.connections")
        except ImportError:
            # An environment of hypervisors: nothing that needs a database can run in it.
            return False
        connections.register_opts(self._conf)
        try:
            return bool(self._conf.database.connection)
        except (ValueError, cfg.Error):
            return True

    def _users_of_broker(self, without: str | None = None) -> tuple[str, ...]:
        try:
            asks_agents = self._conf.api.allow_actions or self._conf.api.allow_measurements
            users = [COMPUTE, CONDUCTOR, *([API] if asks_agents else [])]
        except (ValueError, cfg.Error):
            users = [COMPUTE, CONDUCTOR, API]
        return tuple(each for each in users if each != without)

    def _result(
        self, check: Callable[[], Result | str | None], who: Sequence[str], _self: object
    ) -> Result:
        """Return the result of a check with a deadline; problems name the processes affected."""
        needed = f" [needed by {', '.join(who)}]"

        def explained() -> Result | str | None:
            with conf.references_explained(self._conf):
                return check()

        try:
            found = checks.within_deadline(explained)
        except checks.Warned as error:
            return Result(Code.WARNING, f"{error}{needed}")
        except exception.MigprogError as error:
            return Result(Code.FAILURE, f"{error}{needed}")
        if isinstance(found, Result):
            details = f"{found.details}{needed}" if found.details else found.details
            return Result(found.code, details if found.code != Code.SUCCESS else found.details)
        return Result(Code.SUCCESS, found)

    def _configuration(self) -> Result:
        conf.validate(self._conf)
        unknown = conf.unknown_options(self._conf)
        if unknown:
            return Result(
                Code.WARNING,
                f"unknown options, ignored; check their spelling: {', '.join(unknown)}",
            )
        return Result(Code.SUCCESS, f"for {', '.join(self._processes())}")

    def _notifications(self) -> str:
        return checks.notifications(self._conf)

    def _broker(self) -> str:
        return checks.broker(self._conf, needs_conductor=self._processes() == [COMPUTE])

    def _of_store(self, name: str) -> Callable[[], Result | str]:
        """Return the check of that name in :mod:`migprog.cmd.store_checks`."""

        def check() -> Result | str:
            # Imported only when needed: hypervisors do not have what it imports.
            store_checks = importlib.import_module("migprog.cmd.store_checks")
            result: Result | str = getattr(store_checks, name)(self._conf)
            return result

        return check

    def _keystone(self) -> str:
        if self._conf.api.auth_strategy != KEYSTONE:
            return f"not used: [api] auth_strategy is {self._conf.api.auth_strategy}"
        return checks.keystone(self._conf)

    def _nova(self) -> str:
        return checks.nova(self._conf) or "not used: [nova] auth_type is not set"

    def _libvirt(self) -> str:
        return checks.libvirt(self._conf)

    def _state_dir(self) -> str:
        return checks.state_path(self._conf)

    def _nova_compute(self) -> str:
        return nova_conf.check(self._conf)
