# SPDX-License-Identifier: Apache-2.0
"""No list reads a whole table, on either database: of many rows a page is read, and few more."""

import pytest

from migprog.tests import plans, stores

pytestmark = pytest.mark.functional

_COUNT = 20_000
# Those under way are looked at one by one; a page may be read once for each status and end.
_MOST_ROWS = 6 * _COUNT / plans.SHARE_UNDER_WAY + 20 * plans.LIMIT


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def store(request):
    server = request.getfixturevalue(f"{request.param}_server")
    store = stores.ready(server.new_database())
    plans.fill(store, _COUNT)
    yield store
    store.close()


@pytest.mark.parametrize("question", plans.questions(_COUNT))
def test_a_list_reads_no_whole_table(store, question):
    ask = plans.questions(_COUNT)[question]
    steps = plans.of(store, ask)
    whole = [str(s) for s in steps if s.how in plans.WHOLE and not s.table.startswith("<")]
    assert not whole, list(map(str, steps))
    assert plans.rows_read(store, ask) <= _MOST_ROWS, list(map(str, steps))
