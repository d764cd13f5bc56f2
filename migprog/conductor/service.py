# SPDX-License-Identifier: Apache-2.0
"""The conductor as a service: a store, a transport, and the server between them."""

import logging
from typing import Any

from oslo_config import cfg

from migprog import objects, rpc
from migprog.conductor import rpcapi
from migprog.conductor.manager import ConductorManager

LOG = logging.getLogger(__name__)


class ConductorService:
    """Stores what agents report.

    The broker is the configured one unless ``transport_url`` is given.
    """

    def __init__(self, conf: cfg.ConfigOpts, transport_url: str | None = None) -> None:
        self._conf = conf
        self._transport_url = transport_url
        self._store: objects.Store | None = None
        self._transport: Any = None
        self._server: Any = None

    def start(self) -> None:
        """Raises :class:`exception.ConfigError`.

        A database or a broker that is away now is waited for: messages wait in the broker, and
        reports with the agents.
        """
        self._store = objects.connect(self._conf)
        try:
            objects.check_version(self._store)
        except objects.Unavailable as error:
            LOG.warning("starting all the same: %s", error)
        self._transport = rpc.transport(self._conf, self._transport_url)
        self._server = rpc.server(
            self._transport,
            rpcapi.TOPIC,
            self._conf.conductor.host,
            [ConductorManager(self._store)],
        )
        self._server.start()
        LOG.info("conductor %s takes reports", self._conf.conductor.host)

    def stop(self) -> None:
        """Finish what is at hand and close the connections."""
        if self._server is not None:
            self._server.stop()
            self._server.wait()
        if self._transport is not None:
            self._transport.cleanup()
        if self._store is not None:
            self._store.close()

    def reload(self, conf: cfg.ConfigOpts) -> None:
        """None of its options can change while it runs."""
