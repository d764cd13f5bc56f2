# SPDX-License-Identifier: Apache-2.0
"""The API as a service of a process of ours: ``migprog-api``, ``migprog-standalone``."""

import contextlib
import logging

from oslo_config import cfg

from migprog import exception, logs, objects, outages, rpc
from migprog.api import app
from migprog.api.actions import Actions, ByAgents
from migprog.api.auth import PUBLIC
from migprog.api.waiting import Waiting
from migprog.conf.api import check_listen
from migprog.httpd import Bounds, Server
from migprog.rpc import brokers, ending
from migprog.rpc.compute import ComputeAPI

LOG = logging.getLogger(__name__)
_WITHOUT_DATABASE = "requests are answered 503"


class ApiService:
    """The API over the configured database, listening where ``[api] listen`` says.

    Where something may be done to migrations, the broker is the configured one unless
    ``transport_url`` is given. ``port`` is the real one, once it has started.
    """

    port: int

    def __init__(self, config: cfg.ConfigOpts, transport_url: str | None = None) -> None:
        self._config = config
        self._transport_url = transport_url
        self._opened = contextlib.ExitStack()

    def start(self) -> None:
        """Raises :class:`exception.ConfigError`."""
        group = self._config.api
        address = check_listen(group.listen, group.auth_strategy)
        store = objects.connect(self._config)
        self._opened.callback(store.close)
        waiting = Waiting(_places(group.max_long_polls, group.threads))
        actions = by_agents(self._config, store, self._opened, self._transport_url)
        application = app.create(self._config, store, actions=actions, waiting=waiting)
        server = Server(
            application,
            *(address.host, address.port, group.threads, "[api] listen"),
            bounds=Bounds(
                request_seconds=group.request_timeout,
                connections_per_client=group.max_connections_per_client,
            ),
            # Whatever the database or Keystone do, a load balancer learns of it.
            reserved=PUBLIC,
            refuse=app.refuse,
        )
        server.start()
        self._opened.callback(server.stop)
        self._opened.callback(waiting.stop)
        self.port = server.port
        _look_at_database(store)

    def stop(self) -> None:
        """What was started is ended; safe at any time, and more than once."""
        self._opened.close()

    def reload(self, config: cfg.ConfigOpts) -> None:
        """None of the API's options is mutable."""


def by_agents(
    config: cfg.ConfigOpts,
    store: objects.Store,
    opened: contextlib.ExitStack,
    transport_url: str | None = None,
) -> Actions | None:
    """What may be done to migrations, by their agents; None where ``[api] allow_actions`` is off.

    The broker's failures are logged from here on. What is to be closed is added to ``opened``.
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
    opened.callback(lambda: ending.close(transport, is_away=broker.is_failing))
    return ByAgents(store, ComputeAPI(transport))


def _look_at_database(store: objects.Store) -> None:
    """Say at the start what each request would meet. Raises :class:`exception.ConfigError` when the
    database refuses our login, or its tables are too old."""
    store.log_outages(_WITHOUT_DATABASE)
    try:
        with outages.party(LOG, store.where, _WITHOUT_DATABASE).awaited():
            objects.check_version(store)
    except objects.LoginRefused as error:
        raise exception.ConfigError(f"[database] connection: {store.where}: {error.why}") from error
    except objects.Unavailable as error:
        LOG.warning(
            "%s: %s; requests are answered 503 meanwhile",
            *(store.where, error.why),
            extra={outages.IS_COMPLETE: True},
        )


def _places(max_long_polls: int | None, threads: int) -> int:
    """How many requests may wait for news. Raises :class:`exception.ConfigError`."""
    if max_long_polls is None:
        return threads // 2
    if max_long_polls >= threads:
        raise exception.ConfigError(
            f"[api] max_long_polls: {max_long_polls} must be less than [api] threads, {threads}: "
            "a long poll occupies a thread, and other requests need one"
        )
    return max_long_polls
