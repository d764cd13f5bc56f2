# SPDX-License-Identifier: Apache-2.0
"""Check whether nova-compute on this host leaves migrations to steering."""

import os

from oslo_config import cfg

from migprog.cmd.checks import Warned
from migprog.core.steering import nova_conflicts
from migprog.core.steering.policies import Mode

_SECTION = "libvirt"


def check(conf: cfg.ConfigOpts) -> str:
    """Read nova.conf, if this user may. Raises :class:`Warned` for options that interfere with
    ``enforce``."""
    mode = conf.steering.mode
    if mode != Mode.ENFORCE:
        return f"not used: [steering] mode is {mode}"
    paths = [path for path in conf.steering.nova_config_files if os.access(path, os.R_OK)]
    if not paths:
        names = ", ".join(conf.steering.nova_config_files)
        return f"not checked: cannot read {names}"
    where = ", ".join(paths)
    try:
        options = nova_conflicts.read_options(_read(paths))
    except (cfg.ParseError, OSError, ValueError) as error:
        raise Warned(f"{where}: {error}") from error
    found = nova_conflicts.conflicts(options)
    if found:
        raise Warned(f"{where}: [{_SECTION}] {'. '.join(found)}")
    return f"{where}: leaves migrations to steering"


def _read(paths: list[str]) -> dict[str, str]:
    """Return the options of the section; later files prevail."""
    found: dict[str, str] = {}
    for path in paths:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        found |= {name: values[-1] for name, values in sections.get(_SECTION, {}).items()}
    return found
