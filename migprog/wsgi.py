# SPDX-License-Identifier: Apache-2.0
"""The REST API for uWSGI, gunicorn and the like: ``migprog.wsgi:application``.

The configuration is the file that ``MIGPROG_CONFIG_FILE`` names, or else
``/etc/migprog/migprog.conf``. It is read when this module is imported, so that nothing starts with
a wrong one; each worker connects to the database by itself, at its first request.
"""

import os

from migprog import conf, objects
from migprog.api import app
from migprog.api.resource import Application


def _application() -> Application:
    path = os.environ.get("MIGPROG_CONFIG_FILE")
    config = conf.load(["--config-file", path] if path else [], "migprog")
    return app.create(config, objects.connect(config))


application = _application()
