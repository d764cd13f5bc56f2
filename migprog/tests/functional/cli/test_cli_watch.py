# SPDX-License-Identifier: Apache-2.0
"""``migprog watch`` on a pseudo-terminal, by a real ``migprog-api``."""

import contextlib
import http.server
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from rich.cells import cell_len

from lab.parts import processes
from migprog import objects
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.fixtures import migrations
from migprog.tests.functional.cli import terminal
from migprog.tests.functional.cli.terminal import PROGRAM
from migprog.tests.functional.test_api import serving
from migprog.tests.unit.cli import records

pytestmark = pytest.mark.functional

# Runs "PROGRAM --url URL watch" on its terminal, as one whose size is not known.
_SIZELESS = (
    "sh",
    "-c",
    'stty rows 0 columns 0 && exec "$0" --url "$1" watch',
)
SHOW_CURSOR, LEAVE_SCREEN = b"\x1b[?25h", b"\x1b[?1049l"


@pytest.fixture
def api(tmp_path: pathlib.Path) -> Iterator[tuple[objects.Store, str, processes.Program]]:
    """A store, the address of an API over it, and the API's process."""
    url = f"sqlite:///{tmp_path / 'migprog.sqlite'}"
    store = stores.ready(url)
    with serving(tmp_path, url, "threading") as (base, program):
        yield store, base, program
    store.close()


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 60)])
def test_watch_shows_what_fits_of_1000_migrations(
    api: tuple[objects.Store, str, processes.Program], columns: int, lines: int
) -> None:
    store, base, _program = api
    made = migrations.fill(store, 1000, {50: "名前" * 100})
    with terminal.running(
        PROGRAM, "--url", base, "watch", columns=columns, lines=lines
    ) as watching:
        watching.wait_for_text("1000 in progress, 40 in trouble (40 not-converging)")

        def is_whole(shown: list[str]) -> bool:
            # A frame may have been read in part.
            return (
                len(shown) == lines
                and "server-25" in shown[3]
                and "not-converging" in shown[3]
                and "needs a downtime" in shown[4]
                and "名前" in shown[5]
                and " not shown, " in shown[-1]
            )

        shown = watching.wait_for(is_whole, "the whole screen")
        assert all(cell_len(line) <= columns for line in shown)
        migrations.store(
            store, migrations.ended(made[24], status=Status.FAILED, error="no route to host")
        )
        watching.wait_for(
            lambda shown: (
                any("999 in progress, 39 in trouble" in line for line in shown)
                and "1 just ended" in shown[1]
            ),
            "the migration that has ended",
        )
        assert watching.interrupt() == 130
    assert watching.written.endswith(SHOW_CURSOR + LEAVE_SCREEN)


def test_watch_counts_down_between_two_polls(
    api: tuple[objects.Store, str, processes.Program],
) -> None:
    store, base, _program = api
    migrations.store(store, migrations.running(1))
    with terminal.running(PROGRAM, "--url", base, "watch", "--interval", "1000") as watching:
        watching.wait_for_text("server-1")
        seen: set[str] = set()

        def counted(lines: list[str]) -> bool:
            seen.update(word for word in lines[3].split() if word.endswith("s"))
            return len(seen) >= 3

        watching.wait_for(counted, "three times left of one answer")
        ends = {line.split()[4] for line in watching.lines if line.startswith("server-1")}
        assert len(ends) == 1


def test_watch_goes_on_over_an_outage_and_says_how_old_its_figures_are(
    api: tuple[objects.Store, str, processes.Program],
) -> None:
    store, base, program = api
    made = migrations.fill(store, 3)
    with terminal.running(PROGRAM, "--url", base, "watch", "--interval", "0.5") as watching:
        watching.wait_for_text("3 in progress")
        program.kill()
        watching.wait_for_text("The figures are 3s old")
        watching.wait_for_text("server-3")
        migrations.store(store, migrations.ended(made[0]))
        program.start()
        watching.wait_for_text("2 in progress")
        watching.wait_for(
            lambda lines: not any("figures are" in line for line in lines), "new figures"
        )
        # What ended meanwhile is seen.
        watching.wait_for_text("completed")
        assert watching.interrupt() == 130


def test_watch_follows_the_size_of_the_terminal(
    api: tuple[objects.Store, str, processes.Program],
) -> None:
    store, base, _program = api
    migrations.fill(store, 200)
    with terminal.running(PROGRAM, "--url", base, "watch") as watching:
        watching.wait_for(lambda lines: "not shown" in lines[-1], "the whole screen")
        watching.resize(120, 40)
        shown = watching.wait_for(
            lambda lines: len(lines) == 40 and "not shown" in lines[-1] and "from → to" in lines[2],
            "the larger screen",
        )
        assert sum("server-" in line for line in shown) > 24


def test_watch_on_a_console_that_does_not_know_its_size_takes_the_usual_one(
    api: tuple[objects.Store, str, processes.Program],
) -> None:
    """As serial consoles: 0 columns, 0 lines."""
    store, base, _program = api
    migrations.fill(store, 100)
    with terminal.running(
        "env", "-u", "COLUMNS", "-u", "LINES", *_SIZELESS, PROGRAM, base
    ) as watching:
        shown = watching.wait_for(lambda lines: "not shown" in lines[-1], "the whole screen")
        assert "100 in progress" in shown[1] and "server-" in shown[3]


def test_watch_on_a_tiny_terminal_shows_what_fits(
    api: tuple[objects.Store, str, processes.Program],
) -> None:
    store, base, _program = api
    migrations.fill(store, 30)
    command = (PROGRAM, "--url", base, "watch", "--timeout", "1")
    for columns, lines in ((1, 1), (2, 3), (7, 2), (30, 4)):
        with terminal.running(*command, columns=columns, lines=lines) as watching:
            watching.wait_for(lambda shown: shown[0].strip(), f"the first line of {columns}")
            assert watching.wait() == 6, (columns, lines)
        assert b"Traceback" not in watching.written, (columns, lines)


def test_terminal_is_as_before_when_watch_is_asked_to_end(
    api: tuple[objects.Store, str, processes.Program],
) -> None:
    _store, base, _program = api
    for number in (signal.SIGTERM, signal.SIGHUP):
        with terminal.running(PROGRAM, "--url", base, "watch") as watching:
            watching.wait_for_text("no migration is in progress")
            watching.child.kill(number)
            assert watching.wait() == 128 + number
        assert watching.written.endswith(SHOW_CURSOR + LEAVE_SCREEN), number


def test_watch_of_an_address_without_an_api_ends_with_an_error(tmp_path: pathlib.Path) -> None:
    (port,) = processes.free_ports(1)
    with terminal.running(PROGRAM, "--url", f"http://127.0.0.1:{port}", "watch") as watching:
        assert watching.wait() == 1
        assert "Unable to establish connection" in "".join(watching.lines)


class _Answers(http.server.BaseHTTPRequestHandler):
    """An API that says what no API of ours would."""

    document: dict[str, Any]

    def do_GET(self) -> None:
        body = json.dumps(self.document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: Any) -> None:
        pass


@contextlib.contextmanager
def answering(*found: dict[str, Any]) -> Iterator[str]:
    handler = type("Answers", (_Answers,), {"document": {"migrations": list(found)}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def hostile() -> list[dict[str, Any]]:
    now = time.time()
    at = {
        "started_at": records.text.instant(now - 60),
        "last_reported_at": records.text.instant(now),
    }
    return [
        make(
            number * 2 + which,
            server_name=name,
            verdict_message=name,
            phase=name,
            verdict=name if which else "not-converging",
            source_compute=name,
            advice=[
                {"action": name, "message": name, "figures": {name: 1}, "at": at["started_at"]}
            ],
            **at,
        )
        for number, name in enumerate(records.HOSTILE)
        for which, make in enumerate((records.stuck, records.record))
    ]


@pytest.mark.parametrize("command", ["watch", "list", "advice"])
def test_names_of_servers_are_no_commands_to_a_terminal(command: str) -> None:
    with (
        answering(*hostile()) as base,
        terminal.running(PROGRAM, "--url", base, command, columns=200, lines=60) as shown,
    ):
        if command == "watch":
            shown.wait_for_text("18 in progress")
            assert shown.interrupt() == 130
        else:
            assert shown.wait() == 0
    # No title is set, and what is written are rich's own sequences alone.
    assert shown.screen.title == ""
    for forged in (b"\x1b]0;owned", b"\x07", b"\xc2\x9b31m", "\u202e".encode(), b"\x1b[2J\x1b]"):
        assert forged not in shown.written
    assert b"[bold red]no markup[/]"[:8] in shown.written


def test_benchmark_of_watch_says_what_it_costs() -> None:
    benchmark = pathlib.Path(__file__).resolve().parents[4] / "benchmarks/watch.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(benchmark), "--count=30", "--seconds=3"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not done.stderr
    figures, goal = done.stdout.splitlines()
    assert re.fullmatch(r"30 migrations, 200 x 60, every 2 s: [\d.]+ % of a core, .*", figures)
    assert done.returncode == goal.endswith("NOT met")
