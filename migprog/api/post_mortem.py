# SPDX-License-Identifier: Apache-2.0
"""The document of a post-mortem, which the API calls a summary."""

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from migprog import objects
from migprog.api import views
from migprog.core.post_mortem import sentences
from migprog.core.post_mortem.actions import ActionTaken
from migprog.core.post_mortem.measures import Measure
from migprog.core.post_mortem.summary import Summary


def without_names(found: Summary) -> Summary:
    """Return a post-mortem that does not say who asked for actions."""
    actions = tuple(each._replace(user_id=None, project_id=None) for each in found.actions)
    return dataclasses.replace(found, actions=actions)


def view(migration: objects.Migration, found: Summary, base: str) -> dict[str, Any]:
    """Return the document of a post-mortem. ``base``: the API's root URL, without a slash at its
    end."""
    here = f"{base}/servers/{migration.server_uuid}/migrations/{migration.uuid}"
    spent, forecast = found.spent, found.forecast
    return {
        "id": migration.id,
        "uuid": migration.uuid,
        "server_uuid": migration.server_uuid,
        "server_name": migration.server_name,
        "status": found.status,
        "in_progress": found.in_progress,
        "started_at": views.instant(migration.started_at),
        "ended_at": views.instant(migration.ended_at),
        "seconds": round(found.seconds, 3),
        "downtime_seconds": views.to_milliseconds(found.downtime_seconds),
        "phases": [_rounded(share._asdict()) for share in spent.shares],
        "phases_within_seconds": views.to_milliseconds(spent.within_seconds),
        "dominant_phase": spent.dominant,
        "dominant_phase_reason": spent.reason,
        "verdicts": [_rounded(span._asdict()) for span in found.verdicts],
        "measures": [_measure(each) for each in found.measures],
        "forecast": _rounded(forecast._asdict()),
        "actions": [_action_taken(each, migration) for each in found.actions],
        "sentences": sentences.sentences(found)._asdict(),
        "links": [
            views.link("self", f"{here}/summary"),
            views.link("migration", here),
            views.link("history", f"{here}/history"),
        ],
    }


def _measure(measure: Measure) -> dict[str, Any]:
    return {
        "action": measure.action,
        "reason": measure.reason,
        "message": sentences.measure(measure) if measure.reason is None else None,
        "figures": _rounded(measure.figures),
        "earlier_seconds": views.to_milliseconds(measure.earlier_seconds),
    }


def _action_taken(taken: ActionTaken, migration: objects.Migration) -> dict[str, Any]:
    return {
        "action": taken.action,
        "at": views.instant(migration.started_at + timedelta(seconds=taken.after_seconds)),
        "by": taken.by,
        "failed": taken.failed,
        "reason": taken.reason,
        "user_id": taken.user_id,
        "project_id": taken.project_id,
    }


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in values.items()
    }
