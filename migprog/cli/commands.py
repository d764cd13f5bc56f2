# SPDX-License-Identifier: Apache-2.0
"""The commands, as mixins for cliff's: ``migprog`` and the OpenStackClient plug-in share them.

Each finds its :class:`Client` at ``app.client_manager.migration_progress``.
"""

import argparse
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from migprog.cli import columns, options, outcome, queries, screen, selection, text, watch
from migprog.cli.client import ADVICE_SINCE, MAX_PAGES, Client, Page
from migprog.cli.columns import Table
from migprog.cli.errors import ClientError
from migprog.cli.feed import Feed, HostFeed, PollingFeed, ServerFeed
from migprog.cli.outcome import Exit
from migprog.cli.state import State

LOG = logging.getLogger(__name__)


class Base:
    """What all have. ``app`` is cliff's."""

    app: Any

    @property
    def client(self) -> Client:
        found: Client = self.app.client_manager.migration_progress
        return found

    def project_id(self, given: argparse.Namespace) -> str | None:
        """Return the id of the project that is given."""
        project: str | None = given.project
        return project


class List(Base):
    """List migrations, by default those in progress."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_scope(parser)
        options.add_filters(parser)
        options.add_order(parser)
        return parser

    def take_action(self, given: argparse.Namespace) -> Table:
        query = options.scope(given, self.project_id(given)) | self._query(given)
        in_progress_only = query.get("in_progress") == "true"
        key, direction = given.sort or ("trouble" if in_progress_only else "created_at", None)
        page = self._read(query, key, direction, given.limit)
        found: Sequence[Any] = page.records
        if key in queries.SORT_KEYS:
            found = queries.in_order(found, key, direction)
        if page.truncated and (given.limit is None or len(found) < given.limit):
            LOG.warning("there are more: --marker %s shows those after", page.records[-1]["uuid"])
        shown = columns.MIGRATIONS | columns.LONG if given.long else columns.MIGRATIONS
        return columns.table(shown, found[: given.limit], self.client.now())

    def _query(self, given: argparse.Namespace) -> dict[str, Any]:
        query = options.only_given(
            {
                "status": given.status,
                "verdict": given.verdict,
                "changed_since": given.changed_since,
                "marker": given.marker,
            }
        )
        if given.server is not None:
            query["server_uuid"] = selection.server_uuid(self.client, given.server)
        if given.ended:
            query["in_progress"] = "false"
        elif not given.all and not {"status", "changed_since"} & query.keys():
            query["in_progress"] = "false" if given.verdict == "ended" else "true"
        return query

    def _read(
        self, query: Mapping[str, Any], key: str, direction: str | None, limit: int | None
    ) -> Page:
        asked = dict(query)
        if key in queries.API_SORT_KEYS:
            asked |= {"sort_key": key, "sort_dir": direction or "desc"}
            if limit is not None:
                asked["limit"] = limit
            return self.client.migrations(asked)
        # To be sorted here: as many as can be read.
        return self.client.migrations(asked, MAX_PAGES)


class Show(Base):
    """Show a migration of a server, by default the newest."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_server(parser)
        return parser

    def take_action(self, given: argparse.Namespace) -> Any:
        return columns.fields(selection.migration(self.client, given.server, given.migration))


class History(Base):
    """Show how a migration of a server went, by default the newest: at most 128 points."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_server(parser)
        parser.add_argument("--long", action="store_true", help="show more columns")
        return parser

    def take_action(self, given: argparse.Namespace) -> Table:
        found = selection.migration(self.client, given.server, given.migration)
        points = self.client.history(found["server_uuid"], found["uuid"])
        shown = columns.POINTS | columns.POINTS_LONG if given.long else columns.POINTS
        return columns.table(shown, points, self.client.now())


class Advice(Base):
    """Show what steering advises for a server's migration, or for all those in progress."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_server(parser, nargs="?")
        return parser

    def take_action(self, given: argparse.Namespace) -> Table:
        if given.server is None:
            found = self.client.in_progress({}).records
        else:
            found = (selection.migration(self.client, given.server, given.migration),)
        if self.client.microversion < ADVICE_SINCE:
            major, minor = self.client.microversion
            raise ClientError(
                f"the API shows no advice in microversion {major}.{minor}; it needs "
                f"{ADVICE_SINCE[0]}.{ADVICE_SINCE[1]}"
            )
        entries = queries.with_advice(found)
        servers = {name: columns.MIGRATIONS[name] for name in ("Server UUID", "Server")}
        shown = {**servers, **columns.ADVICE} if given.server is None else columns.ADVICE
        return columns.table(shown, entries, self.client.now())


class _Following(Base):
    """What watches until something has come about."""

    def follow(
        self, given: argparse.Namespace, feed: Feed, scope: str, decide: watch.Decide
    ) -> Exit:
        stdout = self.app.stdout
        shown = given.format or ("live" if stdout.isatty() else "lines")
        with contextlib.ExitStack() as stack:
            where: screen.Screen = screen.Lines(stdout, shown == "json")
            if shown == "live":
                where = stack.enter_context(screen.live(scope, stdout))
            return watch.follow(feed, where, self.client.now, decide)

    def say(self, message: str) -> None:
        """Tell people how it ended, beside what programs read."""
        self.app.stderr.write(text.printable(message) + "\n")

    @staticmethod
    def is_over(given: argparse.Namespace, seconds: float) -> bool:
        return given.timeout is not None and seconds >= given.timeout


class Watch(_Following):
    """Watch migrations in progress: those in trouble first, with what to do."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_scope(parser)
        parser.add_argument(
            "server", metavar="<server>", nargs="?", help="only of this server, UUID or name"
        )
        options.add_watch(parser)
        options.add_until_done(parser)
        return parser

    def take_action(self, given: argparse.Namespace) -> int:
        if given.until_done:
            return self._until_done(given)
        query = options.scope(given, self.project_id(given))
        if given.server is not None:
            query["server_uuid"] = selection.server_uuid(self.client, given.server)
        feed = PollingFeed(self.client, query, given.interval)

        def decide(_state: State, seconds: float) -> Exit | None:
            return Exit.TIMEOUT if self.is_over(given, seconds) else None

        return self.follow(given, feed, queries.describe(query), decide)

    def _until_done(self, given: argparse.Namespace) -> int:
        if given.server is None:
            raise ClientError("--until-done needs a server")
        server = selection.server_uuid(self.client, given.server)
        feed = ServerFeed(self.client, server, given.migration, given.interval)

        def decide(state: State, seconds: float) -> Exit | None:
            for each in state.ended:
                return outcome.of(each)
            if self.is_over(given, seconds):
                return Exit.TIMEOUT
            is_waiting = not state.records and feed.id_or_uuid is None and state.outage is None
            if is_waiting and seconds >= given.start_timeout:
                return Exit.NONE_STARTED
            return None

        code = self.follow(given, feed, f"server {server}", decide)
        said = {
            Exit.TIMEOUT: "has not ended in time",
            Exit.NONE_STARTED: "has not begun in time",
        }.get(code, f"has ended: {code.name.lower()}")
        self.say(f"the migration of server {server} {said}")
        return code


class WaitHost(_Following):
    """Wait until no migration touches a host.

    Exit status 0: none does; 5: none is known, but the host's agent is silent; 6: --timeout.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        parser.add_argument("host", metavar="<host>", help="a compute host, by its Nova name")
        options.add_watch(parser)
        options.add_timeout(parser)
        return parser

    def take_action(self, given: argparse.Namespace) -> int:
        # An unknown host is a wrong name, not a host without migrations: this raises for it.
        self.client.drain(given.host)
        feed = HostFeed(self.client, given.host, given.interval)

        def decide(state: State, seconds: float) -> Exit | None:
            if state.outage is None and not state.records and feed.is_silent is not None:
                return Exit.UNKNOWN if feed.is_silent else Exit.COMPLETED
            return Exit.TIMEOUT if self.is_over(given, seconds) else None

        code = self.follow(given, feed, f"host {given.host}", decide)
        said = {
            Exit.TIMEOUT: "migrations still touch host {}, or the API does not answer",
            Exit.UNKNOWN: "no migration of host {} is known, but its agent is silent",
        }.get(code, "no migration touches host {}")
        self.say(said.format(given.host))
        return code
