# SPDX-License-Identifier: Apache-2.0
"""``/``: the APIs, their addresses and microversions. Public."""

from typing import ClassVar

import falcon

from migprog.api import conditional, response_schemas, views
from migprog.api.access import PUBLIC, Rules
from migprog.api.microversion import NATIVE
from migprog.api.nova import views as nova_views
from migprog.api.resource import Resource

# Of the native API. Not "/": a Nova client that was given the root as endpoint would take the entry
# with exactly that address for Nova's API.
NATIVE_ID, NATIVE_PATH = "v1", "/migrations"


class Versions(Resource):
    """The native API and the Nova-compatible one, with their microversions."""

    RULES: ClassVar[Rules] = PUBLIC
    ANSWER = response_schemas.VERSIONS

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.query(req)
        if conditional.is_known(req, resp):
            return
        resp.media = {
            "versions": [
                views.version(NATIVE_ID, req.prefix + NATIVE_PATH, NATIVE.oldest, NATIVE.newest),
                nova_views.version(req.prefix),
            ]
        }
