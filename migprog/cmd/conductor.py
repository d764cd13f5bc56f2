# SPDX-License-Identifier: Apache-2.0
"""``migprog-conductor``: stores the agents' reports."""

from migprog import concurrency

concurrency.choose()

from typing import NoReturn  # noqa: E402

from oslo_config import cfg  # noqa: E402

from migprog import service  # noqa: E402


def main() -> NoReturn:
    service.main(
        "migprog-conductor",
        "Receive the agents' reports from the message broker and store them in the database. Run "
        "one or more on controllers, after migprog-manage db sync.",
        _service,
    )


def _service(config: cfg.ConfigOpts) -> service.Service:
    # Not at the top: --help, --version and a wrong option need none of it.
    from migprog.conductor.service import ConductorService

    return ConductorService(config)
