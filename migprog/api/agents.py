# SPDX-License-Identifier: Apache-2.0
"""``/agents``: the watched hosts, since when, by which version, and their report intervals."""

from typing import ClassVar

import falcon

from migprog import objects, policies
from migprog.api import conditional, response_schemas, schemas, views
from migprog.api.access import Rules
from migprog.api.resource import Resource


class Agents(Resource):
    """The agents, by host."""

    RULES: ClassVar[Rules] = {"GET": policies.agents.LIST}
    QUERY = staticmethod(schemas.agents)
    ANSWER = response_schemas.AGENTS

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = self.query(req)
        limit = query.get("limit", self.parts.max_limit)
        # One more than the limit, to see whether there is a next page.
        found = objects.Agent.list(self.parts.store, limit=limit + 1, marker=query.get("marker"))
        now = self.parts.clock()
        if conditional.is_known(req, resp, [(each, each.is_silent(now)) for each in found]):
            return
        resp.media = {
            "agents": [views.agent(each, now, req.context.version) for each in found[:limit]]
        }
        if len(found) > limit:
            resp.media["agents_links"] = self.next_page(req, found[limit - 1].host)
