# SPDX-License-Identifier: Apache-2.0
"""The API as a service of ``migprog-api`` and ``migprog-standalone``."""

import contextlib
import logging

from oslo_config import cfg

from migprog import exception, logs, objects, outages, rpc
from migprog.api import app
from migprog.api.actions import Actions, ByAgents
from migprog.api.auth import PUBLIC
from migprog.api.long_poll import LongPolls
from migprog.conf.api import bind_address
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

    port: int

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
        actions = by_agents(self._config, store, self._opened, self._transport_url)
        application = app.create(self._config, store, actions=actions, long_polls=long_polls)
        server = Server(
            application,
            *(address.host, address.port, group.threads, "[api] bind_port"),
            bounds=Bounds(
                request_seconds=group.request_timeout,
                connections_per_client=group.max_connections_per_client,
            ),
            # Load balancers must get an answer whatever the database and Keystone do.
            reserved=PUBLIC,
            refuse=app.refuse,
        )
        server.start()
        self._opened.callback(server.stop)
        self._opened.callback(long_polls.stop)
        self.port = server.port
        _check_database(store)

    def stop(self) -> None:
        """Stop what was started; safe at any time, also repeatedly."""
        self._opened.close()

    def reload(self, config: cfg.ConfigOpts) -> None:
        """Do nothing: no option of the API is mutable."""


def by_agents(
    config: cfg.ConfigOpts,
    store: objects.Store,
    opened: contextlib.ExitStack,
    transport_url: str | None = None,
) -> Actions | None:
    """Return what requests actions from agents; None if ``[api] allow_actions`` is false.

    From here on the broker's failures are logged. What must be closed is added to ``opened``.
    Raises :class:`exception.ConfigError`.
    """
    if not config.api.allow_actions:
        return None
    if transport_url is None:
        rpc.check(config)
    where = brokers.where(config, transport_url)
    broker = outages.party(LOG, where, "actions are answered 503")
    logs.report_broker(broker)
    transport = rpc.transport(config, transport_url)
    opened.callback(lambda: shutdown.close(transport, is_away=broker.is_failing))
    return ByAgents(store, ComputeAPI(transport))


def _check_database(store: objects.Store) -> None:
    """Log at the start if requests cannot be served. Raises :class:`exception.ConfigError` if the
    database refuses the login or its tables are too old."""
    store.log_outages(_WITHOUT_DATABASE)
    try:
        with outages.party(LOG, store.where, _WITHOUT_DATABASE).awaited():
            objects.check_version(store)
    except objects.LoginRefused as error:
        raise exception.ConfigError(f"[database] connection: {store.where}: {error.why}") from error
    except objects.Unavailable as error:
        LOG.warning(
            "%s: %s; requests are answered 503 until it works; check the database",
            *(store.where, error.why),
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
