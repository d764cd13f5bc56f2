# SPDX-License-Identifier: Apache-2.0
"""Live migrations that Nova aborts or forces to complete, by request or timeout."""

from lab.nova.case_run import CaseRun
from lab.nova.operations import Server


def abort(case_run: CaseRun) -> None:
    server = case_run.boot("busy")
    with case_run.watching(server, completes=False):
        _abort(case_run, server)
    _require_status(case_run, server, "cancelled")


def abort_and_retry(case_run: CaseRun) -> None:
    server = case_run.boot("steady")
    with case_run.watching(server, completes=False):
        _abort(case_run, server)
    case_run.operations.set_active(server)
    with case_run.watching(server):
        case_run.operations.live_migrate(server)
        case_run.operations.wait_until_idle(server)
    _require_status(case_run, server, "completed")


def force_complete(case_run: CaseRun) -> None:
    _force(case_run)


def post_copy(case_run: CaseRun) -> None:
    _force(case_run)


def timeout_aborts(case_run: CaseRun) -> None:
    _leave_to_nova(case_run, "cancelled")


def timeout_forces(case_run: CaseRun) -> None:
    _leave_to_nova(case_run, "completed")


def _abort(case_run: CaseRun, server: Server) -> None:
    case_run.operations.live_migrate(server)
    case_run.operations.wait_until_moving(server, "host-a", mib=20)
    case_run.operations.abort(server)
    case_run.operations.wait_until_idle(server)


def _force(case_run: CaseRun) -> None:
    server = case_run.boot("busy")
    with case_run.watching(server):
        case_run.operations.live_migrate(server)
        # A second pass, so that a share of memory is left again.
        case_run.operations.wait_until_moving(server, "host-a", mib=300)
        case_run.operations.force_complete(server)
        case_run.operations.wait_until_idle(server)
    _require_status(case_run, server, "completed")


def _leave_to_nova(case_run: CaseRun, status: str) -> None:
    server = case_run.boot("busy")
    with case_run.watching(server, completes=status == "completed"):
        case_run.operations.live_migrate(server)
        case_run.operations.wait_until_idle(server)
    _require_status(case_run, server, status)


def _require_status(case_run: CaseRun, server: Server, status: str) -> None:
    case_run.operations.wait_for_records(
        server, lambda found: found and not found[0]["in_progress"]
    )
    found = [record["status"] for record in case_run.operations.records(server)]
    case_run.require(found[:1] == [status], f"the records are {found}, the newest not {status}")
