# SPDX-License-Identifier: Apache-2.0
"""Similar operations of libvirt or Nova that are no live migration make no record."""

import contextlib

from lab.nova.case_run import CaseRun
from lab.nova.cloud_client import Refused, wait_for
from lab.nova.operations import Document, Server


def suspend(case_run: CaseRun) -> None:
    _there_and_back(case_run, "suspend", "resume", "SUSPENDED")


def pause(case_run: CaseRun) -> None:
    _there_and_back(case_run, "pause", "unpause", "PAUSED")


def image(case_run: CaseRun) -> None:
    server = case_run.boot("disk")
    case_run.operations.cli(
        "server", "image", "create", "--wait", "--name", server.name, server.uuid
    )
    case_run.operations.wait_until_idle(server)
    case_run.operations.cli("image", "delete", server.name)


def cold(case_run: CaseRun) -> None:
    server = case_run.boot("small")
    case_run.operations.cli("server", "migrate", "--wait", server.uuid)
    case_run.operations.cli("server", "migration", "confirm", server.uuid)
    shown = case_run.operations.wait_until_idle(server)
    case_run.require(shown["OS-EXT-SRV-ATTR:host"] == "host-b", f"it is {shown['status']}")


def resize(case_run: CaseRun) -> None:
    server = case_run.boot("small")
    case_run.operations.cli("server", "resize", "--wait", "--flavor", "lab.384", server.uuid)
    case_run.operations.cli("server", "resize", "confirm", server.uuid)
    shown = case_run.operations.wait_until_idle(server)
    case_run.require(shown["status"] == "ACTIVE", f"it is {shown['status']}")


def evacuate(case_run: CaseRun) -> None:
    server = case_run.boot("small")
    case_run.operations.supervisor("signal", name="compute@host-a", number=9)
    _force_down(case_run, "host-a", True)
    try:
        # Its --wait never ends: from 2.95 on the server stays stopped.
        case_run.operations.cli("server", "evacuate", server.uuid)
        # Nova shows it idle before it has begun, and between its rebuild and its stop.
        wait_for(
            f"{server.name} to be on host-b", lambda: _is_idle_on(case_run, server, "host-b"), 180
        )
    finally:
        # Its nova-compute ends the domain that was left there; before that Nova refuses the host.
        case_run.operations.supervisor("start", name="compute@host-a")
        wait_for("host-a to be up again", lambda: _is_up_again(case_run, "host-a"), 180)


def _is_idle_on(case_run: CaseRun, server: Server, host: str) -> bool:
    return bool(case_run.operations.wait_until_idle(server)["OS-EXT-SRV-ATTR:host"] == host)


def _is_up_again(case_run: CaseRun, host: str) -> bool:
    with contextlib.suppress(Refused):
        _force_down(case_run, host, False)
    service = _service(case_run, host)
    return not service["forced_down"] and service["state"] == "up"


def _force_down(case_run: CaseRun, host: str, down: bool) -> None:
    """Set a host down in Nova, as a fencing tool does."""
    service = _service(case_run, host)["id"]
    case_run.operations.cloud.nova("PUT", f"/os-services/{service}", {"forced_down": down})


def _service(case_run: CaseRun, host: str) -> Document:
    """Return Nova's record of a host's nova-compute."""
    services = case_run.operations.cloud.nova("GET", "/os-services?binary=nova-compute")["services"]
    return next(each for each in services if each["host"] == host)


def _there_and_back(case_run: CaseRun, there: str, back: str, status: str) -> None:
    server = case_run.boot("quiet")
    case_run.operations.cli("server", there, server.uuid)
    shown = case_run.operations.wait_until_idle(server)
    case_run.require(shown["status"] == status, f"after {there} it is {shown['status']}")
    case_run.operations.cli("server", back, server.uuid)
    shown = case_run.operations.wait_until_idle(server)
    case_run.require(shown["status"] == "ACTIVE", f"after {back} it is {shown['status']}")
