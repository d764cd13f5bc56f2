# SPDX-License-Identifier: Apache-2.0
"""Import kombu without serializers that migprog never uses: its messages are JSON.

kombu (5.7) imports yaml and msgpack if they are installed, which is 1 MiB of each agent, and works
without. They are hidden while kombu is imported, and no longer: others may need them.
"""

import importlib
import sys

_OTHERS = ("yaml", "msgpack")


def load() -> None:
    """Import kombu's serializers, before oslo.messaging's driver does. No other thread may import
    what is hidden meanwhile; what is imported already stays."""
    hidden = [name for name in _OTHERS if name not in sys.modules]
    # An import of a name that is None here raises ImportError.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        importlib.import_module("kombu.serialization")
    finally:
        for name in hidden:
            del sys.modules[name]
