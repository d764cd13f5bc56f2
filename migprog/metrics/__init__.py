# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics: one module for each subject, and this one, which exports them.

A process exports the metrics of the modules that it imports. Labels have few values, all defined by
migprog: no name, UUID or text that a tenant chose. Under eventlet no native thread may use metrics,
see ``concurrency``.
"""

import os
from collections.abc import Callable
from typing import Any

import prometheus_client
from prometheus_client import multiprocess

PATH = "/metrics"
_SHARED = "PROMETHEUS_MULTIPROC_DIR"

# Creation timestamps would double the number of series.
prometheus_client.disable_created_metrics()
# Separate from the default registry, in which libraries register their metrics.
REGISTRY = prometheus_client.CollectorRegistry()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Serve GET /metrics, and 404 for any other path (WSGI)."""
    if environ.get("PATH_INFO") != PATH:
        return _answer(start_response, "404 Not Found", b"")
    method = environ.get("REQUEST_METHOD")
    if method not in ("GET", "HEAD"):
        return _answer(start_response, "405 Method Not Allowed", b"", ("Allow", "GET, HEAD"))
    if method == "HEAD":
        # HEAD must not collect: a scrape removes the series of ended migrations.
        return _answer(start_response, "200 OK", b"")
    text = prometheus_client.generate_latest(_registry())
    return _answer(start_response, "200 OK", text)


def _registry() -> prometheus_client.CollectorRegistry:
    """Return the registry to export: this process's, or that of all processes which share
    prometheus_client's directory, such as the workers of uWSGI and gunicorn."""
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
