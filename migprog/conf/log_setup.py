# SPDX-License-Identifier: Apache-2.0
"""Set logging up as configured, and check what oslo.log checks at the first line only."""

import itertools
import logging

from oslo_config import cfg
from oslo_context.context import RequestContext
from oslo_log import log

from migprog import exception, logs
from migprog.conf import log_lines
from migprog.version import RELEASE

LOG = logging.getLogger(__name__)


def set_up(conf: cfg.ConfigOpts) -> None:
    """Set logging up as configured. Raises :class:`exception.ConfigError`."""
    try:
        log.setup(conf, "migprog", RELEASE)
    except (OSError, log.LogConfigError) as error:
        option = "log_config_append" if conf.log_config_append else "log_dir, log_file"
        raise exception.ConfigError(f"[DEFAULT] {option}: {error}") from error
    except ValueError as error:
        raise exception.ConfigError(f"[DEFAULT] default_log_levels: {error}") from error
    _try_formats()
    # Leaves JSON formatters alone; logs.tame() wraps the formatter, so it comes later.
    log_lines.keep_printable(logging.getLogger())
    logs.tame()


class _Trial(RequestContext):
    """A context that does not become the thread's, whose log lines would all show it."""

    def update_store(self) -> None:
        pass


def _try_formats() -> None:
    """Check the formats of log lines. Raises :class:`exception.ConfigError`."""
    # Lines inside and outside of requests have different formats.
    contexts = (None, _Trial())
    for handler, context in itertools.product(logging.getLogger().handlers, contexts):
        record = LOG.makeRecord(
            *(LOG.name, logging.INFO, __file__, 0, "a line", (), None), extra={"context": context}
        )
        try:
            handler.format(record)
        except (KeyError, TypeError, ValueError) as error:
            raise exception.ConfigError(
                "[DEFAULT] logging_context_format_string, logging_default_format_string, "
                f"log_date_format: {type(error).__name__}: {error}"
            ) from error
