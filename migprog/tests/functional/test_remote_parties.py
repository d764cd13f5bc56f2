# SPDX-License-Identifier: Apache-2.0
"""The table of remote parties: each cell is provoked, and the documentation has what came of it."""

import inspect
import time

import pytest

from migprog.tests.functional import remote_parties
from migprog.tests.functional.remote_parties import CELLS, SHORT, SLACK_SECONDS

pytestmark = pytest.mark.functional

_OF_DATABASES = [each for each in CELLS if inspect.signature(each.provoke).parameters]
_OTHERS = [each for each in CELLS if each not in _OF_DATABASES]


def within_its_time(each, *arguments):
    begun = time.monotonic()
    each.provoke(*arguments)
    assert time.monotonic() - begun <= 2 * each.within(SHORT) + SLACK_SECONDS


@pytest.mark.parametrize("each", _OF_DATABASES, ids=lambda each: each.name)
@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_what_a_database_does_to_a_process_ends_in_time(request, kind, each):
    server = request.getfixturevalue(f"{kind}_server")
    with remote_parties.database(server) as database:
        within_its_time(each, database)


@pytest.mark.parametrize("each", _OTHERS, ids=lambda each: each.name)
def test_what_a_party_does_to_a_process_ends_in_time(each):
    within_its_time(each)


def test_the_documentation_has_the_table():
    assert remote_parties.CSV.read_text() == remote_parties.rendered(), (
        "to write it anew: python -m migprog.tests.functional.remote_parties"
    )
