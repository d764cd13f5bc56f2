# SPDX-License-Identifier: Apache-2.0
"""``openstack migration progress``: the commands, by osc-lib's classes."""

import argparse

from openstack import exceptions
from osc_lib.command import command

from migprog.cli import commands, following, plan_command


class _Projects(commands.Base):
    """Projects may be given by their names, too."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        parser.add_argument(
            "--project-domain",
            metavar="<project-domain>",
            help="domain of the project, name or ID, where several have one of that name",
        )
        return parser

    def project_id(self, given: argparse.Namespace) -> str | None:
        if given.project is None:
            return None
        identity = self.app.client_manager.sdk_connection.identity
        try:
            domain = {}
            if given.project_domain is not None:
                found = identity.find_domain(given.project_domain, ignore_missing=False)
                domain = {"domain_id": found.id}
            project = identity.find_project(given.project, ignore_missing=False, **domain)
        except exceptions.ForbiddenException:
            # Without permission to look up projects, take the text for an ID.
            return str(given.project)
        return str(project.id)


class ListMigrationProgress(_Projects, commands.List, command.Lister):
    __doc__ = commands.List.__doc__


class ShowMigrationProgress(commands.Show, command.ShowOne):
    __doc__ = commands.Show.__doc__


class ShowMigrationHistory(commands.History, command.Lister):
    __doc__ = commands.History.__doc__


class ShowMigrationAdvice(commands.Advice, command.Lister):
    __doc__ = commands.Advice.__doc__


class ShowMigrationSummary(commands.Summary, command.ShowOne):
    __doc__ = commands.Summary.__doc__


class ForecastMigration(commands.Forecast, command.ShowOne):
    __doc__ = commands.Forecast.__doc__


class PlanDrain(plan_command.Plan, command.Lister):
    __doc__ = plan_command.Plan.__doc__


class WatchMigrationProgress(_Projects, following.Watch, command.Command):
    __doc__ = following.Watch.__doc__


class WaitForHost(following.WaitHost, command.Command):
    __doc__ = following.WaitHost.__doc__
