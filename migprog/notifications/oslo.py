# SPDX-License-Identifier: Apache-2.0
"""Sends a notification by oslo.messaging's notifier, and raises what that would only log."""

import threading
from typing import Any

import oslo_messaging as messaging
from oslo_config import cfg

from migprog import exception, logs
from migprog.core.notices import Event
from migprog.notifications import envelope
from migprog.rpc import brokers

_GROUP = "oslo_messaging_notifications"
_DRIVER = "messagingv2"


class OsloNotifier:
    """A client of the broker that is configured for notifications. Thread-safe.

    ``where`` names the broker. Raises :class:`exception.ConfigError`.
    """

    def __init__(self, conf: cfg.ConfigOpts, publisher_id: str) -> None:
        try:
            self._transport = messaging.get_notification_transport(conf)
        except (messaging.InvalidTransportURL, messaging.DriverLoadFailure) as error:
            raise exception.ConfigError(f"[{_GROUP}] transport_url: {error}") from error
        except ValueError:
            # The error's text is not shown: it may quote part of the password.
            raise exception.ConfigError(
                f"[{_GROUP}] transport_url: must be rabbit://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST "
                "with special characters of PASSWORD as %XX"
            ) from None
        url = conf[_GROUP].transport_url or None
        parsed = messaging.TransportURL.parse(conf, url)
        self._option = f"[{_GROUP}] transport_url" if url else "[DEFAULT] transport_url"
        if parsed.transport == "rabbit" and not parsed.hosts:
            raise exception.ConfigError(
                f"{self._option}: names no broker, and [notifications] enabled is true"
            )
        self.where = f"notifications by {brokers.where(conf, url)}"
        self._delivery = _Delivery(self._transport)
        self._notifier = messaging.Notifier(
            self._transport,
            publisher_id,
            driver=None if conf[_GROUP].driver else _DRIVER,
            topics=conf.notifications.topics,
            # Without a second attempt kombu (5.7) keeps using a channel that it has closed.
            retry=1,
        )

    def send(self, event: Event) -> None:
        """Send a notification; return when the broker has confirmed it. It may hang.

        Raises what :data:`brokers.ERRORS` has.
        """
        send = getattr(self._notifier, event.priority.value)
        with logs.failures_raised(), self._delivery.watched():
            send({}, envelope.event_type(event.kind), envelope.wrap(event))

    def check(self) -> None:
        """Connect and log in, and send nothing. It may hang.

        Raises what :data:`brokers.ERRORS` has.
        """
        with logs.failures_raised(), self._transport._driver._get_connection(retry=1):
            pass

    def explain(self, error: Exception) -> brokers.Cause:
        """Return what an error of :meth:`send` or :meth:`check` means."""
        return brokers.cause(error, "the broker", self._option)

    def close(self) -> None:
        """Close the connections."""
        self._transport.cleanup()


class _Delivery:
    """Remembers the error of a delivery, which oslo.messaging (18.3) logs with the whole payload
    and swallows."""

    def __init__(self, transport: Any) -> None:
        self._local = threading.local()
        self._deliver = transport._send_notification
        transport._send_notification = self._try

    def _try(self, *arguments: Any, **options: Any) -> None:
        try:
            self._deliver(*arguments, **options)
        except Exception as error:
            self._local.error = error

    def watched(self) -> "_Watched":
        return _Watched(self._local)


class _Watched:
    """Raises at the end of the block what a delivery in it has raised."""

    def __init__(self, local: threading.local) -> None:
        self._local = local

    def __enter__(self) -> None:
        self._local.error = None

    def __exit__(self, *_raised: object) -> None:
        error: Exception | None = self._local.error
        self._local.error = None
        if error is not None:
            raise error
