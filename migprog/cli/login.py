# SPDX-License-Identifier: Apache-2.0
"""Log in at Keystone as OpenStackClient does: by ``clouds.yaml`` or the ``OS_*`` environment."""

import os

from migprog import SERVICE_TYPE
from migprog.cli import client, text
from migprog.cli.errors import ClientError
from migprog.version import RELEASE


def is_asked(cloud: str | None) -> bool:
    """Return whether a cloud is named, or the environment has a Keystone to log in at."""
    return bool(cloud or os.environ.get("OS_AUTH_URL"))


def logged_in(
    cloud: str | None, url: str | None, microversion: tuple[int, int] | None
) -> client.Client:
    """Return a client that sends a token; it logs in with its first request.

    ``url``: the API's address; None: as ``clouds.yaml`` or else Keystone's catalog has it. Raises
    :class:`ClientError`.
    """
    try:
        from keystoneauth1 import adapter
        from openstack import config, exceptions
    except ImportError as error:
        raise ClientError(
            f"logging in needs openstacksdk, which cannot be loaded ({error}); install it with: "
            "pip install 'migprog[cli]'"
        ) from None
    try:
        loader = config.OpenStackConfig(app_name="migprog", app_version=RELEASE)
        region = loader.get_one(cloud=cloud)
        url = url or region.get_endpoint(SERVICE_TYPE)
        api = adapter.Adapter(
            region.get_session(),
            service_type=SERVICE_TYPE,
            interface=region.get_interface(SERVICE_TYPE),
            region_name=region.get_region_name(SERVICE_TYPE),
            endpoint_override=url and url.rstrip("/"),
        )
    except exceptions.SDKException as error:
        raise ClientError(text.printable(error)) from error
    return client.Client(api, microversion)
