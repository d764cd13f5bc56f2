# SPDX-License-Identifier: Apache-2.0
"""Register a group of options."""

from collections.abc import Sequence

from oslo_config import cfg


def register(conf: cfg.ConfigOpts, group: cfg.OptGroup, opts: Sequence[cfg.Opt]) -> None:
    """Register ``opts`` in ``conf``, in a copy of ``group``.

    oslo.config (10.7) keeps overrides in the group, of which it makes a shallow copy: two
    ``ConfigOpts`` that are given the same object share what is set in one of them.
    """
    conf.register_group(cfg.OptGroup(group.name, title=group.title, help=group.help))
    conf.register_opts(opts, group.name)
