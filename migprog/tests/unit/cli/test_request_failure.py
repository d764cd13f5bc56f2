# SPDX-License-Identifier: Apache-2.0
"""Failures of requests, as libraries nest them, in a line."""

import socket

import pytest
import requests
from keystoneauth1 import exceptions
from urllib3 import exceptions as urllib3_exceptions

from migprog.cli import request_failure

_WHAT = "Unable to establish connection to http://api/migrations"


def failed(first: Exception) -> Exception:
    """As keystoneauth, requests and urllib3 raise what is due to ``first``."""
    try:
        try:
            try:
                raise urllib3_exceptions.MaxRetryError(None, "/migrations", first) from first
            except urllib3_exceptions.MaxRetryError as error:
                raise requests.ConnectionError(error) from None
        except requests.ConnectionError as error:
            raise exceptions.ConnectFailure(f"{_WHAT}: {error}")  # noqa: B904
    except exceptions.ConnectFailure as error:
        return error


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ConnectionResetError("Remote end closed"), "Remote end closed"),
    ],
)
def test_first_cause_is_said(first: Exception, why: str) -> None:
    assert request_failure.reason(failed(first)) == f"{_WHAT}: {why}"


def test_failure_without_a_cause_is_said_as_it_is() -> None:
    assert request_failure.reason(TimeoutError("no answer: 3 s")) == "no answer: 3 s"
    assert request_failure.reason(ValueError("a\x1b[2J")) == "a?[2J"


def test_causes_in_a_circle_end() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert request_failure.reason(one)
