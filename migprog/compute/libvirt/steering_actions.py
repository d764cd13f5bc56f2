# SPDX-License-Identifier: Apache-2.0
"""Carry out what steering has decided. Blocks: call it in a real thread."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from migprog.compute.libvirt import domain_actions
from migprog.core.observation import OfServer
from migprog.core.steering.advice import Advice, SteeringAction

_MIB = 2**20
# A decision is out of date by then: libvirt may answer much later.
ACT_WITHIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringResult(OfServer):
    """What has become of a decision about a server's migration, at ``at``.

    ``error``: why it was not carried out; None if it was. ``paused``: the server is paused until it
    is at its destination.
    """

    error: str | None = None
    paused: bool = False


def steer(
    uri: str, keepalive: tuple[int, int], advice: Advice, server_uuid: str, seen_at: float
) -> SteeringResult:
    """Carry out a decision on the migration of a server that was last seen at ``seen_at``.

    The migration is looked at again just before: one that has ended meanwhile is left alone.
    """
    result: dict[str, Any]
    try:
        with domain_actions.opened(uri, keepalive, server_uuid) as domain:
            result = _carry_out(domain, advice, seen_at)
    except libvirt.libvirtError as error:
        result = {"error": str(error)}
    except Exception as error:
        result = {"error": repr(error)}
    return SteeringResult(server_uuid=server_uuid, at=time.monotonic(), **result)


def _carry_out(domain: Any, advice: Advice, seen_at: float) -> dict[str, Any]:
    act = _ACTS.get(advice.action)
    if act is None and advice.action is not SteeringAction.PAUSE:
        return {"error": f"{advice.action} is nothing that libvirt does"}
    if not domain_actions.is_there(domain, seen_at):
        return {"error": "the migration has ended"}
    if time.monotonic() - advice.at > ACT_WITHIN_SECONDS:
        return {"error": f"libvirt has not answered within {ACT_WITHIN_SECONDS:g} s"}
    if act is None:
        done = domain_actions.pause(domain, seen_at)
        refused = done.get("refused")
        return {"error": refused.message} if refused else {"paused": True}
    act(domain, advice)
    return {}


def _raise_downtime(domain: Any, advice: Advice) -> None:
    domain.migrateSetMaxDowntime(round(advice.figures["downtime_limit_seconds"] * 1000), 0)


def _raise_bandwidth(domain: Any, advice: Advice) -> None:
    mib_per_second = math.ceil(advice.figures["bandwidth_bytes_per_second"] / _MIB)
    domain.migrateSetMaxSpeed(mib_per_second, 0)


def _post_copy(domain: Any, _advice: Advice) -> None:
    domain.migrateStartPostCopy(0)


def _abort(domain: Any, _advice: Advice) -> None:
    domain.abortJob()


_ACTS: dict[SteeringAction, Callable[[Any, Advice], None]] = {
    SteeringAction.RAISE_DOWNTIME: _raise_downtime,
    SteeringAction.RAISE_BANDWIDTH: _raise_bandwidth,
    SteeringAction.POST_COPY: _post_copy,
    SteeringAction.ABORT: _abort,
}
