# SPDX-License-Identifier: Apache-2.0
"""What a process counts, for Prometheus: one module for each service that counts, and this one,
which shows it all.

Only what a service imports is counted and shown in its process. Labels have few values and all of
ours: no name, UUID or text that a tenant chose. Metrics are not for real threads, see
``concurrency``.
"""

from collections.abc import Callable
from typing import Any

import prometheus_client

PATH = "/metrics"

# When a series was made is nobody's question, and would double their number.
prometheus_client.disable_created_metrics()
# Of our own: what libraries count in theirs is not ours to show.
REGISTRY = prometheus_client.CollectorRegistry()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """WSGI: GET /metrics, and nothing else."""
    if environ.get("PATH_INFO") != PATH:
        return _answer(start_response, "404 Not Found", b"")
    if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
        return _answer(start_response, "405 Method Not Allowed", b"", ("Allow", "GET, HEAD"))
    text = prometheus_client.generate_latest(REGISTRY)
    return _answer(start_response, "200 OK", text)


def _answer(
    start_response: Callable[..., Any], status: str, body: bytes, *headers: tuple[str, str]
) -> list[bytes]:
    content_type = ("Content-Type", prometheus_client.CONTENT_TYPE_LATEST)
    start_response(status, [content_type, ("Content-Length", str(len(body))), *headers])
    return [body]
