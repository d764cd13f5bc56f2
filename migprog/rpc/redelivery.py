# SPDX-License-Identifier: Apache-2.0
"""Acknowledges calls when they are answered, so that the broker delivers a killed server's again.

oslo.messaging (18.3) acknowledges a call when it reads it: the call is lost if its server is then
killed, and its client waits for its timeout. The broker learns of the death at once, as the
connection closes. The methods must be such as may run twice.

A call that was delivered before is acknowledged when it is read: one that kills its server would
kill all, one after the other.

This derives from classes that oslo.messaging does not publish: import it where it is needed only.
"""

import logging
from typing import Any

from oslo_messaging._drivers import amqp, amqpdriver

LOG = logging.getLogger(__name__)
# Calls whose acknowledgement may be lost with a connection.
_MOST_ANSWERED = 1000


class _Incoming(amqpdriver.AMQPIncomingMessage):
    def acknowledge_late(self) -> None:
        """Acknowledge the message, if it is not, in the thread that owns its connection."""
        if not self.message._raw_message.acknowledged:
            self._message_operations_handler.do(
                lambda: self.listener.acknowledge_answered(self.unique_id)
            )


class _Listener(amqpdriver.RpcAMQPListener):
    """One thread at a time uses it.

    ``in_hand``: by its unique id, the deliveries of each call that is not answered; more than one
    where a connection was lost meanwhile. ``answered``: the last calls that were, in their order.
    """

    message_cls = _Incoming
    in_hand: dict[str, list[Any]]
    answered: dict[str, None]

    def __call__(self, message: Any) -> None:
        unique_id = message.get(amqp.UNIQUE_ID)
        is_call = bool(message.get("_msg_id")) and isinstance(unique_id, str)
        if is_call and unique_id in self.in_hand:
            # From a connection that is lost; or its client has sent it twice.
            self.in_hand[unique_id].append(message)
        elif (is_call and unique_id in self.answered) or unique_id in self.msg_id_cache.prev_msgids:
            _acknowledge(message)
        elif is_call and not message._raw_message.delivery_info.get("redelivered"):
            # RpcAMQPListener.__call__, which acknowledges, is skipped.
            amqpdriver.AMQPListener.__call__(self, message)
            self.in_hand[unique_id] = [message]
        else:
            super().__call__(message)

    def acknowledge_answered(self, unique_id: str) -> None:
        """Acknowledge all deliveries of a call; those of lost connections fail."""
        for message in self.in_hand.pop(unique_id, ()):
            _acknowledge(message)
        self.answered[unique_id] = None
        if len(self.answered) > _MOST_ANSWERED:
            del self.answered[next(iter(self.answered))]

    def cleanup(self) -> None:
        """Acknowledge what was answered during the stop, and close the connection.

        oslo.messaging's thread for that sleeps between two turns, and has no turn after its last.
        """
        operations = self._message_operations_handler
        operations.stop()
        if operations._shutdown_thread.is_alive():
            operations._shutdown_thread.join()
        operations.process()
        super().cleanup()


def acknowledge_late(listener: Any) -> None:
    """Have the calls of a server's listener acknowledged by :func:`acknowledge`, not when read.

    Other drivers than RabbitMQ's keep their own way, and so does one that receives a limited
    number of unacknowledged messages: acknowledgements wait for the next message, up to a second.
    Raises :class:`AttributeError` where oslo.messaging is another than this module knows.
    """
    polled: Any = listener._poll_style_listener
    if type(polled) is amqpdriver.RpcAMQPListener and not polled.prefetch_size > 0:
        # They are used later.
        _ = polled._message_operations_handler._shutdown_thread, polled.msg_id_cache.prev_msgids
        polled.in_hand, polled.answered = {}, {}
        polled.__class__ = _Listener


def acknowledge(incoming: Any) -> None:
    """Acknowledge a call that has been answered, unless it is acknowledged already."""
    if isinstance(incoming, _Incoming):
        incoming.acknowledge_late()


def _acknowledge(message: Any) -> None:
    try:
        message.acknowledge()
    except Exception as error:
        # The connection is lost, which the listener notices: the call is delivered again.
        LOG.debug("failed to acknowledge a call: %s", error)
