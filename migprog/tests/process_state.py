# SPDX-License-Identifier: Apache-2.0
"""What a process has once, and one test therefore leaves for the next one."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

# It sets its logger's level when it is imported.
import sqlalchemy as _sqlalchemy  # noqa: F401
from oslo_config import cfg

from migprog import logs


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Restore after the block how the loggers are set up, the hook for unhandled exceptions,
    oslo.config's global configuration, the environment and the working directory."""
    before = {logger: _set_up(logger) for logger in _loggers()}
    hook, environment, directory = sys.excepthook, _environment(), os.getcwd()
    had_configuration = cfg.CONF._args is not None
    try:
        yield
    finally:
        for logger in _loggers():
            # What a logger that is new writes to came with its library.
            new: tuple[Any, ...] = (logging.NOTSET, logger.handlers, [], True, False)
            _restore(logger, before.get(logger, new))
        logs.report_broker(None)
        logs._TAME.reset()
        if not had_configuration:
            cfg.CONF.reset()
        sys.excepthook = hook
        for name in _environment().keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        os.chdir(directory)


def _environment() -> dict[str, str]:
    """All of it but what pytest sets for each phase of a test."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def _loggers() -> list[logging.Logger]:
    named = list(logging.Logger.manager.loggerDict.values())
    return [logging.getLogger(), *(each for each in named if isinstance(each, logging.Logger))]


def _set_up(logger: logging.Logger) -> tuple[Any, ...]:
    lists = list(logger.handlers), list(logger.filters)
    return logger.level, *lists, logger.propagate, logger.disabled


def _restore(logger: logging.Logger, was: tuple[Any, ...]) -> None:
    if _set_up(logger) == was:
        return
    level, logger.handlers[:], logger.filters[:], logger.propagate, logger.disabled = was
    # Unlike the attribute, it makes what loggers have cached of it void.
    logger.setLevel(level)
