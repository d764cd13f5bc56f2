# SPDX-License-Identifier: Apache-2.0
"""What our processes do when a remote party is away, refuses, goes silent or is slow.

Each cell of the documentation's table is provoked here, with shorter timeouts; the same formula
gives the seconds that the table promises with the defaults. ``python -m
migprog.tests.functional.parties`` writes ``doc/source/remote-parties.csv``.
"""

# In the order of the table.
from migprog.tests.functional.parties import database  # isort: skip
from migprog.tests.functional.parties import broker  # isort: skip
from migprog.tests.functional.parties import broker_conductor  # isort: skip
from migprog.tests.functional.parties import broker_notifications  # isort: skip
from migprog.tests.functional.parties import actions  # isort: skip
from migprog.tests.functional.parties import keystone, nova  # isort: skip
from migprog.tests.functional.parties import libvirt  # isort: skip
from migprog.tests.functional.parties import libvirt_actions, libvirt_remote  # isort: skip
from migprog.tests.functional.parties import client  # isort: skip
from migprog.tests.functional.parties.table import CELLS, CSV, SHORT, SLACK_SECONDS, rendered

__all__ = [
    "CELLS",
    "CSV",
    "SHORT",
    "SLACK_SECONDS",
    "actions",
    "broker",
    "broker_conductor",
    "broker_notifications",
    "client",
    "database",
    "keystone",
    "libvirt",
    "libvirt_actions",
    "libvirt_remote",
    "nova",
    "rendered",
]
