# SPDX-License-Identifier: Apache-2.0
"""Options of notifications. Driver and broker are in oslo.messaging's
``[oslo_messaging_notifications]``."""

from oslo_config import cfg

from migprog import exception
from migprog.conf import registration

GROUP = cfg.OptGroup("notifications", title="Notifications of migrations' starts, ends and changes")

OPTS = [
    cfg.BoolOpt(
        "enabled",
        default=False,
        help="Send a notification when a migration starts, changes its verdict, is acted on, and "
        "ends. Enable it only if a consumer reads the topics: RabbitMQ keeps each message until "
        "a consumer has read it, and a queue without a consumer grows until the broker runs out of "
        "memory and blocks all services. Conductors send them, and APIs what operators request. "
        "The broker is that of [oslo_messaging_notifications] transport_url, or else of [DEFAULT] "
        "transport_url; the driver is messagingv2 unless [oslo_messaging_notifications] driver "
        "names another. The options topics and retry of [oslo_messaging_notifications] are not "
        "used.",
    ),
    cfg.ListOpt(
        "topics",
        default=["migprog_notifications"],
        item_type=cfg.types.String(regex=r"[A-Za-z0-9._-]{1,200}"),
        help="Topics to send each notification to. Each consumer that must see all of them needs a "
        "topic of its own. The queues are TOPIC.info, TOPIC.warn and TOPIC.error, by priority; "
        "all three must be read.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    registration.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Check rules between options. Raises :class:`exception.ConfigError`."""
    if conf.notifications.enabled and not conf.notifications.topics:
        raise exception.ConfigError(
            "[notifications] topics: must name a topic where [notifications] enabled is true"
        )
