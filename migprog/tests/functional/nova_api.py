# SPDX-License-Identifier: Apache-2.0
"""A stand-in for nova-api: says who it is and what it was asked, and as much as clients want to
know before they ask for migrations."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

MARK = "X-Served-By"


class _Nova(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Nobody waits for the rest of a small answer.
    wbufsize = -1

    def __getattr__(self, name: str) -> Any:
        """Each method is served by the same."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        # As it came: self.path has lost a slash of two.
        method, uri, _protocol = self.requestline.split(" ")
        document = {
            "method": method,
            "uri": uri,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(),
        }
        if uri in ("/v2.1", "/v2.1/"):
            document["version"] = self._version()
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header(MARK, "nova")
        self.end_headers()
        if method != "HEAD":
            self.wfile.write(body)

    def _version(self) -> dict[str, Any]:
        here = f"{self.headers['X-Forwarded-Proto']}://{self.headers['Host']}/v2.1/"
        return {
            "id": "v2.1",
            "status": "CURRENT",
            "version": "2.104",
            "min_version": "2.1",
            "links": [{"rel": "self", "href": here}],
        }

    def log_message(self, format: str, *args: object) -> None:
        """Not on the screen."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Proxies drop connections as they like."""


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """Its port."""
    with _Server(("127.0.0.1", 0), _Nova) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
