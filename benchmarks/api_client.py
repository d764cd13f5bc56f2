# SPDX-License-Identifier: Apache-2.0
"""A client of the API in this process, without a server and without tokens."""

import with_threads  # noqa: F401
from falcon import testing
from oslo_config import cfg

from migprog import objects
from migprog.api import app
from migprog.conf import api as api_conf
from migprog.db import connections


def of(store: objects.Store) -> testing.TestClient:
    """Return a client of the API over a store."""
    conf = cfg.ConfigOpts()
    conf.register_opts(api_conf.OPTS, api_conf.GROUP.name)
    connections.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override("auth_strategy", "noauth", "api")
    application = app.create(conf, store)
    # falcon looks at its arguments, and cannot see those of a decorated one.
    return testing.TestClient(
        lambda environ, answer: application(environ | {"HTTP_HOST": "localhost"}, answer)
    )
