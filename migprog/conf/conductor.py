# SPDX-License-Identifier: Apache-2.0
"""Options of the conductor."""

import socket

from oslo_config import cfg

from migprog.conf import groups
from migprog.conf.listen import Address, parse_listen

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
    cfg.StrOpt(
        "metrics_listen",
        sample_default="127.0.0.1:8791",
        help="ADDRESS:PORT where migprog-conductor and migprog-standalone serve GET /metrics for "
        "Prometheus, without authentication. Put an IPv6 address in brackets, as in [::1]:8791; "
        "port 0 takes a free port. If not set, no metrics are served.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    groups.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Check rules that option types cannot express. Raises :class:`exception.ConfigError`."""
    metrics_address(conf)


def metrics_address(conf: cfg.ConfigOpts) -> Address | None:
    """Return where to serve metrics, None for nowhere. Raises :class:`exception.ConfigError`."""
    value = conf.conductor.metrics_listen
    return None if value is None else parse_listen(value, "[conductor] metrics_listen")
