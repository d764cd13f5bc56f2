# SPDX-License-Identifier: Apache-2.0
"""What was forecast of a migration before its start, in one column: a JSON list."""

import dataclasses
import json

from migprog.core.forecast.before_check import BeforeCheck, Outcome
from migprog.core.instant import to_store as instant_to_store
from migprog.db import engine as db

_OUTCOMES = {each.value: each for each in Outcome}


def to_store(check: BeforeCheck) -> str:
    return json.dumps(dataclasses.astuple(check), separators=(",", ":"))


def from_store(text: str | None) -> BeforeCheck | None:
    if text is None:
        return None
    measured_at, converges, total, low, high, word = json.loads(text)
    # A later version may have stored another word.
    outcome = _OUTCOMES.get(word, Outcome.NOT_COMPARABLE)
    return BeforeCheck(measured_at, converges, total, low, high, outcome)


def put(store: db.Store, uuid: str, check: BeforeCheck, at: float) -> bool:
    """Store what was forecast of a migration; return False if it is purged. ``at``: now, in epoch
    seconds. Raises :class:`db.Unavailable`."""
    values = {"forecast_before": to_store(check), "updated_at": instant_to_store(at)}
    return store.write(lambda writer: writer.set_of_migration(uuid, values))
