# SPDX-License-Identifier: Apache-2.0
"""``migprog``: list, show and watch migrations by the API."""

from migprog.cmd import extras


def main() -> int:
    """See :func:`migprog.cli.app.main`."""
    for module in ("cliff", "rich"):
        extras.require("migprog", module, "cli")
    from migprog.cli import app

    return app.main()
