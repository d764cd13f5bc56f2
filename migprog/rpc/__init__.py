# SPDX-License-Identifier: Apache-2.0
"""oslo.messaging as migprog uses it: transport, client, server."""

import contextlib
import functools
import logging
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_messaging._drivers import amqpdriver
from oslo_messaging.rpc import dispatcher
from oslo_messaging.rpc import server as rpc_server

from migprog import context, exception, kombu_serializers
from migprog.rpc import brokers
from migprog.rpc.replies import Dispatcher, Replies

kombu_serializers.load()

from oslo_messaging._drivers import impl_rabbit  # noqa: E402

LOG = logging.getLogger(__name__)

# While it waits for messages, oslo.messaging (18.3) polls for notifications to acknowledge: first
# after 1 ms, then at growing intervals up to 5 s, and from 1 ms again after each message. That is
# up to two thirds of the cost of a message, and nothing waits for migprog's acknowledgements
# (migprog/rpc/redelivery.py). A stop takes as long as the longest interval, and of a server that
# acknowledges late the shortest one more. Neither is an option of the library; a release without
# these constants keeps its own intervals.
LIBRARY_POLL_SECONDS: float = getattr(amqpdriver, "ACK_REQUEUE_EVERY_SECONDS_MIN", 0.001)
_MAX_POLL_SECONDS = 1.0


# A silent connection is detected after two of these: with the library's default, 60 s, a conductor
# would receive nothing for two minutes. RabbitMQ's documentation recommends 5 to 20 s;
# 1,000 agents send some 400 frames of 8 bytes a second for it.
HEARTBEAT_SECONDS = 15


def _set_poll_interval(constant: str, seconds: float) -> None:
    if hasattr(amqpdriver, constant):
        setattr(amqpdriver, constant, seconds)


_set_poll_interval("ACK_REQUEUE_EVERY_SECONDS_MIN", 0.5)
# A release that has the options elsewhere keeps its default.
with contextlib.suppress(AttributeError):
    cfg.set_defaults(impl_rabbit.rabbit_opts, heartbeat_timeout_threshold=HEARTBEAT_SECONDS)


class Serializer(messaging.NoOpSerializer):
    """Serializes the context; payloads are plain dictionaries already."""

    def serialize_context(self, ctxt: Any) -> dict[str, Any]:
        values = ctxt.to_dict() if isinstance(ctxt, oslo_context.RequestContext) else dict(ctxt)
        # Readers take missing values for None or false. They would be half of a message.
        return {name: value for name, value in values.items() if value}

    def deserialize_context(self, ctxt: dict[str, Any]) -> context.RequestContext:
        return context.from_dict(ctxt)


def transport(conf: cfg.ConfigOpts, url: str | None = None) -> messaging.Transport:
    """Return the transport of ``url``, or else of the option ``transport_url``.

    Raises :class:`exception.ConfigError`.
    """
    _parsed(conf, url)
    try:
        made = messaging.get_rpc_transport(conf, url)
    except (messaging.InvalidTransportURL, messaging.DriverLoadFailure) as error:
        raise exception.ConfigError(f"[DEFAULT] transport_url: {error}") from error
    # Only now: on load the driver checks its options against the library's value.
    _set_poll_interval("ACK_REQUEUE_EVERY_SECONDS_MAX", _MAX_POLL_SECONDS)
    return made


def client(
    transport: messaging.Transport, topic: str, version: str, call_timeout_seconds: float
) -> messaging.RPCClient:
    """Return a client that fails soon when the broker is away: the outbox retries.

    It tries once more itself: without that, kombu (5.7) keeps using a channel that it has closed.
    """
    return messaging.get_rpc_client(
        transport,
        messaging.Target(topic=topic, version=version),
        timeout=call_timeout_seconds,
        serializer=Serializer(),
        retry=1,
    )


def server(
    transport: messaging.Transport,
    topic: str,
    host: str,
    endpoints: list[object],
    expected: tuple[type[Exception], ...] = (),
    at_once: frozenset[str] = frozenset(),
    *,
    may_repeat: bool = False,
) -> Any:
    """Return a server for ``topic``, not started, on the configured concurrency backend.

    ``expected``: errors of the endpoints that are returned to the client and not logged.
    ``at_once``: methods that never block; the thread that receives messages calls them itself.
    ``may_repeat``: the methods may run twice: calls are acknowledged after the answer.
    """
    target = messaging.Target(topic=topic, server=host)
    return Server(transport, target, endpoints, expected, at_once, may_repeat)


class Server(rpc_server.RPCServer):
    """oslo.messaging's server, whose answers block no other call: :mod:`migprog.rpc.replies`.

    For a method that only queues its arguments, the change of threads costs more than the method.
    """

    def __init__(
        self,
        transport: messaging.Transport,
        target: messaging.Target,
        endpoints: list[object],
        expected: tuple[type[Exception], ...],
        at_once: frozenset[str],
        may_repeat: bool = False,
    ) -> None:
        self._at_once = at_once
        self._may_repeat = may_repeat
        self._acknowledge: Callable[[Any], None] = lambda incoming: None
        policy = dispatcher.DefaultRPCAccessPolicy
        calls = Dispatcher(Replies(), expected, endpoints, Serializer(), policy)
        super().__init__(transport, target, calls)
        if self.executor_type == "threading":
            # futurist's (3.5) starts a thread for each of the first 64 calls, although others are
            # idle: each wakes up every second, and keeps memory of its own.
            self._executor_cls = futures.ThreadPoolExecutor

    def _create_listener(self) -> Any:
        listener = super()._create_listener()
        if self._may_repeat:
            self._acknowledge = _acknowledging_late(listener)
        return listener

    def _process_incoming(self, incoming: Any) -> None:
        # Whatever the sender says.
        incoming[0].ctxt[context.REDELIVERED] = _is_redelivered(incoming[0])
        try:
            super()._process_incoming(incoming)
        finally:
            self._acknowledge(incoming[0])

    def _on_incoming(self, incoming: Any) -> None:
        # A call's answer may wait for the broker, so another thread sends it.
        if _is_cast_of(self._at_once, incoming[0]):
            self._process_incoming(incoming)
        else:
            super()._on_incoming(incoming)


def _acknowledging_late(listener: Any) -> Callable[[Any], None]:
    """Have a listener's calls acknowledged by the function that is returned.

    It does nothing where oslo.messaging has not what that needs: calls are then acknowledged when
    they are read.
    """
    try:
        from migprog.rpc import redelivery

        redelivery.acknowledge_late(listener)
    except (ImportError, AttributeError) as error:
        _log_early(str(error))
        return lambda incoming: None
    return redelivery.acknowledge


@functools.cache
def _log_early(why: str) -> None:
    LOG.warning(
        "calls are acknowledged before they are answered, as this oslo.messaging is unknown (%s): "
        "those that a killed conductor has in hand are lost, and agents repeat them after "
        "[compute] rpc_timeout; install oslo.messaging 18.3, or report this as a bug",
        why,
    )


def _is_redelivered(incoming: Any) -> bool:
    # kombu's message, which RabbitMQ's driver has.
    raw = getattr(incoming.message, "_raw_message", None)
    return bool(getattr(raw, "delivery_info", {}).get("redelivered"))


def _is_cast_of(methods: frozenset[str], incoming: Any) -> bool:
    # What oslo.messaging's drivers have in common; the sender chooses the name, and its type.
    is_cast = getattr(incoming, "orig_msg_id", "") is None
    name = incoming.message.get("method")
    return is_cast and isinstance(name, str) and name in methods


def configured_url(conf: cfg.ConfigOpts) -> str:
    """Return the option ``transport_url``, or oslo.messaging's default where it is not set."""
    return str(_parsed(conf, None))


def check(conf: cfg.ConfigOpts) -> None:
    """Check that ``transport_url`` is valid and names a broker.

    Raises :class:`exception.ConfigError`.
    """
    parsed = _parsed(conf, None)
    if not parsed.hosts and parsed.transport == "rabbit":
        raise exception.ConfigError(
            "[DEFAULT] transport_url: is not set, or names no broker; for instance "
            "rabbit://migprog:PASSWORD@broker/migprog"
        )
    if parsed.transport == "fake":
        raise exception.ConfigError(
            "[DEFAULT] transport_url: fake:// cannot reach another process; must be rabbit://"
        )
    transport(conf).cleanup()


@dataclass(frozen=True, slots=True)
class Broker:
    """Address and user of a message broker, the first if there are several."""

    host: str
    port: int
    user: str


def broker(conf: cfg.ConfigOpts, url: str | None = None) -> Broker:
    """Return the broker of ``url``, or else of the option ``transport_url``.

    Raises :class:`exception.ConfigError`.
    """
    parsed = _parsed(conf, url)
    if parsed.transport != "rabbit" or not parsed.hosts:
        raise exception.ConfigError(
            f"[DEFAULT] transport_url: {parsed.transport!r} must be: rabbit"
        )
    first = parsed.hosts[0]
    return Broker(first.hostname, first.port or brokers.AMQP_PORT, first.username or "guest")


def in_virtual_host(conf: cfg.ConfigOpts, url: str, name: str) -> str:
    """Return the URL of another virtual host of the same broker."""
    parsed = _parsed(conf, url)
    parsed.virtual_host = name
    return str(parsed)


def _parsed(conf: cfg.ConfigOpts, url: str | None) -> messaging.TransportURL:
    try:
        parsed = messaging.TransportURL.parse(conf, url)
    except messaging.InvalidTransportURL as error:
        raise exception.ConfigError(f"[DEFAULT] transport_url: {error}") from error
    except ValueError:
        # The error's text is not shown: it may quote part of the password.
        raise exception.ConfigError(
            "[DEFAULT] transport_url: is not rabbit://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST with a "
            "number as PORT and special characters of PASSWORD as %XX"
        ) from None
    for host in parsed.hosts:
        if host.port is not None and not 0 < host.port < 65536:
            raise exception.ConfigError(
                f"[DEFAULT] transport_url: port {host.port} must be from 1 to 65535"
            )
    return parsed
