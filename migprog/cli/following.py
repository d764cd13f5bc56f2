# SPDX-License-Identifier: Apache-2.0
"""The commands that follow migrations, as mixins for cliff's: ``watch`` and ``wait-host``."""

import argparse
import contextlib

from migprog.cli import (
    api_requests,
    exit_status,
    feed,
    host_wait,
    migration_lookup,
    options,
    post_mortem,
    queries,
    screen,
    watch,
)
from migprog.cli.client import Client
from migprog.cli.commands import Base
from migprog.cli.errors import ClientError
from migprog.cli.exit_status import Exit
from migprog.cli.feed import Feed, HostFeed, ListFeed, ServerFeed
from migprog.cli.state import State

# Deadline for the summary at the end of a wait, which is only shown.
_SUMMARY_SECONDS = 5.0


class _Following(Base):
    """Base of commands that follow migrations until a condition holds."""

    _patient: Client | None = None

    def follow(
        self, given: argparse.Namespace, news: Feed, scope: str, decide: watch.Decide
    ) -> Exit:
        stdout = self.app.stdout
        shown = given.format or ("live" if stdout.isatty() else "lines")
        with contextlib.ExitStack() as stack:
            where: screen.Screen = screen.Lines(stdout, shown == "json")
            if shown == "live":
                where = stack.enter_context(screen.live(scope, stdout))
            return watch.follow(news, where, self.patient(given).now, decide)

    def patient(self, given: argparse.Namespace) -> Client:
        """Return the client to follow with: it gives an API that hangs up when the command would
        time out, or, where it waits for news, a little later."""
        if self._patient is None:
            seconds = max(given.timeout or 0.0, feed.LONGEST_ANSWER_SECONDS)
            is_sooner = given.timeout is not None and seconds < api_requests.DEADLINE_SECONDS
            self._patient = self.client.within(seconds) if is_sooner else self.client
        return self._patient

    @staticmethod
    def is_over(given: argparse.Namespace, seconds: float) -> bool:
        return given.timeout is not None and seconds >= given.timeout


class Watch(_Following):
    """Watch migrations in progress: those in trouble first, with what to do."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_scope(parser)
        parser.add_argument(
            "server",
            type=options.name,
            metavar="<server>",
            nargs="?",
            help="only of this server, UUID or name",
        )
        options.add_watch(parser)
        options.add_until_done(parser)
        return parser

    def take_action(self, given: argparse.Namespace) -> int:
        if given.until_done:
            return self._until_done(given)
        if given.migration is not None:
            raise ClientError("--migration needs --until-done")
        client = self.patient(given)
        query = options.scope(given, self.project_id(given))
        if given.server is not None:
            query["server_uuid"] = migration_lookup.server_uuid(client, given.server)
        news = ListFeed(client, query, given.interval)

        def decide(_state: State, seconds: float) -> Exit | None:
            return Exit.TIMEOUT if self.is_over(given, seconds) else None

        return self.follow(given, news, queries.describe(query), decide)

    def _until_done(self, given: argparse.Namespace) -> int:
        if given.server is None:
            raise ClientError("--until-done needs a server")
        if given.host is not None or given.project is not None:
            raise ClientError("--until-done is of one server: it takes no --host and no --project")
        client = self.patient(given)
        server = migration_lookup.server_uuid(client, given.server)
        news = ServerFeed(client, server, given.migration, given.interval)

        def decide(state: State, seconds: float) -> Exit | None:
            for each in state.ended:
                return exit_status.of(each)
            if self.is_over(given, seconds):
                return Exit.TIMEOUT
            is_waiting = not state.records and news.id_or_uuid is None and state.outage is None
            if is_waiting and seconds >= given.start_timeout:
                return Exit.NONE_STARTED
            return None

        code = self.follow(given, news, f"server {server}", decide)
        said = {
            Exit.TIMEOUT: "has not ended in time",
            Exit.NONE_STARTED: "has not begun in time",
        }.get(code, f"has ended: {code.name.lower()}")
        self.say(f"the migration of server {server} {said}")
        if code in exit_status.ENDED and given.format != "json":
            self._say_summary(server, news.id_or_uuid)
        return code

    def _say_summary(self, server: str, id_or_uuid: str | None) -> None:
        """Tell people in a few lines how it went; what a script waits for is over already."""
        client = self.client.within(_SUMMARY_SECONDS)
        with contextlib.suppress(ClientError):
            for line in post_mortem.lines(server, client.summary(server, id_or_uuid or "")):
                self.say(line)


class WaitHost(_Following):
    """Wait until no migration touches a host.

    Exit status 0: none does; 5: none is known, but the host's agent is silent; 6: --timeout. A
    migration whose host does not report any more may still run: it is waited for, until --timeout.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        parser.add_argument(
            "host", type=options.name, metavar="<host>", help="a compute host, by its Nova name"
        )
        options.add_watch(parser)
        options.add_timeout(parser)
        return parser

    def take_action(self, given: argparse.Namespace) -> int:
        # An unknown host is a wrong name, not a host without migrations: this raises for it.
        client = self.patient(given)
        client.drain(given.host)
        news = HostFeed(client, given.host, given.interval)
        # What was known last.
        states: list[State] = []

        def decide(state: State, seconds: float) -> Exit | None:
            states[:] = [state]
            if state.outage is None and not state.records and news.is_silent is not None:
                return Exit.UNKNOWN if news.is_silent else Exit.COMPLETED
            return Exit.TIMEOUT if self.is_over(given, seconds) else None

        code = self.follow(given, news, f"host {given.host}", decide)
        self.say(host_wait.sentence(code, given.host, states[-1], client.now()))
        return code
