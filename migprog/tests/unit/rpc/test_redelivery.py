# SPDX-License-Identifier: Apache-2.0
"""When a call is acknowledged. Fakes: a broker delivers again only when a connection ends."""

import types

import pytest
from oslo_messaging._drivers import amqpdriver, base

from migprog.rpc import redelivery


class Raw:
    """kombu's message."""

    def __init__(self, redelivered=False):
        self.delivery_info = {"redelivered": redelivered}
        self.acknowledged = False
        self.fails = False

    def ack(self):
        if self.fails:
            raise ConnectionResetError
        assert not self.acknowledged
        self.acknowledged = True


class Message(dict):
    """The driver's message."""

    def __init__(self, raw, **values):
        super().__init__(method="report", args={}, _unique_id="1", **values)
        self._raw_message = raw

    def acknowledge(self):
        self._raw_message.ack()


def listening(prefetch=0):
    driver = types.SimpleNamespace(prefetch_size=prefetch)
    listener = amqpdriver.RpcAMQPListener(driver, None)
    redelivery.after_the_answer(base.PollStyleListenerAdapter(listener, 1, None))
    return listener


def received(listener, message):
    listener(message)
    return listener.incoming.pop()


def test_call_is_acknowledged_when_answered_by_the_thread_that_receives():
    listener, raw = listening(), Raw()
    call = received(listener, Message(raw, _msg_id="a", _reply_q="r"))
    assert not raw.acknowledged
    redelivery.answered(call)
    assert not raw.acknowledged
    listener._message_operations_handler.process()
    assert raw.acknowledged


@pytest.mark.parametrize(
    ("prefetch", "redelivered", "values"),
    [(0, False, {}), (0, True, {"_msg_id": "a", "_reply_q": "r"}), (9, False, {"_msg_id": "a"})],
    ids=["a cast", "a call that killed its server perhaps", "a call among few"],
)
def test_other_message_is_acknowledged_when_read(prefetch, redelivered, values):
    listener, raw = listening(prefetch), Raw(redelivered)
    message = received(listener, Message(raw, **values))
    assert raw.acknowledged
    redelivery.answered(message)
    listener._message_operations_handler.process()


def test_call_that_this_server_has_is_not_served_again(caplog):
    listener, again = listening(), Raw(redelivered=True)
    received(listener, Message(Raw(), _msg_id="a", _reply_q="r"))
    listener(Message(again, _msg_id="a", _reply_q="r"))
    assert again.acknowledged and not listener.incoming
    assert not caplog.records


def test_lost_connection_leaves_a_call_unacknowledged(caplog):
    listener, raw = listening(), Raw()
    call = received(listener, Message(raw, _msg_id="a", _reply_q="r"))
    raw.fails = True
    redelivery.answered(call)
    listener._message_operations_handler.process()
    assert not [each for each in caplog.records if each.levelname != "DEBUG"]
