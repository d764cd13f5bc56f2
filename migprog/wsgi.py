# SPDX-License-Identifier: Apache-2.0
"""The REST API for uWSGI, gunicorn and other WSGI servers: ``migprog.wsgi:application``.

The configuration is the file in ``MIGPROG_CONFIG_FILE``, by default ``/etc/migprog/migprog.conf``.
It is read when this module is imported, so that no worker starts with an invalid one. Each worker
connects to the database at its first request, and to the broker, if at all, at the first request
that needs it.
"""

from migprog import concurrency

concurrency.prefer_threads()

import contextlib  # noqa: E402
import os  # noqa: E402

from migprog import conf, objects  # noqa: E402
from migprog.api import app  # noqa: E402
from migprog.api.resource import Application  # noqa: E402
from migprog.api.service import by_agents  # noqa: E402


def _application() -> Application:
    path = os.environ.get("MIGPROG_CONFIG_FILE")
    config = conf.load(["--config-file", path] if path else [], "migprog")
    store = objects.connect(config)
    store.log_outages("requests are answered 503")
    # The importing server ends its workers by itself; nothing is closed here.
    actions, measuring = by_agents(config, store, contextlib.ExitStack())
    return app.create(config, store, actions=actions, measuring=measuring)


application = _application()
