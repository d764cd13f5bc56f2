# SPDX-License-Identifier: Apache-2.0
"""Answer ``/servers/<uuid>/migrations/<id>/summary`` with the post-mortem of a migration."""

from typing import ClassVar

import falcon

from migprog import objects, policies
from migprog.api import post_mortem, response_schemas
from migprog.api.access import Rules
from migprog.api.microversion import SUMMARY_SINCE, WHO_ASKED
from migprog.api.migrations import OfMigrations
from migprog.core.post_mortem.summary import summarize


class Summary(OfMigrations):
    """What a migration's record says in hindsight."""

    RULES: ClassVar[Rules] = {"GET": policies.migrations.SUMMARY}
    ANSWER = response_schemas.SUMMARY

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, server_uuid: str, id_or_uuid: str
    ) -> None:
        self.query(req)
        self.check_since(req, SUMMARY_SINCE)
        migration = self.find(req, resp, server_uuid, id_or_uuid)
        if migration is not None:
            points = objects.Point.list(self.parts.store, migration)
            found = summarize(migration, points)
            if not req.context.access.may(policies.migrations.HOSTS):
                found = post_mortem.without_names(found)
            document = post_mortem.view(migration, found, req.prefix)
            if req.context.version < WHO_ASKED:
                for action in document["actions"]:
                    del action["user_id"], action["project_id"]
            resp.media = {"summary": document}
