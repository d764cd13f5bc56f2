# SPDX-License-Identifier: Apache-2.0
"""How Nova is asked for its own names of migrations: the options of keystoneauth.

They are not among :data:`migprog.conf.GROUPS`: which there are is up to ``auth_type``, as it is in
``[keystone_authtoken]``.
"""

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = cfg.OptGroup("nova", title="Nova, which is asked where auth_type is set, and not else")

# What is not keystoneauth's own default. The timeout is that of a connection, and of each part of
# an answer; whom it holds up is a thread that nobody waits for. OpenStack services ask each other
# by the internal endpoint: a controller may not reach the public one, or not trust its certificate.
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
    """Tell whether Nova is to be asked; the options are registered."""
    group = conf[GROUP.name]
    return bool(group.auth_type or group.auth_section)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Those that do not depend on ``auth_type``."""
    opts = [
        *loading.get_auth_common_conf_options(),
        *loading.get_session_conf_options(),
        *loading.get_adapter_conf_options(include_deprecated=False),
    ]
    cfg.set_defaults(opts, **DEFAULTS)
    return [(GROUP, opts)]
