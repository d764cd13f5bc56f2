# SPDX-License-Identifier: Apache-2.0
"""An HTTP server within our own process: cheroot's, which runs on threads, green ones too.

Where the API has many clients, or slow ones, or serves TLS, uWSGI or gunicorn behind a proxy serve
``migprog.wsgi:application`` instead.
"""

import logging
import select
import threading
from collections.abc import Callable, Iterable

from cheroot import server, wsgi

from migprog import exception

LOG = logging.getLogger(__name__)

# Of sockets and connections, when all threads are busy.
_WAITING = 128
_KEPT_ALIVE = 512
_MAX_HEAD_BYTES = 64 * 1024
# What an application refuses at less than that it can refuse in its own words.
_MAX_BODY_BYTES = 1024 * 1024


class _Request(server.HTTPRequest):
    """Does not leave a body in chunks behind, which might be taken for the next request: cheroot
    (11.1) reads to its end what nobody read of a body if that told its length."""

    def respond(self) -> None:
        self.close_connection = self.close_connection or self.chunked_read
        super().respond()


class _Connection(server.HTTPConnection):
    RequestHandlerClass = _Request


class _Cheroot(wsgi.Server):
    """cheroot, with its troubles in our log."""

    ConnectionClass = _Connection

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        LOG.log(level, "%s", msg, exc_info=traceback)


class Server:
    """Serves a WSGI application on ``host`` and ``port`` (0: any free one) with some threads.

    ``option`` (``[group] name``) is what said so. ``port`` is the real one once it has started.
    """

    def __init__(
        self, app: Callable[..., Iterable[bytes]], host: str, port: int, threads: int, option: str
    ) -> None:
        self.host = host
        self.port = port
        self._option = option
        self._server = _Cheroot(
            (host, port),
            app,
            numthreads=threads,
            max=threads,
            server_name="migprog",
            request_queue_size=_WAITING,
            accepted_queue_size=_WAITING,
            accepted_queue_timeout=1,
        )
        self._server.max_request_header_size = _MAX_HEAD_BYTES
        self._server.max_request_body_size = _MAX_BODY_BYTES
        # Between two requests a connection is handed to a thread that waits for all of them. With
        # epoll it hears of that at once; without (eventlet has select alone) after half a second:
        # then rather no connection is kept.
        self._server.keep_alive_conn_limit = _KEPT_ALIVE if hasattr(select, "epoll") else 0
        self._thread = threading.Thread(target=self._server.serve, name="http", daemon=True)

    def start(self) -> None:
        """Return as soon as it listens. Raises :class:`exception.ConfigError` when it cannot."""
        try:
            self._server.prepare()
        except OSError as error:
            raise exception.ConfigError(f"{self._option}: {error}") from error
        self.port = self._server.bind_addr[1]
        self._thread.start()
        LOG.info("%s: listening on %s port %d", self._option, self.host, self.port)

    def stop(self) -> None:
        """Let requests at hand end (for 5 seconds), close every connection, and return."""
        self._server.stop()
        if self._thread.is_alive():
            self._thread.join()
