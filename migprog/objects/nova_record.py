# SPDX-License-Identifier: Apache-2.0
"""What only Nova's record of a migration says: one column, in JSON."""

import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Self

from migprog.core.nova_match import NovaMigration, NovaPlaces


@dataclass(frozen=True, slots=True, kw_only=True)
class NovaRecord(NovaPlaces):
    """Hosts and flavors of a migration, as Nova has them.

    ``created_at`` is by Nova's clock, with its zone. ``is_alone``: when the record was read, Nova
    listed no other migration of the server as being in progress.
    """

    is_alone: bool

    @classmethod
    def of(cls, record: NovaMigration, is_alone: bool) -> Self:
        same = {field.name: getattr(record, field.name) for field in fields(NovaPlaces)}
        return cls(**same, is_alone=is_alone)

    @classmethod
    def from_store(cls, text: str | None) -> Self | None:
        """Parse the column; None: not known, as an older conductor leaves it."""
        if text is None:
            return None
        held = json.loads(text)
        at = datetime.fromisoformat(held["created_at"]).astimezone(UTC)
        return cls(**{field.name: held[field.name] for field in fields(cls)} | {"created_at": at})

    def to_store(self) -> str:
        held = asdict(self) | {"created_at": self.created_at.isoformat()}
        return json.dumps(held, separators=(",", ":"))
