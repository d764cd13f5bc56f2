# SPDX-License-Identifier: Apache-2.0
"""``migprog-api``: the REST API with its own HTTP server."""

from migprog import concurrency

concurrency.choose()

from typing import NoReturn  # noqa: E402

from oslo_config import cfg  # noqa: E402

from migprog import service  # noqa: E402


def main() -> NoReturn:
    service.main(
        "migprog-api",
        "Serve the REST APIs: migprog's own, and the Nova-compatible one below /v2.1.",
        _service,
    )


def _service(config: cfg.ConfigOpts) -> service.Service:
    # Not at the top: --help, --version and a wrong option need none of it.
    from migprog.api.service import ApiService
    from migprog.cmd.with_metrics import WithMetrics
    from migprog.conf.bind import metrics_address

    return WithMetrics(ApiService(config), metrics_address(config.api), "[api] metrics_bind_port")
