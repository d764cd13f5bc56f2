# SPDX-License-Identifier: Apache-2.0
"""Whether a host's services, libvirt among them, may be restarted as far as migrations go."""

import enum
from dataclasses import dataclass


class RestartReason(enum.StrEnum):
    """Why. A word never changes its meaning; the table in ``doc/source/api.rst`` has each."""

    NO_MIGRATION = "no-migration"
    MIGRATIONS = "migrations"
    POST_COPY = "post-copy"
    AGENT_SILENT = "agent-silent"
    AGENT_UNKNOWN = "agent-unknown"


class Safe(enum.StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Restart:
    """Whether it is safe, and why: as a word and as a sentence."""

    safe: Safe
    reason: RestartReason
    message: str


def judge(*, has_agent: bool, is_silent: bool, migrations: int, in_post_copy: int) -> Restart:
    """Judge by the ``migrations`` in progress that touch the host, and those of them in post-copy.

    A migration that is known forbids it. That there is none is known only while the host's agent
    reports.
    """
    if in_post_copy:
        return Restart(
            Safe.NO,
            RestartReason.POST_COPY,
            f"{_touch(migrations)} it, {in_post_copy} of them in post-copy: a restart would lose "
            "the server",
        )
    if migrations:
        return Restart(Safe.NO, RestartReason.MIGRATIONS, f"{_touch(migrations)} it")
    if not has_agent:
        return Restart(Safe.UNKNOWN, RestartReason.AGENT_UNKNOWN, "no agent of it is known")
    if is_silent:
        return Restart(Safe.UNKNOWN, RestartReason.AGENT_SILENT, "its agent does not report")
    return Restart(Safe.YES, RestartReason.NO_MIGRATION, "no migration touches it")


def _touch(count: int) -> str:
    return "1 migration touches" if count == 1 else f"{count} migrations touch"
