# SPDX-License-Identifier: Apache-2.0
"""``migprog-status``: check the configuration and everything that the services depend on."""

from migprog import concurrency

concurrency.prefer_threads()

import functools  # noqa: E402
import importlib  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from typing import Any  # noqa: E402

from oslo_config import cfg  # noqa: E402
from oslo_upgradecheck import upgradecheck  # noqa: E402
from oslo_upgradecheck.upgradecheck import Code, Result  # noqa: E402

from migprog import conf, exception  # noqa: E402
from migprog.cmd import checks, nova_conf  # noqa: E402
from migprog.conf.api import KEYSTONE  # noqa: E402
from migprog.version import RELEASE  # noqa: E402

_DESCRIPTION = (
    "Check everything that the processes of this machine will use, with their configuration: "
    "migprog-status upgrade check. Exit status: 0: success; 1: warnings; 2: failures; 255: the "
    "configuration cannot be read."
)
COMPUTE, CONDUCTOR, API = "migprog-compute", "migprog-conductor", "migprog-api"
_CLI_OPTS = [
    cfg.MultiOpt(
        "process",
        item_type=cfg.types.String(choices=[COMPUTE, CONDUCTOR, API]),
        metavar="NAME",
        help="Check what this process needs; may be given several times. Default: "
        f"{CONDUCTOR} and {API} where [database] connection is set, {COMPUTE} elsewhere.",
    )
]


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


def _quiet() -> None:
    """Silence the libraries' logs and warnings: what matters is in the table of results."""
    # Also those through handlers that libraries set up when they were imported.
    logging.disable()
    warnings.simplefilter("ignore")


class _Described:
    """A configuration whose ``--help`` says what the command does; oslo.upgradecheck passes none
    of this to oslo.config."""

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._config = config

    def __call__(self, **arguments: Any) -> None:
        self._config(**arguments, prog="migprog-status", version=RELEASE, description=_DESCRIPTION)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit status as of other services' checks: 0 all is well, 1 warnings, 2
    failures, 255 no check could run."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    config: Any = cfg.CONF
    conf.register(config)
    config.register_cli_opts(_CLI_OPTS)
    _quiet()
    try:
        status: int = upgradecheck.main(_Described(config), "migprog", Checks(config), arguments)
    except (cfg.Error, ValueError, OSError) as error:
        sys.stderr.write(f"migprog-status: {conf.why_unread(error, arguments)}\n")
        return 255
    sys.stdout.flush()
    sys.stderr.flush()
    # Neither a hanging check nor the libraries' clean-up may delay the exit.
    os._exit(status)
