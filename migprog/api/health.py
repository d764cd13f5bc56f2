# SPDX-License-Identifier: Apache-2.0
"""``/healthcheck``: whether this API can serve. Public.

It needs an answer from the database, then passes the checks of ``[healthcheck] backends`` of
oslo.middleware, whose plug-ins cannot access the store.
"""

from typing import ClassVar

import falcon
import webob
import webob.exc
from oslo_config import cfg
from oslo_middleware import healthcheck

from migprog import objects
from migprog.api import errors, response_schemas
from migprog.api.access import PUBLIC, Rules
from migprog.api.error_codes import ErrorCode
from migprog.api.resource import Application, Resource


def checks(conf: cfg.ConfigOpts) -> Application:
    """Return oslo.middleware's health check with its ``[healthcheck]`` options."""
    application: Application = healthcheck.Healthcheck(webob.exc.HTTPNotFound(), conf)
    return application


class Health(Resource):
    """Whether this API can serve: ``{"detailed": false, "reasons": []}``; 503 with the reasons when
    it is not well."""

    RULES: ClassVar[Rules] = PUBLIC
    ANSWER = response_schemas.HEALTH

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.query(req)
        # Raises Unavailable if the database is away or has no tables.
        objects.Migration.list(self.parts.store, limit=1)
        question = webob.Request(dict(req.env), method="GET", accept="application/json")
        answer = question.get_response(self.parts.health)
        if answer.status_code == 404:
            # The client's address is not allowed by [healthcheck] allowed_source_ranges.
            raise falcon.HTTPNotFound
        if answer.status_code != 200:
            reasons = "; ".join(str(reason) for reason in answer.json["reasons"])
            raise errors.ApiError(ErrorCode.OUT_OF_SERVICE, f"Out of service: {reasons}")
        resp.media = answer.json
