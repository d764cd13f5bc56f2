# SPDX-License-Identifier: Apache-2.0
"""``migprog-conductor``: stores the agents' reports."""

from migprog import concurrency

concurrency.choose()

from typing import NoReturn  # noqa: E402

from migprog import service  # noqa: E402
from migprog.conductor.service import ConductorService  # noqa: E402


def main() -> NoReturn:
    service.main(
        "migprog-conductor",
        "Receive the agents' reports from the message broker and store them in the database. Run "
        "one or more on controllers, after migprog-manage db sync.",
        ConductorService,
    )
