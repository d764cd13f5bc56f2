# SPDX-License-Identifier: Apache-2.0
"""``/v2.1``: this API's versions. Public, as clients request it before they have a token."""

from typing import ClassVar

import falcon

from migprog.api import conditional
from migprog.api.access import PUBLIC, Rules
from migprog.api.nova import response_schemas, schemas, views
from migprog.api.nova.resource import Resource


class Version(Resource):
    """This API and its microversions."""

    RULES: ClassVar[Rules] = PUBLIC
    # Any parameters are accepted.
    QUERY = schemas.ANYTHING
    ANSWER = response_schemas.VERSION

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if not conditional.is_known(req, resp):
            resp.media = {"version": views.version_detail(req.prefix)}
