# SPDX-License-Identifier: Apache-2.0
"""The conductor's end of its remote methods; ``rpcapi.py`` is the other."""

import dataclasses
import logging
from typing import Any

import oslo_messaging as messaging

from migprog.conductor import rpcapi
from migprog.conductor.intake import Intake
from migprog.conductor.refusals import Refusals
from migprog.core.report import Ack, Batch
from migprog.core.table import Malformed

LOG = logging.getLogger(__name__)


class ConductorManager:
    """RPC endpoint. Any number of threads may call it at once."""

    target = messaging.Target(version=rpcapi.VERSION)

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._refusals = Refusals()

    def report(self, ctxt: Any, batch: Any) -> dict[str, Any]:
        """Store a host's reports; answer with an ``Ack``.

        What cannot be read is refused, the whole batch under the key ``batch``: to tell it again
        would be of no use. Raises :class:`objects.Unavailable`: to tell it again is what it takes.
        """
        read, refused = self._read(batch)
        if read is None:
            return Ack(refused=refused).to_wire()
        stored = self._intake.store(read)
        ack = stored.ack
        LOG.debug(
            "from %r: %d reports, %d arrivals of which %d found their migration, %d refused",
            *(read.host, len(read.reports), len(read.arrivals), len(ack.arrived), len(refused)),
        )
        return dataclasses.replace(ack, refused=refused).to_wire()

    def progress(self, ctxt: Any, batch: Any) -> None:
        """Have a host's reports of progress stored: of each migration the latest."""
        read, _ = self._read(batch)
        if read is not None:
            self._intake.keep(read)

    def _read(self, batch: Any) -> tuple[Batch | None, dict[str, str]]:
        """What can be read of a batch, and why the rest is refused."""
        try:
            read, refused = Batch.from_wire(batch)
        except Malformed as error:
            refused = {"batch": str(error)}
            self._refusals.note(None, refused)
            return None, refused
        self._refusals.note(read.host, refused)
        return read, refused
