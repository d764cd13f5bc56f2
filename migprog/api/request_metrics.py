# SPDX-License-Identifier: Apache-2.0
"""Count requests by their route, for the metrics."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import falcon

from migprog.api.resource import Application
from migprog.metrics import api as metrics

_ROUTE = "migprog.route"


class Route:
    """Falcon middleware: puts the route of a request into its environment."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        req.env[_ROUTE] = req.uri_template


def measured(app: Application) -> Application:
    """Return ``app`` with its answers counted. Outermost, so that errors are counted, too."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun, codes = time.perf_counter(), ["500"]

        def start(status: str, *more: Any) -> Any:
            codes.append(status[:3])
            return start_response(status, *more)

        try:
            return app(environ, start)
        finally:
            seconds = time.perf_counter() - begun
            metrics.answered(
                environ.get(_ROUTE),
                environ["REQUEST_METHOD"],
                codes[-1],
                None if environ.get(metrics.LONG_POLL) else seconds,
            )

    return answer
