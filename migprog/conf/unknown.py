# SPDX-License-Identifier: Apache-2.0
"""Options in configuration files that nobody reads: a misspelt name changes nothing, in silence.

Those in our own groups are an error (:func:`migprog.conf.validate`). Of a library's group only the
names are known that the installed release has, and other programs may share the file: these are a
warning.
"""

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import loading
from oslo_config import cfg

# Which entry points of "oslo.config.opts" have the options of a group. They are imported for groups
# that the files have, so that an agent does not load what only a controller needs.
_NAMESPACES = {
    "DEFAULT": ("oslo.log", "oslo.messaging"),
    "cors": ("oslo.middleware.cors",),
    "database": ("oslo.db",),
    "healthcheck": ("oslo.middleware.healthcheck",),
    "keystone_authtoken": ("keystonemiddleware.auth_token",),
    "nova": ("migprog.nova",),
    "oslo_concurrency": ("oslo.concurrency",),
    "oslo_messaging_amqp": ("oslo.messaging",),
    "oslo_messaging_kafka": ("oslo.messaging",),
    "oslo_messaging_metrics": ("oslo.messaging",),
    "oslo_messaging_notifications": ("oslo.messaging",),
    "oslo_messaging_rabbit": ("oslo.messaging",),
    "oslo_middleware": ("oslo.middleware.http_proxy_to_wsgi", "oslo.middleware.sizelimit"),
    "oslo_policy": ("oslo.policy",),
}
# Their further options depend on auth_type.
_AUTHENTICATING = ("keystone_authtoken", "nova")

Sections = Mapping[str, Mapping[str, object]]


def unknown(sections: Sections, known: Mapping[str, set[str]]) -> list[str]:
    """The options of the files that no code reads, as ``[group] name``, and groups as ``[group]``.

    ``known`` has the names of the options, or none where all are right, by group; the other groups
    are looked up in the installed libraries.
    """
    found = []
    for group, options in sections.items():
        names = known.get(group, set()) | _of_libraries(group, options)
        if not names and group not in known:
            found.append(f"[{group}]")
        elif names:
            found += [f"[{group}] {name}" for name in options if _plain(name) not in names]
    return found


def _of_libraries(group: str, options: Mapping[str, object]) -> set[str]:
    names = set()
    for namespace in _NAMESPACES.get(group, ()):
        for registered, opts in _listed(namespace):
            if str(getattr(registered, "name", registered) or "DEFAULT") == group:
                names |= _names(opts, group)
            else:
                names |= _deprecated_names(opts, group)
    if group in _AUTHENTICATING:
        names |= _of_plugin(options)
    return names


def _listed(namespace: str) -> Iterable[tuple[object, Sequence[cfg.Opt]]]:
    points = importlib.metadata.entry_points(group="oslo.config.opts", name=namespace)
    for point in points:
        yield from point.load()()


def _of_plugin(options: Mapping[str, object]) -> set[str]:
    """The options of the plug-in that auth_type names; of each that there is, where another section
    says which."""
    kinds = options.get("auth_type", options.get("auth_plugin"))
    kind = kinds[-1] if isinstance(kinds, list) and kinds else kinds
    loaders = (
        loading.get_available_plugin_loaders().values() if kind is None else _loader(str(kind))
    )
    opts = [opt for loader in loaders for opt in loader.get_options()]
    return {_plain(name) for opt in opts for name in (opt.dest, *(d.dest for d in opt.deprecated))}


def _loader(kind: str) -> list[loading.BaseLoader[Any]]:
    try:
        return [loading.get_plugin_loader(kind)]
    except keystone_exceptions.NoMatchingPlugin:
        # That is an error of its own, and told as such.
        return []


def _names(opts: Sequence[cfg.Opt], group: str) -> set[str]:
    return {_plain(name) for opt in opts for name in (opt.name, opt.dest)} | {
        _plain(old.name or opt.name)
        for opt in opts
        for old in opt.deprecated_opts
        if (old.group or group) == group
    }


def _deprecated_names(opts: Sequence[cfg.Opt], group: str) -> set[str]:
    """Names that options of another group had in this one."""
    return {
        _plain(old.name or opt.name)
        for opt in opts
        for old in opt.deprecated_opts
        if old.group == group
    }


def _plain(name: str) -> str:
    return name.replace("-", "_")
