# SPDX-License-Identifier: Apache-2.0
"""``migprog-status``: check the configuration and everything that the services depend on."""

from migprog import concurrency

concurrency.prefer_threads()

import functools  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from typing import Any  # noqa: E402

from oslo_config import cfg  # noqa: E402
from oslo_upgradecheck import upgradecheck  # noqa: E402
from oslo_upgradecheck.upgradecheck import Code, Result  # noqa: E402
from pbr.version import SemanticVersion  # noqa: E402

from migprog import conf, exception, objects  # noqa: E402
from migprog.cmd import checks, nova_conf  # noqa: E402
from migprog.conf.api import KEYSTONE  # noqa: E402
from migprog.db import engine, schema  # noqa: E402
from migprog.version import RELEASE  # noqa: E402

# Of more hosts only the number is printed.
_NAMED_HOSTS = 5


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
                ("database tables", (CONDUCTOR, API), self._tables),
                ("database rights", (CONDUCTOR,), self._rights),
                ("Keystone", (API,), self._keystone),
                ("Nova", (CONDUCTOR,), self._nova),
                ("libvirt", (COMPUTE,), self._libvirt),
                ("state directory", (COMPUTE,), self._state_dir),
                ("nova-compute and steering", (COMPUTE,), self._nova_compute),
                ("agents", (CONDUCTOR, API), self._agents),
                ("database credentials", (CONDUCTOR, API), self._credentials),
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
        engine.register_opts(self._conf)
        try:
            return bool(self._conf.database.connection)
        except (ValueError, cfg.Error):
            return True

    def _users_of_broker(self) -> tuple[str, ...]:
        try:
            return (
                (COMPUTE, CONDUCTOR, API)
                if self._conf.api.allow_actions
                else (
                    COMPUTE,
                    CONDUCTOR,
                )
            )
        except (ValueError, cfg.Error):
            return (COMPUTE, CONDUCTOR, API)

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

    def _broker(self) -> str:
        return checks.broker(self._conf, needs_conductor=self._processes() == [COMPUTE])

    def _rights(self) -> str:
        return checks.may_write(self._store())

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

    def _tables(self) -> Result:
        store = engine.connect(self._conf)
        try:
            found = schema.version(store)
        except engine.Unavailable as error:
            raise exception.MigprogError(
                f"[database] connection: {store.where}: {error.why}"
            ) from error
        head = schema.head()
        match schema.age(found):
            case schema.Age.NONE:
                return Result(
                    Code.FAILURE,
                    f"no tables in {store.where}, so conductor and API cannot start: run "
                    "migprog-manage db sync",
                )
            case schema.Age.OLDER:
                return Result(
                    Code.FAILURE,
                    f"the tables are at version {found}, this program needs {head}: run "
                    "migprog-manage db sync; older services can keep running meanwhile",
                )
            case schema.Age.NEWER:
                return Result(
                    Code.WARNING,
                    f"the tables are at version {found}, newer than this program's {head}: they "
                    "can be used, but upgrade this program as well",
                )
        return Result(Code.SUCCESS, f"version {found} in {store.where}")

    def _store(self) -> objects.Store:
        """Return the database if it has tables; the check of the tables says what to do if not."""
        store = engine.connect(self._conf)
        if schema.version(store) is None:
            raise checks.Warned(
                "not checked: the database has no tables; run migprog-manage db sync"
            )
        return store

    def _agents(self) -> Result:
        agents = list(objects.Agent.every(self._store()))
        return judge_agents(agents, RELEASE, datetime.now(UTC))

    def _credentials(self) -> Result:
        store = self._store()
        if store.engine.dialect.name == "sqlite":
            return Result(Code.SUCCESS, "SQLite has none")
        here = {socket.gethostname(), socket.getfqdn()}
        agents = objects.Agent.every(store)
        return judge_credentials([a for a in agents if {a.host, a.node} & here])


def judge_agents(agents: Sequence[objects.Agent], ours: str, now: datetime) -> Result:
    """Return whether agents have another version than ``ours``, or are silent."""
    if not agents:
        return Result(Code.SUCCESS, "no agent has reported yet")
    silent = [agent for agent in agents if agent.is_silent(now)]
    others = [agent for agent in agents if agent.version != ours]
    older = [agent for agent in others if _is_older(agent.version, ours)]
    newer = [agent for agent in others if agent not in older]
    wrong = [
        f"{len(which)} of {len(agents)} {what}: {_named(which)}; {then}"
        for which, what, then in (
            (silent, "silent", "check these agents; migprog-manage db purge deletes old ones"),
            (older, f"older than {ours}", "upgrade them, after the conductors"),
            (newer, f"not of {ours}, and not older", "upgrade the conductors first"),
        )
        if which
    ]
    if wrong:
        return Result(Code.WARNING, ". ".join(wrong))
    return Result(Code.SUCCESS, f"{len(agents)}, none silent, all of version {ours}")


def judge_credentials(agents_here: Sequence[objects.Agent]) -> Result:
    """Return whether agents run on this machine, whose configuration has a database."""
    if not agents_here:
        return Result(Code.SUCCESS, "no agent reports from this machine")
    return Result(
        Code.WARNING,
        f"this machine is a hypervisor, {_named(agents_here)}, and [database] connection is set: "
        "a guest that breaks out of its server could read it. The agent does not need it; if this "
        "is also a controller, give the agent a configuration file of its own",
    )


def _is_older(version: str, than: str) -> bool:
    try:
        older: bool = SemanticVersion.from_pip_string(version) < SemanticVersion.from_pip_string(
            than
        )
    except ValueError:
        return False
    return older


def _named(agents: Sequence[objects.Agent]) -> str:
    names = [f"{agent.host} ({agent.version})" for agent in agents[:_NAMED_HOSTS]]
    more = len(agents) - len(names)
    return ", ".join([*names, *([f"{more} more"] if more else [])])


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
