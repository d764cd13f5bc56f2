# SPDX-License-Identifier: Apache-2.0
"""``migprog-api``: the REST API with its own HTTP server."""

from migprog import concurrency

concurrency.choose()

from typing import NoReturn  # noqa: E402

from migprog import service  # noqa: E402
from migprog.api.service import ApiService  # noqa: E402
from migprog.cmd.with_metrics import WithMetrics  # noqa: E402
from migprog.conf.bind import metrics_address  # noqa: E402


def main() -> NoReturn:
    service.main(
        "migprog-api",
        "Serve the REST APIs: migprog's own, and the Nova-compatible one below /v2.1.",
        lambda config: WithMetrics(
            ApiService(config), metrics_address(config.api), "[api] metrics_bind_port"
        ),
    )
