# SPDX-License-Identifier: Apache-2.0
"""migprog-status: what is wrong, before it hurts."""

import socket
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result
from pbr.version import SemanticVersion

from migprog import conf, exception, objects, rpc
from migprog.db import api, schema
from migprog.version import version_info

# Of more hosts their number is told.
_NAMED_HOSTS = 5


class Checks(upgradecheck.UpgradeCommands):
    """What ``migprog-status upgrade check`` looks at, where a conductor or an API is to run.

    Each is a method that may raise one of our errors: that is a failure, in the error's words.
    """

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._conf = config

    def _configuration(self) -> Result:
        conf.validate(self._conf)
        return Result(Code.SUCCESS)

    def _broker(self) -> Result:
        rpc.check(self._conf)
        return Result(Code.SUCCESS)

    def _tables(self) -> Result:
        found = schema.version(api.connect(self._conf))
        head = schema.head()
        match schema.age(found):
            case schema.Age.NONE:
                return Result(Code.FAILURE, "there are no tables: run migprog-manage db sync")
            case schema.Age.OLDER:
                return Result(
                    Code.FAILURE,
                    f"the tables are of version {found}, this program needs {head}: run "
                    "migprog-manage db sync; services of before can go on meanwhile",
                )
            case schema.Age.NEWER:
                return Result(
                    Code.WARNING,
                    f"the tables are of version {found}, newer than this program, which is of "
                    f"{head}: they serve, but it is to be upgraded as the others were",
                )
        return Result(Code.SUCCESS, f"version {found}")

    def _agents(self) -> Result:
        agents = list(objects.Agent.every(api.connect(self._conf)))
        return judge_agents(agents, version_info.version_string(), datetime.now(UTC))

    def _credentials(self) -> Result:
        store = api.connect(self._conf)
        if store.engine.dialect.name == "sqlite":
            return Result(Code.SUCCESS)
        here = {socket.gethostname(), socket.getfqdn()}
        agents = objects.Agent.every(store)
        return judge_credentials([a for a in agents if {a.host, a.node} & here])

    _upgrade_checks = (
        ("configuration", lambda checks: _told(checks._configuration)),
        ("message broker", lambda checks: _told(checks._broker)),
        ("database tables", lambda checks: _told(checks._tables)),
        ("agents", lambda checks: _told(checks._agents)),
        ("database credentials", lambda checks: _told(checks._credentials)),
    )


def judge_agents(agents: Sequence[objects.Agent], ours: str, now: datetime) -> Result:
    """Of agents of another version than ``ours``, and of silent ones."""
    if not agents:
        return Result(Code.SUCCESS, "none has told of itself yet")
    silent = [agent for agent in agents if agent.is_silent(now)]
    others = [agent for agent in agents if agent.version != ours]
    older = [agent for agent in others if _is_older(agent.version, ours)]
    newer = [agent for agent in others if agent not in older]
    wrong = [
        f"{len(which)} of {len(agents)} {what}: {_named(which)}; {then}"
        for which, what, then in (
            (silent, "not heard of", "look after them, or migprog-manage db purge forgets them"),
            (older, f"older than {ours}", "upgrade them, after the conductors"),
            (newer, f"not of {ours}, and not older", "upgrade the conductors first"),
        )
        if which
    ]
    if wrong:
        return Result(Code.WARNING, ". ".join(wrong))
    return Result(Code.SUCCESS, f"{len(agents)}, all heard of, all of version {ours}")


def judge_credentials(agents_here: Sequence[objects.Agent]) -> Result:
    """Of the agents on this very machine, whose configuration has a database."""
    if not agents_here:
        return Result(Code.SUCCESS)
    return Result(
        Code.WARNING,
        f"this machine is a hypervisor, {_named(agents_here)}, and [database] connection is set: "
        "whoever breaks out of a server may read it. The agent needs none; if it is a controller "
        "too, let the agent have a configuration file of its own",
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


def _told(check: Callable[[], Result]) -> Result:
    try:
        return check()
    except exception.MigprogError as error:
        return Result(Code.FAILURE, str(error))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status as that of other services' checks: 0 all is well, 1 there are warnings, 2 there
    are failures, 255 nothing could be looked at."""
    config: Any = cfg.CONF
    conf.register(config)
    try:
        status: int = upgradecheck.main(
            config, "migprog", Checks(config), list(sys.argv[1:] if argv is None else argv)
        )
    except (cfg.ConfigFilesNotFoundError, cfg.ConfigFileParseError, ValueError) as error:
        sys.stderr.write(f"migprog-status: {error}\n")
        return 255
    return status
