# SPDX-License-Identifier: Apache-2.0
"""``/servers/<uuid>``: a server that has migrated."""

from typing import ClassVar

import falcon

from migprog import objects, policies
from migprog.api import conditional, response_schemas, views
from migprog.api.access import Rules
from migprog.api.resource import Resource


class Server(Resource):
    """A server, according to its newest migration."""

    RULES: ClassVar[Rules] = {"GET": policies.servers.SHOW}
    ANSWER = response_schemas.SERVER

    def on_get(self, req: falcon.Request, resp: falcon.Response, server_uuid: str) -> None:
        self.query(req)
        access = req.context.access
        server = objects.Server.get(self.parts.store, server_uuid, project_id=access.only_project())
        hosts = access.may(policies.servers.HOSTS)
        if not conditional.is_known(req, resp, server, hosts):
            resp.media = {"server": views.server(server, req.prefix, hosts)}
