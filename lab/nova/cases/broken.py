# SPDX-License-Identifier: Apache-2.0
"""Live migrations during which something breaks."""

import contextlib

import libvirt

from lab.nova.bench import Server
from lab.nova.cloud import wait_for
from lab.nova.trial import Trial

_NAMESAKE = """<domain type="qemu"><name>{name}</name><memory unit="MiB">8</memory>
<os><type machine="pc">hvm</type></os></domain>"""


def prepare_fails(trial: Trial) -> None:
    """The destination has a domain of the same name, which libvirt finds in its prepare phase."""
    server = trial.boot("small")
    with trial.bench.domain(server, "host-a") as domain:
        name = domain.found.name()
    connection = libvirt.open(trial.bench.lab.host("host-b").uri)
    with contextlib.closing(connection):
        namesake = connection.defineXML(_NAMESAKE.format(name=name))
        try:
            with trial.watching(server, completes=False):
                trial.bench.live_migrate(server)
                trial.bench.wait_until_idle(server)
        finally:
            namesake.undefine()
    trial.bench.set_active(server)


def agents_killed(trial: Trial) -> None:
    server = trial.boot("steady")
    with trial.watching(server, agents_run=False):
        trial.bench.live_migrate(server)
        trial.bench.wait_until_moving(server, "host-a", mib=60)
        trial.bench.keeper("agents", verb="kill")
        trial.bench.keeper("agents", verb="start")
        trial.bench.wait_until_idle(server)
    found = [record["status"] for record in trial.bench.records(server)]
    trial.require(found == ["completed"], f"the records are {found}")


def compute_killed(trial: Trial) -> None:
    server = trial.boot("steady")
    with trial.watching(server):
        trial.bench.live_migrate(server)
        trial.bench.wait_until_moving(server, "host-a", mib=60)
        trial.bench.keeper("signal", name="compute@host-a", number=9)
        _wait_until_gone(trial, server)
    trial.bench.keeper("computes")
    _wait_until_over(trial, server)


def source_libvirtd_killed(trial: Trial) -> None:
    _libvirtd_killed(trial, "host-a")


def dest_libvirtd_killed(trial: Trial) -> None:
    _libvirtd_killed(trial, "host-b")


def _libvirtd_killed(trial: Trial, host: str) -> None:
    server = trial.boot("steady")
    with trial.watching(server, completes=False):
        trial.bench.live_migrate(server)
        trial.bench.wait_until_moving(server, "host-a", mib=60)
        trial.bench.keeper("libvirtd", host=host, verb="kill")
        trial.bench.keeper("libvirtd", host=host, verb="start")
        _wait_until_over(trial, server)
    trial.bench.set_active(server)


def _wait_until_gone(trial: Trial, server: Server) -> None:
    """Wait until libvirt has finished the job."""
    wait_for("the job's end", lambda: not trial.bench.job(server, "host-a"), 300)


def _wait_until_over(trial: Trial, server: Server) -> None:
    trial.bench.wait_until_idle(server)
    trial.bench.wait_for_records(server, lambda found: found and not found[0]["in_progress"])
