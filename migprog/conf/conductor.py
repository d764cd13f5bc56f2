# SPDX-License-Identifier: Apache-2.0
"""Options of the conductor."""

import socket

from oslo_config import cfg

GROUP = cfg.OptGroup("conductor", title="The conductor, the only writer of the database")

OPTS = [
    cfg.StrOpt(
        "host",
        default=socket.gethostname(),
        sample_default="the machine's host name",
        max_length=255,
        help="This conductor's name at the message broker. Conductors share their work whatever "
        "their names; two on one machine may have the same.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """No two of these options can contradict each other."""
