# SPDX-License-Identifier: Apache-2.0
"""migprog-conductor: stores what the agents report."""

from migprog import concurrency

concurrency.choose()

import sys  # noqa: E402

from migprog import conf, exception, service  # noqa: E402
from migprog.conductor.service import ConductorService  # noqa: E402


def main() -> None:
    try:
        config = conf.load(sys.argv[1:], "migprog-conductor")
        service.run(config, ConductorService(config))
    except exception.MigprogError as error:
        raise SystemExit(f"migprog-conductor: {error}") from error
