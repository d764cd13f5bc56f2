# SPDX-License-Identifier: Apache-2.0
"""``migprog-status upgrade check``: what would be in the way, before services are started anew.

Exit status: 0 nothing, 1 warnings, 2 a failure (oslo.upgradecheck's).
"""

import sys
from datetime import UTC, datetime

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from migprog import conf, exception, objects, rpc
from migprog.version import version_info

_PAGE = 1000
# So many hosts are named; of the others the number is told.
_MOST_NAMED = 5
# Of an agent's heartbeats.
_MISSED = 2


class Checks(upgradecheck.UpgradeCommands):
    """Each check may go on where another has failed."""

    def _tables(self) -> Result:
        try:
            objects.check_version(objects.connect(cfg.CONF))
        except (exception.ConfigError, objects.Unavailable) as error:
            return Result(Code.FAILURE, str(error))
        return Result(Code.SUCCESS)

    def _broker(self) -> Result:
        try:
            rpc.configured_url(cfg.CONF)
        except exception.ConfigError as error:
            return Result(Code.FAILURE, str(error))
        if cfg.CONF.get_location("transport_url").location is cfg.Locations.opt_default:
            return Result(
                Code.WARNING,
                "[DEFAULT] transport_url: is not set; agents and conductors look for a broker on "
                "their own machine",
            )
        return Result(Code.SUCCESS)

    def _agents(self) -> Result:
        try:
            agents = list(_agents())
        except (exception.ConfigError, objects.Unavailable) as error:
            return Result(Code.WARNING, f"nothing is known of the agents: {error}")
        now, ours = datetime.now(UTC), version_info.version_string()
        silent = [
            agent.host
            for agent in agents
            if (now - agent.heard_at).total_seconds() > _MISSED * agent.heartbeat_seconds
        ]
        others = [agent.host for agent in agents if agent.version != ours]
        remarks = [
            f"{len(hosts)} of {len(agents)} agents {what}: {_named(hosts)}"
            for hosts, what in (
                (silent, "have not been heard of lately"),
                (others, f"are not of this version ({ours})"),
            )
            if hosts
        ]
        return Result(Code.WARNING, "; ".join(remarks)) if remarks else Result(Code.SUCCESS)

    _upgrade_checks = (
        ("Tables of the database", _tables),
        ("Message broker", _broker),
        ("Agents", _agents),
    )


def _agents() -> list[objects.Agent]:
    store, agents, marker = objects.connect(cfg.CONF), list[objects.Agent](), None
    while page := objects.Agent.list(store, limit=_PAGE, marker=marker):
        agents += page
        marker = page[-1].host
    return agents


def _named(hosts: list[str]) -> str:
    more = len(hosts) - _MOST_NAMED
    return ", ".join(hosts[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def main() -> int:
    upgradecheck.register_cli_options(cfg.CONF, Checks())
    try:
        conf.load(sys.argv[1:], "migprog-status")
    except exception.ConfigError as error:
        print(f"migprog-status: {error}", file=sys.stderr)
        return int(Code.FAILURE)
    # Its own main would read the configuration in its own way.
    upgradecheck.CONF = cfg.CONF
    status: int = upgradecheck.run(cfg.CONF)
    return status
