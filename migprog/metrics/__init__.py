# SPDX-License-Identifier: Apache-2.0
"""What a process counts, for Prometheus: one module for each service that counts, and this one,
which shows it all.

Only what a service imports is counted and shown in its process. Labels have few values, all of them
ours: no name, UUID or text that a tenant chose. Under eventlet no real thread may use them, see
``concurrency``.
"""

import os
from collections.abc import Callable
from typing import Any

import prometheus_client
from prometheus_client import multiprocess

PATH = "/metrics"
_SHARED = "PROMETHEUS_MULTIPROC_DIR"

# The time at which a series was made would double their number.
prometheus_client.disable_created_metrics()
# Of our own: what libraries count in theirs is not ours to show.
REGISTRY = prometheus_client.CollectorRegistry()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """WSGI: GET /metrics, and nothing else."""
    if environ.get("PATH_INFO") != PATH:
        return _answer(start_response, "404 Not Found", b"")
    if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
        return _answer(start_response, "405 Method Not Allowed", b"", ("Allow", "GET, HEAD"))
    text = prometheus_client.generate_latest(_registry())
    return _answer(start_response, "200 OK", text)


def _registry() -> prometheus_client.CollectorRegistry:
    """Return what is shown: of this process, or of all those that share prometheus_client's
    directory, as the workers of uWSGI and gunicorn do."""
    if _SHARED not in os.environ:
        return REGISTRY
    registry = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return registry


def _answer(
    start_response: Callable[..., Any], status: str, body: bytes, *headers: tuple[str, str]
) -> list[bytes]:
    content_type = ("Content-Type", prometheus_client.CONTENT_TYPE_LATEST)
    start_response(status, [content_type, ("Content-Length", str(len(body))), *headers])
    return [body]
