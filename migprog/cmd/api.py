# SPDX-License-Identifier: Apache-2.0
"""``migprog-api``: the REST API with an HTTP server of its own."""

from migprog import concurrency

concurrency.choose()

import sys  # noqa: E402

from migprog import conf, exception, service  # noqa: E402
from migprog.api.service import ApiService  # noqa: E402


def main() -> int:
    try:
        config = conf.load(sys.argv[1:], "migprog-api")
        service.run(config, ApiService(config))
    except exception.MigprogError as error:
        print(f"migprog-api: {error}", file=sys.stderr)
        return 1
    return 0
