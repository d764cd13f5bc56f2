# SPDX-License-Identifier: Apache-2.0
"""The commands that answer and end, as mixins for cliff's: ``migprog`` and the OpenStackClient
plug-in share them. :mod:`migprog.cli.following` has those that go on.

Each finds its :class:`Client` at ``app.client_manager.migration_progress``.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from migprog.cli import (
    columns,
    forecast,
    migration_lookup,
    options,
    post_mortem,
    queries,
    text,
)
from migprog.cli.client import ADVICE_SINCE, MAX_PAGES, Client, Page
from migprog.cli.columns import Table

LOG = logging.getLogger(__name__)


class Base:
    """What all have. ``app`` is cliff's."""

    app: Any

    @property
    def client(self) -> Client:
        found: Client = self.app.client_manager.migration_progress
        return found

    def say(self, message: str) -> None:
        """Print a sentence for people, beside what programs read."""
        self.app.stderr.write(text.printable(message) + "\n")

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
            query["server_uuid"] = migration_lookup.server_uuid(self.client, given.server)
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
        return columns.fields(
            migration_lookup.migration(self.client, given.server, given.migration)
        )


class History(Base):
    """Show how a migration of a server went, by default the newest: at most 192 points."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_server(parser)
        parser.add_argument("--long", action="store_true", help="show more columns")
        return parser

    def take_action(self, given: argparse.Namespace) -> Table:
        found = migration_lookup.migration(self.client, given.server, given.migration)
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
            found = (migration_lookup.migration(self.client, given.server, given.migration),)
        self.client.check_microversion(ADVICE_SINCE, "advice")
        entries = queries.with_advice(found)
        servers = {name: columns.MIGRATIONS[name] for name in ("Server UUID", "Server")}
        shown = {**servers, **columns.ADVICE} if given.server is None else columns.ADVICE
        return columns.table(shown, entries, self.client.now())


class Summary(Base):
    """Show in hindsight how a migration went, by default the newest: where the time went, what
    would have helped, how good the forecasts were, who did what."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_server(parser)
        parser.add_argument("--long", action="store_true", help="show all figures, too")
        return parser

    def take_action(self, given: argparse.Namespace) -> Any:
        found = migration_lookup.migration(self.client, given.server, given.migration)
        summary = self.client.summary(found["server_uuid"], found["uuid"])
        return columns.fields(summary if given.long else post_mortem.sentences(summary))


class Forecast(Base):
    """Forecast a migration of a server that has not begun: whether it converges, how long it
    takes, what it needs."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_forecast(parser)
        return parser

    def take_action(self, given: argparse.Namespace) -> Any:
        server = migration_lookup.server_uuid(self.client, given.server)
        asked = options.only_given({"dest_compute": given.dest, "host": given.host})
        for name in ("block_migration", "auto_converge", "measure"):
            asked[name] = getattr(given, name)
        found = forecast.ask(self.client, server, asked, self.say, given.timeout)
        return columns.fields(forecast.shown(found, given.long))
