# SPDX-License-Identifier: Apache-2.0
"""What is no live migration, though libvirt or Nova do something alike: it makes no record."""

import contextlib

from migprog.tests.nova_lab.bench import Document, Server
from migprog.tests.nova_lab.cloud import Refused, wait_for
from migprog.tests.nova_lab.trial import Trial


def suspend(trial: Trial) -> None:
    _there_and_back(trial, "suspend", "resume", "SUSPENDED")


def pause(trial: Trial) -> None:
    _there_and_back(trial, "pause", "unpause", "PAUSED")


def image(trial: Trial) -> None:
    server = trial.boot("disk")
    trial.bench.cli("server", "image", "create", "--wait", "--name", server.name, server.uuid)
    trial.bench.wait_until_idle(server)
    trial.bench.cli("image", "delete", server.name)


def cold(trial: Trial) -> None:
    server = trial.boot("small")
    trial.bench.cli("server", "migrate", "--wait", server.uuid)
    trial.bench.cli("server", "migration", "confirm", server.uuid)
    shown = trial.bench.wait_until_idle(server)
    trial.require(shown["OS-EXT-SRV-ATTR:host"] == "host-b", f"it is {shown['status']}")


def resize(trial: Trial) -> None:
    server = trial.boot("small")
    trial.bench.cli("server", "resize", "--wait", "--flavor", "lab.384", server.uuid)
    trial.bench.cli("server", "resize", "confirm", server.uuid)
    shown = trial.bench.wait_until_idle(server)
    trial.require(shown["status"] == "ACTIVE", f"it is {shown['status']}")


def evacuate(trial: Trial) -> None:
    server = trial.boot("small")
    trial.bench.keeper("signal", name="compute@host-a", number=9)
    _force_down(trial, "host-a", True)
    try:
        # Its --wait never ends: from 2.95 on the server stays stopped.
        trial.bench.cli("server", "evacuate", server.uuid)
        # Nova shows it idle before it has begun, and between its rebuild and its stop.
        wait_for(
            f"{server.name} to be on host-b", lambda: _is_idle_on(trial, server, "host-b"), 180
        )
    finally:
        # Its nova-compute ends the domain that was left there; before that Nova refuses the host.
        trial.bench.keeper("start", name="compute@host-a")
        wait_for("host-a to be up again", lambda: _is_up_again(trial, "host-a"), 180)


def _is_idle_on(trial: Trial, server: Server, host: str) -> bool:
    return bool(trial.bench.wait_until_idle(server)["OS-EXT-SRV-ATTR:host"] == host)


def _is_up_again(trial: Trial, host: str) -> bool:
    with contextlib.suppress(Refused):
        _force_down(trial, host, False)
    service = _service(trial, host)
    return not service["forced_down"] and service["state"] == "up"


def _force_down(trial: Trial, host: str, down: bool) -> None:
    """Tell Nova that a host is down, as whoever has fenced it does."""
    service = _service(trial, host)["id"]
    trial.bench.cloud.nova("PUT", f"/os-services/{service}", {"forced_down": down})


def _service(trial: Trial, host: str) -> Document:
    """Nova's record of a host's nova-compute."""
    services = trial.bench.cloud.nova("GET", "/os-services?binary=nova-compute")["services"]
    return next(each for each in services if each["host"] == host)


def _there_and_back(trial: Trial, there: str, back: str, status: str) -> None:
    server = trial.boot("quiet")
    trial.bench.cli("server", there, server.uuid)
    shown = trial.bench.wait_until_idle(server)
    trial.require(shown["status"] == status, f"after {there} it is {shown['status']}")
    trial.bench.cli("server", back, server.uuid)
    shown = trial.bench.wait_until_idle(server)
    trial.require(shown["status"] == "ACTIVE", f"after {back} it is {shown['status']}")
