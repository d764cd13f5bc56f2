# SPDX-License-Identifier: Apache-2.0
"""No list reads a whole table, on either database: of many rows a page is read, and few more.

The large tenant has the older half, and what is asked for is often all of long ago
(:func:`plans.fill`): a list that goes from the newest on until it has found enough is found out.
"""

import functools

import pytest

from migprog import exception, objects
from migprog.db import migration_list
from migprog.tests import plans, stores

pytestmark = pytest.mark.functional

_COUNT = 20_000
# Those under way are looked at one by one; a page may be read once for each status and end.
_MOST_ROWS = 6 * _COUNT / plans.SHARE_UNDER_WAY + 20 * plans.LIMIT
# Of those that changed at some time, all are looked at in an index, and so many in their order.
_MAX_SORTED = 500
_MOST_CHANGED = 2 * _COUNT + 10 * _MAX_SORTED


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def store(request):
    server = request.getfixturevalue(f"{request.param}_server")
    store = stores.ready(server.new_database())
    plans.fill(store, _COUNT)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def max_sorted(monkeypatch):
    monkeypatch.setattr(migration_list, "MAX_SORTED", _MAX_SORTED)


@pytest.mark.parametrize("question", plans.questions(_COUNT))
def test_a_list_reads_no_whole_table(store, question):
    ask = plans.questions(_COUNT)[question]
    steps = plans.of(store, ask)
    whole = [str(s) for s in steps if s.how in plans.WHOLE and not s.table.startswith("<")]
    assert not whole, list(map(str, steps))
    most = _MOST_CHANGED if "changed" in question else _MOST_ROWS
    assert plans.rows_read(store, ask) <= most, list(map(str, steps))


@pytest.fixture
def is_long(pytestconfig):
    return pytestconfig.getoption("--long")


@pytest.fixture
def combinations(is_long, of_the_day):
    """All of them with ``--long``; else every fourth, others each day."""
    every = list(plans.combinations(_COUNT))
    return every if is_long else of_the_day.sample(every, len(every) // 4)


def _listed(asked, store):
    return objects.Migration.list(store, limit=plans.LIMIT, **asked)


@pytest.mark.parametrize("sort_key", migration_list.SORT_KEYS)
@pytest.mark.parametrize("project", [plans.LARGE, "nobody", None])
def test_every_combination_of_filters_is_served_by_an_index_or_refused(
    store, combinations, is_long, project, sort_key
):
    served, refused, costly = 0, 0, []
    for asked in combinations:
        if (asked.get("project_id"), asked["sort_key"]) != (project, sort_key):
            continue
        try:
            rows = plans.rows_read(store, functools.partial(_listed, asked))
        except exception.NotTogether:
            refused += 1
            continue
        served += 1
        by_change = asked.keys() & {"changed_since", "changed_before"}
        if rows > (_MOST_CHANGED if by_change else _MOST_ROWS):
            costly.append((rows, asked))
    assert not costly, sorted(costly, key=lambda each: -each[0])[:5]
    # Of a sample it may be less.
    assert served > refused / (3 if is_long else 6) > 0


def test_lists_by_two_indexes_are_the_same(store, combinations, monkeypatch):
    """Of many changed migrations a page is looked for in the list's order first."""
    for project in (plans.LARGE, None):
        for asked in combinations:
            if asked.get("project_id") != project or not (
                asked.keys() & {"changed_since", "changed_before"}
            ):
                continue
            try:
                monkeypatch.setattr(migration_list, "MAX_SORTED", 50)
                in_order = objects.ResourceVersion.list(store, limit=30, **asked)
            except exception.NotTogether:
                continue
            monkeypatch.setattr(migration_list, "MAX_SORTED", 10**9)
            assert in_order == objects.ResourceVersion.list(store, limit=30, **asked), asked
