# SPDX-License-Identifier: Apache-2.0
"""What operators asked an agent to do to a migration, and who they are.

Times count from the migration's start, so no clock of another machine changes them.
"""

from typing import Annotated, Any, TypedDict

from migprog.core import fields

# The newest are kept: they are few, as an action is refused while another is in progress.
MAX_ACTIONS = 10
MAX_IDENTIFIER = 64

# Who asked, and by which request.
WHO = ("user_id", "project_id", "request_id")
BEGUN, DONE, FAILED = "begun", "done", "failed"


def _identifier(value: Any) -> str:
    return fields.text(value)[:MAX_IDENTIFIER]


class OperatorAction(TypedDict):
    """``action`` is a word of :class:`migprog.core.actions.Action`; ``state`` one of
    :data:`BEGUN`, :data:`DONE` and :data:`FAILED`: libvirt refused. Later versions may add words.

    Who asked is None with ``noauth``, and where the message did not say it.
    """

    after_seconds: Annotated[float, fields.seconds]
    action: Annotated[str, fields.word]
    state: Annotated[str, fields.word]
    user_id: Annotated[str | None, fields.or_none(_identifier)]
    project_id: Annotated[str | None, fields.or_none(_identifier)]
    request_id: Annotated[str | None, fields.or_none(_identifier)]


_entry = fields.entry_of(OperatorAction, "actions")


def rule(value: Any) -> tuple[OperatorAction, ...]:
    """Return the actions of a migration, the newest last; a rule of :mod:`migprog.core.fields`."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of actions")
    return tuple(_entry(each) for each in value[-MAX_ACTIONS:])
