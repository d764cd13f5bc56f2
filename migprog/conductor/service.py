# SPDX-License-Identifier: Apache-2.0
"""The conductor as a service: a store, a transport, and the server between them."""

import logging
import threading
from typing import Any

from oslo_config import cfg

from migprog import exception, httpd, logs, metrics, objects, outages, rpc
from migprog.conductor.batcher import ReportBatcher, StoreBatches, storing
from migprog.conductor.endpoint import ConductorEndpoint
from migprog.conductor.nova_client import Nova
from migprog.conductor.nova_lookup import NovaIdLookup
from migprog.conf import nova as nova_conf
from migprog.conf.conductor import metrics_address
from migprog.rpc import brokers, conductor, ending

LOG = logging.getLogger(__name__)

# Prometheus asks now and then; a client that says nothing keeps one of them for some seconds.
_METRICS_THREADS = 4
_WITHOUT_DATABASE = "reports wait in the agents, those of progress alone are dropped"
# Between two attempts to reach the database at the start.
_DATABASE_RETRY_SECONDS = 2.0


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
        self._intake: ReportBatcher | None = None
        self._naming: NovaIdLookup | None = None
        self._metrics: httpd.Server | None = None
        self._broker: outages.Party | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Raises :class:`exception.ConfigError`: also when the database or the broker refuses our
        login, or the tables are too old.

        A database or a broker that is away now is waited for: messages wait in the broker, and
        reports with the agents.
        """
        if self._transport_url is None:
            rpc.check(self._conf)
        self._store = objects.connect(self._conf)
        self._serve_metrics()
        self._wait_for_database(self._store)
        if self._stopping.is_set():
            return
        self._store.log_outages(_WITHOUT_DATABASE)
        self._intake = ReportBatcher(self._storing(self._store))
        self._intake.start()
        where = brokers.where(self._conf, self._transport_url)
        self._broker = outages.party(LOG, where, "no reports are received; they wait in the agents")
        logs.report_broker(self._broker)
        self._transport = rpc.transport(self._conf, self._transport_url)
        self._server = rpc.server(
            self._transport,
            conductor.TOPIC,
            self._conf.conductor.host,
            [ConductorEndpoint(self._intake)],
            # The intake has logged it.
            expected=(objects.Unavailable,),
        )
        try:
            with self._broker.awaited():
                self._server.start()
        except brokers.ERRORS as error:
            why = brokers.cause(error).text
            raise exception.ConfigError(f"[DEFAULT] transport_url: {where}: {why}") from error
        self._broker.worked()
        LOG.info(
            "conductor %s takes reports from %s and stores them in %s",
            *(self._conf.conductor.host, where, self._store.where),
        )

    def stop(self) -> None:
        """Finish what is at hand and close the connections."""
        self._stopping.set()
        if self._server is not None:
            ending.stop_serving(self._server, is_away=self._is_broker_away())
        if self._intake is not None:
            self._intake.stop()
        if self._naming is not None:
            self._naming.stop()
        if self._transport is not None:
            ending.close(self._transport, is_away=self._is_broker_away())
        if self._metrics is not None:
            self._metrics.stop()
        if self._store is not None:
            self._store.close()

    def reload(self, conf: cfg.ConfigOpts) -> None:
        """None of its options can change while it runs."""

    def _wait_for_database(self, store: objects.Store) -> None:
        """Return when the database serves, or when it is to stop."""
        party = outages.party(LOG, store.where, _WITHOUT_DATABASE)
        while not self._stopping.is_set():
            try:
                with party.awaited():
                    objects.check_version(store)
            except objects.LoginRefused as error:
                raise exception.ConfigError(
                    f"[database] connection: {store.where}: {error.why}"
                ) from error
            except objects.Unavailable as error:
                cause = error.why
            else:
                party.worked()
                return
            party.failed(cause, _DATABASE_RETRY_SECONDS)
            self._stopping.wait(_DATABASE_RETRY_SECONDS)

    def _is_broker_away(self) -> bool:
        return self._broker is not None and self._broker.is_failing

    def _storing(self, store: objects.Store) -> StoreBatches:
        """Also has Nova asked for what appears, where ``[nova]`` says how."""
        nova_conf.register_opts(self._conf)
        if not nova_conf.is_asked(self._conf):
            return storing(store)
        self._naming = NovaIdLookup(store, Nova(self._conf))
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
