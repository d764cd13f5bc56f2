# SPDX-License-Identifier: Apache-2.0
"""The options that name an address and a port to listen on."""

from typing import NamedTuple

from oslo_config import cfg


class Address(NamedTuple):
    """Where to listen: a host without brackets, and a port."""

    host: str
    port: int


def metrics_opts(process: str, sample_port: int, note: str = "") -> list[cfg.Opt]:
    """Return the options of the address where ``process`` serves its metrics."""
    return [
        cfg.HostAddressOpt(
            "metrics_bind_host",
            default="127.0.0.1",
            help=f"Address of this machine where GET /metrics of {process} is served for "
            "Prometheus, without authentication. An IPv6 address is written without brackets.",
        ),
        cfg.PortOpt(
            "metrics_bind_port",
            sample_default=sample_port,
            help=f"Port where GET /metrics of {process} is served; 0 takes a free port. If not "
            f"set, no metrics are served.{note}",
        ),
    ]


def metrics_address(group: cfg.ConfigOpts.GroupAttr) -> Address | None:
    """Return where to serve metrics by the options of a group; None: nowhere."""
    if group.metrics_bind_port is None:
        return None
    return Address(group.metrics_bind_host, group.metrics_bind_port)
