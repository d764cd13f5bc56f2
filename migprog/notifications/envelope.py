# SPDX-License-Identifier: Apache-2.0
"""The form of a notification: an event type and a versioned payload, as Nova's are.

The minor version of a payload grows when a key or a word is added, the major version when one goes
or changes its meaning. ``schemas/NAME-VERSION.json`` is its JSON Schema.
"""

from typing import Any

from migprog.core.notices import Event, Kind

_PREFIX = "migration_progress"
_NAMESPACE = "migprog"
# The names of the payloads and their versions.
PAYLOADS = {
    Kind.START: ("MigrationStartPayload", "1.0"),
    Kind.VERDICT_CHANGED: ("MigrationVerdictChangedPayload", "1.0"),
    Kind.ACTION: ("MigrationActionPayload", "1.1"),
    Kind.END: ("MigrationEndPayload", "1.0"),
}


def event_type(kind: Kind) -> str:
    """Return the event type, such as ``migration_progress.end``."""
    return f"{_PREFIX}.{kind.value}"


def wrap(event: Event) -> dict[str, Any]:
    """Return the payload of an event with its name and version."""
    name, version = PAYLOADS[event.kind]
    return {
        "migprog_object.name": name,
        "migprog_object.namespace": _NAMESPACE,
        "migprog_object.version": version,
        "migprog_object.data": event.payload,
    }
