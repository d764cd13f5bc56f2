# SPDX-License-Identifier: Apache-2.0
"""Node.js, which runs the page's modules without a browser."""

import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent


def run(*arguments: str, given: str = "") -> str:
    """Return what it writes; what it says of a failure is the failure's."""
    done = subprocess.run(
        ["node", *arguments],
        input=given,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done.stdout
