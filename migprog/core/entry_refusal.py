# SPDX-License-Identifier: Apache-2.0
"""Why a conductor does not store an entry of a batch."""

import enum
from dataclasses import dataclass


class RefusalReason(enum.StrEnum):
    """The kinds of refusal, by the words that metrics have for them.

    ``malformed``: it cannot be read. ``foreign``: the migration is another host's. ``sequence``:
    its sequence leaps further than an agent's can. ``instant``: its time is in the future.
    ``duplicate``: another agent of the same host reports the same job. ``project``: a migration of
    a server that is known as another project's; it is stored, but does not count for the server.
    ``agent``: a heartbeat of another agent in a host's name.
    """

    MALFORMED = "malformed"
    FOREIGN = "foreign"
    SEQUENCE = "sequence"
    INSTANT = "instant"
    DUPLICATE = "duplicate"
    PROJECT = "project"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class EntryRefusal:
    """``entry`` is its name in the answer, ``text`` names the field, the value and the rule."""

    reason: RefusalReason
    entry: str
    text: str
