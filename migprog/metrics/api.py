# SPDX-License-Identifier: Apache-2.0
"""What an API counts of the requests that it answers.

Labels are bounded: ``route`` is a template of ours, never a path; ``method`` is one of HTTP's.
"""

import contextlib
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

from migprog.metrics import REGISTRY

# Of a request that was answered before its address was looked up, or whose address does not exist.
UNMATCHED = "unmatched"
# In a request's environment: it has waited for a change.
LONG_POLL = "migprog.long_poll"
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_OTHER = "other"

_REQUESTS = Counter(
    "migprog_http_requests",
    "Requests that the API answered, by route, method and status code.",
    ["route", "method", "code"],
    registry=REGISTRY,
)
_DURATION = Histogram(
    "migprog_http_request_duration_seconds",
    "Time that the API took to answer a request, by route and method; long polls are left out.",
    ["route", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
_LONG_POLLS = Gauge(
    "migprog_http_long_polls",
    "Requests that wait for a change at present.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)


def answered(route: str | None, method: str, code: str, seconds: float | None) -> None:
    """Count a request; ``seconds`` is None for one that waited for a change."""
    route, method = route or UNMATCHED, method if method in _METHODS else _OTHER
    _REQUESTS.labels(route, method, code).inc()
    if seconds is not None:
        _DURATION.labels(route, method).observe(seconds)


@contextlib.contextmanager
def long_poll() -> Iterator[None]:
    """Show that a request waits while the block lasts."""
    _LONG_POLLS.inc()
    try:
        yield
    finally:
        _LONG_POLLS.dec()
