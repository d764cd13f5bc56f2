# SPDX-License-Identifier: Apache-2.0
"""All services in one process, as ``migprog-standalone`` runs them."""

import logging
import pathlib

from oslo_config import cfg

from migprog import conf, exception, outages, service, systemd
from migprog.api.service import ApiService
from migprog.compute.service import ComputeService
from migprog.conductor.service import ConductorService
from migprog.db import connections, schema

LOG = logging.getLogger(__name__)
_TRANSPORT_URL = "fake://"


class StandaloneService:
    """All services in one process, started from the database up."""

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._config = config
        uris = config.connection_uri or [config.compute.connection_uri]
        self._parts: list[service.Service] = [
            ConductorService(config, _TRANSPORT_URL),
            ApiService(config, _TRANSPORT_URL),
            *(ComputeService(config, service.fail, uri, _TRANSPORT_URL) for uri in uris),
        ]
        self._started: list[service.Service] = []

    def start(self) -> None:
        store = connections.connect(self._config)
        party = outages.party(LOG, store.where, "nothing is stored", outages.CHECK_DATABASE)
        with party.awaited():
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

    def status(self) -> systemd.Status:
        every = [part.status() for part in self._parts]
        return systemd.Status(
            all(each.serves for each in every), "; ".join(each.text for each in every)
        )


def completed(config: cfg.ConfigOpts) -> cfg.ConfigOpts:
    """Return the configuration with defaults for one machine."""
    state_path = pathlib.Path(config.state_path)
    try:
        state_path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise exception.ConfigError(f"--state-path: {error}") from error
    connections.register_opts(config)
    config.set_default("connection", f"sqlite:///{state_path / 'migprog.sqlite'}", "database")
    config.set_default("auth_strategy", "noauth", "api")
    config.set_default("state_path", str(state_path), "compute")
    for name in ("bind_host", "bind_port"):
        if config[name] is not None:
            config.set_override(name, config[name], "api")
    conf.validate(config)
    return config
