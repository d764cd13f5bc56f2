# SPDX-License-Identifier: Apache-2.0
"""Conditional requests: answers have an ``ETag``, and 304 if the client has it already.

A migration's tag is made of the columns that change with each change of its record, which are read
alone: a client that is up to date costs a short read, and no document is made. So the tag is weak:
it says that the content is the same, not the bytes. Whatever else shows in a document is part of
its tag, too: whether hosts may be seen, the microversion, and what changes with time (``stale``).
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import falcon

from migprog import objects, version
from migprog.api import views
from migprog.api.resource import Parts

_VERSION = version.version_info.version_string()


def is_known(req: falcon.Request, resp: falcon.Response, *shown: Any) -> bool:
    """Return whether the client has what is made of these values; if so, set status 304.

    Values must differ in their repr. A tag is valid for one version of migprog and one
    microversion.
    """
    digest = hashlib.blake2b(
        repr((_VERSION, str(req.context.version), shown)).encode(), digest_size=12
    )
    tag = falcon.ETag(digest.hexdigest())
    tag.is_weak = True
    resp.set_header("ETag", tag.dumps())
    # The answer is for this token's user, and clients must revalidate it each time.
    resp.set_header("Cache-Control", "private, no-cache")
    known = any(each == "*" or each == tag for each in req.if_none_match or ())
    if known:
        resp.status = falcon.HTTP_NOT_MODIFIED
    return known


Find = Callable[[type[Any]], Sequence[Any]]


def migrations(
    req: falcon.Request, resp: falcon.Response, parts: Parts, find: Find, *shown: Any
) -> Sequence[objects.Migration] | None:
    """Return the migrations that ``find`` returns, or None if the client has them as they are.

    ``find`` gets what to read: :class:`objects.Migration`, or :class:`objects.ResourceVersion` to
    see whether anything has changed. ``shown``: what else their documents depend on.
    """
    shown = (*shown, parts.nova_names)
    if req.if_none_match and is_known(
        req, resp, shown, _versions(find(objects.ResourceVersion), parts)
    ):
        return None
    found: Sequence[objects.Migration] = find(objects.Migration)
    return None if is_known(req, resp, shown, _versions(found, parts)) else found


def _versions(found: Sequence[Any], parts: Parts) -> list[tuple[Any, ...]]:
    now = parts.clock()
    return [
        (
            each.id,
            each.sequence,
            each.updated_at.timestamp(),
            views.is_stale(each.in_progress, each.last_reported_at, now, parts.stale_after_seconds),
        )
        for each in found
    ]
