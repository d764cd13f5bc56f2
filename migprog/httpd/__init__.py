# SPDX-License-Identifier: Apache-2.0
"""An HTTP server within the process: waitress, whose application runs on threads, green ones too.

One thread reads requests and writes responses for all connections, so a slow or silent client
occupies a connection but no thread, and neither does a response whose body comes later
(:mod:`migprog.httpd.parking`). The number of connections is limited, for each address and in
total; a whole request must arrive within some seconds. Some threads are reserved for paths that
must be answered whatever the other threads do.

For many clients, or for TLS, use uWSGI or gunicorn behind a proxy with
``migprog.wsgi:application``.
"""

import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments

from migprog import exception, loops
from migprog.httpd.bounds import Bounds
from migprog.httpd.channel import Refuse
from migprog.httpd.connections import Waitress
from migprog.httpd.open_files import allow_open_files
from migprog.httpd.parking import PARK, Later
from migprog.httpd.threads import Threads

__all__ = ["PARK", "Bounds", "Later", "Refuse", "Server"]

LOG = logging.getLogger(__name__)

_BACKLOG = 128
_MAX_HEAD_BYTES = 64 * 1024
# Larger than the applications' limits, so that they refuse bodies in their own form.
_MAX_BODY_BYTES = 1024 * 1024
# Responses that a client has not read yet go to a file beyond this size.
_ANSWER_IN_MEMORY_BYTES = 4 * 1024 * 1024
_LOOK_SECONDS = 0.5
_STOP_SECONDS = 5.0
_BOUNDS = Bounds()


class Server:
    """Serves a WSGI application on ``host`` and ``port`` (0: any free port) with ``threads``.

    ``option``: the option (``[group] name``) that has the address. The attribute ``port`` is the
    real one after the start. ``reserved``: paths that have two threads of their own. ``refuse``:
    answers invalid HTTP; by default waitress does, as plain text.
    """

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        host: str,
        port: int,
        threads: int,
        option: str,
        bounds: Bounds = _BOUNDS,
        reserved: Collection[str] = (),
        refuse: Refuse | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._option = option
        self._app = app
        self._thread_count = threads
        self._bounds = bounds
        self._reserved = reserved
        self._refuse = refuse
        self._map: dict[int, Any] = {}
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Return as soon as it listens. Raises :class:`exception.ConfigError` if it cannot."""
        try:
            listener = _listen(self.host, self.port)
        except (OSError, UnicodeError) as error:
            raise exception.ConfigError(f"{self._option}: {error}") from error
        self.port = listener.getsockname()[1]
        allow_open_files(self._bounds.connections, self._option)
        adjustments = Adjustments(
            # Constant, so that several processes of an API answer alike.
            ident="migprog",
            threads=self._thread_count,
            # Ours count clients; this one also counts waitress's own pipes and is never reached.
            connection_limit=2 * self._bounds.connections + 100,
            cleanup_interval=1,
            max_request_header_size=_MAX_HEAD_BYTES,
            max_request_body_size=_MAX_BODY_BYTES,
            outbuf_overflow=_ANSWER_IN_MEMORY_BYTES,
            log_socket_errors=False,
            # oslo.middleware handles proxy headers.
            clear_untrusted_proxy_headers=False,
            backlog=_BACKLOG,
            sockets=[listener],
        )
        self._threads = Threads(self._thread_count, self._reserved)
        self._server = Waitress(
            self._bounds,
            self._refuse,
            self._app,
            map=self._map,
            _sock=listener,
            dispatcher=self._threads,
            adj=adjustments,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()
        LOG.info("%s: listening on %s port %d", self._option, self.host, self.port)

    def _serve(self) -> None:
        # eventlet has no poll().
        use_poll = hasattr(select, "poll")
        look_at = 0.0
        self._server.thread_id = threading.get_ident()
        with loops.turning(f"the HTTP server of {self._option}") as loop:
            while not self._stopping:
                loop.turned()
                wasyncore.loop(timeout=_LOOK_SECONDS, use_poll=use_poll, map=self._map, count=1)
                self._server.take_up()
                self._server.send_resumed()
                if time.monotonic() >= look_at:
                    self._server.close_late()
                    look_at = time.monotonic() + _LOOK_SECONDS

    def stop(self) -> None:
        """Wait up to 5 seconds for requests in progress, close all connections, and return."""
        if self._thread is None or self._stopping:
            return
        self._server.accepting = False
        deadline = time.monotonic() + _STOP_SECONDS
        self._threads.stop(deadline)
        while self._server.is_sending and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stopping = True
        self._server.pull_trigger()
        self._thread.join()
        wasyncore.close_all(self._map)


def _listen(host: str, port: int) -> socket.socket:
    family, *_rest, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    both = family == socket.AF_INET6 and address[0] == "::"
    return socket.create_server(
        address[:2],
        family=family,
        backlog=_BACKLOG,
        dualstack_ipv6=both and socket.has_dualstack_ipv6(),
    )
