# SPDX-License-Identifier: Apache-2.0
"""Carry out an operator's action on a server's migration. Blocks: call it in a real thread."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import libvirt

from migprog.compute.libvirt.loop_messages import ActionResult
from migprog.core import job_start
from migprog.core.actions import Action, Refusal


def act(
    uri: str, keepalive: tuple[int, int], action: Action, server_uuid: str, seen_at: float
) -> ActionResult:
    """Carry out an action on the migration of a server that was last seen at ``seen_at``.

    ``keepalive``: interval in seconds, and count, after which a silent libvirt counts as gone.
    """
    at = time.monotonic()
    result: dict[str, Any]
    try:
        with opened(uri, keepalive, server_uuid) as domain:
            result = _ACTS[action](domain, seen_at)
    except libvirt.libvirtError as error:
        gone = error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
        result = {"refused": Refusal.ENDED} if gone else {"error": str(error)}
    except Exception as error:
        result = {"error": repr(error)}
    return ActionResult(server_uuid=server_uuid, at=at, **result)


@contextlib.contextmanager
def opened(uri: str, keepalive: tuple[int, int], server_uuid: str) -> Iterator[Any]:
    """Yield a server's domain on a connection of its own: the monitoring ones are read-only.

    Raises :class:`libvirt.libvirtError`. For ``keepalive`` see :func:`act`.
    """
    with contextlib.closing(libvirt.open(uri)) as connection:
        connection.setKeepAlive(*keepalive)
        yield connection.lookupByUUIDString(server_uuid)


def abort(domain: Any, seen_at: float) -> dict[str, Any]:
    """Abort the migration; the server goes on running at its source."""
    if not is_there(domain, seen_at):
        return {"refused": Refusal.ENDED}
    domain.abortJob()
    return {"how": "it is aborted"}


def force_complete(domain: Any, seen_at: float) -> dict[str, Any]:
    """Force it as Nova does: by post-copy if that was permitted at its start, else by a pause."""
    if not is_there(domain, seen_at):
        return {"refused": Refusal.ENDED}
    try:
        domain.migrateStartPostCopy(0)
    except libvirt.libvirtError as error:
        # Only this error shows whether the migration permits post-copy.
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise
        return pause(domain, seen_at)
    return {"how": "post-copy begins"}


def pause(domain: Any, seen_at: float) -> dict[str, Any]:
    """Suspend a server for its migration: libvirt resumes it at the end, wherever it is."""
    if not is_there(domain, seen_at):
        return {"refused": Refusal.ENDED}
    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
        return {"refused": Refusal.ALREADY_PAUSED}
    domain.suspend()
    paused_by_user = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER]
    domain_state = None
    with contextlib.suppress(libvirt.libvirtError):
        domain_state = domain.state()
    if domain_state == paused_by_user:
        # The migration ended just before, else libvirt would attribute the pause to it.
        domain.resume()
        return {"refused": Refusal.ENDED}
    return {"how": "the server is paused until it is at its destination", "paused": True}


def is_there(domain: Any, seen_at: float) -> bool:
    """Return whether the migration that was seen at ``seen_at`` is in progress."""
    at = time.monotonic()
    return job_start.is_migration_seen(domain.jobStats(), at, seen_at)


_ACTS = {Action.ABORT: abort, Action.FORCE_COMPLETE: force_complete}
