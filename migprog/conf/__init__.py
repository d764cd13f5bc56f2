# SPDX-License-Identifier: Apache-2.0
"""Configuration: one module for each group. Commands read it and pass values on."""

import contextlib
import logging
import pathlib
import re
from collections.abc import Iterator, Sequence

from oslo_config import cfg
from oslo_log import log

from migprog import exception
from migprog.conf import (
    api,
    compute,
    conductor,
    database_timeouts,
    log_format,
    log_setup,
    notifications,
    references,
    steering,
    unknown,
)
from migprog.version import RELEASE

LOG = logging.getLogger(__name__)

GROUPS = (api, compute, conductor, database_timeouts, notifications, steering)

_QUIET = (
    "alembic=WARN",
    "oslo.messaging=WARN",
    "oslo.service=WARN",
    "oslo_messaging=WARN",
    "oslo_service=WARN",
)
# How oslo.config's error texts name the source of a value.
_LOCATION = re.compile(r"LocationInfo\(location=<Locations\.(\w+): [^>]*>, detail='([^']*)'\)")


def load(
    argv: Sequence[str],
    prog: str,
    default_config_files: list[str] | None = None,
    cli_opts: Sequence[cfg.Opt] = (),
    conf: cfg.ConfigOpts = cfg.CONF,
    description: str | None = None,
) -> cfg.ConfigOpts:
    """Read the command line and the files it names, check all values and set up logging.

    Without ``--config-file`` oslo.config's usual places are searched (``/etc/migprog/``...).
    ``conf`` is filled and returned; oslo.messaging (18.3) works with ``cfg.CONF`` only. ``--help``
    begins with ``description``.
    Raises :class:`exception.ConfigError`.
    """
    register(conf)
    conf.register_cli_opts(cli_opts)
    try:
        conf(
            list(argv),
            project="migprog",
            prog=prog,
            version=RELEASE,
            default_config_files=default_config_files,
            description=description,
        )
    except (cfg.Error, OSError, ValueError) as error:
        raise exception.ConfigError(why_unread(error, argv)) from error
    validate(conf)
    log_setup.set_up(conf)
    _warn_of_unknown(conf)
    return conf


def why_unread(error: Exception, argv: Sequence[str]) -> str:
    """Return one line that says why oslo.config could not read its files and ``argv``."""
    if isinstance(error, UnicodeDecodeError):
        return f"a configuration file must be UTF-8: {error}"
    if isinstance(error, OSError) and "--shell_completion" in argv:
        # oslo.config (10.7) does not install its template.
        return f"--shell_completion: the installed oslo.config has no {error.filename}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return plain(error)


@contextlib.contextmanager
def references_explained(conf: cfg.ConfigOpts) -> Iterator[None]:
    """Raise :class:`exception.ConfigError` if an option's value refers to an option that does not
    exist."""

    def exists(group: str, name: str) -> bool:
        try:
            return name in (conf if group == "DEFAULT" else conf[group])
        except cfg.Error:
            return False

    try:
        yield
    except (cfg.NoSuchOptError, cfg.TemplateSubstitutionError) as error:
        for path, sections in _sections(conf):
            for what in references.dangling(sections, exists):
                raise exception.ConfigError(f"{what} ({path})") from error
        raise


def plain(error: Exception) -> str:
    """Return the text of an oslo.config error, with the source of the value as an operator would
    name it."""

    def named(match: re.Match[str]) -> str:
        where, detail = match.groups()
        return {"command_line": "the command line", "environment": f"${detail}"}.get(where, detail)

    return _LOCATION.sub(named, str(error))


def register(conf: cfg.ConfigOpts) -> None:
    """Register migprog's options and those of logging."""
    log_format.set_defaults()
    log.register_options(conf)
    conf.set_default("use_stderr", True)
    for group in GROUPS:
        group.register_opts(conf)
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), *_QUIET])


def validate(conf: cfg.ConfigOpts) -> None:
    """Check all values and option names of migprog's groups.

    oslo.config checks a value only when it is read, and never looks at unknown names; operators
    need the error at start-up. Raises :class:`exception.ConfigError` for the first wrong one.
    """
    for module in GROUPS:
        name = module.GROUP.name
        for opt in module.OPTS:
            try:
                conf[name][opt.dest]
            except (cfg.ConfigFileValueError, cfg.RequiredOptError, ValueError) as error:
                raise exception.ConfigError(f"[{name}] {opt.name}: {plain(error)}") from error
    for path, sections in _sections(conf):
        _refuse_unknown(path, sections)
    api.check(conf)
    compute.check(conf)
    notifications.check(conf)
    steering.check(conf)


def _files(conf: cfg.ConfigOpts) -> list[str]:
    files = list(conf.config_file or [])
    for directory in conf.config_dir or []:
        files += sorted(str(path) for path in pathlib.Path(directory).glob("*.conf"))
    return files


Sections = dict[str, dict[str, list[str]]]


def _sections(conf: cfg.ConfigOpts) -> Iterator[tuple[str, Sections]]:
    """Return the contents of each configuration file, by section and option."""
    for path in _files(conf):
        sections: Sections = {}
        cfg.ConfigParser(path, sections).parse()
        yield path, sections


def _refuse_unknown(path: str, sections: Sections) -> None:
    for module in GROUPS:
        name = module.GROUP.name
        known = {opt.dest for opt in module.OPTS} | {opt.name for opt in module.OPTS}
        for key in sections.get(name, {}):
            if key not in known:
                raise exception.ConfigError(f"[{name}] {key}: there is no such option ({path})")


def unknown_options(conf: cfg.ConfigOpts) -> list[str]:
    """Return the options and groups in the files that no code reads, each as ``[group] name``."""
    # validate() has checked migprog's groups. "DEFAULT" includes names of groups, harmlessly.
    ours: dict[str, set[str]] = {module.GROUP.name: set() for module in GROUPS}
    ours["DEFAULT"] = set(conf)
    return [name for _path, sections in _sections(conf) for name in unknown.unknown(sections, ours)]


def _warn_of_unknown(conf: cfg.ConfigOpts) -> None:
    names = unknown_options(conf)
    if names:
        LOG.warning(
            "configuration: unknown options, ignored; check their spelling: %s", ", ".join(names)
        )
