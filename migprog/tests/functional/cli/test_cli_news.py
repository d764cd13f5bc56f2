# SPDX-License-Identifier: Apache-2.0
"""What follows a list by its news, from a real ``migprog-api`` that parks requests."""

import pytest
from keystoneauth1 import adapter, noauth, session

from migprog import objects
from migprog.cli.client import Client
from migprog.cli.feed import ListFeed
from migprog.core.status import Status
from migprog.tests.fixtures import migrations

pytestmark = pytest.mark.functional


def test_list_is_followed_by_its_news(api: str, store: objects.Store) -> None:
    one, two = migrations.fill(store, 2)
    client = Client(adapter.Adapter(session.Session(auth=noauth.NoAuth()), endpoint_override=api))
    feed = ListFeed(client, {}, 0.0)
    first = feed.next()
    assert {each["uuid"] for each in first.records.values()} == {one.uuid, two.uuid}
    assert feed._cursor is not None, "it does not poll"
    migrations.store(store, migrations.ended(one, status=Status.COMPLETED))
    second = feed.next()
    assert [(each["uuid"], each["status"]) for each in second.ended] == [(one.uuid, "completed")]
    assert [each["uuid"] for each in second.records.values()] == [two.uuid]
    assert not second.removed
