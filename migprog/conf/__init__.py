# SPDX-License-Identifier: Apache-2.0
"""Configuration: one module a group; read by the wiring, handed down as values."""

import logging
import pathlib
from collections.abc import Sequence

from oslo_config import cfg
from oslo_log import log

from migprog import exception
from migprog.conf import api, compute, conductor, database, log_lines
from migprog.version import version_info

GROUPS = (api, compute, conductor, database)


def load(
    argv: Sequence[str],
    prog: str,
    default_config_files: list[str] | None = None,
    cli_opts: Sequence[cfg.Opt] = (),
    conf: cfg.ConfigOpts = cfg.CONF,
) -> cfg.ConfigOpts:
    """Read the command line and the files it names, check everything, set logging up.

    Without ``--config-file`` oslo.config's usual places are searched (``/etc/migprog/``...).
    Raises :class:`exception.ConfigError`. ``conf`` is filled and given back; for anything that
    goes to oslo.messaging (18.3) only ``cfg.CONF`` will do.
    """
    register(conf)
    conf.register_cli_opts(cli_opts)
    try:
        conf(
            list(argv),
            project="migprog",
            prog=prog,
            version=version_info.version_string(),
            default_config_files=default_config_files,
        )
    except (cfg.ConfigFilesNotFoundError, cfg.ConfigFileParseError, ValueError) as error:
        raise exception.ConfigError(str(error)) from error
    validate(conf)
    log.setup(conf, "migprog")
    log_lines.keep_printable(logging.getLogger())
    return conf


def register(conf: cfg.ConfigOpts) -> None:
    """Make our options and those of logging known."""
    log.register_options(conf)
    conf.set_default("use_stderr", True)
    for group in GROUPS:
        group.register_opts(conf)
    log.set_defaults(
        default_log_levels=[*log.get_default_log_levels(), "oslo.messaging=WARN", "alembic=WARN"]
    )


def validate(conf: cfg.ConfigOpts) -> None:
    """Find the first impossible value, or option of ours that does not exist.

    oslo.config looks at a value only when it is used, and never at names that nobody asked for;
    an operator wants to know at the start. Raises :class:`exception.ConfigError`.
    """
    for module in GROUPS:
        name = module.GROUP.name
        for opt in module.OPTS:
            try:
                conf[name][opt.dest]
            except (cfg.ConfigFileValueError, cfg.RequiredOptError, ValueError) as error:
                raise exception.ConfigError(f"[{name}] {opt.name}: {error}") from error
    for path in _files(conf):
        _refuse_unknown(path)
    for module in GROUPS:
        module.check(conf)


def _files(conf: cfg.ConfigOpts) -> list[str]:
    files = list(conf.config_file or [])
    for directory in conf.config_dir or []:
        files += sorted(str(path) for path in pathlib.Path(directory).glob("*.conf"))
    return files


def _refuse_unknown(path: str) -> None:
    sections: dict[str, dict[str, list[str]]] = {}
    cfg.ConfigParser(path, sections).parse()
    for module in GROUPS:
        name = module.GROUP.name
        known = {opt.dest for opt in module.OPTS} | {opt.name for opt in module.OPTS}
        for key in sections.get(name, {}):
            if key not in known:
                raise exception.ConfigError(f"[{name}] {key}: there is no such option ({path})")
