# SPDX-License-Identifier: Apache-2.0
"""The conductor's end of its remote methods; ``rpcapi.py`` is the other."""

import dataclasses
import logging
import time
from typing import Any

import oslo_messaging as messaging

from migprog import objects
from migprog.conductor import rpcapi
from migprog.core.report import Ack, Batch, Malformed

LOG = logging.getLogger(__name__)


class ConductorManager:
    """RPC endpoint. Any number of threads may call it at once."""

    target = messaging.Target(version=rpcapi.VERSION)

    def __init__(self, store: objects.Store) -> None:
        self._store = store

    def report(self, ctxt: Any, batch: Any) -> dict[str, Any]:
        """Store a host's reports; answer with an ``Ack``.

        What cannot be read is refused, the whole batch under the key ``batch``: to tell it again
        would be of no use. Raises :class:`objects.Unavailable`: to tell it again is what it takes.
        """
        try:
            read, refused = Batch.from_wire(batch)
        except Malformed as error:
            LOG.warning("a batch is refused: %r", str(error))
            return Ack(refused={"batch": str(error)}).to_wire()
        for entry, reason in refused.items():
            LOG.warning("from %r: %s is refused: %r", read.host, entry, reason)
        ack = objects.store_batch(self._store, read, heard_at=time.time())
        LOG.debug(
            "from %r: %d reports, %d arrivals of which %d found their migration, %d refused",
            *(read.host, len(read.reports), len(read.arrivals), len(ack.arrived), len(refused)),
        )
        return dataclasses.replace(ack, refused=refused).to_wire()
