# SPDX-License-Identifier: Apache-2.0
"""What oslo-config-generator reads to write the sample file."""

from oslo_config import cfg

from migprog import conf


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [pair for module in conf.GROUPS for pair in module.list_opts()]
