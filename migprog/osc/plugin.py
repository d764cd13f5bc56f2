# SPDX-License-Identifier: Apache-2.0
"""What OpenStackClient asks of a plug-in (``openstack.cli.extension``)."""

import argparse
import os
from typing import Any

from keystoneauth1 import adapter
from osc_lib import utils

from migprog import SERVICE_TYPE
from migprog.cli import api_requests, client

DEFAULT_API_VERSION = "1"
API_VERSION_OPTION = "os_migration_progress_api_version"
API_NAME = "migration_progress"
API_VERSIONS = ("1",)
_ENDPOINT_OVERRIDE = "OS_MIGRATION_PROGRESS_ENDPOINT_OVERRIDE"


def make_client(instance: Any) -> client.Client:
    """Return a client for OpenStackClient's client manager."""
    # As clouds.yaml has it; an environment that names a cloud besides has it read from there alone.
    endpoint = os.environ.get(_ENDPOINT_OVERRIDE) or instance.sdk_connection.config.get_endpoint(
        SERVICE_TYPE
    )
    api = adapter.Adapter(
        instance.session,
        service_type=SERVICE_TYPE,
        region_name=instance.region_name,
        interface=instance.interface,
        endpoint_override=endpoint.rstrip("/") if endpoint else None,
    )
    return client.Client(api, api_requests.parse_microversion(instance._api_version[API_NAME]))


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the global option."""
    parser.add_argument(
        "--os-migration-progress-api-version",
        metavar="<migration-progress-api-version>",
        default=utils.env("OS_MIGRATION_PROGRESS_API_VERSION"),
        help="Migration progress API version, 1 for the newest microversion that both sides know, "
        f"default={DEFAULT_API_VERSION} (Env: OS_MIGRATION_PROGRESS_API_VERSION)",
    )
    return parser


def check_api_version(given: str) -> bool:
    """Return whether OpenStackClient need not look at a version itself. Raises
    :class:`ValueError`."""
    api_requests.parse_microversion(given)
    return True
