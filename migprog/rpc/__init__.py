# SPDX-License-Identifier: Apache-2.0
"""oslo.messaging, put together once: transport, client, server."""

import contextlib
from dataclasses import dataclass
from typing import Any

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_messaging._drivers import amqpdriver, impl_rabbit
from oslo_messaging.rpc import dispatcher
from oslo_messaging.rpc import server as rpc_server

from migprog import context, exception
from migprog.rpc.replies import Dispatcher, Replies

_AMQP_PORT = 5672

# Whoever waits for messages looks up after so many seconds, then more and more seldom, and anew
# after each message: with oslo.messaging's own millisecond (18.3) that is up to two thirds of what
# a message costs. What it looks up for is acknowledging notifications, of which we have none:
# remote calls are acknowledged as they come in. Its longest, 5 s, is what a stop takes. Neither is
# an option of the library's; a release without these constants goes its own way.
LIBRARY_LOOKS_UP_SECONDS: float = getattr(amqpdriver, "ACK_REQUEUE_EVERY_SECONDS_MIN", 0.001)
_LOOKS_UP_AT_LEAST_SECONDS = 1.0


# A connection that has gone silent is noticed after two of these: with the library's own default,
# 60 s, a conductor takes nothing for two minutes. RabbitMQ's documentation recommends 5 to 20 s;
# 1,000 agents send some 400 frames of 8 bytes a second for it.
HEARTBEAT_SECONDS = 15


def _look_up(constant: str, seconds: float) -> None:
    if hasattr(amqpdriver, constant):
        setattr(amqpdriver, constant, seconds)


_look_up("ACK_REQUEUE_EVERY_SECONDS_MIN", 0.5)
# Where a release keeps them elsewhere, its default stands.
with contextlib.suppress(AttributeError):
    cfg.set_defaults(impl_rabbit.rabbit_opts, heartbeat_timeout_threshold=HEARTBEAT_SECONDS)


class Serializer(messaging.NoOpSerializer):
    """Payloads are plain dictionaries already; only the context needs a form for the wire."""

    def serialize_context(self, ctxt: Any) -> dict[str, Any]:
        values = ctxt.to_dict() if isinstance(ctxt, oslo_context.RequestContext) else dict(ctxt)
        # What is not there is None or false to whoever reads it; it would be half of a message.
        return {name: value for name, value in values.items() if value}

    def deserialize_context(self, ctxt: dict[str, Any]) -> context.RequestContext:
        return context.from_dict(ctxt)


def transport(conf: cfg.ConfigOpts, url: str | None = None) -> messaging.Transport:
    """The transport that ``url``, or else the option ``transport_url``, names.

    Raises :class:`exception.ConfigError`.
    """
    _parsed(conf, url)
    try:
        made = messaging.get_rpc_transport(conf, url)
    except (messaging.InvalidTransportURL, messaging.DriverLoadFailure) as error:
        raise exception.ConfigError(f"[DEFAULT] transport_url: {error}") from error
    # Not before: the driver's options are bounded by it when it is loaded.
    _look_up("ACK_REQUEUE_EVERY_SECONDS_MAX", _LOOKS_UP_AT_LEAST_SECONDS)
    return made


def client(
    transport: messaging.Transport, topic: str, version: str, call_timeout_seconds: float
) -> messaging.RPCClient:
    """A client that gives up soon when the broker is away: what waits, waits in our outbox.

    Once it tries anew: without, kombu (5.7) goes on for ever with a channel that it has closed.
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
) -> Any:
    """A server for ``topic``, not started; it runs on the concurrency backend chosen.

    ``expected``: errors of the endpoints that the client is told and the log is not.
    """
    return Server(transport, messaging.Target(topic=topic, server=host), endpoints, expected)


class Server(rpc_server.RPCServer):
    """oslo.messaging's, with answers that hold up no other call: :mod:`migprog.rpc.replies`."""

    def __init__(
        self,
        transport: messaging.Transport,
        target: messaging.Target,
        endpoints: list[object],
        expected: tuple[type[Exception], ...],
    ) -> None:
        policy = dispatcher.DefaultRPCAccessPolicy
        calls = Dispatcher(Replies(), expected, endpoints, Serializer(), policy)
        super().__init__(transport, target, calls)


def configured_url(conf: cfg.ConfigOpts) -> str:
    """The option ``transport_url``, as it stands; oslo.messaging's default where it is not set."""
    return str(_parsed(conf, None))


def check(conf: cfg.ConfigOpts) -> None:
    """Whether ``transport_url`` leads to another process. Raises :class:`exception.ConfigError`."""
    parsed = _parsed(conf, None)
    if not parsed.hosts and parsed.transport == "rabbit":
        raise exception.ConfigError(
            "[DEFAULT] transport_url: is not set, or names no broker; for instance "
            "rabbit://migprog:PASSWORD@broker/migprog"
        )
    if parsed.transport == "fake":
        raise exception.ConfigError(
            "[DEFAULT] transport_url: fake:// reaches nobody in another process"
        )
    transport(conf).cleanup()


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a message broker is, the first if there are several, and as whom we go there."""

    host: str
    port: int
    user: str


def broker(conf: cfg.ConfigOpts, url: str | None = None) -> Broker:
    """The broker that ``url``, or else the option ``transport_url``, names.

    Raises :class:`exception.ConfigError`.
    """
    parsed = _parsed(conf, url)
    if parsed.transport != "rabbit" or not parsed.hosts:
        raise exception.ConfigError(
            f"[DEFAULT] transport_url: {parsed.transport!r} must be: rabbit"
        )
    first = parsed.hosts[0]
    return Broker(first.hostname, first.port or _AMQP_PORT, first.username or "guest")


def in_virtual_host(conf: cfg.ConfigOpts, url: str, name: str) -> str:
    """The same broker's URL, for another of its virtual hosts."""
    parsed = _parsed(conf, url)
    parsed.virtual_host = name
    return str(parsed)


def _parsed(conf: cfg.ConfigOpts, url: str | None) -> messaging.TransportURL:
    try:
        parsed = messaging.TransportURL.parse(conf, url)
    except messaging.InvalidTransportURL as error:
        raise exception.ConfigError(f"[DEFAULT] transport_url: {error}") from error
    except ValueError:
        # The error's text is not shown: what it quotes may be of the password.
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
