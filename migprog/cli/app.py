# SPDX-License-Identifier: Apache-2.0
"""``migprog``: the same commands as ``openstack migration progress``, without OpenStackClient.

It sends no token: it is for an API that needs none, as that of ``migprog-standalone``.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any
from urllib import parse

from cliff import app, command, commandmanager, lister, show
from keystoneauth1 import adapter, noauth
from keystoneauth1 import session as keystone_session

from migprog.cli import client, commands
from migprog.version import RELEASE

DEFAULT_URL = "http://127.0.0.1:8790"


class List(commands.List, lister.Lister):
    __doc__ = commands.List.__doc__


class Show(commands.Show, show.ShowOne):
    __doc__ = commands.Show.__doc__


class History(commands.History, lister.Lister):
    __doc__ = commands.History.__doc__


class Advice(commands.Advice, lister.Lister):
    __doc__ = commands.Advice.__doc__


class Watch(commands.Watch, command.Command):
    __doc__ = commands.Watch.__doc__


class WaitHost(commands.WaitHost, command.Command):
    __doc__ = commands.WaitHost.__doc__


COMMANDS: dict[str, type[command.Command]] = {
    "list": List,
    "show": Show,
    "history": History,
    "advice": Advice,
    "watch": Watch,
    "wait-host": WaitHost,
}


class _ClientManager:
    """As OpenStackClient's: ``migration_progress`` is the client."""

    def __init__(self, url: str, microversion: str) -> None:
        session = keystone_session.Session(
            auth=noauth.NoAuth(endpoint=url), app_name="migprog", app_version=RELEASE
        )
        api = adapter.Adapter(session, endpoint_override=url.rstrip("/"))
        self.migration_progress = client.Client(api, client.parse_microversion(microversion))


class App(app.App):
    NAME = "migprog"

    def __init__(self) -> None:
        manager = commandmanager.CommandManager("migprog.cli")
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
            default=os.environ.get("MIGPROG_URL", DEFAULT_URL),
            help="address of the API (Env: MIGPROG_URL); default %(default)s",
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
        self.client_manager = _ClientManager(self.options.url, self.options.api_version)

    def run(self, argv: list[str]) -> int:
        # Without a command cliff starts a shell of its own.
        status: int = super().run(argv or ["--help"])
        return status


def _url(given: str) -> str:
    parts = parse.urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{given!r} must be an http or https URL")
    return given


def _microversion(given: str) -> str:
    try:
        client.parse_microversion(given)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1: failed, with the reason on stderr; 2: bad arguments; others: see ``watch``."""
    return App().run(list(sys.argv[1:] if argv is None else argv))
