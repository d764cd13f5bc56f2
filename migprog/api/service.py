# SPDX-License-Identifier: Apache-2.0
"""The API as a service of a process of ours: ``migprog-api``, ``migprog-standalone``."""

import contextlib

from oslo_config import cfg

from migprog import objects
from migprog.api import app
from migprog.conf.api import check_listen
from migprog.httpd import Server


class ApiService:
    """The API over the configured database, listening where ``[api] listen`` says.

    ``port`` is the real one, once it has started.
    """

    port: int

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._config = config
        self._opened = contextlib.ExitStack()

    def start(self) -> None:
        """Raises :class:`exception.ConfigError`."""
        group = self._config.api
        address = check_listen(group.listen, group.auth_strategy)
        store = objects.connect(self._config)
        self._opened.callback(store.close)
        application = app.create(self._config, store)
        server = Server(application, address.host, address.port, group.threads, "[api] listen")
        server.start()
        self._opened.callback(server.stop)
        self.port = server.port

    def stop(self) -> None:
        """What was started is ended; safe at any time, and more than once."""
        self._opened.close()

    def reload(self, config: cfg.ConfigOpts) -> None:
        """None of the API's options is mutable."""
