# SPDX-License-Identifier: Apache-2.0
"""``tools/demo``: three real live migrations side by side, watched by migprog.

One converges, one copies its disk too, and one does not converge and is aborted as soon as migprog
says so. What is shown is the view of ``migprog watch``, by its own code. Exit status 0: each
migration has ended as it should; 1: one has not; 2: the demo failed.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import libvirt

from lab.hosts import Guest, Lab, LabError, Migration, NovaMetadata
from lab.parts import processes
from migprog import SERVICE_TYPE
from migprog.cli import api_requests, client, post_mortem, record, screen, text, watch
from migprog.cli.client import Client
from migprog.cli.errors import ClientError
from migprog.cli.events import Event, Kind
from migprog.cli.exit_status import Exit
from migprog.cli.feed import ListFeed
from migprog.cli.screen import Screen
from migprog.cli.state import State
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Status

_TIMEOUT_SECONDS = 180.0
_POLL_SECONDS = 0.5
# A measurement takes five seconds, so that forecasts can be tried at once.
_SETTINGS = """
[compute]
report_interval = 1
allow_measurements = true
measure_windows = 1,4
[api]
allow_measurements = true
"""
_TERMINATED = 143
_PROJECT = "5a0f1c3e9d514b6f8e4f6c1d2b3a4958"
_USER = "0b8d3f5a7c1e4d2f9a6b5c4d3e2f1a0b"


@dataclass(slots=True)
class Case:
    """One migration of the demo and how it should end."""

    guest: Guest
    expected: Status
    bandwidth_mib_s: int
    final: record.Record | None = None
    stuck: threading.Event = field(default_factory=threading.Event)


def _case(
    name: str,
    expected: Status,
    bandwidth_mib_s: int,
    dirty_mib_s: float,
    working_set_mib: int,
    disk_mib: int = 0,
) -> Case:
    nova = NovaMetadata(
        server_name=name,
        project_id=_PROJECT,
        project_name="demo",
        user_id=_USER,
        user_name="demo",
    )
    guest = Guest(
        name=name,
        memory_mib=128,
        fill_mib=96,
        working_set_mib=working_set_mib,
        segments=((1000, dirty_mib_s),),
        disk_mib=disk_mib,
        nova=nova,
    )
    return Case(guest, expected, bandwidth_mib_s)


def cases() -> dict[str, Case]:
    """Return the migrations by their servers' names."""
    made = (
        _case("web", Status.COMPLETED, 12, 4.0, 16),
        _case("database", Status.COMPLETED, 14, 2.0, 16, disk_mib=96),
        _case("cache", Status.CANCELLED, 20, 40.0, 48),
    )
    return {case.guest.name: case for case in made}


def _say(line: str = "") -> None:
    print(line, flush=True)


class _Shown:
    """The view of ``migprog watch``; each end is followed by its post-mortem, and a migration that
    does not converge is aborted."""

    def __init__(self, view: Screen, api: Client, servers: dict[str, Case]) -> None:
        self._view = view
        self._api = api
        self._by_uuid = {case.guest.uuid: case for case in servers.values()}

    def show(self, state: State, news: Sequence[Event], now: float) -> None:
        self._view.show(state, news, now)
        for event in news:
            found = event.migration
            case = self._by_uuid.get(found["server_uuid"]) if found is not None else None
            if found is None or case is None:
                continue
            if event.kind is Kind.ENDED:
                case.final = found
                self._explain(found)
            elif case.expected is Status.CANCELLED and not case.stuck.is_set():
                self._abort_if_stuck(case, found)

    def _explain(self, found: record.Record) -> None:
        summary = self._api.summary(found["server_uuid"], found["uuid"])
        for line in post_mortem.lines(record.name(found), summary):
            self._add(line)

    def _abort_if_stuck(self, case: Case, found: record.Record) -> None:
        if found.get("verdict") != Verdict.NOT_CONVERGING:
            return
        said = text.printable(found.get("verdict_message"))
        self._add(f"{case.guest.name}: {said}: aborting it")
        case.stuck.set()

    def _add(self, line: str) -> None:
        if isinstance(self._view, screen.LiveScreen):
            self._view.say(line)
        else:
            _say(line)


def _abort_when_stuck(case: Case, migration: Migration) -> None:
    """Abort a migration once the view has shown that it does not converge, as an operator would."""
    if case.stuck.wait(_TIMEOUT_SECONDS):
        # It may have ended by itself meanwhile.
        with contextlib.suppress(LabError, libvirt.libvirtError):
            migration.abort()


@contextlib.contextmanager
def standalone(lab: Lab, directory: str) -> Iterator[str]:
    """Run ``migprog-standalone`` for both hosts of the lab; yield the API's URL."""
    (port,) = processes.free_ports(1)
    command = [str(pathlib.Path(sys.executable).with_name("migprog-standalone"))]
    for host in lab.hosts:
        command += ["--connection-uri", host.uri]
    command += ["--bind-port", str(port), "--state-path", directory]
    settings = pathlib.Path(directory) / "migprog.conf"
    settings.write_text(_SETTINGS)
    command += ["--config-file", str(settings)]
    _say(f"$ {shlex.join(['migprog-standalone', *command[1:]])}")
    with processes.running(command, directory, os.environ) as program:
        processes.wait_for_port(port, 60, program)
        yield f"http://127.0.0.1:{port}"
        program.check()


def _watch(api: Client, servers: dict[str, Case]) -> None:
    """Show the migrations until all have ended."""

    def decide(_state: State, seconds: float) -> Exit | None:
        if all(case.final is not None for case in servers.values()):
            return Exit.COMPLETED
        return Exit.TIMEOUT if seconds >= _TIMEOUT_SECONDS else None

    with contextlib.ExitStack() as stack:
        view: Screen = screen.Lines(sys.stdout, as_json=False)
        if sys.stdout.isatty():
            view = stack.enter_context(screen.live("both hosts", sys.stdout, among_lines=True))
        shown = _Shown(view, api, servers)
        watch.follow(ListFeed(api, {}, _POLL_SECONDS), shown, api.now, decide)


def _judge(servers: dict[str, Case]) -> bool:
    """Say how each migration has ended; return whether all ended as they should."""
    _say()
    right = True
    for name, case in servers.items():
        status = "not ended" if case.final is None else case.final["status"]
        is_right = status == case.expected
        right = right and is_right
        _say(f"{name:10} {status} ({'expected' if is_right else f'WRONG: not {case.expected}'})")
    return right


def _name_addresses(url: str, servers: dict[str, Case]) -> None:
    final = next((case.final for case in servers.values() if case.final is not None), None)
    _say("Hosts, guests and migprog run until Ctrl-C. Look at:")
    _say(f"  {url}/ui/    in a browser on this machine")
    paths = ["/migrations", "/migrations?in_progress=false", "/openapi.json"]
    if final is not None:
        here = f"/servers/{final['server_uuid']}/migrations/{final['id']}"
        paths += [here, f"{here}/history"]
        # The oldest microversion has none.
        header = f"-H '{api_requests.MICROVERSION_HEADER}: {SERVICE_TYPE} latest' "
        _say(f"  curl {header}'{url}{here}/summary'")
    for path in paths:
        _say(f"  curl '{url}{path}'")
    program = pathlib.Path(sys.executable).with_name("migprog")
    commands = ["list --all", "plan lab-b --measure", "watch"]
    if final is not None:
        commands.insert(1, f"forecast {final['server_uuid']} --measure")
    for command in commands:
        _say(f"  {program} --url {url} {command}")


def _wait() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def run(servers: dict[str, Case], keep: bool, json_file: pathlib.Path | None) -> bool:
    """Run the demo; return whether every migration has ended as it should."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="migprog-demo-"))
        _say("Starting two libvirt hosts ...")
        lab = stack.enter_context(Lab(hosts=("lab-a", "lab-b")))
        _say("Starting migprog ...")
        url = stack.enter_context(standalone(lab, directory))
        source, destination = lab.hosts
        started = []
        for name, case in servers.items():
            _say(f"Starting the guest {name} ...")
            started.append((case, lab.start_guest(source, case.guest)))
        _say("Migrating from lab-a to lab-b:")
        for case, server in started:
            migration = lab.migrate(
                server, source, destination, bandwidth_mib_s=case.bandwidth_mib_s
            )
            # A thread of its own, which nothing else waits for.
            threading.Thread(target=_abort_when_stuck, args=(case, migration), daemon=True).start()
        _watch(client.without_login(url), servers)
        right = _judge(servers)
        if json_file is not None:
            records: dict[str, Any] = {"migrations": [case.final for case in servers.values()]}
            json_file.write_text(json.dumps(records, indent=2) + "\n")
        _say()
        if keep:
            _name_addresses(url, servers)
            _wait()
        else:
            _say("To look around, run tools/demo --keep: it leaves all of this running.")
    return right


def main() -> None:
    known = cases()
    parser = argparse.ArgumentParser(
        prog="tools/demo",
        description="Run three real live migrations side by side on this machine, and show what "
        "migprog says of each until it ends, and in hindsight. One does not converge and is "
        "aborted.",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep everything running, to look at its addresses"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="write the final records to this file"
    )
    parser.add_argument(
        "--only", action="append", choices=known, metavar="NAME", help=f"one of {', '.join(known)}"
    )
    arguments = parser.parse_args()
    servers = {name: known[name] for name in arguments.only or known}
    # As at Ctrl-C, nothing is left behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(_TERMINATED))
    try:
        right = run(servers, arguments.keep, arguments.json)
    except (LabError, ClientError, RuntimeError, TimeoutError, OSError) as error:
        _say(f"The demo could not be run: {text.printable(error)}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
