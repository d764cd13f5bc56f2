# SPDX-License-Identifier: Apache-2.0
"""libvirt, to an agent that is asked to abort a migration."""

import contextlib
import os
import pathlib
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from lab.hosts import Lab, LabError
from migprog.context import for_service
from migprog.core.actions import Refusal, Target
from migprog.core.agent_answer import Answer
from migprog.rpc.compute import ANSWER_SECONDS
from migprog.tests.functional.parties.libvirt import (
    READY_SECONDS,
    agent,
    guest,
    in_time,
    refusing,
)
from migprog.tests.functional.parties.table import SHORT, SLACK_SECONDS, cell

_REFUSED = Refusal.LIBVIRT_FAILED.message
_ANSWERS_NO = "answers that libvirt did not carry it out; libvirt's reason is in the log"
_ANSWERS_YET = (
    "waits, then answers that the action is or will be carried out; logs that "
    "libvirt hangs; the action is carried out when libvirt answers"
)


@contextlib.contextmanager
def _asking(hosts: Lab, name: str, uri: str | None = None) -> Iterator[Any]:
    """A migration under way, its agent's log, and what asks that agent to abort it."""
    source, destination = hosts.hosts
    endpoints: list[Any] = []

    def listen(_host: str, endpoint: Any, listens: Callable[[bool], None]) -> None:
        endpoints.append(endpoint)
        listens(True)

    with guest(hosts, name) as server, agent(source, uri, listen=listen) as (log, conductor):
        migration = hosts.migrate(server, source, destination, bandwidth_mib_s=2)
        try:
            conductor.await_report(server)
            (uuid,) = conductor.migrations()
            target = Target(uuid=uuid, server_uuid=server.uuid).to_wire()

            def ask() -> Answer:
                begun = time.monotonic()
                answer = Answer.from_wire(
                    endpoints[0].abort(for_service(), migration=target), Refusal
                )
                assert time.monotonic() - begun <= ANSWER_SECONDS + SLACK_SECONDS
                return answer

            yield server, log, ask
        finally:
            # It may be over, or libvirtd may have lost it.
            with contextlib.suppress(LabError):
                migration.abort()
            migration.wait()


@cell("libvirt", "away", "agent, an action", _ANSWERS_NO, lambda t: 0.0)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with _asking(hosts, "act-away") as (_server, log, ask):
        host.kill_libvirtd()
        try:
            assert ask().refused == _REFUSED
            log.await_line("has failed: ", READY_SECONDS)
        finally:
            host.start_libvirtd(READY_SECONDS)


@cell("libvirt", "refuses", "agent, an action", _ANSWERS_NO, lambda t: 0.0)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with tempfile.TemporaryDirectory(prefix="migprog-") as directory:
        link, instead = (pathlib.Path(directory, name) for name in ("socket", "instead"))
        link.symlink_to(host.uri.partition("socket=")[2])
        uri = f"qemu+unix:///system?socket={link}"
        with refusing(directory) as path, _asking(hosts, "act-refuses", uri) as (_server, log, ask):
            # What watches has its connection; an action makes one of its own.
            instead.symlink_to(path)
            os.replace(instead, link)
            assert ask().refused == _REFUSED
            log.await_line("has failed: ", READY_SECONDS)


@cell("libvirt", "silent", "agent, an action", _ANSWERS_YET, lambda t: ANSWER_SECONDS)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with _asking(hosts, "act-silent") as (_server, log, ask):
        host.signal_libvirtd(signal.SIGSTOP)
        try:
            assert ask().refused is None
            log.await_line("hangs: libvirt does not answer", in_time(SHORT.libvirt))
        finally:
            host.signal_libvirtd(signal.SIGCONT)
        log.await_line("is done: it is aborted", READY_SECONDS)


@cell("libvirt", "slow", "agent, an action", _ANSWERS_YET, lambda t: ANSWER_SECONDS)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with _asking(hosts, "act-slow") as (server, log, ask):
        host.signal_guest(server.name, signal.SIGSTOP)
        try:
            assert ask().refused is None
            log.await_line("hangs: libvirt does not answer", in_time(SHORT.libvirt))
        finally:
            host.signal_guest(server.name, signal.SIGCONT)
        log.await_line("is done: it is aborted", READY_SECONDS)
