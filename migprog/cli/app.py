# SPDX-License-Identifier: Apache-2.0
"""``migprog``: the same commands as ``openstack migration progress``, without OpenStackClient.

It sends a token if a cloud is named; else it is for an API that needs none, as that of
``migprog-standalone``.
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib import parse

from cliff import app, command, commandmanager, lister, show

from migprog.cli import api_requests, client, commands, following, login, plan_command
from migprog.cli.errors import ApiRefused, ApiUnavailable
from migprog.version import RELEASE

DEFAULT_URL = "http://127.0.0.1:8790"
_HOST = re.compile(r"[\w.:%-]+")


class List(commands.List, lister.Lister):
    __doc__ = commands.List.__doc__


class Show(commands.Show, show.ShowOne):
    __doc__ = commands.Show.__doc__


class History(commands.History, lister.Lister):
    __doc__ = commands.History.__doc__


class Advice(commands.Advice, lister.Lister):
    __doc__ = commands.Advice.__doc__


class Summary(commands.Summary, show.ShowOne):
    __doc__ = commands.Summary.__doc__


class Forecast(commands.Forecast, show.ShowOne):
    __doc__ = commands.Forecast.__doc__


class Plan(plan_command.Plan, lister.Lister):
    __doc__ = plan_command.Plan.__doc__


class Watch(following.Watch, command.Command):
    __doc__ = following.Watch.__doc__


class WaitHost(following.WaitHost, command.Command):
    __doc__ = following.WaitHost.__doc__


COMMANDS: dict[str, type[command.Command]] = {
    "list": List,
    "show": Show,
    "history": History,
    "advice": Advice,
    "summary": Summary,
    "forecast": Forecast,
    "plan": Plan,
    "watch": Watch,
    "wait-host": WaitHost,
}


class CommandNames(commandmanager.CommandManager):
    """Finds commands by their whole names, without abbreviations: ``wait-host``, or ``wait host``
    as in OpenStackClient."""

    def find_command(self, argv: list[str]) -> Any:
        for count in (2, 1):
            name = "-".join(argv[:count])
            if name in self.commands:
                return super().find_command([name, *argv[count:]])
        raise ValueError(f"Unknown command {argv!r}")


class _ClientManager:
    """As OpenStackClient's: ``migration_progress`` is the client."""

    def __init__(self, url: str | None, microversion: str, cloud: str | None) -> None:
        version = api_requests.parse_microversion(microversion)
        if login.is_asked(cloud):
            self.migration_progress = login.logged_in(cloud, url, version)
        else:
            self.migration_progress = client.without_login(url or DEFAULT_URL, version)
        self._has_address = url is not None
        self._is_logged_in = login.is_asked(cloud)

    def hint(self, error: BaseException | None) -> str | None:
        """Return what to do about an error, if it may be due to what was not given."""
        if self._is_logged_in:
            return None
        if isinstance(error, ApiUnavailable) and not self._has_address:
            return "no address was given: use --url, or --os-cloud to log in"
        if isinstance(error, ApiRefused) and error.status == HTTPStatus.UNAUTHORIZED:
            return "no token was sent: use --os-cloud, or OS_AUTH_URL, OS_USERNAME and so on"
        return None


class App(app.App):
    NAME = "migprog"

    def __init__(self) -> None:
        manager = CommandNames("migprog.cli")
        for name, factory in COMMANDS.items():
            manager.add_command(name, factory)
        super().__init__(
            description="Show the live migrations that migprog watches.",
            version=RELEASE,
            command_manager=manager,
            deferred_help=True,
        )
        self.client_manager: _ClientManager | None = None

    def build_option_parser(self, *arguments: Any, **options: Any) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().build_option_parser(*arguments, **options)
        parser.add_argument(
            "--url",
            type=_url,
            default=os.environ.get("MIGPROG_URL"),
            help=f"address of the API (Env: MIGPROG_URL); default {DEFAULT_URL}, or as the cloud "
            "has it",
        )
        parser.add_argument(
            "--os-cloud",
            metavar="CLOUD",
            default=os.environ.get("OS_CLOUD"),
            help="log in at this cloud of clouds.yaml (Env: OS_CLOUD); without one, the OS_* "
            "environment says how, if it has OS_AUTH_URL; else no token is sent",
        )
        parser.add_argument(
            "--api-version",
            type=_microversion,
            metavar="VERSION",
            default=os.environ.get("MIGPROG_API_VERSION", "1"),
            help="microversion to speak (Env: MIGPROG_API_VERSION); default 1: the newest that "
            "both sides know",
        )
        return parser

    def configure_logging(self) -> None:
        super().configure_logging()
        if self.options.verbose_level <= self.DEFAULT_VERBOSE_LEVEL:
            for noisy in ("keystoneauth", "urllib3", "stevedore"):
                logging.getLogger(noisy).setLevel(logging.WARNING)

    def initialize_app(self, argv: list[str]) -> None:
        self.client_manager = _ClientManager(
            self.options.url, self.options.api_version, self.options.os_cloud
        )

    def clean_up(self, cmd: command.Command, result: int, err: BaseException | None) -> None:
        hint = self.client_manager.hint(err) if self.client_manager is not None else None
        if hint is not None:
            self.LOG.error(hint)

    def run(self, argv: list[str]) -> int:
        # Without a command cliff starts a shell of its own.
        status: int = super().run(argv or ["--help"])
        return 2 if self.interactive_mode else status

    def interact(self) -> None:
        """Options without a command: say what there is."""
        self.run_subcommand(["help"])


def _url(given: str) -> str:
    """Take what is the address of a host, with a port and a path perhaps."""
    if not _is_address(given):
        shown = re.sub(r"//[^/]*@", "//***@", given)
        raise argparse.ArgumentTypeError(
            f"{shown!r} must be an http or https URL such as {DEFAULT_URL}, without user, query "
            "and fragment"
        )
    return given


def _is_address(url: str) -> bool:
    try:
        parts = parse.urlsplit(url)
        # These raise for what is no port, and for labels that are empty or too long.
        port, _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        return False
    # A password there would be in every error; the paths of requests come after the address.
    more = (parts.username, parts.password, parts.query, parts.fragment)
    is_host = _HOST.fullmatch(parts.hostname or "") is not None
    return parts.scheme in ("http", "https") and is_host and port != 0 and not any(more)


def _microversion(given: str) -> str:
    try:
        api_requests.parse_microversion(given)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1: failed, with the reason on stderr; 2: bad arguments; others: see ``watch``."""
    return App().run(list(sys.argv[1:] if argv is None else argv))
