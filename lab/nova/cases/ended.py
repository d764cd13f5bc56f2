# SPDX-License-Identifier: Apache-2.0
"""Live migrations that Nova ends, or speeds up: by hand or after its own time."""

from lab.nova.bench import Server
from lab.nova.trial import Trial


def abort(trial: Trial) -> None:
    server = trial.boot("busy")
    with trial.watching(server, completes=False):
        _abort(trial, server)
    _require_status(trial, server, "cancelled")


def abort_and_retry(trial: Trial) -> None:
    server = trial.boot("steady")
    with trial.watching(server, completes=False):
        _abort(trial, server)
    trial.bench.set_active(server)
    with trial.watching(server):
        trial.bench.live_migrate(server)
        trial.bench.wait_until_idle(server)
    _require_status(trial, server, "completed")


def force_complete(trial: Trial) -> None:
    _force(trial)


def post_copy(trial: Trial) -> None:
    _force(trial)


def timeout_aborts(trial: Trial) -> None:
    _leave_to_nova(trial, "cancelled")


def timeout_forces(trial: Trial) -> None:
    _leave_to_nova(trial, "completed")


def _abort(trial: Trial, server: Server) -> None:
    trial.bench.live_migrate(server)
    trial.bench.wait_until_moving(server, "host-a", mib=20)
    trial.bench.abort(server)
    trial.bench.wait_until_idle(server)


def _force(trial: Trial) -> None:
    server = trial.boot("busy")
    with trial.watching(server):
        trial.bench.live_migrate(server)
        # A second pass, so that a share of memory is left again.
        trial.bench.wait_until_moving(server, "host-a", mib=300)
        trial.bench.force_complete(server)
        trial.bench.wait_until_idle(server)
    _require_status(trial, server, "completed")


def _leave_to_nova(trial: Trial, status: str) -> None:
    server = trial.boot("busy")
    with trial.watching(server, completes=status == "completed"):
        trial.bench.live_migrate(server)
        trial.bench.wait_until_idle(server)
    _require_status(trial, server, status)


def _require_status(trial: Trial, server: Server, status: str) -> None:
    trial.bench.wait_for_records(server, lambda found: found and not found[0]["in_progress"])
    found = [record["status"] for record in trial.bench.records(server)]
    trial.require(found[:1] == [status], f"the records are {found}, the newest not {status}")
