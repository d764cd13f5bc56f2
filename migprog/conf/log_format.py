# SPDX-License-Identifier: Apache-2.0
"""Default formats of log lines: oslo.log's own, with the name of the thread before the message."""

from oslo_config import cfg
from oslo_log import _options, log

# Log collectors of OpenStack parse this prefix, which all its services share.
_BEFORE = "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s "
_AFTER = " [%(threadName)s] %(instance)s%(message)s"
CONTEXT = f"{_BEFORE}[%(global_request_id)s %(request_id)s %(user_identity)s]{_AFTER}"
DEFAULT = f"{_BEFORE}[-]{_AFTER}"


def set_defaults() -> None:
    """Set the formats for all configurations and the sample file; configured formats override."""
    log.set_defaults(logging_context_format_string=CONTEXT)
    # oslo.log (8.3) has no public way to this one.
    cfg.set_defaults(_options.log_opts, logging_default_format_string=DEFAULT)
