# SPDX-License-Identifier: Apache-2.0
"""Exit with what to install, where a package is missing that only some commands need."""

import importlib


def require(prog: str, module: str, extra: str) -> None:
    """Exit with a line that says what to install if ``module`` cannot be imported."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise SystemExit(
            f"{prog}: needs the Python module {module}, which cannot be loaded ({error}); "
            f"install it with: pip install 'migprog[{extra}]'"
        ) from None
