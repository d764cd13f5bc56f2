# SPDX-License-Identifier: Apache-2.0
"""Live migrations that nobody meddles with."""

import contextlib

from lab.nova import environments, pages
from lab.nova.bench import Server
from lab.nova.trial import Trial


def steady(trial: Trial) -> None:
    _migrate(trial, trial.boot("steady"))


def quiet(trial: Trial) -> None:
    _migrate(trial, trial.boot("quiet"))


def block(trial: Trial) -> None:
    _migrate(trial, trial.boot("disk"), "--block-migration")


def two_at_once(trial: Trial) -> None:
    servers = [trial.boot("quiet") for _ in range(2)]
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(trial.watching(server))
        for server in servers:
            trial.bench.live_migrate(server)
        for server in servers:
            _wait_for_arrival(trial, server, "host-b")


def to_and_fro(trial: Trial) -> None:
    server = trial.boot("small")
    for _ in range(3):
        _migrate(trial, server)


def renamed(trial: Trial) -> None:
    server = trial.boot("small")
    _migrate(trial, server)
    trial.bench.cli("server", "set", "--name", "renamed", server.uuid)
    trial.bench.cli("server", "reboot", "--hard", "--wait", server.uuid)
    _migrate(trial, server)
    (newest, *_) = trial.bench.records(server)
    trial.require(newest["server_name"] == "renamed", f"the name is {newest['server_name']}")


def by_the_page(trial: Trial) -> None:
    """What beside-nova.rst says last: migrate a server, and look at it."""
    server = trial.boot("quiet")
    page = pages.Page(environments.ROOT, "beside-nova.rst", {" web": f" {server.uuid}"})
    with trial.watching(server):
        migrate, *looks = pages.commands(page.named("beside-look"))
        trial.bench.cli(*migrate[1:])
        trial.bench.wait_until_moving(server, "host-a", mib=20)
        # By then it may have ended: a client takes seconds to start.
        listed, shown = (trial.bench.cli(*words[1:]) for words in looks)
        for said, word in ((listed, "live-migration"), (shown, "progress")):
            trial.require(word in said, f"the client says {said}")
        _wait_for_arrival(trial, server, "host-b")


def unprivileged(trial: Trial) -> None:
    _migrate(trial, trial.boot("steady"))
    server = trial.boot("busy")
    with trial.watching(server, completes=False):
        trial.bench.live_migrate(server)
        trial.bench.wait_until_moving(server, "host-a", mib=20)
        trial.bench.abort(server)
        trial.bench.wait_until_idle(server)


def _migrate(trial: Trial, server: Server, *options: str) -> None:
    with trial.watching(server):
        host = trial.bench.live_migrate(server, *options)
        _wait_for_arrival(trial, server, host)


def _wait_for_arrival(trial: Trial, server: Server, host: str) -> None:
    shown = trial.bench.wait_until_idle(server)
    arrived = shown["OS-EXT-SRV-ATTR:host"] == host and shown["status"] == "ACTIVE"
    trial.require(arrived, f"{server.name} is {shown['status']} and did not arrive at {host}")
