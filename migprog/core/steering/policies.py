# SPDX-License-Identifier: Apache-2.0
"""Which policy holds for which server, and what it requires."""

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from migprog.core.steering.advice import Action
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.requirements import (
    MAX_DOWNTIME_SECONDS,
    NOVA,
    POLICIES,
    POLICY_NAMES,
    Requirements,
)

Policy = Requirements | NovaOptions
# Servers that steering leaves alone.
NONE = "none"
ALLOWED = tuple(action.value for action in Action if action is not Action.STOP_ASSERTING)


class Mode(enum.StrEnum):
    """``off``: nothing is decided. ``advise``: decisions are recorded, and nothing is touched.
    ``enforce``: they are carried out."""

    OFF = "off"
    ADVISE = "advise"
    ENFORCE = "enforce"


class Policies(NamedTuple):
    """The policies by name, and which holds: by the server's UUID, its project, or by default."""

    default: str
    by_name: Mapping[str, Policy]
    by_server: Mapping[str, str]
    by_project: Mapping[str, str]

    def of(self, server_uuid: str, project_id: str | None) -> tuple[str, Policy | None]:
        """Return the name of the policy of a server, and the policy; None: it is left alone."""
        name = self.by_server.get(server_uuid)
        if name is None and project_id is not None:
            name = self.by_project.get(project_id)
        name = self.default if name is None else name
        return name, self.by_name.get(name)


NO_POLICIES = Policies(NONE, {}, {}, {})
# Field, least and most; "may" is not a number.
_RULES: Mapping[str, tuple[float, float]] = {
    "longest_downtime_seconds": (0.05, MAX_DOWNTIME_SECONDS),
    "patience_seconds": (2.0, 86_400.0),
    "deadline_seconds": (10.0, 31_536_000.0),
    "deadline_seconds_per_gib": (1.0, 86_400.0),
    "hopeless_factor": (1.0, 100.0),
    "post_copy_seconds": (0.0, 86_400.0),
    "longest_pause_seconds": (0.0, 86_400.0),
    "max_bandwidth_bytes_per_second": (2.0**20, 2.0**50),
}
# Without a value there is none.
_OPTIONAL = ("deadline_seconds", "deadline_seconds_per_gib", "max_bandwidth_bytes_per_second")
FIELDS = (*_RULES, "may")
MAY_SEPARATOR = "+"


def parse_requirement(field: str, text: str) -> Any:
    """Return the value of a requirement. Raises :class:`ValueError` with field, value and rule."""
    if field == "may":
        words = [word for word in text.split(MAY_SEPARATOR) if word]
        unknown = [word for word in words if word not in ALLOWED]
        if unknown:
            raise ValueError(
                f"may: {unknown[0]!r} must be one of {', '.join(ALLOWED)}; several are joined by "
                f"{MAY_SEPARATOR}"
            )
        return frozenset(Action(word) for word in words)
    if field not in _RULES:
        raise ValueError(f"{field}: there is no such requirement; one of {', '.join(FIELDS)}")
    if text == NONE and field in _OPTIONAL:
        return None
    least, most = _RULES[field]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        none = f", or {NONE}" if field in _OPTIONAL else ""
        raise ValueError(f"{field}: {text!r} must be a number from {least:g} to {most:g}{none}")
    return int(value) if field == "max_bandwidth_bytes_per_second" else value


def parse_overrides(overrides: Mapping[str, str]) -> dict[str, Requirements]:
    """Return the ready-made policies with what ``overrides`` changes, keyed ``POLICY.FIELD``, or
    ``FIELD`` for all policies. Raises :class:`ValueError`."""
    changed = dict(POLICIES)
    # What names its policy comes last, and holds.
    for key in sorted(overrides, key=lambda each: "." in each):
        name, _, field = key.rpartition(".")
        if name == NOVA:
            raise ValueError(f"{key}: {NOVA} has Nova's options (live_migration_...) instead")
        if name and name not in POLICIES:
            raise ValueError(f"{key}: {name!r} must be one of {', '.join(POLICIES)}")
        value = parse_requirement(field, overrides[key])
        for each in [name] if name else list(POLICIES):
            changed[each] = dataclasses.replace(changed[each], **{field: value})
    return changed


def check_name(name: str) -> str:
    """Return the name of a policy, or :data:`NONE`. Raises :class:`ValueError`."""
    if name not in (*POLICY_NAMES, NONE):
        raise ValueError(f"{name!r} must be one of {', '.join((*POLICY_NAMES, NONE))}")
    return name
