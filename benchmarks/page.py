# SPDX-License-Identifier: Apache-2.0
"""What the page costs a browser: 1,000 migrations in progress that all change every 2 s.

    .venv/bin/python benchmarks/page.py [--migrations 1000] [--seconds 30] [--laps 30]

A real Chromium without a screen shows the running migrations, from a stand-in of the API in this
process that answers as news of lists does: no database takes part. Measured are the processor
seconds of the browser's process that runs the page, as a share of a core; how long a click takes
until its page is drawn; and how the memory grows while as much news as of an hour goes through, as
fast as the page takes it. The memory is looked at while no news is under way.
"""

import argparse
import contextlib
import http.server
import itertools
import json
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib import parse

import psutil

from lab.browser import Browser, chromium
from migprog import objects, ui
from migprog.api import views
from migprog.api.microversion import NATIVE
from migprog.tests import stores
from migprog.tests.fixtures import migrations as fixtures

_GOAL_SHARE, _GOAL_CLICK_MS, _GOAL_GROWTH = 0.15, 100.0, 1.1
_INTERVAL_SECONDS = 2.0
_NEWS_OF_AN_HOUR = int(3600 / _INTERVAL_SECONDS)
# What is under way has been taken and drawn by then.
_SETTLE_SECONDS = 2.0
# From a click to the frame after the first one that shows what was asked for: by then that one is
# on the screen.
_CLICK = """
const [css, wanted, done] = arguments;
const target = document.querySelector(css);
const began = performance.now();
target.click();
(function look() {
  if (!document.querySelector(wanted)) return requestAnimationFrame(look);
  requestAnimationFrame(() => done(performance.now() - began));
})();
"""
_HEAP = "return performance.memory.usedJSHeapSize"


class Api(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Answers as the API does. ``interval_seconds``: between two news; 0: at once."""

    daemon_threads = True

    def __init__(self, migrations: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.interval_seconds = _INTERVAL_SECONDS
        self.documents = _documents(migrations)
        self.rounds = itertools.count()
        self.answered = 0
        # News is answered while this is set.
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.files = ui.load("noauth", password_login=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that the page has gone while it was answered; show all else."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def news(self, is_whole: bool) -> bytes:
        number = next(self.rounds)
        changed = [_changed(each, number, time.time()) for each in self.documents]
        self.answered += 1
        rest = {"ended": [], "left": [], "whole": is_whole, "cursor": str(number)}
        return json.dumps({"migrations": changed} | rest).encode()


def _documents(count: int) -> list[dict[str, Any]]:
    """Return the documents of migrations in progress, of which one in 25 is in trouble."""
    with tempfile.TemporaryDirectory(prefix="migprog-benchmark-") as directory:
        store = stores.ready(f"sqlite:///{directory}/migprog.sqlite")
        fixtures.fill(store, count)
        found = objects.Migration.list(store, in_progress=True, limit=count)
        store.close()
    now = datetime.now(UTC)
    return [views.migration(each, "", now, 90.0, True, NATIVE.newest) for each in found]


def _changed(document: dict[str, Any], number: int, now: float) -> dict[str, Any]:
    """Return a document as it is some reports later; its end comes nearer and is not reached."""
    left = 600 - number % 500 + document["id"] % 60
    ends = {
        name: views.instant(datetime.fromtimestamp(now + left * factor, UTC))
        for name, factor in (("ends_at_earliest", 0.8), ("ends_at", 1.0), ("ends_at_latest", 1.5))
        if document[name] is not None
    }
    at = views.instant(datetime.fromtimestamp(now, UTC))
    return (
        document
        | ends
        | {
            "sequence": number + 2,
            "percent": min(99, document["percent"] + number // 60),
            "memory_iteration": 3 + number % 7,
            "throughput_bytes_per_second": (80 + (number + document["id"]) % 40) * 2**20,
            "sampled_at": at,
            "last_reported_at": at,
        }
    )


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def do_GET(self) -> None:
        url = parse.urlsplit(self.path)
        query = dict(parse.parse_qsl(url.query))
        file = self.server.files.get(url.path.removeprefix("/ui/"))
        if url.path == "/ui/access":
            rights = dict.fromkeys(("hosts", "abort", "force_complete", "agents", "drain"), True)
            self._answer(json.dumps(rights | {"actions": True}).encode())
        elif file is not None:
            self._answer(file.content, file.media_type)
        elif "wait" in query:
            is_first = "since" not in query
            half_seconds = 0 if is_first else self.server.interval_seconds / 2
            # Made while the page rests: with the API the work is another machine's.
            time.sleep(half_seconds)
            self.server.goes_on.wait()
            body = self.server.news(is_first)
            time.sleep(half_seconds)
            self._answer(body)
        elif url.path.endswith("/history"):
            self._answer(b'{"history": []}')
        else:
            self._answer(b'{"agents": [], "migrations": []}')

    def _answer(self, body: bytes, media_type: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


@contextlib.contextmanager
def serving(migrations: int) -> Iterator[Api]:
    with Api(migrations) as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        yield api
        api.shutdown()


def seconds(browser: Browser) -> tuple[float, float]:
    """Return the processor seconds of the processes that run pages, and of all of Chromium's; not
    of its driver."""
    root = psutil.Process(browser.driver.service.process.pid)
    page = whole = 0.0
    for each in root.children(recursive=True):
        used = sum(each.cpu_times()[:2])
        whole += used
        page += used if "--type=renderer" in each.cmdline() else 0.0
    return page, whole


def clicks(browser: Browser, count: int) -> list[float]:
    """Return the milliseconds of clicks on a server and back."""
    found = []
    for _ in range(count):
        there = browser.driver.execute_async_script(_CLICK, ".row .server", ".card.head")
        back = browser.driver.execute_async_script(_CLICK, ".back a", ".row .server")
        found += [float(there), float(back)]
    return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--migrations", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--laps", type=int, default=30, help="clicks there and back")
    parser.add_argument("--news", type=int, default=_NEWS_OF_AN_HOUR, help="for the memory")
    options = parser.parse_args(arguments)
    flags = ("--js-flags=--expose-gc", "--enable-precise-memory-info")
    with serving(options.migrations) as api, chromium(*flags) as browser:
        browser.open(f"{api.url}/ui/")
        browser.wait_for(f".list[aria-rowcount='{options.migrations + 1}']")
        time.sleep(3 * _INTERVAL_SECONDS)
        began, news, before = time.monotonic(), api.answered, seconds(browser)
        time.sleep(options.seconds)
        passed, after = time.monotonic() - began, seconds(browser)
        share, all_share = ((new - old) / passed for new, old in zip(after, before, strict=True))
        print(
            f"{options.migrations} migrations, {api.answered - news} news in {passed:.0f} s: "
            f"the page takes {100 * share:.1f} % of a core, all of Chromium {100 * all_share:.1f} %"
        )
        took = sorted(clicks(browser, options.laps))
        median, most = took[len(took) // 2], took[int(len(took) * 0.95)]
        print(
            f"{len(took)} clicks: {median:.0f} ms in the median, {most:.0f} ms at 95 %, "
            f"{took[-1]:.0f} ms the slowest"
        )
        growth = _growth(browser, api, options.news)
    met = share <= _GOAL_SHARE and most <= _GOAL_CLICK_MS and growth <= _GOAL_GROWTH
    print(
        f"goal: 15 % of a core, a click within 100 ms, memory flat: {'met' if met else 'NOT met'}"
    )
    return 0 if met else 1


def _growth(browser: Browser, api: Api, news: int) -> float:
    """Return by which factor the memory is larger at the end than before."""
    api.interval_seconds = 0.0
    sizes: list[float] = []
    began = api.answered
    for share in (0.1, 0.4, 0.7, 1.0):
        while api.answered - began < share * news:
            time.sleep(0.2)
        api.goes_on.clear()
        time.sleep(_SETTLE_SECONDS)
        browser.run("gc(); gc()")
        sizes.append(int(browser.run(_HEAP)) / 2**20)
        api.goes_on.set()
    shown = ", ".join(f"{size:.1f}" for size in sizes)
    print(f"memory after a tenth, 40, 70 and 100 % of {news} news: {shown} MiB")
    return sizes[-1] / max(sizes[:-1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
