# SPDX-License-Identifier: Apache-2.0
"""``/servers/<uuid>``: a server that has migrated."""

import falcon

from migprog import objects
from migprog.api import schemas, views
from migprog.api.resource import Resource


class Server(Resource):
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_uuid: str) -> None:
        schemas.read(req.query_string, {})
        server = objects.Server.get(self.parts.store, server_uuid)
        resp.media = {"server": views.server(server, req.prefix)}
