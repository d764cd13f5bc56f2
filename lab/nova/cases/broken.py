# SPDX-License-Identifier: Apache-2.0
"""Live migrations during which a part fails."""

import contextlib

import libvirt

from lab.nova.case_run import CaseRun
from lab.nova.cloud_client import wait_for
from lab.nova.operations import Server

_NAMESAKE = """<domain type="qemu"><name>{name}</name><memory unit="MiB">8</memory>
<os><type machine="pc">hvm</type></os></domain>"""


def prepare_fails(case_run: CaseRun) -> None:
    """The destination has a domain of the same name, which libvirt finds in its prepare phase."""
    server = case_run.boot("small")
    with case_run.operations.domain(server, "host-a") as domain:
        name = domain.found.name()
    connection = libvirt.open(case_run.operations.lab.host("host-b").uri)
    with contextlib.closing(connection):
        namesake = connection.defineXML(_NAMESAKE.format(name=name))
        try:
            with case_run.watching(server, completes=False):
                case_run.operations.live_migrate(server)
                case_run.operations.wait_until_idle(server)
        finally:
            namesake.undefine()
    case_run.operations.set_active(server)


def agents_killed(case_run: CaseRun) -> None:
    server = case_run.boot("steady")
    with case_run.watching(server, agents_run=False):
        case_run.operations.live_migrate(server)
        case_run.operations.wait_until_moving(server, "host-a", mib=60)
        case_run.operations.supervisor("agents", verb="kill")
        case_run.operations.supervisor("agents", verb="start")
        case_run.operations.wait_until_idle(server)
    found = [record["status"] for record in case_run.operations.records(server)]
    case_run.require(found == ["completed"], f"the records are {found}")


def compute_killed(case_run: CaseRun) -> None:
    server = case_run.boot("steady")
    with case_run.watching(server):
        case_run.operations.live_migrate(server)
        case_run.operations.wait_until_moving(server, "host-a", mib=60)
        case_run.operations.supervisor("signal", name="compute@host-a", number=9)
        _wait_until_gone(case_run, server)
    case_run.operations.supervisor("computes")
    _wait_until_over(case_run, server)


def source_libvirtd_killed(case_run: CaseRun) -> None:
    _libvirtd_killed(case_run, "host-a")


def dest_libvirtd_killed(case_run: CaseRun) -> None:
    _libvirtd_killed(case_run, "host-b")


def _libvirtd_killed(case_run: CaseRun, host: str) -> None:
    server = case_run.boot("steady")
    with case_run.watching(server, completes=False):
        case_run.operations.live_migrate(server)
        case_run.operations.wait_until_moving(server, "host-a", mib=60)
        case_run.operations.supervisor("libvirtd", host=host, verb="kill")
        case_run.operations.supervisor("libvirtd", host=host, verb="start")
        _wait_until_over(case_run, server)
    case_run.operations.set_active(server)


def _wait_until_gone(case_run: CaseRun, server: Server) -> None:
    """Wait until libvirt has finished the job."""
    wait_for("the job's end", lambda: not case_run.operations.job(server, "host-a"), 300)


def _wait_until_over(case_run: CaseRun, server: Server) -> None:
    case_run.operations.wait_until_idle(server)
    case_run.operations.wait_for_records(
        server, lambda found: found and not found[0]["in_progress"]
    )
