# SPDX-License-Identifier: Apache-2.0
"""Send agents' messages to the conductors again: late, in another order, more than once."""

import contextlib
import heapq
import json
import random
import socket
import threading
import time
from typing import Any, Self

import kombu
from kombu import exceptions as kombu_exceptions
from oslo_config import cfg

from migprog import rpc
from migprog.rpc.conductor import TOPIC, ConductorAPI, Unreachable

_CALL_SECONDS = 5.0
_LATEST_SECONDS = 3.0
_MOST_TIMES = 3
_LOOK_SECONDS = 0.05


class Repeater:
    """While the block lasts, each message to the conductors is sent again by remote
    calls of our own, once to three times, up to 3 s later; at its end all of them once more.
    """

    def __init__(self, transport_url: str, rng: random.Random) -> None:
        self._url = transport_url
        self._rng = rng
        self._heard: list[dict[str, Any]] = []
        self._due: list[tuple[float, int, dict[str, Any]]] = []
        self.sent_again = 0
        self._ending = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="repeater", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait(_CALL_SECONDS)
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        # oslo.messaging (18.3) takes no other.
        cfg.CONF([], default_config_files=[], default_config_dirs=[])
        transport = rpc.transport(cfg.CONF, self._url)
        conductor = ConductorAPI(transport, _CALL_SECONDS)
        try:
            # oslo.messaging's own exchange; the queue is one more at the conductors' topic.
            exchange = kombu.Exchange("openstack", type="topic", durable=False, passive=True)
            queue = kombu.Queue(exchange=exchange, routing_key=TOPIC, exclusive=True)
            with (
                kombu.Connection(self._url.replace("rabbit:", "amqp:")) as connection,
                connection.Consumer([queue], callbacks=[self._hear], no_ack=True),
            ):
                self._listening.set()
                self._repeat(connection, conductor)
        finally:
            transport.cleanup()

    def _repeat(self, connection: kombu.Connection, conductor: ConductorAPI) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(socket.timeout):
                connection.drain_events(timeout=_LOOK_SECONDS)
            while self._due and self._due[0][0] <= time.monotonic():
                self._tell(conductor, heapq.heappop(self._due)[2])
        everything = list(self._heard)
        self._rng.shuffle(everything)
        for batch in everything:
            self._tell(conductor, batch)

    def _hear(self, body: Any, message: Any) -> None:
        envelope = json.loads(body) if isinstance(body, str | bytes) else body
        batch = json.loads(envelope["oslo.message"])["args"]["batch"]
        if batch in self._heard:
            return  # our own
        self._heard.append(batch)
        for number in range(self._rng.randint(1, _MOST_TIMES)):
            at = time.monotonic() + self._rng.uniform(0, _LATEST_SECONDS)
            heapq.heappush(self._due, (at, len(self._heard) * _MOST_TIMES + number, batch))

    def _tell(self, conductor: ConductorAPI, batch: dict[str, Any]) -> None:
        with contextlib.suppress(Unreachable, kombu_exceptions.KombuError):
            conductor.report(batch, acknowledged=self._rng.random() < 0.5)
            self.sent_again += 1
