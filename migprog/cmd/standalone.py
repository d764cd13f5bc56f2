# SPDX-License-Identifier: Apache-2.0
"""``migprog-standalone``: agents, conductor and API in one process, without a broker.

For one hypervisor, or for evaluation: reports go through memory (``fake://``) to an SQLite file.
"""

from migprog import concurrency
from migprog.cmd import extras

concurrency.choose()
extras.require("migprog-standalone", "libvirt", "libvirt")

import logging  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
from typing import NoReturn  # noqa: E402

from oslo_config import cfg  # noqa: E402

from migprog import conf, exception, outages, service  # noqa: E402
from migprog.api.service import ApiService  # noqa: E402
from migprog.cmd.compute import ComputeService  # noqa: E402
from migprog.conductor.service import ConductorService  # noqa: E402
from migprog.db import engine as db  # noqa: E402
from migprog.db import schema  # noqa: E402

LOG = logging.getLogger(__name__)
_TRANSPORT_URL = "fake://"


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


class StandaloneService:
    """All services in one process, started from the database up."""

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._config = config
        uris = config.connection_uri or [config.compute.connection_uri]
        self._parts: list[service.Service] = [
            ConductorService(config, _TRANSPORT_URL),
            ApiService(config, _TRANSPORT_URL),
            *(ComputeService(config, uri, _TRANSPORT_URL) for uri in uris),
        ]
        self._started: list[service.Service] = []

    def start(self) -> None:
        store = db.connect(self._config)
        with outages.party(LOG, store.where, "nothing is stored").awaited():
            schema.sync(store)
        for part in self._parts:
            self._started.append(part)
            part.start()

    def stop(self) -> None:
        while self._started:
            self._started.pop().stop()

    def reload(self, config: cfg.ConfigOpts) -> None:
        for part in self._parts:
            part.reload(config)


def _completed(config: cfg.ConfigOpts) -> cfg.ConfigOpts:
    """Return the configuration with defaults for one machine."""
    state_path = pathlib.Path(config.state_path)
    try:
        state_path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise exception.ConfigError(f"--state-path: {error}") from error
    db.register_opts(config)
    config.set_default("connection", f"sqlite:///{state_path / 'migprog.sqlite'}", "database")
    config.set_default("auth_strategy", "noauth", "api")
    config.set_default("state_path", str(state_path), "compute")
    for name in ("bind_host", "bind_port"):
        if config[name] is not None:
            config.set_override(name, config[name], "api")
    conf.validate(config)
    return config


def main() -> NoReturn:
    service.main(
        "migprog-standalone",
        "Run agent, conductor and API in one process, without a message broker and with an SQLite "
        "database: for one hypervisor, or for evaluation.",
        lambda config: StandaloneService(_completed(config)),
        CLI_OPTS,
    )
