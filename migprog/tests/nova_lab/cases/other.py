# SPDX-License-Identifier: Apache-2.0
"""What is no live migration, though libvirt or Nova do something alike: it makes no record."""

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
        trial.bench.cli("server", "evacuate", "--wait", server.uuid)
    finally:
        _force_down(trial, "host-a", False)
        # It ends the domain that was left there.
        trial.bench.keeper("computes")
    shown = trial.bench.wait_until_idle(server)
    trial.require(shown["OS-EXT-SRV-ATTR:host"] == "host-b", f"it is {shown['status']}")


def _force_down(trial: Trial, host: str, down: bool) -> None:
    """Tell Nova that a host is down, as whoever has fenced it does."""
    services = trial.bench.cloud.nova("GET", "/os-services?binary=nova-compute")["services"]
    (service,) = (each["id"] for each in services if each["host"] == host)
    trial.bench.cloud.nova("PUT", f"/os-services/{service}", {"forced_down": down})


def _there_and_back(trial: Trial, there: str, back: str, status: str) -> None:
    server = trial.boot("quiet")
    trial.bench.cli("server", there, server.uuid)
    shown = trial.bench.wait_until_idle(server)
    trial.require(shown["status"] == status, f"after {there} it is {shown['status']}")
    trial.bench.cli("server", back, server.uuid)
    shown = trial.bench.wait_until_idle(server)
    trial.require(shown["status"] == "ACTIVE", f"after {back} it is {shown['status']}")
