# SPDX-License-Identifier: Apache-2.0
"""Answers with an ``ETag``, and 304 to who has that already (``If-None-Match``).

The tag of migrations is made of what tells the states of their records apart, read by itself: a
client that has the news costs a few columns, and no document is made. So it is a weak one: it says
that the same is told, whatever a proxy makes of the bytes. Whatever else shows in a document goes
into its tag, too: who may see hosts, a microversion, and what changes with time alone (``stale``).
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
    """Tell whether the client has what is made of these values: then 304 is the answer.

    A value's repr must tell it from others. A tag is of one version of the program, and of one
    microversion.
    """
    digest = hashlib.blake2b(
        repr((_VERSION, str(req.context.version), shown)).encode(), digest_size=12
    )
    tag = falcon.ETag(digest.hexdigest())
    tag.is_weak = True
    resp.set_header("ETag", tag.dumps())
    # It is for this token's owner, and must be asked for each time.
    resp.set_header("Cache-Control", "private, no-cache")
    known = any(each == "*" or each == tag for each in req.if_none_match or ())
    if known:
        resp.status = falcon.HTTP_NOT_MODIFIED
    return known


Find = Callable[[type[Any]], Sequence[Any]]


def migrations(
    req: falcon.Request, resp: falcon.Response, parts: Parts, find: Find, *shown: Any
) -> Sequence[objects.Migration] | None:
    """The migrations that ``find`` gives; None: the client has them as they are.

    ``find`` is given what it is to find: :class:`objects.Migration`, or :class:`objects.Mark` to
    tell whether there is anything new. ``shown``: what else their documents depend on.
    """
    shown = (*shown, parts.nova_names)
    if req.if_none_match and is_known(
        req, resp, shown, _marks(find(objects.ResourceVersion), parts)
    ):
        return None
    found: Sequence[objects.Migration] = find(objects.Migration)
    return None if is_known(req, resp, shown, _marks(found, parts)) else found


def _marks(found: Sequence[Any], parts: Parts) -> list[tuple[Any, ...]]:
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
