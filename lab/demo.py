# SPDX-License-Identifier: Apache-2.0
"""``tools/demo``: three real live migrations side by side, watched by migprog.

One converges, one copies its disk too, and one does not converge and is aborted as soon as migprog
says so. Exit status 0: each record has the expected outcome; 1: one has not; 2: the demo failed.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests
import rich.console
import rich.live
import rich.markup
import rich.progress_bar
import rich.table

from lab.hosts import Guest, Lab, LabError, Migration, NovaMetadata, Server
from lab.parts import processes

_TIMEOUT_SECONDS = 180
_REFRESH_SECONDS = 0.25
_PROJECT = "5a0f1c3e9d514b6f8e4f6c1d2b3a4958"
_USER = "0b8d3f5a7c1e4d2f9a6b5c4d3e2f1a0b"
_VERDICT_STYLES = {
    "converging": "green",
    "not-converging": "bold red",
    "stalled": "bold red",
    "ended": "dim",
}
CONSOLE = rich.console.Console()


@dataclass(slots=True)
class Case:
    """One migration of the demo and how it should end."""

    name: str
    guest: Guest
    expected: str
    bandwidth_mib_s: int
    server: Server | None = None
    migration: Migration | None = None
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return bool(self.record) and not self.record["in_progress"]


def _guest(name: str, dirty_mib_s: float, working_set_mib: int, disk_mib: int = 0) -> Guest:
    return Guest(
        name=name,
        memory_mib=128,
        fill_mib=96,
        working_set_mib=working_set_mib,
        segments=((1000, dirty_mib_s),),
        disk_mib=disk_mib,
        nova=NovaMetadata(
            server_name=name,
            project_id=_PROJECT,
            project_name="demo",
            user_id=_USER,
            user_name="demo",
        ),
    )


def _cases() -> list[Case]:
    return [
        Case("web", _guest("web", 4.0, 16), "completed", bandwidth_mib_s=12),
        Case("database", _guest("database", 2.0, 16, disk_mib=96), "completed", bandwidth_mib_s=14),
        Case("cache", _guest("cache", 40.0, 48), "cancelled", bandwidth_mib_s=20),
    ]


@contextlib.contextmanager
def _standalone(lab: Lab, directory: str) -> Iterator[str]:
    """Run ``migprog-standalone`` for both hosts of the lab; yield the API's URL."""
    (port,) = processes.free_ports(1)
    command = [str(pathlib.Path(sys.executable).with_name("migprog-standalone"))]
    for host in lab.hosts:
        command += ["--connection-uri", host.uri]
    command += ["--bind-port", str(port), "--state-path", directory]
    settings = pathlib.Path(directory) / "migprog.conf"
    settings.write_text("[compute]\nreport_interval = 1\n")
    command += ["--config-file", str(settings)]
    CONSOLE.print("[dim]$", shlex.join(["migprog-standalone", *command[1:]]), soft_wrap=True)
    with processes.running(command, directory, os.environ) as program:
        processes.wait_for_port(port, 60, program)
        yield f"http://127.0.0.1:{port}"
        program.check()


def _ask(api: str, case: Case) -> None:
    """Read the case's record, if there is one yet."""
    assert case.server is not None
    answer = requests.get(f"{api}/servers/{case.server.uuid}/migrations", timeout=10)
    if answer.status_code != requests.codes.not_found:
        answer.raise_for_status()
        case.record = answer.json()["migrations"][0]


def _table(cases: list[Case]) -> rich.table.Table:
    table = rich.table.Table(box=None, padding=(0, 2, 0, 0))
    for title in ("server", "status", "phase", "", "", "time left", "verdict"):
        table.add_column(title, no_wrap=title != "verdict")
    for case in cases:
        record = case.record
        percent, verdict = record.get("percent"), record.get("verdict") or ""
        table.add_row(
            case.name,
            record.get("status", ""),
            record.get("phase", ""),
            rich.progress_bar.ProgressBar(total=100, completed=percent or 0, width=24),
            "" if percent is None else f"{percent:3d} %",
            _time_left(record),
            f"[{_VERDICT_STYLES.get(verdict, 'default')}]{verdict}",
        )
    return table


def _time_left(record: dict[str, Any]) -> str:
    if record.get("eta_seconds") is None:
        return ""
    low, high = record["eta_low_seconds"], record["eta_high_seconds"]
    return f"{record['eta_seconds']:.0f} s ({low:.0f}-{high:.0f})"


def _watch(api: str, cases: list[Case]) -> None:
    """Show the migrations until all have ended; abort the one that does not converge."""
    give_up_at = time.monotonic() + _TIMEOUT_SECONDS
    shown: dict[str, str] = {}
    aborted = False
    with rich.live.Live(console=CONSOLE, auto_refresh=False, transient=False) as live:
        while not all(case.over for case in cases) and time.monotonic() < give_up_at:
            for case in cases:
                if not case.over:
                    _ask(api, case)
                    _say_line(case, shown)
                stuck = case.record.get("verdict") == "not-converging"
                if stuck and case.expected == "cancelled" and not aborted:
                    live.console.print(
                        f"[red]{case.name}: {case.record['verdict_message']}: aborting it"
                    )
                    assert case.migration is not None
                    case.migration.abort()
                    aborted = True
            if CONSOLE.is_terminal:
                live.update(_table(cases), refresh=True)
            time.sleep(_REFRESH_SECONDS)
        live.update(_table(cases), refresh=True)
    # Without a terminal rich leaves the end of the last line out.
    CONSOLE.print()


def _say_line(case: Case, shown: dict[str, str]) -> None:
    """Without a terminal, print a line when status, phase, verdict or ten percent change."""
    record = case.record
    if CONSOLE.is_terminal or not record:
        return
    percent = record["percent"]
    tens = None if percent is None else percent // 10
    what = f"{record['status']}, {record['phase']}, {record['verdict']}"
    if shown.get(case.name) != f"{what} {tens}":
        shown[case.name] = f"{what} {tens}"
        CONSOLE.print(f"{case.name:10} {'' if percent is None else percent:>4} % {what}")


def _print_records(cases: list[Case]) -> bool:
    """Print each final record; return whether all have the expected status."""
    right = True
    for case in cases:
        CONSOLE.rule(f"{case.name}: /servers/{case.server and case.server.uuid}/migrations/…")
        CONSOLE.print_json(json.dumps(case.record))
        status = case.record.get("status")
        if status != case.expected:
            right = False
            CONSOLE.print(f"[bold red]{case.name}: status {status!r}, expected {case.expected!r}")
    for case in cases:
        mark = "expected" if case.record.get("status") == case.expected else "WRONG"
        CONSOLE.print(f"{case.name:10} {case.record.get('status')} ({mark})")
    return right


def _keep(api: str, cases: list[Case]) -> None:
    uuid = cases[0].record["server_uuid"]
    number = cases[0].record["id"]
    CONSOLE.print("\nHosts, guests and migprog run until Ctrl-C. Try:", style="bold")
    for path in (
        "/migrations",
        "/migrations?in_progress=false&status=completed",
        f"/servers/{uuid}",
        f"/servers/{uuid}/migrations",
        f"/servers/{uuid}/migrations/{number}",
    ):
        CONSOLE.print(f"  curl '{api}{path}'", soft_wrap=True, highlight=False)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def run(keep: bool, json_file: pathlib.Path | None) -> bool:
    """Run the demo; return whether every record has the expected status."""
    cases = _cases()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="migprog-demo-"))
        CONSOLE.print("Starting two libvirt hosts …")
        lab = stack.enter_context(Lab(hosts=("lab-a", "lab-b")))
        CONSOLE.print("Starting migprog …")
        api = stack.enter_context(_standalone(lab, directory))
        source, destination = lab.hosts
        CONSOLE.print("Starting three guests …")
        for case in cases:
            case.server = lab.start_guest(source, case.guest)
        CONSOLE.print("Migrating them from lab-a to lab-b:\n")
        for case in cases:
            assert case.server is not None
            case.migration = lab.migrate(
                case.server, source, destination, bandwidth_mib_s=case.bandwidth_mib_s
            )
        _watch(api, cases)
        right = _print_records(cases)
        if json_file is not None:
            records = {"migrations": [case.record for case in cases]}
            json_file.write_text(json.dumps(records, indent=2) + "\n")
        if keep:
            _keep(api, cases)
    return right


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tools/demo",
        description="Run three real live migrations side by side on this machine, and show what "
        "migprog says of each until it ends. One does not converge and is aborted.",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep everything running and print URLs to try"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="write the final records to this file"
    )
    arguments = parser.parse_args()
    try:
        right = run(arguments.keep, arguments.json)
    except (LabError, RuntimeError, TimeoutError, OSError) as error:
        CONSOLE.print(f"[bold red]The demo could not be run:[/] {rich.markup.escape(str(error))}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
