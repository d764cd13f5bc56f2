# SPDX-License-Identifier: Apache-2.0
"""The agent as a service: its configuration, its broker, and the queue for operators' requests."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from migprog import exception, logs, outages, rpc, systemd
from migprog.compute.agent import ComputeAgent
from migprog.compute.endpoint import Endpoint
from migprog.compute.measuring import Rules
from migprog.compute.reporting.sender import REPORTS_WAIT
from migprog.compute.settings import Settings
from migprog.conf import steering
from migprog.core import schedule
from migprog.core.steering.policies import Mode
from migprog.recording.writer import Limits
from migprog.rpc import brokers, shutdown
from migprog.rpc import compute as compute_rpcapi
from migprog.rpc.conductor import ConductorAPI

LOG = logging.getLogger(__name__)

# Seconds between two attempts to listen at a broker that refuses it: doubled up to the second.
_LISTEN_SECONDS = (0.5, 30.0)
_NOT_LISTENING = (
    "migrations from this host can be neither aborted nor forced to complete, and no server of it "
    "is measured on request"
)


def read_settings(config: cfg.ConfigOpts, connection_uri: str | None = None) -> Settings:
    """Return the agent's options as values; ``connection_uri`` replaces the configured one."""
    group = config.compute
    return Settings(
        connection_uri=connection_uri or group.connection_uri,
        host=group.host,
        my_ip=group.my_ip,
        poll_interval_seconds=group.poll_interval,
        scan_interval_seconds=group.scan_interval,
        qemu_events=group.qemu_events,
        libvirt_timeout_seconds=group.libvirt_timeout,
        rules=schedule.Rules(group.report_interval, group.heartbeat_interval),
        state_path=group.state_path or None,
        record_path=group.record_path,
        record_limits=Limits(group.record_max_mib * 2**20, group.record_max_files),
        steering_mode=Mode(config.steering.mode),
        policies=steering.read(config),
        per_migration_metrics=group.per_migration_metrics,
        allow_actions=group.allow_actions,
        measuring=Rules(
            group.allow_measurements,
            tuple(group.measure_windows),
            group.measure_interval,
        ),
    )


class ComputeService:
    """The agent. libvirt's and the broker's addresses are the configured ones unless given.

    ``fail`` is called with an error that must stop the process.
    """

    def __init__(
        self,
        config: cfg.ConfigOpts,
        fail: Callable[[exception.MigprogError], None],
        connection_uri: str | None = None,
        transport_url: str | None = None,
    ) -> None:
        self._config = config
        self._fail = fail
        self._libvirt_uri = connection_uri
        self._transport_url = transport_url
        self._transport: Any = None
        self._agent: ComputeAgent | None = None
        self._server: Any = None
        self._where = ""
        self._broker: outages.Party | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        if self._transport_url is None:
            rpc.check(self._config)
        self._transport = rpc.transport(self._config, self._transport_url)
        where = self._where = brokers.where(self._config, self._transport_url)
        # The sender logs under the same party. This one also learns of outages that block a call.
        self._broker = outages.party(LOG, where, REPORTS_WAIT, outages.CHECK_BROKER)
        logs.report_broker(self._broker)
        conductor = ConductorAPI(self._transport, self._config.compute.rpc_timeout, where)
        group = self._config.compute
        listen = self._listen if group.allow_actions or group.allow_measurements else None
        self._agent = ComputeAgent(
            read_settings(self._config, self._libvirt_uri), conductor, listen, self._fail
        )
        self._agent.start()

    def _listen(self, host: str, endpoint: Endpoint, listens: Callable[[bool], None]) -> None:
        """Serve the agent's remote methods, once the broker is available and permits it."""
        # Not the sender's party: a broker may accept reports and refuse this queue.
        queue = f"{self._where}, queue {compute_rpcapi.TOPIC}.{host}"
        party = outages.party(LOG, queue, _NOT_LISTENING, outages.CHECK_BROKER)
        delay_seconds = _LISTEN_SECONDS[0]
        while not self._stopping.is_set():
            server = rpc.server(self._transport, compute_rpcapi.TOPIC, host, [endpoint])
            try:
                server.start()
            except brokers.ERRORS as error:
                why = brokers.cause(error)
                party.failed(why.text, delay_seconds, refused=why.is_refusal)
                self._stopping.wait(delay_seconds)
                delay_seconds = min(2 * delay_seconds, _LISTEN_SECONDS[1])
                continue
            self._server = server
            party.worked()
            listens(True)
            self._log_accepted(host)
            return

    def _log_accepted(self, host: str) -> None:
        group = self._config.compute
        if group.allow_actions:
            LOG.info("%s: requests to abort or force-complete migrations are accepted", host)
        if group.allow_measurements:
            LOG.info("%s: requests to measure servers are accepted", host)

    def stop(self) -> None:
        self._stopping.set()
        is_away = self._broker is not None and self._broker.is_failing
        # First the reports that must not be lost; an unavailable broker may hold up the rest.
        if self._agent is not None:
            self._agent.stop(cut_off=is_away)
        if self._server is not None:
            shutdown.stop_serving(self._server, is_away=is_away)
        if self._transport is not None:
            shutdown.close(self._transport, is_away=is_away)

    def reload(self, config: cfg.ConfigOpts) -> None:
        if self._agent is not None:
            self._agent.reload(read_settings(config, self._libvirt_uri))

    def status(self) -> systemd.Status:
        if self._agent is None:
            return systemd.Status(False, "starting")
        return self._agent.status()
