# SPDX-License-Identifier: Apache-2.0
"""What requests to agents have in common: the agent must be there, and must answer."""

import logging
from collections.abc import Callable
from datetime import datetime

from migprog import exception, objects
from migprog.core.agent_answer import Answer
from migprog.rpc import compute

LOG = logging.getLogger(__name__)


def find(
    store: objects.Store, host: str | None, now: datetime, without_it: str
) -> tuple[str, objects.Agent]:
    """Return a host and its agent. Raises :class:`exception.AgentUnavailable` with the text
    ``without_it`` if there is none, or if it is silent."""
    agent = objects.Agent.get(store, host) if host else None
    if host is None or agent is None or agent.is_silent(now):
        raise exception.AgentUnavailable(without_it)
    return host, agent


def ask(call: Callable[[], Answer], what: str, host: str, unanswered: str) -> Answer:
    """Return an agent's answer to ``call``; ``what`` is for the log.

    Raises :class:`exception.AgentTimeout` with the text ``unanswered``.
    """
    try:
        return call()
    except compute.Unanswered as error:
        LOG.warning(
            "failed to request %s from the agent of %r: %s; the client gets 503, the agent may "
            "still act; check that agent and the broker",
            *(what, host, error),
        )
        raise exception.AgentTimeout(unanswered) from error
