# SPDX-License-Identifier: Apache-2.0
"""``/``: which faces of the API there are, and where. For everybody."""

from typing import ClassVar

import falcon

from migprog.api import conditional, documents, views
from migprog.api.access import PUBLIC, Rules
from migprog.api.nova import views as nova_views
from migprog.api.resource import Resource

# Ours: id, status, where it begins. Not "/": a client of Nova's that was told our root would take
# the entry with that very address for the face it wants.
VERSIONS = (("v1", "CURRENT", "/migrations"),)


class Versions(Resource):
    """The faces of the API."""

    RULES: ClassVar[Rules] = PUBLIC
    ANSWER = documents.VERSIONS

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.query(req)
        if conditional.is_known(req, resp):
            return
        resp.media = {
            "versions": [
                *(
                    views.version(version, status, req.prefix, path)
                    for version, status, path in VERSIONS
                ),
                nova_views.version(req.prefix),
            ]
        }
