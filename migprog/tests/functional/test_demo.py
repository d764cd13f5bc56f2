# SPDX-License-Identifier: Apache-2.0
"""``tools/demo``'s program with one of its migrations; and whether what its post-mortem proposes
would have helped: the same guest migrates again with it."""

import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import pytest
import requests

from lab import demo
from lab.hosts import Lab, statedir
from lab.parts import processes
from lab.parts.deployment import wait_for_output
from migprog import SERVICE_TYPE
from migprog.cli import api_requests
from migprog.tests.functional.cli import terminal

pytestmark = pytest.mark.functional

DEMO = (sys.executable, "-m", "lab.demo")
LATEST = {api_requests.MICROVERSION_HEADER: f"{SERVICE_TYPE} latest"}


def test_demo_on_a_terminal_shows_the_live_view_then_the_post_mortem_and_stays_up() -> None:
    with terminal.running(*DEMO, "--only", "cache", "--keep", columns=120, lines=50) as shown:
        shown.wait_for_text("Starting two libvirt hosts")
        # The view of ``migprog watch``, on the screen that the lines before are on.
        lines = shown.wait_for_text("migrations of both hosts")
        assert any("Starting migprog" in line for line in lines)
        shown.wait_for(
            lambda lines: any("cache" in line and "not-converging" in line for line in lines),
            "the verdict",
        )
        shown.wait_for_text("aborting it")
        lines = shown.wait_for_text("run until Ctrl-C. Look at:")
        (first,) = [at for at, line in enumerate(lines) if line.startswith("cache: cancelled")]
        said = "\n".join(lines[first:])
        assert "time went into" in said and "would have helped: " in said
        assert "abort after" in said and "cache      cancelled (expected)" in said
        shown.wait_for_text(" watch")
        (url,) = {
            word.strip("'")
            for line in shown.lines
            for word in line.split()
            if word.endswith("/migrations'")
        }
        (found,) = requests.get(f"{url}?in_progress=false", timeout=10).json()["migrations"]
        assert found["status"] == "cancelled"
        assert shown.interrupt() == 0
    assert b"\x1b[?1049h" not in shown.written


def test_demo_that_is_terminated_leaves_nothing(tmp_path: pathlib.Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with processes.running([*DEMO, "--keep"], tmp_path, environment) as demo_:
        wait_for_output(demo_, "Starting migprog ...")
        number = demo_.process.pid
        assert list(statedir.RUN.glob(f"{statedir.PREFIX}{number}-*"))
        assert list(tmp_path.glob("migprog-demo-*"))
        demo_.process.terminate()
        assert demo_.process.wait(60) == 143
    assert not list(statedir.RUN.glob(f"{statedir.PREFIX}{number}-*"))
    assert not list(tmp_path.glob("migprog-demo-*"))


@pytest.mark.long
def test_demo_without_a_terminal_writes_lines(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "records.json"
    done = subprocess.run(
        [*DEMO, "--only", "web", "--json", str(file)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert any(" started " in line for line in lines)
    (first,) = [at for at, line in enumerate(lines) if line.startswith("web: completed after")]
    assert [line[:2] for line in lines[first + 1 : first + 5]] == ["  "] * 4
    assert "web        completed (expected)" in lines
    assert "tools/demo --keep" in lines[-1] and "http://" not in lines[-1]
    (found,) = json.loads(file.read_text())["migrations"]
    assert (found["status"], found["server_name"]) == ("completed", "web")


def test_downtime_limit_of_the_summary_ends_the_same_migration(
    lab: Lab, tmp_path: pathlib.Path
) -> None:
    case = demo.cases()["cache"]
    source, destination = lab.hosts
    with demo.standalone(lab, str(tmp_path)) as url:
        server = lab.start_guest(source, case.guest)
        of_server = f"{url}/servers/{server.uuid}/migrations"

        def newest(**wanted: Any) -> dict[str, Any]:
            def found() -> dict[str, Any] | None:
                answer = requests.get(of_server, headers=LATEST, timeout=10)
                if answer.status_code == 404:
                    return None
                (each, *_) = answer.json()["migrations"]
                return each if wanted.items() <= each.items() else None

            return processes.wait_for(found, 60, f"a migration with {wanted}")

        try:
            first = lab.migrate(server, source, destination, bandwidth_mib_s=20)
            newest(verdict="not-converging")
            first.abort()
            first.wait()
            one = newest(status="cancelled")
            summary = _summary(one)
            (proposed,) = [
                each for each in summary["measures"] if each["action"] == "raise-downtime"
            ]
            assert proposed["reason"] is None
            limit = proposed["figures"]["downtime_limit_seconds"]
            assert limit > proposed["figures"]["downtime_limit_before_seconds"]
            began = time.monotonic()
            second = lab.migrate(
                server, source, destination, bandwidth_mib_s=20, downtime_ms=round(1000 * limit)
            )
            assert second.wait().completed
            took = time.monotonic() - began
        finally:
            lab.destroy_guest(server)
    # At about the iteration, and the time, that was said; what is slow slows both.
    foretold = summary["seconds"] - proposed["earlier_seconds"]
    assert took <= foretold + 5.0


def _summary(record: dict[str, Any]) -> Any:
    (link,) = [each["href"] for each in record["links"] if each["rel"] == "summary"]
    return requests.get(link, headers=LATEST, timeout=10).json()["summary"]
