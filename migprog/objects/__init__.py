# SPDX-License-Identifier: Apache-2.0
"""What the rest of the program knows of the store::

    store = objects.connect(conf)          # may raise exception.ConfigError
    objects.Migration.list(store, in_progress=True)

Everything that reads or writes may raise :class:`Unavailable`.
"""

from migprog.db.api import LoginRefused, Store, Unavailable, connect
from migprog.db.schema import check_version
from migprog.objects.agent import Agent
from migprog.objects.batch import Heard, Stored, store_batch, store_batches
from migprog.objects.finding import MAX_ID, Finding
from migprog.objects.history import Point
from migprog.objects.migration import Mark, Migration
from migprog.objects.naming import name, seen, unnamed
from migprog.objects.nova_record import NovaRecord
from migprog.objects.purge import Purged, purge
from migprog.objects.server import Server, ServerNow

__all__ = [
    "MAX_ID",
    "Agent",
    "Finding",
    "Heard",
    "LoginRefused",
    "Mark",
    "Migration",
    "NovaRecord",
    "Point",
    "Purged",
    "Server",
    "ServerNow",
    "Store",
    "Stored",
    "Unavailable",
    "check_version",
    "connect",
    "name",
    "purge",
    "seen",
    "store_batch",
    "store_batches",
    "unnamed",
]
