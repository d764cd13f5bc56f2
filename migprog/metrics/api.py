# SPDX-License-Identifier: Apache-2.0
"""Metrics of the API's requests.

Labels are bounded: ``route`` is a template of a path, never a path; ``method`` is one of HTTP's.
"""

import contextlib
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

from migprog.metrics import REGISTRY

# Route of requests that were answered before routing, or whose path does not exist.
UNMATCHED = "unmatched"
# Key in a request's WSGI environment: the request was a long poll.
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
    "Time that the API took to answer a request, by route and method, without long polls.",
    ["route", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
_LONG_POLLS = Gauge(
    "migprog_http_long_polls",
    "Long polls in progress.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
_WATCHERS = Gauge(
    "migprog_news_watchers",
    "Requests that wait for news of a list.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
_ROUNDS = Counter(
    "migprog_news_rounds",
    "Readings of the migrations in progress for watchers of lists, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
_CUT_OFF = Counter(
    "migprog_news_watchers_cut_off",
    "Watchers of lists whose connection was closed because they read an answer too slowly.",
    registry=REGISTRY,
)
for _outcome in ("read", "failed"):
    _ROUNDS.labels(_outcome)


def answered(route: str | None, method: str, code: str, seconds: float | None) -> None:
    """Count a request. ``seconds``: its duration, None for a long poll."""
    route, method = route or UNMATCHED, method if method in _METHODS else _OTHER
    _REQUESTS.labels(route, method, code).inc()
    if seconds is not None:
        _DURATION.labels(route, method).observe(seconds)


@contextlib.contextmanager
def long_poll() -> Iterator[None]:
    """Count a long poll as in progress while the block runs."""
    _LONG_POLLS.inc()
    try:
        yield
    finally:
        _LONG_POLLS.dec()


def watchers(more: int) -> None:
    """Count ``more`` watchers of lists, or fewer."""
    _WATCHERS.inc(more)


def news_round(outcome: str) -> None:
    """Count a round: ``read`` or ``failed``."""
    _ROUNDS.labels(outcome).inc()


def watcher_cut_off() -> None:
    _CUT_OFF.inc()
