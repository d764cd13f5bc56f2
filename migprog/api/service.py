# SPDX-License-Identifier: Apache-2.0
"""The API as a service of ``migprog-api`` and ``migprog-standalone``."""

import contextlib
import logging
import socket

from oslo_config import cfg

from migprog import exception, logs, notifications, objects, outages, rpc, systemd
from migprog.api import app
from migprog.api.action_requests import Actions, ByAgents, Notifying
from migprog.api.auth import PUBLIC
from migprog.api.long_poll import LongPolls
from migprog.api.measuring import ByAgents as MeasuringByAgents
from migprog.api.measuring import Measuring
from migprog.conf.api import CONNECTIONS, bind_address
from migprog.httpd import Bounds, Server
from migprog.rpc import brokers, shutdown
from migprog.rpc.compute import ComputeAPI

LOG = logging.getLogger(__name__)
_WITHOUT_DATABASE = "requests are answered 503"


class ApiService:
    """The API for the configured database, listening at ``[api] bind_host`` and ``bind_port``.

    If actions are enabled, ``transport_url`` replaces the configured broker. ``port`` is the real
    one after the start.
    """

    port: int | None = None

    def __init__(self, config: cfg.ConfigOpts, transport_url: str | None = None) -> None:
        self._config = config
        self._transport_url = transport_url
        self._opened = contextlib.ExitStack()

    def start(self) -> None:
        """Begin to serve. Raises :class:`exception.ConfigError`."""
        group = self._config.api
        address = bind_address(self._config)
        store = objects.connect(self._config)
        self._opened.callback(store.close)
        long_polls = LongPolls(_places(group.max_long_polls, group.threads))
        actions, measuring = by_agents(self._config, store, self._opened, self._transport_url)
        news = app.watchers(self._config, store)
        application = app.create(
            *(self._config, store),
            actions=actions,
            long_polls=long_polls,
            news=news,
            measuring=measuring,
        )
        server = Server(
            application,
            *(address.host, address.port, group.threads, "[api] bind_port"),
            bounds=Bounds(
                request_seconds=group.request_timeout,
                connections=CONNECTIONS + group.max_watchers,
                connections_per_client=group.max_connections_per_client,
            ),
            # Load balancers must get an answer whatever the database and Keystone do.
            reserved=PUBLIC,
            refuse=app.refuse,
        )
        server.start()
        self._opened.callback(server.stop)
        self._opened.callback(long_polls.stop)
        self._opened.callback(news.stop)
        self.port = server.port
        _check_database(store)

    def stop(self) -> None:
        """Stop what was started; safe at any time, also repeatedly."""
        self._opened.close()

    def reload(self, config: cfg.ConfigOpts) -> None:
        """Do nothing: no option of the API is mutable."""

    def status(self) -> systemd.Status:
        if self.port is None:
            return systemd.Status(False, "starting")
        address = f"{self._config.api.bind_host} port {self.port}"
        return systemd.Status(True, f"serving requests at {address}")


def by_agents(
    config: cfg.ConfigOpts,
    store: objects.Store,
    opened: contextlib.ExitStack,
    transport_url: str | None = None,
) -> tuple[Actions | None, Measuring | None]:
    """Return what requests actions from agents, and what requests measurements; None if ``[api]
    allow_actions`` or ``allow_measurements`` is false.

    From here on the broker's failures are logged. What must be closed is added to ``opened``.
    Raises :class:`exception.ConfigError`.
    """
    if not (config.api.allow_actions or config.api.allow_measurements):
        return None, None
    if transport_url is None:
        rpc.check(config)
    where = brokers.where(config, transport_url)
    broker = outages.party(
        LOG, where, "actions and requests to measure are answered 503", outages.CHECK_BROKER
    )
    logs.report_broker(broker)
    transport = rpc.transport(config, transport_url)
    opened.callback(lambda: shutdown.close(transport, is_away=broker.is_failing))
    agents = ComputeAPI(transport)
    measuring = MeasuringByAgents(store, agents) if config.api.allow_measurements else None
    if not config.api.allow_actions:
        return None, measuring
    actions = ByAgents(store, agents)
    sender = notifications.make_sender(config, f"migprog-api:{socket.gethostname()}")
    if sender is None:
        return actions, measuring
    opened.callback(sender.stop)
    return Notifying(actions, sender.put), measuring


def _check_database(store: objects.Store) -> None:
    """Log at the start if requests cannot be served. Raises :class:`exception.ConfigError` if the
    database refuses the login or its tables are too old."""
    store.log_outages(_WITHOUT_DATABASE)
    try:
        party = outages.party(LOG, store.where, _WITHOUT_DATABASE, outages.CHECK_DATABASE)
        with party.awaited():
            objects.check_version(store)
    except objects.LoginRefused as error:
        raise exception.ConfigError(f"[database] connection: {store.where}: {error.why}") from error
    except objects.Unavailable as error:
        LOG.warning(
            "%s: %s; requests are answered 503 until it works; %s",
            *(store.where, error.why, outages.CHECK_DATABASE),
            extra={outages.IS_COMPLETE: True},
        )


def _places(max_long_polls: int | None, threads: int) -> int:
    """Return the number of long polls. Raises :class:`exception.ConfigError`."""
    if max_long_polls is None:
        return threads // 2
    if max_long_polls >= threads:
        raise exception.ConfigError(
            f"[api] max_long_polls: {max_long_polls} must be less than [api] threads, {threads}: "
            "a long poll occupies a thread, and other requests need one"
        )
    return max_long_polls
