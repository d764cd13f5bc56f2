# SPDX-License-Identifier: Apache-2.0
"""A client of the API in this process, without a server and without tokens."""

import no_eventlet  # noqa: F401
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.tests.unit.api.conftest import configuration


def of(store: objects.Store) -> testing.TestClient:
    """Return a client of the API over a store."""
    application = app.create(configuration("sqlite://"), store)
    # falcon looks at its arguments, and cannot see those of a decorated one.
    return testing.TestClient(
        lambda environ, answer: application(environ | {"HTTP_HOST": "localhost"}, answer)
    )
