# SPDX-License-Identifier: Apache-2.0
"""``GET /metrics`` over HTTP, and nothing else there."""

import pytest
import requests

from migprog import httpd, metrics
from migprog.metrics import conductor

REPORTS = "migprog_reports_stored_total "


@pytest.fixture(scope="module")
def address():
    server = httpd.Server(metrics.application, "127.0.0.1", 0, 4, "[test] listen")
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def test_metrics_show_what_was_counted(address):
    def shown():
        lines = requests.get(f"{address}/metrics", timeout=10).text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(REPORTS))

    before = shown()
    conductor.stored(7, ())
    assert shown() == before + 7


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/metrics", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/metrics?name[]=x", 200),
        ("POST", "/metrics", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("POST", "/migrations", 404),
    ],
)
def test_metrics_address_serves_only_metrics(address, method, path, code):
    answer = requests.request(method, address + path, timeout=10)
    assert answer.status_code == code
    assert bool(answer.text) is (code == 200 and method != "HEAD")
    assert answer.headers.get("allow") == ("GET, HEAD" if code == 405 else None)
