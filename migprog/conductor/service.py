# SPDX-License-Identifier: Apache-2.0
"""The conductor as a service: a store, a transport, and an RPC server."""

import logging
import threading
from typing import Any

from oslo_config import cfg

from migprog import (
    exception,
    httpd,
    logs,
    metrics,
    notifications,
    objects,
    outages,
    rpc,
    systemd,
)
from migprog.conductor.agent_states import AgentStates
from migprog.conductor.batcher import ReportBatcher
from migprog.conductor.before_checks import BeforeChecks
from migprog.conductor.endpoint import ConductorEndpoint
from migprog.conductor.expectations import Expectations
from migprog.conductor.nova_client import Nova
from migprog.conductor.nova_lookup import NovaIdLookup
from migprog.conductor.storing import StoreBatches, make_store_batches
from migprog.conf import nova as nova_conf
from migprog.conf.bind import metrics_address
from migprog.metrics import conductor as conductor_metrics
from migprog.rpc import brokers, conductor, shutdown

LOG = logging.getLogger(__name__)

# Prometheus scrapes now and then; a client that sends nothing occupies one thread for some seconds.
_METRICS_THREADS = 4
_WITHOUT_DATABASE = "reports wait in the agents, progress reports are dropped"
# Between two attempts to reach the database at the start.
_DATABASE_RETRY_SECONDS = 2.0


class ConductorService:
    """Stores what agents report.

    The broker is the configured one unless ``transport_url`` is given. ``metrics_port`` is the port
    that serves metrics, if any, once started.
    """

    metrics_port: int | None = None

    def __init__(self, conf: cfg.ConfigOpts, transport_url: str | None = None) -> None:
        self._conf = conf
        self._transport_url = transport_url
        self._store: objects.Store | None = None
        self._transport: Any = None
        self._server: Any = None
        self._batcher: ReportBatcher | None = None
        self._nova_id_lookup: NovaIdLookup | None = None
        self._before_checks: BeforeChecks | None = None
        self._notifications: notifications.Sender | None = None
        self._metrics: httpd.Server | None = None
        self._agent_states: AgentStates | None = None
        self._broker: outages.Party | None = None
        self._stopping = threading.Event()
        self._serves = ""

    def start(self) -> None:
        """Start; wait for a database or a broker that is away.

        Raises :class:`exception.ConfigError`, also when the database or the broker refuses our
        login, or the tables are too old.
        """
        if self._transport_url is None:
            rpc.check(self._conf)
        self._notifications = notifications.make_sender(
            self._conf, f"migprog-conductor:{self._conf.conductor.host}"
        )
        self._store = objects.connect(self._conf)
        self._serve_metrics()
        self._wait_for_database(self._store)
        if self._stopping.is_set():
            return
        self._store.log_outages(_WITHOUT_DATABASE)
        self._batcher = ReportBatcher(self._storing(self._store))
        self._batcher.start()
        conductor_metrics.oldest_unstored(self._batcher.oldest_seconds)
        if self._metrics is not None:
            self._agent_states = AgentStates(self._store)
            self._agent_states.start()
        where = brokers.where(self._conf, self._transport_url)
        self._broker = outages.party(
            LOG, where, "no reports are received; they wait in the agents", outages.CHECK_BROKER
        )
        logs.report_broker(self._broker)
        self._transport = rpc.transport(self._conf, self._transport_url)
        self._server = rpc.server(
            self._transport,
            conductor.TOPIC,
            self._conf.conductor.host,
            [ConductorEndpoint(self._batcher, Expectations(self._store).of)],
            # The store has logged it.
            expected=(objects.Unavailable,),
            at_once=frozenset({"progress"}),
            # A batch that is received twice is stored once.
            may_repeat=True,
        )
        try:
            with self._broker.awaited():
                self._server.start()
        except brokers.ERRORS as error:
            why = brokers.cause(error).text
            raise exception.ConfigError(f"[DEFAULT] transport_url: {where}: {why}") from error
        self._broker.worked()
        self._serves = f"storing reports from {where} in {self._store.where}"
        LOG.info(
            "conductor %s takes reports from %s and stores them in %s",
            *(self._conf.conductor.host, where, self._store.where),
        )

    def stop(self) -> None:
        """Finish the calls that are being served, and close the connections."""
        self._stopping.set()
        if self._server is not None:
            shutdown.stop_serving(self._server, is_away=self._is_broker_away())
        if self._batcher is not None:
            self._batcher.stop()
        if self._before_checks is not None:
            self._before_checks.stop()
        if self._nova_id_lookup is not None:
            self._nova_id_lookup.stop()
        if self._notifications is not None:
            self._notifications.stop()
        if self._agent_states is not None:
            self._agent_states.stop()
        if self._transport is not None:
            shutdown.close(self._transport, is_away=self._is_broker_away())
        if self._metrics is not None:
            self._metrics.stop()
        if self._store is not None:
            self._store.close()

    def reload(self, conf: cfg.ConfigOpts) -> None:
        """Do nothing: no option of the conductor can change while it runs."""

    def status(self) -> systemd.Status:
        return systemd.Status(bool(self._serves), self._serves or "starting")

    def _wait_for_database(self, store: objects.Store) -> None:
        """Return when the database serves, or when the service is to stop."""
        party = outages.party(LOG, store.where, _WITHOUT_DATABASE, outages.CHECK_DATABASE)
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
        """Return what stores batches; start what follows ends and, where ``[nova]`` is configured,
        looks up Nova's ids."""
        nova_conf.register_opts(self._conf)
        notify = None if self._notifications is None else self._notifications.put
        self._before_checks = BeforeChecks(store)
        self._before_checks.start()
        ended = self._before_checks.ended
        if not nova_conf.is_asked(self._conf):
            return make_store_batches(store, notify=notify, ended=ended)
        self._nova_id_lookup = NovaIdLookup(store, Nova(self._conf), notify=notify)
        self._nova_id_lookup.start()
        return make_store_batches(store, self._nova_id_lookup.appeared, notify, ended)

    def _serve_metrics(self) -> None:
        address = metrics_address(self._conf.conductor)
        if address is None:
            return
        self._metrics = httpd.Server(
            metrics.application, *address, _METRICS_THREADS, "[conductor] metrics_bind_port"
        )
        self._metrics.start()
        self.metrics_port = self._metrics.port
