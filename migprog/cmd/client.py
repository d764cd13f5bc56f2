# SPDX-License-Identifier: Apache-2.0
"""``migprog``: list, show and watch migrations by the API."""

import io
import sys

from migprog.cmd import extras

# As a shell has it: 128, and the number of the signal.
_INTERRUPTED = 130


def main() -> int:
    """See :func:`migprog.cli.app.main`."""
    if sys.stdout is None:
        raise SystemExit("migprog: standard output is closed")
    # A terminal that has not all characters of a name shows them as numbers.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        for module in ("cliff", "rich"):
            extras.require("migprog", module, "cli")
        from migprog.cli import app

        return app.main()
    except KeyboardInterrupt:
        return _INTERRUPTED
