# SPDX-License-Identifier: Apache-2.0
"""Requests of other processes to the supervisor: one line of JSON each way."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAME = "control"
_SECONDS = 900.0
Commands = dict[str, Callable[..., Any]]


class ControlError(RuntimeError):
    """The supervisor failed; the message is its own."""


def listen(state: Path) -> socket.socket:
    """The supervisor's end."""
    path = state / NAME
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def serve_one(listener: socket.socket, commands: Commands) -> bool:
    """Carry out the next request, in this thread; False if that was ``down``."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rw") as stream:
        line = stream.readline()
        if not line:
            return True
        verb, arguments = json.loads(line)
        try:
            answer = {"ok": None if verb == "down" else commands[verb](**arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        try:
            print(json.dumps(answer), file=stream, flush=True)
        except OSError:
            return True  # who asked has gone
    return verb != "down"


def ask(state: Path, verb: str, /, **arguments: Any) -> Any:
    """Send the supervisor a request, and wait for its answer.

    Raises :class:`ControlError`, and :class:`OSError` when there is no supervisor.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(str(state / NAME))
        with connection.makefile("rw") as stream:
            print(json.dumps([verb, arguments]), file=stream, flush=True)
            line = stream.readline()
    if not line:
        raise ControlError(f"{verb}: the supervisor has ended")
    answer = json.loads(line)
    if "error" in answer:
        raise ControlError(f"{verb}: {answer['error']}")
    return answer["ok"]
