# SPDX-License-Identifier: Apache-2.0
"""What is stored of a migration, as the rules of merging see it.

Instants are UTC without a zone (:mod:`migprog.core.instant`).
"""

import dataclasses
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from migprog.core.messages import ONLY_IN_PROGRESS, Report
from migprog.core.status import Status

# The source of an arrival-only record.
NO_SOURCE = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One migration. Rules read its fields; ``figures`` they only copy.

    ``figures`` has the fields of :class:`migprog.core.messages.Report` that are no fields here
    (:data:`FIGURES`), in the report's own types. ``id`` is None until the record is stored.
    Where only what most decisions need was read, ``figures`` is empty and ``created_at`` None.
    Nova's ids are read only.
    """

    id: int | None = None
    uuid: str
    server_uuid: str
    server_name: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    nova_id: int | None = None
    nova_uuid: str | None = None
    source_compute: str
    source_node: str = NO_SOURCE
    dest_compute: str | None = None
    dest_node: str | None = None
    dest_host: str | None = None
    sequence: int
    status: Status
    percent: int | None = None
    started_at: datetime
    sampled_at: datetime
    ended_at: datetime | None = None
    arrived_at: datetime | None = None
    last_reported_at: datetime
    created_at: datetime | None = None
    updated_at: datetime | None = None
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether all of the record was read."""
        return self.created_at is not None

    def get(self, name: str) -> Any:
        """Return the field or the figure of this name."""
        return self.figures[name] if name in FIGURES else getattr(self, name)

    def apart(self, started_at: datetime) -> timedelta:
        """Return the time between its start and ``started_at``."""
        return abs(self.started_at - started_at)

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Return the record with these fields and figures."""
        fields = {name: value for name, value in values.items() if name not in FIGURES}
        figures = {name: value for name, value in values.items() if name in FIGURES}
        if figures:
            fields["figures"] = {**self.figures, **figures}
        return dataclasses.replace(self, **fields)


FIELDS = tuple(field.name for field in dataclasses.fields(Record) if field.name != "figures")
# An ordered set.
FIGURES: Mapping[str, None] = dict.fromkeys(
    field.name for field in dataclasses.fields(Report) if field.name not in FIELDS
)
# What is said of a migration only while it is in progress, or of its end.
_OF_THE_MOMENT = frozenset({"phase", "verdict", "error", *ONLY_IN_PROGRESS})
# Figures that keep their value where an end that no agent saw has none.
LASTING_FIGURES = tuple(name for name in FIGURES if name not in _OF_THE_MOMENT)
_figures_of: Callable[[Report], tuple[Any, ...]] = operator.attrgetter(*FIGURES)


def figures(report: Report) -> dict[str, Any]:
    """Return the figures of a report."""
    return dict(zip(FIGURES, _figures_of(report), strict=True))


def values(record: Record, names: Collection[str], known: bool = False) -> dict[str, Any]:
    """Return fields and figures by their names; ``known``: only those that are not None."""
    found = {name: record.get(name) for name in names}
    return {n: v for n, v in found.items() if v is not None} if known else found


def age(record: Record) -> tuple[datetime, str]:
    """Return a key by which a server's newer migration is the greater."""
    return record.started_at, record.uuid


def nearest(records: Iterable[Record], started_at: datetime) -> Record | None:
    """Return the record that began nearest to ``started_at``; None if there is none."""
    return min(records, key=lambda each: each.apart(started_at), default=None)
