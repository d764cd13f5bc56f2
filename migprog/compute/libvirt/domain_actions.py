# SPDX-License-Identifier: Apache-2.0
"""Does to a server's migration what an operator asks for. Blocks: it belongs in a real thread."""

import contextlib
import time
from typing import Any

import libvirt

from migprog.compute.libvirt.events import ActionResult
from migprog.core import actions
from migprog.core.actions import Action, Refusal


def act(
    uri: str, keepalive: tuple[int, int], action: Action, server_uuid: str, seen_at: float
) -> ActionResult:
    """Do something to the migration of a server that was last seen at ``seen_at``.

    ``keepalive``: interval in seconds, and count, after which a silent libvirt is taken for gone.
    """
    at = time.monotonic()
    result: dict[str, Any]
    try:
        # Of its own: what watches cannot change a thing, and what can is soon closed.
        with contextlib.closing(libvirt.open(uri)) as connection:
            connection.setKeepAlive(*keepalive)
            domain = connection.lookupByUUIDString(server_uuid)
            result = _ACTS[action](domain, seen_at)
    except libvirt.libvirtError as error:
        gone = error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
        result = {"refused": Refusal.ENDED} if gone else {"error": str(error)}
    except Exception as error:
        result = {"error": repr(error)}
    return ActionResult(server_uuid=server_uuid, at=at, **result)


def _abort(domain: Any, seen_at: float) -> dict[str, Any]:
    if not _is_there(domain, seen_at):
        return {"refused": Refusal.ENDED}
    domain.abortJob()
    return {"how": "it is aborted"}


def force_complete(domain: Any, seen_at: float) -> dict[str, Any]:
    """As Nova does it: by post-copy where that was allowed when it began, else by a pause."""
    if not _is_there(domain, seen_at):
        return {"refused": Refusal.ENDED}
    try:
        domain.migrateStartPostCopy(0)
    except libvirt.libvirtError as error:
        # Nothing tells what a migration was allowed, but for this.
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise
        return _pause(domain, seen_at)
    return {"how": "post-copy begins"}


def _pause(domain: Any, seen_at: float) -> dict[str, Any]:
    """Suspend a server for its migration: libvirt has it run again at the end, wherever it is."""
    if not _is_there(domain, seen_at):
        return {"refused": Refusal.ENDED}
    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
        return {"refused": Refusal.ALREADY_PAUSED}
    domain.suspend()
    paused_by_user = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER]
    stands = None
    with contextlib.suppress(libvirt.libvirtError):
        stands = domain.state()
    if stands == paused_by_user:
        # The migration ended just before, else libvirt would call it the migration's pause.
        domain.resume()
        return {"refused": Refusal.ENDED}
    return {"how": "the server is paused until it is at its destination", "paused": True}


def _is_there(domain: Any, seen_at: float) -> bool:
    at = time.monotonic()
    return actions.is_of(domain.jobStats(), at, seen_at)


_ACTS = {Action.ABORT: _abort, Action.FORCE_COMPLETE: force_complete}
