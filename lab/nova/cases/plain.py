# SPDX-License-Identifier: Apache-2.0
"""Live migrations without interference."""

import contextlib

from lab.nova import doc_commands, environments
from lab.nova.case_run import CaseRun
from lab.nova.operations import Server


def steady(case_run: CaseRun) -> None:
    _migrate(case_run, case_run.boot("steady"))


def quiet(case_run: CaseRun) -> None:
    _migrate(case_run, case_run.boot("quiet"))


def block(case_run: CaseRun) -> None:
    _migrate(case_run, case_run.boot("disk"), "--block-migration")


def two_at_once(case_run: CaseRun) -> None:
    servers = [case_run.boot("quiet") for _ in range(2)]
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(case_run.watching(server))
        for server in servers:
            case_run.operations.live_migrate(server)
        for server in servers:
            _wait_for_arrival(case_run, server, "host-b")


def to_and_fro(case_run: CaseRun) -> None:
    server = case_run.boot("small")
    for _ in range(3):
        _migrate(case_run, server)


def renamed(case_run: CaseRun) -> None:
    server = case_run.boot("small")
    _migrate(case_run, server)
    case_run.operations.cli("server", "set", "--name", "renamed", server.uuid)
    case_run.operations.cli("server", "reboot", "--hard", "--wait", server.uuid)
    _migrate(case_run, server)
    (newest, *_) = case_run.operations.records(server)
    case_run.require(newest["server_name"] == "renamed", f"the name is {newest['server_name']}")


def by_the_page(case_run: CaseRun) -> None:
    """Run the last step of beside-nova.rst: migrate a server, and show it."""
    server = case_run.boot("quiet")
    page = doc_commands.Page(environments.ROOT, "beside-nova.rst", {" web": f" {server.uuid}"})
    with case_run.watching(server):
        migrate, *looks = doc_commands.commands(page.named("beside-look"))
        case_run.operations.cli(*migrate[1:])
        case_run.operations.wait_until_moving(server, "host-a", mib=20)
        # By then it may have ended: a client takes seconds to start.
        listed, shown = (case_run.operations.cli(*words[1:]) for words in looks)
        for said, word in ((listed, "live-migration"), (shown, "progress")):
            case_run.require(word in said, f"the client says {said}")
        _wait_for_arrival(case_run, server, "host-b")


def unprivileged(case_run: CaseRun) -> None:
    _migrate(case_run, case_run.boot("steady"))
    server = case_run.boot("busy")
    with case_run.watching(server, completes=False):
        case_run.operations.live_migrate(server)
        case_run.operations.wait_until_moving(server, "host-a", mib=20)
        case_run.operations.abort(server)
        case_run.operations.wait_until_idle(server)


def _migrate(case_run: CaseRun, server: Server, *options: str) -> None:
    with case_run.watching(server):
        host = case_run.operations.live_migrate(server, *options)
        _wait_for_arrival(case_run, server, host)


def _wait_for_arrival(case_run: CaseRun, server: Server, host: str) -> None:
    shown = case_run.operations.wait_until_idle(server)
    arrived = shown["OS-EXT-SRV-ATTR:host"] == host and shown["status"] == "ACTIVE"
    case_run.require(arrived, f"{server.name} is {shown['status']} and did not arrive at {host}")
