# SPDX-License-Identifier: Apache-2.0
"""The REST API for uWSGI, gunicorn and the like: ``migprog.wsgi:application``.

The configuration is the file that ``MIGPROG_CONFIG_FILE`` names, or else
``/etc/migprog/migprog.conf``. It is read when this module is imported, so that nothing starts with
a wrong one; each worker connects to the database by itself, at its first request, and to the
broker, if at all, at the first that it is needed for.
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
    # The server that imports this ends its workers as it likes; nothing is closed.
    return app.create(config, store, actions=by_agents(config, store, contextlib.ExitStack()))


application = _application()
