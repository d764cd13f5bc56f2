# SPDX-License-Identifier: Apache-2.0
"""The REST API for uWSGI, gunicorn and the like: ``migprog.wsgi:application``.

The configuration is the file that ``MIGPROG_CONFIG_FILE`` names, or else
``/etc/migprog/migprog.conf``. It is read when this module is imported, so that nothing starts with
a wrong one; each worker connects to the database by itself, at its first request, and to the
broker, if at all, at the first that it is needed for.
"""

import os

from oslo_config import cfg

from migprog import conf, objects, rpc
from migprog.api import app
from migprog.api.actions import Actions, ByAgents
from migprog.api.resource import Application
from migprog.compute.rpcapi import ComputeAPI


def _application() -> Application:
    path = os.environ.get("MIGPROG_CONFIG_FILE")
    config = conf.load(["--config-file", path] if path else [], "migprog")
    store = objects.connect(config)
    store.log_outages("requests are answered 503")
    return app.create(config, store, actions=_actions(config, store))


def _actions(config: cfg.ConfigOpts, store: objects.Store) -> Actions | None:
    if not config.api.allow_actions:
        return None
    rpc.check(config)
    return ByAgents(store, ComputeAPI(rpc.transport(config)))


application = _application()
