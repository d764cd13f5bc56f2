# SPDX-License-Identifier: Apache-2.0
"""The conductor as a service: a store, a transport, and the server between them."""

import logging
from typing import Any

from oslo_config import cfg

from migprog import httpd, metrics, objects, rpc
from migprog.conductor import rpcapi
from migprog.conductor.intake import Intake, StoreBatches, storing
from migprog.conductor.manager import ConductorManager
from migprog.conductor.naming import Naming
from migprog.conductor.nova import Nova
from migprog.conf import nova as nova_conf
from migprog.conf.conductor import metrics_address

LOG = logging.getLogger(__name__)

# Prometheus asks now and then; a client that says nothing keeps one of them for some seconds.
_METRICS_THREADS = 4


class ConductorService:
    """Stores what agents report.

    The broker is the configured one unless ``transport_url`` is given. ``metrics_port`` is the
    real one where metrics are served, once it has started.
    """

    metrics_port: int | None = None

    def __init__(self, conf: cfg.ConfigOpts, transport_url: str | None = None) -> None:
        self._conf = conf
        self._transport_url = transport_url
        self._store: objects.Store | None = None
        self._transport: Any = None
        self._server: Any = None
        self._intake: Intake | None = None
        self._naming: Naming | None = None
        self._metrics: httpd.Server | None = None

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
        self._serve_metrics()
        self._intake = Intake(self._storing(self._store))
        self._intake.start()
        self._transport = rpc.transport(self._conf, self._transport_url)
        self._server = rpc.server(
            self._transport,
            rpcapi.TOPIC,
            self._conf.conductor.host,
            [ConductorManager(self._intake)],
            # The intake has logged it.
            expected=(objects.Unavailable,),
        )
        self._server.start()
        LOG.info("conductor %s takes reports", self._conf.conductor.host)

    def stop(self) -> None:
        """Finish what is at hand and close the connections."""
        if self._server is not None:
            self._server.stop()
            self._server.wait()
        if self._intake is not None:
            self._intake.stop()
        if self._naming is not None:
            self._naming.stop()
        if self._transport is not None:
            self._transport.cleanup()
        if self._metrics is not None:
            self._metrics.stop()
        if self._store is not None:
            self._store.close()

    def reload(self, conf: cfg.ConfigOpts) -> None:
        """None of its options can change while it runs."""

    def _storing(self, store: objects.Store) -> StoreBatches:
        """Also has Nova asked for what appears, where ``[nova]`` says how."""
        nova_conf.register_opts(self._conf)
        if not nova_conf.is_asked(self._conf):
            return storing(store)
        self._naming = Naming(store, Nova(self._conf).migrations)
        self._naming.start()
        return storing(store, self._naming.appeared)

    def _serve_metrics(self) -> None:
        address = metrics_address(self._conf)
        if address is None:
            return
        self._metrics = httpd.Server(
            metrics.application, *address, _METRICS_THREADS, "[conductor] metrics_listen"
        )
        self._metrics.start()
        self.metrics_port = self._metrics.port
