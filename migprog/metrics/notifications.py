# SPDX-License-Identifier: Apache-2.0
"""Metrics of the notifications that conductors and APIs send."""

import enum

from prometheus_client import Counter

from migprog.core.notices import Kind
from migprog.metrics import REGISTRY


class Outcome(enum.StrEnum):
    """What has become of a notification."""

    SENT = "sent"
    DROPPED = "dropped"


_NOTIFICATIONS = Counter(
    "migprog_notifications",
    "Notifications, by event and outcome (dropped: too many waited, or the broker did not take it "
    "in time); 0 where they are not enabled.",
    ["event", "outcome"],
    registry=REGISTRY,
)

# increase() misses the first count of a series that appears only with it.
for _kind in Kind:
    for _outcome in Outcome:
        _NOTIFICATIONS.labels(_kind.value, _outcome.value)


def count(kind: Kind, outcome: Outcome) -> None:
    """Count a notification."""
    _NOTIFICATIONS.labels(kind.value, outcome.value).inc()
