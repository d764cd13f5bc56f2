# SPDX-License-Identifier: Apache-2.0
"""Options for queries to Nova, which are keystoneauth's.

They are not among :data:`migprog.conf.GROUPS`, since which options exist depends on ``auth_type``,
as in ``[keystone_authtoken]``.
"""

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = cfg.OptGroup("nova", title="Nova API client; used only if auth_type is set")

# Where migprog deviates from keystoneauth's defaults. The timeout is for connecting and for each
# part of an answer; a slow Nova delays a background thread only. OpenStack services use internal
# endpoints: a controller may not reach the public one, or not trust its certificate.
DEFAULTS = {
    "timeout": 10,
    "service_type": "compute",
    "valid_interfaces": ["internal", "public"],
}


def register_opts(conf: cfg.ConfigOpts) -> None:
    loading.register_auth_conf_options(conf, GROUP.name)
    loading.register_session_conf_options(conf, GROUP.name)
    loading.register_adapter_conf_options(conf, GROUP.name, include_deprecated=False)
    for name, default in DEFAULTS.items():
        conf.set_default(name, default, GROUP.name)


def is_asked(conf: cfg.ConfigOpts) -> bool:
    """Return whether conductors query Nova. The options must be registered."""
    group = conf[GROUP.name]
    return bool(group.auth_type or group.auth_section)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Return the options that do not depend on ``auth_type``."""
    opts = [
        *loading.get_auth_common_conf_options(),
        *loading.get_session_conf_options(),
        *loading.get_adapter_conf_options(include_deprecated=False),
    ]
    cfg.set_defaults(opts, **DEFAULTS)
    return [(GROUP, opts)]
