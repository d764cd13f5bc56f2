# SPDX-License-Identifier: Apache-2.0
"""Options of the conductor."""

import socket

from oslo_config import cfg

from migprog.conf import registration
from migprog.conf.bind import metrics_opts

GROUP = cfg.OptGroup("conductor", title="The conductor, the only writer of the database")

OPTS = [
    cfg.StrOpt(
        "host",
        default=socket.gethostname(),
        sample_default="the machine's host name",
        max_length=255,
        help="Name of this conductor at the message broker. Conductors share the work whatever "
        "their names are; two on one machine may have the same name.",
    ),
    *metrics_opts("migprog-conductor and migprog-standalone", 8791),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    registration.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
