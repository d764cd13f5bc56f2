# SPDX-License-Identifier: Apache-2.0
"""``migprog-standalone``: agents, conductor and API in one process, without a broker.

For one hypervisor, or for evaluation: reports go through memory (``fake://``) to an SQLite file.
"""

from migprog import concurrency
from migprog.cmd import extras

concurrency.choose()
extras.require("migprog-standalone", "libvirt", "libvirt")

import os  # noqa: E402
import pathlib  # noqa: E402
from typing import NoReturn  # noqa: E402

from oslo_config import cfg  # noqa: E402

from migprog import service  # noqa: E402


def _default_state_path() -> pathlib.Path:
    if os.geteuid() == 0:
        return pathlib.Path("/var/lib/migprog")
    return pathlib.Path.home() / ".local/state/migprog"


CLI_OPTS = [
    cfg.MultiStrOpt(
        "connection-uri",
        default=[],
        metavar="URI",
        help="URI of a libvirt to watch; may be given several times, each is a host with the name "
        "that its libvirt reports. Default: [compute] connection_uri.",
    ),
    cfg.HostAddressOpt(
        "bind-host",
        metavar="ADDRESS",
        help="Address that the API listens on. Default: [api] bind_host.",
    ),
    cfg.PortOpt(
        "bind-port",
        metavar="PORT",
        help="Port that the API listens on. Default: [api] bind_port.",
    ),
    cfg.StrOpt(
        "state-path",
        metavar="DIR",
        default=str(_default_state_path()),
        help="Directory of the database and of the agents' state, created if missing. "
        "Default: %(default)s.",
    ),
]


def main() -> NoReturn:
    service.main(
        "migprog-standalone",
        "Run agent, conductor and API in one process, without a message broker and with an SQLite "
        "database: for one hypervisor, or for evaluation.",
        _service,
        CLI_OPTS,
    )


def _service(config: cfg.ConfigOpts) -> service.Service:
    # Not at the top: --help, --version and a wrong option need none of it.
    from migprog.cmd.standalone_service import StandaloneService, completed

    return StandaloneService(completed(config))
