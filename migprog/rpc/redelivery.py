# SPDX-License-Identifier: Apache-2.0
"""Acknowledges calls when they are answered, so that the broker delivers a killed server's again.

oslo.messaging (18.3) acknowledges a call when it reads it: the call is lost if its server is then
killed, and its client waits for its timeout. The broker learns of the death at once, as the
connection closes. Only for methods that may run twice.

A call that was delivered before is acknowledged when it is read: one that kills its server would
kill all, one after the other.
"""

import logging
from typing import Any

from oslo_messaging._drivers import amqp, amqpdriver

LOG = logging.getLogger(__name__)


class _Incoming(amqpdriver.AMQPIncomingMessage):
    def answered(self) -> None:
        """Acknowledge the message, if it is not, in the thread that owns its connection."""
        if not self.message._raw_message.acknowledged:
            self._message_operations_handler.do(self._acknowledge)

    def _acknowledge(self) -> None:
        try:
            self.message.acknowledge()
        except Exception as error:
            # The connection is lost, which the listener notices: the call is delivered again.
            LOG.debug("failed to acknowledge call %s: %s", self.msg_id, error)


class _Listener(amqpdriver.RpcAMQPListener):
    message_cls = _Incoming

    def __call__(self, message: Any) -> None:
        if message.get(amqp.UNIQUE_ID) in self.msg_id_cache.prev_msgids:
            # This server has it already, from a connection that is lost.
            message.acknowledge()
        elif message.get("_msg_id") and not message._raw_message.delivery_info.get("redelivered"):
            # Past the class that acknowledges.
            amqpdriver.AMQPListener.__call__(self, message)
        else:
            super().__call__(message)


def after_the_answer(listener: Any) -> None:
    """Have the calls of a server's listener acknowledged after :func:`answered`.

    Other drivers than RabbitMQ's keep their own way, and so does one that receives a limited
    number of unacknowledged messages: acknowledgements wait for the next message, up to a second.
    """
    polled: Any = getattr(listener, "_poll_style_listener", None)
    if type(polled) is amqpdriver.RpcAMQPListener and not polled.prefetch_size > 0:
        polled.__class__ = _Listener


def answered(incoming: Any) -> None:
    """Acknowledge a call that has been answered, unless it is acknowledged already."""
    if isinstance(incoming, _Incoming):
        incoming.answered()
