# SPDX-License-Identifier: Apache-2.0
"""Check the database and what is in it, for ``migprog-status``.

A module of its own: hypervisors have none of the packages that a database needs.
"""

import socket
from collections.abc import Sequence
from datetime import UTC, datetime

from oslo_config import cfg
from oslo_upgradecheck.upgradecheck import Code, Result
from pbr.version import SemanticVersion

from migprog import exception, objects
from migprog.cmd.checks import Warned
from migprog.db import connections, engine, privileges, schema
from migprog.version import RELEASE

# Of more hosts only the number is printed.
_NAMED_HOSTS = 5


def tables(conf: cfg.ConfigOpts) -> Result:
    """Check that the tables are those that this program needs."""
    store = connections.connect(conf)
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


def _store(conf: cfg.ConfigOpts) -> objects.Store:
    """Return the database if it has tables; the check of the tables says what to do if not."""
    store = connections.connect(conf)
    if schema.version(store) is None:
        raise Warned("not checked: the database has no tables; run migprog-manage db sync")
    return store


def agents(conf: cfg.ConfigOpts) -> Result:
    """Check that every agent reports, in our version."""
    every = list(objects.Agent.every(_store(conf)))
    return judge_agents(every, RELEASE, datetime.now(UTC))


def credentials(conf: cfg.ConfigOpts) -> Result:
    """Check that this machine, which has database credentials, is no hypervisor."""
    store = _store(conf)
    if store.engine.dialect.name == "sqlite":
        return Result(Code.SUCCESS, "SQLite has none")
    here = {socket.gethostname(), socket.getfqdn()}
    agents_here = [a for a in objects.Agent.every(store) if {a.host, a.node} & here]
    return judge_credentials(agents_here)


def may_write(conf: cfg.ConfigOpts) -> str:
    """Check that the database user has the rights that a conductor needs."""
    store = _store(conf)
    refusal = privileges.missing(store)
    if refusal is not None:
        raise Warned(
            f"{store.where}: this user may not write, which migprog-conductor needs and "
            f"migprog-api does not: {refusal}; the conductor will store nothing: grant this user "
            "the privileges, or give the conductor another one"
        )
    return f"{store.where}: may read and write"


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
