# SPDX-License-Identifier: Apache-2.0
"""Ask for the forecast of a migration that has not begun, and wait while its server is measured."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from migprog import SERVICE_TYPE
from migprog.cli import measurement_wait
from migprog.cli.client import Client
from migprog.cli.errors import ApiRefused

Forecast = dict[str, Any]
# What people are shown first; the rest is with --long.
_SAID = (
    *("server_uuid", "server_name", "host", "dest_compute", "block_migration", "auto_converge"),
    *("converges", "message"),
    *("total_seconds", "low_seconds", "high_seconds"),
    *("downtime_needed_seconds", "bandwidth_needed_bytes_per_second", "helps"),
)


# What to do about an error, by the API's code of it.
_REMEDIES = {
    f"{SERVICE_TYPE}.server-not-found": "use --host HOST, with --measure",
    f"{SERVICE_TYPE}.not-measured": "use --measure, which [api] and [compute] allow_measurements "
    "permit",
}


def ask(
    client: Client,
    server_uuid: str,
    asked: Mapping[str, Any],
    say: Callable[[str], None],
    timeout_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Forecast:
    """Return the forecast of a server, once it has been measured if ``asked`` says so.

    Raises :class:`errors.ClientError` if that takes longer than ``timeout_seconds``.
    """
    try:
        return measurement_wait.wait(
            client,
            lambda: client.forecast(server_uuid, asked),
            (f"server {server_uuid} has", "it"),
            lambda: say(measurement_wait.of_server(server_uuid)),
            *(timeout_seconds, sleep, clock),
        )
    except ApiRefused as error:
        remedy = _REMEDIES.get(error.code or "")
        if remedy is None:
            raise
        raise ApiRefused(f"{error}: {remedy}", error.status, error.code) from error


def shown(forecast: Forecast, is_long: bool) -> Forecast:
    """Return a forecast as people are shown it."""
    measurement, rate = forecast["measurement"], forecast["transfer_rate"]
    said = {name: forecast[name] for name in _SAID if name in forecast}
    said["measured_at"] = measurement["measured_at"]
    said["learned_from"] = f"{rate['migrations']} migrations ({rate['source']})"
    failure = forecast.get("failure")
    if failure is not None:
        said["not_measured_since"] = failure["message"]
    if is_long:
        said |= {"measurement": measurement, "transfer_rate": rate}
    return said
