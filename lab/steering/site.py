# SPDX-License-Identifier: Apache-2.0
"""Two hosts, a link between them, and a real agent that steers by one policy."""

import contextlib
import dataclasses
import datetime
import os
import pathlib
import sys
from typing import Any, Self

import libvirt
import requests

from lab.hosts import Lab, Server
from lab.parts import processes
from lab.steering.course import Action, Course
from lab.steering.guests import Shape
from lab.steering.link import Link
from lab.steering.nova_schedule import NovaSchedule
from lab.steering.policies import Policy
from lab.steering.trial import Trial

_START_SECONDS = 60.0
_RECORD_SECONDS = 30.0
# The first microversion with it.
_WITH_ADVICE = {"OpenStack-API-Version": "migration-progress 1.2"}


def with_unseen(course: Course, record: dict[str, Any]) -> Course:
    """Return what happened with the downtime limits that only the agent's record has.

    One that works at once is in force for a moment only: while QEMU switches over, it shows none.
    """
    seen = {action.value for action in course.actions if action.word == "downtime_ms"}
    unseen = []
    for each in record.get("advice") or ():
        limit = each["figures"].get("downtime_limit_seconds")
        if each["state"] == "done" and limit is not None and round(limit * 1000) not in seen:
            after = _instant(each["at"]) - _instant(record["started_at"])
            unseen.append(Action(after.total_seconds(), "downtime_ms", round(limit * 1000)))
    actions = sorted((*course.actions, *unseen), key=lambda action: action.at_seconds)
    return dataclasses.replace(course, actions=tuple(actions))


def _instant(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


class Site:
    """Serves while the block lasts; everything of it ends with this process, or with the thread
    that starts it. Its policy's name distinguishes it from others in ``directory``."""

    def __init__(self, policy: Policy, directory: pathlib.Path) -> None:
        self.policy = policy
        self._directory = directory / policy.text
        self._stack = contextlib.ExitStack()
        self._numbers = 0

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True)
        with contextlib.ExitStack() as undo:
            undo.callback(self._stack.close)
            self.lab = self._stack.enter_context(Lab(hosts=("lab-a", "lab-b")))
            self.link = self._stack.enter_context(Link())
            (port,) = processes.free_ports(1)
            self.api = f"http://127.0.0.1:{port}"
            self.program = self._stack.enter_context(self._standalone(port))
            processes.wait_for_port(port, _START_SECONDS, self.program)
            for host in self.lab.hosts:
                self._wait_for_watch(host.name)
            undo.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def run(
        self, shape: Shape, bound_seconds: float, nova: NovaSchedule | None = None
    ) -> tuple[Course, dict[str, Any]]:
        """Migrate a guest, with Nova's schedule beside it if there is one; return what happened,
        and the agent's record of it."""
        self._numbers += 1
        self.program.check()
        trial = Trial(self.lab, self.link, shape, f"guest-{self._numbers}", bound_seconds)
        try:
            beside = nova.beside(self.lab.hosts[0], trial.server.uuid) if nova else None
            with beside or contextlib.nullcontext():
                course = trial.run()
            record = self._record(trial.server)
            return with_unseen(course, record), record
        finally:
            self._destroy(trial.server)

    def _destroy(self, server: Server) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self.lab.destroy_guest(server)

    def _standalone(self, port: int) -> contextlib.AbstractContextManager[processes.Program]:
        config = self._directory / "migprog.conf"
        config.write_text(f"[DEFAULT]\ndebug = true\n{self.policy.config()}")
        command = [str(pathlib.Path(sys.executable).with_name("migprog-standalone"))]
        command += ["--config-file", str(config), "--bind-port", str(port)]
        command += ["--state-path", str(self._directory / "state")]
        for host in self.lab.hosts:
            command += ["--connection-uri", host.uri]
        return processes.running(command, self._directory, os.environ)

    def _wait_for_watch(self, host: str) -> None:
        def watches() -> bool:
            self.program.check()
            return f"watching the migrations of {host}" in self.program.output()

        processes.wait_for(watches, _START_SECONDS, f"the agent of {host}")

    def _record(self, server: Server) -> dict[str, Any]:
        """Return the record once it has ended."""
        record: dict[str, Any] = {}

        def has_ended() -> bool:
            path = f"{self.api}/servers/{server.uuid}/migrations"
            answer = requests.get(path, headers=_WITH_ADVICE, timeout=30)
            if answer.status_code == requests.codes.not_found:
                return False
            answer.raise_for_status()
            record.update(answer.json()["migrations"][0])
            return not record["in_progress"]

        processes.wait_for(has_ended, _RECORD_SECONDS, f"the record of {server.name} to end")
        return record
