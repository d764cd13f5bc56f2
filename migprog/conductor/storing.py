# SPDX-License-Identifier: Apache-2.0
"""Store batches, count and log the result, and pass on what has appeared, changed and ended."""

import time
from collections.abc import Callable, Sequence

from migprog import objects
from migprog.conductor.refusals import Refusals
from migprog.core.messages import Report
from migprog.metrics import conductor as metrics
from migprog.notifications import Notify
from migprog.objects import ReceivedBatch, Stored

StoreBatches = Callable[[Sequence[ReceivedBatch]], list[Stored]]


def _ignore(server_uuid: str, uuid: str) -> None:
    """Do nothing."""


def _ignore_end(end: Report) -> None:
    """Do nothing."""


def make_store_batches(
    store: objects.Store,
    appeared: Callable[[str, str], None] = _ignore,
    notify: Notify | None = None,
    ended: Callable[[Report], None] = _ignore_end,
) -> StoreBatches:
    """Return a function that stores batches in ``store``, and counts and logs the result.

    ``appeared`` is called with the server's and the migration's UUID of each new migration,
    ``ended`` with the last report of each that has ended, ``notify`` with what others are to be
    notified of; none of them must block. The function raises what
    :func:`objects.store_batches` raises.
    """

    refusals = Refusals()

    def store_batches(received: Sequence[ReceivedBatch]) -> list[Stored]:
        begun = time.monotonic()
        with store.counting() as cost:
            stored = objects.store_batches(store, received, for_notices=notify is not None)
        seconds = time.monotonic() - begun
        metrics.transaction(len(received), seconds, cost.statements, cost.rows)
        for each, what in zip(received, stored, strict=True):
            metrics.stored(what.reports, what.ends)
            refusals.note(each.batch.host, what.refused)
            for report in what.appeared:
                appeared(report.server_uuid, report.uuid)
            for report in what.ends:
                ended(report)
            if notify is not None and what.events:
                notify(what.events)
        return stored

    return store_batches
