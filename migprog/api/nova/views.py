# SPDX-License-Identifier: Apache-2.0
"""Nova's documents. Pure: values in, dictionaries out.

Each kind of document is a table of its keys with the microversions that added and removed them.
Instants are UTC without a zone, as in Nova.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from microversion_parse import Version

from migprog.api import response_schemas
from migprog.api.nova import microversion
from migprog.api.nova.resource import Addresses
from migprog.api.schemas import INSTANT, TEXT, UUID, Schema
from migprog.core.status import Status
from migprog.objects import Migration, ServerNow

V2_23, V2_46, V2_47 = Version(2, 23), Version(2, 46), Version(2, 47)
V2_59, V2_80 = Version(2, 59), Version(2, 80)

# The only kind that migprog watches.
MIGRATION_TYPE = "live-migration"

_TEXT_OR_NULL = response_schemas.nullable(TEXT)
_INTEGER_OR_NULL: Schema = {"type": ["integer", "null"]}
_FLAVOR: Schema = {"type": "object", "additionalProperties": TEXT}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a document, the schema of its values, and how to get them. The key is left out if
    ``shown`` is given and returns false."""

    name: str
    schema: Schema
    value: Callable[[Any], Any]
    since: Version = microversion.MIN
    until: Version = microversion.MAX
    shown: Callable[[Any], bool] | None = None


HOST = "OS-EXT-SRV-ATTR:host"
OF_HOSTS = frozenset(
    {"source_compute", "source_node", "dest_compute", "dest_node", "dest_host", HOST}
)


def _document(
    keys: Iterable[Key], version: Version, thing: Any, hosts: bool = True
) -> dict[str, Any]:
    """Return a document; without ``hosts`` the keys that name hosts are null."""
    return {
        key.name: key.value(thing) if hosts or key.name not in OF_HOSTS else None
        for key in keys
        if key.since <= version <= key.until and (key.shown is None or key.shown(thing))
    }


def instant(at: datetime) -> str:
    """Return an instant such as ``2016-01-29T13:42:02.000000``."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def _held(*names: str, since: Version = microversion.MIN) -> tuple[Key, ...]:
    """Return keys with the fields of the same name."""
    known = response_schemas.of_fields(Migration, names)
    return tuple(Key(name, known[name], operator.attrgetter(name), since) for name in names)


def status(ours: Status) -> Status:
    """Return Nova's status of a live migration, which has no ``post-migrating``."""
    return Status.RUNNING if ours is Status.POST_MIGRATING else ours


_STATUS: Schema = {
    "type": "string",
    "enum": [each.value for each in Status if each is not Status.POST_MIGRATING],
}
_COUNTERS = tuple(
    f"{what}_{which}_bytes"
    for what in ("memory", "disk")
    for which in ("total", "processed", "remaining")
)


def _counter(name: str, migration: Migration) -> int | None:
    """Return a counter; as in Nova, an unknown one is 0 if another one is known."""
    is_read = any(getattr(migration, each) is not None for each in _COUNTERS)
    value: int | None = getattr(migration, name)
    return 0 if value is None and is_read else value


def _of_nova(migration: Migration, name: str) -> Any:
    """Return a field of Nova's record of a migration; None if the record is not known."""
    return None if migration.nova_record is None else getattr(migration.nova_record, name)


_OF_EVERY_MIGRATION = (
    *_held("id", "source_compute", "source_node", "dest_compute", "dest_node"),
    Key("dest_host", _TEXT_OR_NULL, functools.partial(_of_nova, name="dest_host")),
    Key("status", _STATUS, lambda migration: status(migration.status)),
    Key("created_at", TEXT, lambda migration: instant(migration.created_at)),
    Key("updated_at", TEXT, lambda migration: instant(migration.updated_at)),
    *_held("uuid", since=V2_59),
    # Of the user who requested the migration, as in Nova, not of the server's owner.
    Key("user_id", _TEXT_OR_NULL, operator.attrgetter("nova_user_id"), V2_80),
    Key("project_id", _TEXT_OR_NULL, operator.attrgetter("nova_project_id"), V2_80),
)

SERVER_MIGRATION = (
    *_OF_EVERY_MIGRATION,
    *_held("server_uuid"),
    *(Key(name, _INTEGER_OR_NULL, functools.partial(_counter, name)) for name in _COUNTERS),
)

OS_MIGRATION = (
    *_OF_EVERY_MIGRATION,
    Key("instance_uuid", UUID, operator.attrgetter("server_uuid")),
    *(
        Key(name, _INTEGER_OR_NULL, functools.partial(_of_nova, name=name))
        for name in ("old_instance_type_id", "new_instance_type_id")
    ),
    Key("migration_type", TEXT, lambda _migration: MIGRATION_TYPE, since=V2_23),
)


# Fields for which Nova's record takes precedence: when it was requested, and its hosts.
_OF_RECORD = ("created_at", "source_compute", "source_node", "dest_compute", "dest_node")


def named(migration: Migration, nova_names: bool) -> Migration:
    """Return the migration with the ids and hosts that this API shows."""
    if not nova_names:
        return migration
    assert migration.nova_id is not None and migration.nova_uuid is not None
    values = (
        {}
        if migration.nova_record is None
        else {name: getattr(migration.nova_record, name) for name in _OF_RECORD}
    )
    return dataclasses.replace(migration, id=migration.nova_id, uuid=migration.nova_uuid, **values)


def migration_path(migration: Migration) -> str:
    return f"/servers/{migration.server_uuid}/migrations/{migration.id}"


def server_migration(migration: Migration, version: Version, hosts: bool) -> dict[str, Any]:
    """Return a server's migration in progress; ``hosts``: whether hosts may be seen."""
    return _document(SERVER_MIGRATION, version, migration, hosts)


def os_migration(
    migration: Migration, version: Version, addresses: Addresses, hosts: bool
) -> dict[str, Any]:
    """Return one of all migrations; in progress it has links. ``hosts``: whether hosts may be
    seen."""
    document = _document(OS_MIGRATION, version, migration, hosts)
    if migration.in_progress and version >= V2_23:
        document["links"] = addresses.links(migration_path(migration))
    return document


MIGRATING = "MIGRATING"
ACTIVE = "ACTIVE"
UNKNOWN = "UNKNOWN"

# migprog knows of a server only its migrations: what happened after the last one is unknown. After
# a failed one it may be dead (a failed post-copy) or well.
_AFTER = {Status.COMPLETED: ACTIVE, Status.CANCELLED: ACTIVE}


def server_status(now: ServerNow) -> str:
    """Return Nova's status of a server."""
    if now.migrates:
        return MIGRATING
    return UNKNOWN if now.status is None else _AFTER.get(now.status, UNKNOWN)


def _has_progress(now: ServerNow) -> bool:
    return server_status(now) != UNKNOWN


SERVER_BRIEF = (
    Key("id", UUID, lambda now: now.server.uuid),
    Key("name", _TEXT_OR_NULL, lambda now: now.server.name),
)

SERVER = (
    *SERVER_BRIEF,
    Key("status", TEXT, server_status),
    # Nova shows it in some states only, so clients handle its absence.
    Key("progress", _INTEGER_OR_NULL, lambda now: now.server.progress, shown=_has_progress),
    Key("tenant_id", _TEXT_OR_NULL, lambda now: now.server.project_id),
    Key("user_id", _TEXT_OR_NULL, lambda now: now.server.user_id),
    Key("updated", INSTANT, lambda now: _seconds(now.server.sampled_at)),
    Key(HOST, _TEXT_OR_NULL, lambda now: now.server.host),
    Key("OS-EXT-STS:task_state", _TEXT_OR_NULL, lambda now: "migrating" if now.migrates else None),
    Key("OS-EXT-STS:vm_state", _TEXT_OR_NULL, lambda now: "active" if _has_progress(now) else None),
    # openstack server show and list fail without a flavor's name and with a null image, and look up
    # any other image than this in Glance.
    Key("flavor", _FLAVOR, lambda _now: {"id": "unknown"}, until=V2_46),
    Key("flavor", _FLAVOR, lambda _now: {"original_name": "unknown"}, since=V2_47),
    Key("image", TEXT, lambda _now: ""),
)


def server(
    now: ServerNow, version: Version, addresses: Addresses, hosts: bool, brief: bool = False
) -> dict[str, Any]:
    """Return a server as far as its migrations show it. ``hosts``: whether hosts may be seen;
    ``brief``: id and name only."""
    document = _document(SERVER_BRIEF if brief else SERVER, version, now, hosts)
    return document | {"links": addresses.links(f"/servers/{now.server.uuid}")}


def _seconds(at: datetime) -> str:
    """Return an instant as in Nova's servers: ``2016-01-29T13:42:02Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_MEDIA_TYPES = [
    {"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}
]


def version(root: str) -> dict[str, Any]:
    """Return this API's entry in the list of versions. ``root``: URL without a slash at its end."""
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": str(microversion.MAX),
        "min_version": str(microversion.MIN),
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{root}/v2.1/"}],
    }


def version_detail(root: str) -> dict[str, Any]:
    """Return this API's version document."""
    return version(root) | {"media-types": _MEDIA_TYPES}
