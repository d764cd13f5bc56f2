# SPDX-License-Identifier: Apache-2.0
"""The store, as the rest of the program uses it::

    store = objects.connect(conf)          # may raise exception.ConfigError
    objects.Migration.list(store, in_progress=True)

All that reads or writes may raise :class:`Unavailable`.
"""

from migprog.db.connections import connect
from migprog.db.engine import LoginRefused, Store, Unavailable
from migprog.db.schema import check_version
from migprog.objects.agent import Agent, Heartbeats
from migprog.objects.completed_migrations import completed
from migprog.objects.departures import DepartureRow, departures
from migprog.objects.forecast_before import put as put_forecast_before
from migprog.objects.history import Point
from migprog.objects.host_servers import HostServer, host_servers
from migprog.objects.measurements import MeasuredServer, Measurement
from migprog.objects.migration import Migration, ResourceVersion
from migprog.objects.nova_identity import name, seen, unnamed
from migprog.objects.nova_record import NovaRecord
from migprog.objects.purge import Purged, purge
from migprog.objects.query import MAX_ID, MigrationQuery
from migprog.objects.server import Server, ServerNow
from migprog.objects.store_reports import ReceivedBatch, Stored, store_batch, store_batches

__all__ = [
    "MAX_ID",
    "Agent",
    "DepartureRow",
    "Heartbeats",
    "HostServer",
    "LoginRefused",
    "MeasuredServer",
    "Measurement",
    "Migration",
    "MigrationQuery",
    "NovaRecord",
    "Point",
    "Purged",
    "ReceivedBatch",
    "ResourceVersion",
    "Server",
    "ServerNow",
    "Store",
    "Stored",
    "Unavailable",
    "check_version",
    "completed",
    "connect",
    "departures",
    "host_servers",
    "name",
    "purge",
    "put_forecast_before",
    "seen",
    "store_batch",
    "store_batches",
    "unnamed",
]
