# SPDX-License-Identifier: Apache-2.0
"""When a call is acknowledged. Fakes: a broker delivers again only when a connection ends."""

import sys
import types

import oslo_messaging as messaging
import pytest
from oslo_config import cfg
from oslo_messaging._drivers import amqpdriver, base

from migprog import context, rpc
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
        super().__init__({"method": "report", "args": {}, "_unique_id": "1"} | values)
        self._raw_message = raw

    def acknowledge(self):
        self._raw_message.ack()


def listening(prefetch=0, connection=None):
    driver = types.SimpleNamespace(prefetch_size=prefetch)
    listener = amqpdriver.RpcAMQPListener(driver, connection)
    redelivery.acknowledge_late(base.PollStyleListenerAdapter(listener, 1, None))
    return listener


def call_of(number, raw):
    return Message(raw, _unique_id=f"{number}", _msg_id=f"{number}", _reply_q="r")


def received(listener, message):
    listener(message)
    return listener.incoming.pop()


def test_call_is_acknowledged_when_answered_by_the_thread_that_receives():
    listener, raw = listening(), Raw()
    call = received(listener, Message(raw, _msg_id="a", _reply_q="r"))
    assert not raw.acknowledged
    redelivery.acknowledge(call)
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
    redelivery.acknowledge(message)
    listener._message_operations_handler.process()


@pytest.mark.parametrize("is_lost", [True, False])
def test_calls_that_this_server_has_are_not_served_again(caplog, is_lost):
    listener, raws = listening(), [Raw() for _ in range(40)]
    calls = [received(listener, call_of(number, raw)) for number, raw in enumerate(raws)]
    for number in range(40):
        received(listener, Message(Raw(), _unique_id=f"cast {number}"))
    for raw in raws:
        raw.fails = is_lost
    again = [Raw(redelivered=is_lost) for _ in range(40)]
    for number, raw in enumerate(again):
        listener(call_of(number, raw))
    assert not listener.incoming
    assert not any(raw.acknowledged for raw in again)
    for call in calls:
        redelivery.acknowledge(call)
    listener._message_operations_handler.process()
    assert all(raw.acknowledged for raw in again)
    # Else the broker keeps what a client has sent twice.
    assert [raw.acknowledged for raw in raws] == [not is_lost] * 40
    assert not listener.in_hand
    assert not caplog.records


def test_calls_whose_acknowledgement_was_lost_are_not_served_again(monkeypatch):
    monkeypatch.setattr(redelivery, "_MOST_ANSWERED", 40)
    listener, raws = listening(), [Raw() for _ in range(60)]
    for number, raw in enumerate(raws):
        raw.fails = True
        redelivery.acknowledge(received(listener, call_of(number, raw)))
    listener._message_operations_handler.process()
    again = [Raw(redelivered=True) for _ in range(40)]
    for number, raw in enumerate(again, 20):
        listener(call_of(number, raw))
    assert not listener.incoming
    assert all(raw.acknowledged for raw in again)
    assert len(listener.answered) == 40


@pytest.mark.parametrize("unique_id", [None, 5, ["1"], {}])
def test_call_without_an_id_is_acknowledged_when_read(unique_id):
    listener, raw = listening(), Raw()
    received(listener, Message(raw, _unique_id=unique_id, _msg_id="a", _reply_q="r"))
    assert raw.acknowledged and not listener.in_hand


def test_lost_connection_leaves_a_call_unacknowledged(caplog):
    listener, raw = listening(), Raw()
    call = received(listener, call_of(1, raw))
    raw.fails = True
    redelivery.acknowledge(call)
    listener._message_operations_handler.process()
    assert not [each for each in caplog.records if each.levelname != "DEBUG"]


def test_call_that_is_answered_during_a_stop_is_acknowledged_before_the_connection_closes():
    done, raw = [], Raw()
    connection = types.SimpleNamespace(close=lambda: done.append(raw.acknowledged))
    listener = listening(connection=connection)
    redelivery.acknowledge(received(listener, call_of(1, raw)))
    listener.cleanup()
    assert done == [True]


class Server(rpc.Server):
    """A server with a listener of its own, and a broker that is not there."""

    def _create_listener(self):
        self.transport._listen = lambda *_: base.PollStyleListenerAdapter(
            amqpdriver.AMQPListener(types.SimpleNamespace(prefetch_size=0), None), 1, None
        )
        return super()._create_listener()


class Endpoint:
    def __init__(self):
        self.contexts = []

    def report(self, ctxt):
        self.contexts.append(ctxt)


def serving(endpoint, may_repeat=True):
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    target = messaging.Target(topic="t", server="h")
    transport = rpc.transport(conf, "fake://")
    server = Server(transport, target, [endpoint], (), frozenset(), may_repeat)
    # The library registers this with the configuration of programs alone.
    off = types.SimpleNamespace(tracing_enabled=False)
    server.conf = types.SimpleNamespace(oslo_messaging_tracing=off)
    return server


@pytest.mark.parametrize(
    ("redelivered", "says"),
    [(False, {}), (True, {}), (False, {f"_context_{context.REDELIVERED}": True})],
)
def test_endpoint_knows_whether_its_call_was_delivered_before(redelivered, says):
    listener, endpoint = listening(), Endpoint()
    call = received(listener, Message(Raw(redelivered), **says))
    serving(endpoint)._process_incoming([call])
    assert [each.is_redelivered for each in endpoint.contexts] == [redelivered]


def test_server_acknowledges_early_where_the_library_lacks_a_class(monkeypatch, caplog):
    monkeypatch.delitem(sys.modules, redelivery.__name__)
    monkeypatch.delattr(rpc, "redelivery")
    monkeypatch.delattr(amqpdriver, "AMQPIncomingMessage")
    rpc._log_early.cache_clear()
    endpoint = Endpoint()
    for may_repeat in (False, True, True):
        server = serving(endpoint, may_repeat)
        assert type(server._create_listener()._poll_style_listener) is amqpdriver.AMQPListener
        server._process_incoming(
            [
                types.SimpleNamespace(
                    ctxt={},
                    message={"method": "report", "args": {}},
                    msg_id="1",
                    acknowledge=lambda: None,
                    reply=lambda *_: None,
                    client_timeout=None,
                )
            ]
        )
    assert len(endpoint.contexts) == 3
    (line,) = [each for each in caplog.messages if "rpc_timeout" in each]
    assert "AMQPIncomingMessage" in line
