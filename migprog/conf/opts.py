# SPDX-License-Identifier: Apache-2.0
"""Entry points of oslo-config-generator for the sample file."""

from oslo_config import cfg

from migprog import conf
from migprog.conf import log_format, middleware


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [pair for module in conf.GROUPS for pair in module.list_opts()]


def set_defaults() -> None:
    """Set migprog's defaults of other projects' options, for the sample file."""
    log_format.set_defaults()
    middleware.set_defaults()
