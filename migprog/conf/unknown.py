# SPDX-License-Identifier: Apache-2.0
"""Find options in configuration files that no code reads, such as misspelt names.

In migprog's own groups they are errors (:func:`migprog.conf.validate`). In a library's group they
are warnings: only the names in the installed release are known, and other programs may share the
file.
"""

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence

from oslo_config import cfg

from migprog import kombu_serializers

_MESSAGING = "oslo.messaging"
# The entry points of "oslo.config.opts" with the options of each group. They are imported only for
# groups in the files, so that an agent does not load what only a controller needs.
_NAMESPACES = {
    "DEFAULT": ("oslo.log", _MESSAGING),
    "cors": ("oslo.middleware.cors",),
    "database": ("oslo.db",),
    "healthcheck": ("oslo.middleware.healthcheck",),
    "keystone_authtoken": ("keystonemiddleware.auth_token",),
    "nova": ("migprog.nova",),
    "oslo_concurrency": ("oslo.concurrency",),
    "oslo_messaging_amqp": (_MESSAGING,),
    "oslo_messaging_kafka": (_MESSAGING,),
    "oslo_messaging_metrics": (_MESSAGING,),
    "oslo_messaging_notifications": (_MESSAGING,),
    "oslo_messaging_rabbit": (_MESSAGING,),
    "oslo_middleware": ("oslo.middleware.http_proxy_to_wsgi", "oslo.middleware.sizelimit"),
    "oslo_policy": ("oslo.policy",),
}
# Their further options depend on auth_type.
_AUTHENTICATING = ("keystone_authtoken", "nova")

Sections = Mapping[str, Mapping[str, object]]


def unknown(sections: Sections, known: Mapping[str, set[str]]) -> list[str]:
    """Return the options and groups that no code reads, as ``[group] name`` or ``[group]``.

    ``known``: by group, the names of its options, or an empty set for a group that was checked
    already. The other groups are looked up in the installed libraries.
    """
    found = []
    for group, options in sections.items():
        if group not in known and _is_of_others(group):
            continue
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
        # Not at the top: keystoneauth takes a quarter of a second, and agents need none of it.
        from migprog.conf import auth_plugins

        names |= {_plain(name) for name in auth_plugins.names(options)}
    return names


def _is_of_others(group: str) -> bool:
    """Return whether a library reads the group that this environment has not: a file may be shared
    with processes whose environments have it."""
    namespaces = _NAMESPACES.get(group, ())
    return bool(namespaces) and not any(map(_points, namespaces))


def _points(namespace: str) -> Sequence[importlib.metadata.EntryPoint]:
    return tuple(importlib.metadata.entry_points(group="oslo.config.opts", name=namespace))


def _listed(namespace: str) -> Iterable[tuple[object, Sequence[cfg.Opt]]]:
    if namespace == _MESSAGING:
        kombu_serializers.load()
    for point in _points(namespace):
        yield from point.load()()


def _names(opts: Sequence[cfg.Opt], group: str) -> set[str]:
    return {_plain(name) for opt in opts for name in (opt.name, opt.dest)} | {
        _plain(old.name or opt.name)
        for opt in opts
        for old in opt.deprecated_opts
        if (old.group or group) == group
    }


def _deprecated_names(opts: Sequence[cfg.Opt], group: str) -> set[str]:
    """Return names in this group that were deprecated in favour of options in another group."""
    return {
        _plain(old.name or opt.name)
        for opt in opts
        for old in opt.deprecated_opts
        if old.group == group
    }


def _plain(name: str) -> str:
    return name.replace("-", "_")
