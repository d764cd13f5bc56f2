# SPDX-License-Identifier: Apache-2.0
"""The options of keystoneauth's plug-ins."""

from collections.abc import Mapping
from typing import Any

from keystoneauth1 import exceptions, loading


def names(options: Mapping[str, object]) -> set[str]:
    """Return the option names of the plug-in that ``auth_type`` names, or of all plug-ins if
    another section names it."""
    kinds = options.get("auth_type", options.get("auth_plugin"))
    kind = kinds[-1] if isinstance(kinds, list) and kinds else kinds
    loaders = (
        loading.get_available_plugin_loaders().values() if kind is None else _loader(str(kind))
    )
    opts = [opt for loader in loaders for opt in loader.get_options()]
    return {name for opt in opts for name in (opt.dest, *(old.dest for old in opt.deprecated))}


def _loader(kind: str) -> list[loading.BaseLoader[Any]]:
    try:
        return [loading.get_plugin_loader(kind)]
    except exceptions.NoMatchingPlugin:
        # keystoneauth reports it.
        return []
