# SPDX-License-Identifier: Apache-2.0
"""``migprog-status``: check the configuration and everything that the services depend on."""

from migprog import concurrency

concurrency.prefer_threads()

import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from typing import Any  # noqa: E402

from oslo_config import cfg  # noqa: E402
from oslo_upgradecheck import upgradecheck  # noqa: E402
from oslo_upgradecheck.upgradecheck import Code  # noqa: E402

from migprog import conf  # noqa: E402
from migprog.version import RELEASE  # noqa: E402

_DESCRIPTION = (
    "Check everything that the processes of this machine will use, with their configuration: "
    "migprog-status upgrade check. Exit status: 0: success; 1: warnings; 2: failures; 255: the "
    "configuration cannot be read."
)
COMPUTE, CONDUCTOR, API = "migprog-compute", "migprog-conductor", "migprog-api"
_CLI_OPTS = [
    cfg.MultiOpt(
        "process",
        item_type=cfg.types.String(choices=[COMPUTE, CONDUCTOR, API]),
        metavar="NAME",
        help="Check what this process needs; may be given several times. Default: "
        f"{CONDUCTOR} and {API} where [database] connection is set, {COMPUTE} elsewhere.",
    )
]


class _Checks(upgradecheck.UpgradeCommands):
    """The checks of ``migprog-status upgrade check``: they try what the processes of this machine
    will use, with this configuration."""

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._config = config

    def check(self) -> Code:
        """Run the checks for the selected processes."""
        # Not at the top: --help, --version and a wrong option need none of what is checked.
        from migprog.cmd.status_checks import Checks

        return Checks(self._config).check()


def _quiet() -> None:
    """Silence the libraries' logs and warnings: what matters is in the table of results."""
    # Also those through handlers that libraries set up when they were imported.
    logging.disable()
    warnings.simplefilter("ignore")


class _Described:
    """A configuration whose ``--help`` says what the command does; oslo.upgradecheck passes none
    of this to oslo.config."""

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._config = config

    def __call__(self, **arguments: Any) -> None:
        self._config(**arguments, prog="migprog-status", version=RELEASE, description=_DESCRIPTION)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit status as of other services' checks: 0 all is well, 1 warnings, 2
    failures, 255 no check could run."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    config: Any = cfg.CONF
    conf.register(config)
    config.register_cli_opts(_CLI_OPTS)
    _quiet()
    try:
        status: int = upgradecheck.main(_Described(config), "migprog", _Checks(config), arguments)
    except (cfg.Error, ValueError, OSError) as error:
        sys.stderr.write(f"migprog-status: {conf.why_unread(error, arguments)}\n")
        return 255
    sys.stdout.flush()
    sys.stderr.flush()
    # Neither a hanging check nor the libraries' clean-up may delay the exit.
    os._exit(status)
