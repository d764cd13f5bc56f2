# SPDX-License-Identifier: Apache-2.0
"""Entries of an agent's persistent state: what each holds, its name and its form."""

import json

from migprog.core import wire_table
from migprog.core.checkpoint import Checkpoint
from migprog.core.messages import Arrival, Report

Entry = Checkpoint | Report | Arrival
_KINDS: dict[str, type[Entry]] = {"watched": Checkpoint, "ended": Report, "arrived": Arrival}


def name_of(entry: Entry) -> str:
    """Return an entry's name. A migration has one: its end replaces its checkpoint."""
    if isinstance(entry, Arrival):
        return f"arrival-{entry.server_uuid}"
    return entry.uuid


def encode(entry: Entry) -> bytes:
    """Encode an entry as it is stored, in the format of messages."""
    kind = next(kind for kind, what in _KINDS.items() if isinstance(entry, what))
    return json.dumps({kind: wire_table.write([entry])}).encode()


def decode(data: bytes) -> Entry:
    """Decode a stored entry. Raises :class:`ValueError`."""
    stored = json.loads(data)
    for kind, what in _KINDS.items():
        if isinstance(stored, dict) and kind in stored:
            entries, refused = wire_table.read(what, stored[kind], max_rows=1)
            if refused:
                raise ValueError(refused[0])
            if entries:
                return entries[0]
    raise ValueError("has no entry")
