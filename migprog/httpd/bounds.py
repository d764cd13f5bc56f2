# SPDX-License-Identifier: Apache-2.0
"""Limits for clients: how many connections there may be, and how long a client may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits for clients.

    ``request_seconds``: to send a request, counted from the connection or the request's first
    byte. ``answer_seconds``: to read a response. ``idle_seconds``: between two requests of a
    connection.
    """

    request_seconds: float = 10.0
    answer_seconds: float = 60.0
    idle_seconds: float = 30.0
    connections: int = 500
    connections_per_client: int = 250
