# SPDX-License-Identifier: Apache-2.0
"""Notifications of migrations to other services, by oslo.messaging's notifier.

:mod:`migprog.core.notices` decides what to notify of. ``envelope`` is the form of a notification,
``schemas/`` its JSON Schemas, ``sender`` the queue and the thread that sends, ``oslo`` calls
oslo.messaging. Notifications are best effort: nothing waits for them.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from oslo_config import cfg

from migprog.core.notices import Event
from migprog.notifications.oslo import OsloNotifier
from migprog.notifications.sender import Sender

# Takes events to send; returns at once.
Notify: TypeAlias = Callable[[Iterable[Event]], None]


def make_sender(conf: cfg.ConfigOpts, publisher_id: str) -> Sender | None:
    """Return what sends notifications as ``publisher_id``; None where they are not enabled.

    Nothing connects before the first notification. Raises :class:`exception.ConfigError`.
    """
    if not conf.notifications.enabled:
        return None
    notifier = OsloNotifier(conf, publisher_id)
    return Sender(notifier.send, notifier.where, notifier.close, explain=notifier.explain)
