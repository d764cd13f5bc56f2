# SPDX-License-Identifier: Apache-2.0
"""Which policy holds for which server, and what it requires."""

import dataclasses
import enum
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from migprog.core.steering.advice import SteeringAction
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
ALLOWED = tuple(
    action.value for action in SteeringAction if action is not SteeringAction.STOP_ASSERTING
)


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

    @property
    def may_raise_bandwidth(self) -> bool:
        """Whether one that holds for any server may."""
        names = {self.default, *self.by_server.values(), *self.by_project.values()}
        held = (self.by_name.get(name) for name in names)
        return any(isinstance(each, Requirements) and each.may_raise_bandwidth for each in held)


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
_WHOLE = ("max_bandwidth_bytes_per_second",)
# What Python takes for a number besides (1_000, other scripts' digits, nan) is a mistake here.
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)
# `none` switches these off.
_OPTIONAL = ("deadline_seconds", "deadline_seconds_per_gib", "max_bandwidth_bytes_per_second")
FIELDS = (*_RULES, "may")
MAY_SEPARATOR = "+"


def parse_requirement(field: str, text: str) -> Any:
    """Return the value of a requirement. Raises :class:`ValueError` with field, value and rule."""
    text = text.strip()
    if field == "may":
        return _actions(text)
    if field not in _RULES:
        raise ValueError(f"{field}: there is no such requirement; one of {', '.join(FIELDS)}")
    if text == NONE and field in _OPTIONAL:
        return None
    least, most = _RULES[field]
    is_whole = field in _WHOLE
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not least <= value <= most or (is_whole and value != int(value)):
        kind, none = "whole number" if is_whole else "number", ""
        if field in _OPTIONAL:
            none = f", or {NONE}"
        raise ValueError(
            f"{field}: {text!r} must be a {kind} from {_plain(least)} to {_plain(most)}{none}"
        )
    return int(value) if is_whole else value


def _actions(text: str) -> frozenset[SteeringAction]:
    words = text.split(MAY_SEPARATOR)
    for word in words:
        if word not in ALLOWED:
            raise ValueError(
                f"may: {word!r} must be one of {', '.join(ALLOWED)}; several are joined by "
                f"{MAY_SEPARATOR}; for none of them choose the policy {NONE}"
            )
        if words.count(word) > 1:
            raise ValueError(f"may: {word!r} must not be given twice")
    return frozenset(SteeringAction(word) for word in words)


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def parse_overrides(overrides: Mapping[str, str]) -> dict[str, Requirements]:
    """Return the ready-made policies with what ``overrides`` changes, keyed ``POLICY.FIELD``, or
    ``FIELD`` for all policies. Raises :class:`ValueError`."""
    changed = dict(POLICIES)
    # POLICY.FIELD is applied after FIELD, so it wins.
    for key in sorted(overrides, key=lambda each: "." in each):
        name, dot, field = key.rpartition(".")
        if dot and not name:
            raise ValueError(f"{key!r}: must be POLICY.REQUIREMENT or REQUIREMENT")
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
