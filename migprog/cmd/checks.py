# SPDX-License-Identifier: Apache-2.0
"""Check once whether what a process needs can be reached and used.

Each check returns one line, or raises a :class:`exception.MigprogError` whose text has no password.
"""

import importlib
import os
import pathlib
import threading
from collections.abc import Callable
from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import loading
from keystoneauth1 import session as keystone_session
from oslo_config import cfg

from migprog import exception, rpc
from migprog.conf import nova as nova_conf
from migprog.core.messages import Batch
from migprog.notifications.oslo import OsloNotifier
from migprog.rpc import brokers
from migprog.rpc.conductor import ConductorAPI, Unreachable

# For each whole check; the broker's and Keystone's own timeouts are shorter.
DEADLINE_SECONDS = 15.0
_ANSWER_SECONDS = 3.0
_KEYSTONE_SECONDS = 10.0
# Roles that may validate other users' tokens by Keystone's default policy.
_TOKEN_ROLES = frozenset({"admin", "service"})
_KEYSTONE = "keystone_authtoken"


class Warned(exception.MigprogError):
    """A check found a limitation; the text says what will not work."""


def within_deadline(
    check: Callable[[], str | None], seconds: float = DEADLINE_SECONDS
) -> str | None:
    """Return the result of a check, which may hang.

    Raises :class:`exception.MigprogError` after ``seconds`` and leaves the check's thread alone.
    """
    done: list[Any] = []

    def run() -> None:
        try:
            done.append(check())
        except exception.MigprogError as error:
            done.append(error)
        except Exception as error:
            # Unexpected errors of libraries are results, too.
            done.append(exception.MigprogError(f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=run, name="check", daemon=True)
    thread.start()
    thread.join(seconds)
    if not done:
        raise exception.MigprogError(
            f"no answer within {seconds:g} s; check the network and the other party's log"
        )
    if isinstance(done[0], exception.MigprogError):
        raise done[0]
    result: str | None = done[0]
    return result


def broker(conf: cfg.ConfigOpts, needs_conductor: bool) -> str:
    """Connect, log in, and call a conductor with an empty batch."""
    rpc.check(conf)
    where = brokers.where(conf)
    transport = rpc.transport(conf)
    conductor = ConductorAPI(transport, _ANSWER_SECONDS, where)
    batch = Batch(host="migprog-status", node="migprog-status")
    try:
        # The cast first, since it fails soon: a call waits without limit for its connection.
        conductor.report(batch.to_wire(), acknowledged=False)
        conductor.report(batch.to_wire(), acknowledged=True)
    except Unreachable as error:
        if brokers.lacks_permission(error) and not needs_conductor:
            # Expected if each process has a broker user of its own.
            return f"{where}: connected; this user may not send reports, so no conductor was asked"
        if not error.is_silence:
            raise
        text = f"{where}: connected; no conductor answers"
        if needs_conductor:
            raise Warned(
                f"{text}; agents keep their reports and the API shows nothing new until one does: "
                "start migprog-conductor, or look at its log"
            ) from error
        return f"{text} (yet)"
    return f"{where}: connected; a conductor answers"


def notifications(conf: cfg.ConfigOpts) -> str:
    """Connect to the broker of notifications, if they are enabled, and log in."""
    if not conf.notifications.enabled:
        return "not used: [notifications] enabled is false"
    notifier = OsloNotifier(conf, "migprog-status")
    try:
        notifier.check()
    except brokers.ERRORS as error:
        raise exception.MigprogError(f"{notifier.where}: {notifier.explain(error).text}") from error
    topics = ", ".join(conf.notifications.topics)
    return f"{notifier.where}: connected; see that a consumer reads {topics}"


def keystone(conf: cfg.ConfigOpts) -> str:
    """Get a token as migprog-api does, and validate it where migprog-api will."""
    # Imported only when needed: a hypervisor's check has nothing to do with Keystone.
    options: Any = importlib.import_module("keystonemiddleware.opts")
    for name, opts in options.list_auth_token_opts():
        conf.register_opts(opts, name)
    loading.register_auth_conf_options(conf, _KEYSTONE)
    group = conf[_KEYSTONE]
    if not (group.auth_type or group.auth_section):
        raise exception.ConfigError(
            "[keystone_authtoken] auth_type: is not set, and [api] auth_strategy is keystone; the "
            "API will answer every token with 503: set it, and the user's other options"
        )
    try:
        auth: Any = loading.load_auth_from_conf_options(conf, _KEYSTONE)
        session = keystone_session.Session(
            auth,
            verify=not group.insecure and (group.cafile or True),
            cert=(group.certfile, group.keyfile) if group.certfile and group.keyfile else None,
            timeout=_KEYSTONE_SECONDS,
        )
        access = auth.get_access(session)
        session.get(
            "/auth/tokens",
            endpoint_filter={
                "service_type": "identity",
                "interface": group.interface,
                "region_name": group.region_name,
                "version": (3, 0),
            },
            headers={"X-Subject-Token": access.auth_token},
            log=False,
        )
    except keystone_exceptions.Unauthorized as error:
        raise exception.ConfigError(
            f"[{_KEYSTONE}] {_where(conf)}refuses the login: wrong user, password, project or "
            f"domain, or no role in the project; the API will answer every token with 503: correct "
            f"[{_KEYSTONE}] or the user in Keystone: {_line(error)}"
        ) from error
    except keystone_exceptions.ConnectFailure as error:
        raise exception.ConfigError(
            f"[{_KEYSTONE}] {_where(conf)}cannot connect: {_innermost(error)}; until it can, the "
            "API answers new tokens with 503: check auth_url and Keystone"
        ) from error
    except (
        keystone_exceptions.ClientException,
        cfg.Error,
        OSError,
        TypeError,
        ValueError,
    ) as error:
        raise exception.ConfigError(f"[{_KEYSTONE}] {_where(conf)}{_line(error)}") from error
    if not _TOKEN_ROLES & {role.lower() for role in access.role_names}:
        raise Warned(
            f"{_where(conf)}user {access.username} has none of the roles admin, service: by "
            "Keystone's default policy it may not validate the tokens of others, and the API will "
            "answer 401 or 503: give it the role service in its project"
        )
    return f"{_where(conf)}a token was issued and checked"


def _where(conf: cfg.ConfigOpts) -> str:
    url = getattr(conf[_KEYSTONE], "auth_url", None)
    # The URL may include a user and a password.
    return f"Keystone {str(url).rpartition('@')[2]}: " if url else ""


def nova(conf: cfg.ConfigOpts) -> str | None:
    """List migrations in Nova, as the conductor does."""
    nova_conf.register_opts(conf)
    if not nova_conf.is_asked(conf):
        return None
    # Imported only when needed: hypervisors do not have the packages that the conductor needs.
    client: Any = importlib.import_module("migprog.conductor.nova_client")
    try:
        has_shown_one = client.Nova(conf).check()
    except client.NoAnswer as error:
        raise exception.ConfigError(
            f"[nova] os-migrations cannot be listed: {error}; migrations will have no ids of Nova's"
        ) from error
    if not has_shown_one:
        return "Nova lists migrations; it has none yet to check that their hosts are included"
    return "Nova lists migrations with their hosts"


def libvirt(conf: cfg.ConfigOpts) -> str:
    """Connect to libvirt as the agent does."""
    try:
        # Imported only when needed: controllers do not have it.
        module = importlib.import_module("migprog.compute.libvirt.probe")
    except ImportError as error:
        raise exception.MigprogError(
            f"libvirt-python cannot be loaded ({error}): pip install 'migprog[libvirt]'"
        ) from error
    group = conf.compute
    wants = {name: group[name] for name in ("qemu_events", "allow_actions", "allow_measurements")}
    named = [name for name, is_on in wants.items() if is_on]
    try:
        found = module.probe(group.connection_uri, read_write=bool(named))
    except module.LibvirtUnusable as error:
        raise exception.MigprogError(
            f"[compute] connection_uri: {group.connection_uri}: {error}"
        ) from error
    text = f"libvirt {found.version} of {found.host} at {group.connection_uri}"
    if found.read_write_error:
        raise Warned(
            f"{text}: no read-write connection, which [compute] {', '.join(named)} needs: "
            f"{found.read_write_error}; the agent watches without: add its user to libvirt's "
            "group, or turn the options off"
        )
    return f"{text}: {'read-write' if named else 'read-only'} connection"


def state_path(conf: cfg.ConfigOpts) -> str:
    """Check whether the user that runs this check could write the state directory."""
    path = conf.compute.state_path
    if not path:
        raise Warned(
            "[compute] state_path: is empty; unacknowledged reports are lost if the agent is "
            "killed: set it to a directory on a disk, such as /var/lib/migprog"
        )
    found = pathlib.Path(path)
    while not found.exists() and found != found.parent:
        found = found.parent
    if not found.is_dir() or not os.access(found, os.W_OK | os.X_OK):
        raise Warned(
            f"[compute] state_path: user {os.geteuid()} may not write to {found}; if the agent "
            "runs as this user, unacknowledged reports are lost when it is killed: change the owner"
        )
    return path if found == pathlib.Path(path) else f"{path} will be created in {found}"


def _innermost(error: BaseException) -> str:
    """Return the system's own error of a failed connection, without the libraries' wrapping."""
    while (within := error.__cause__ or error.__context__) is not None:
        error = within
    return str(error)[:300]


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
