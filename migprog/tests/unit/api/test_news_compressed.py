# SPDX-License-Identifier: Apache-2.0
"""News of lists, compressed for who understands that."""

import gzip
import json
from collections.abc import Iterator

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.api.error_codes import ErrorCode
from migprog.tests import stores
from migprog.tests.unit.api.conftest import client_of, configuration, error_of
from migprog.tests.unit.api.test_list_watchers import LONG, ByHand, ask, told

_GZIP = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture
def watched(store: objects.Store, connection: str) -> Iterator[testing.TestClient]:
    """A client of an API that watches a list of 30, and lets none wait."""
    stores.store(store, *(stores.report() for _ in range(30)))
    news = ByHand(store)
    conf = configuration(connection, max_long_polls=0)
    yield client_of(app.create(conf, store, news=news))
    news.stop()


def test_answer_is_compressed_for_who_understands_that(watched: testing.TestClient) -> None:
    plain, packed = ask(watched, "&wait=0"), ask(watched, "&wait=0", **_GZIP)
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.content)) == plain.json
    assert len(packed.content) < len(plain.content) / 4
    nothing = ask(watched, f"&wait=0&since={plain.json['cursor']}", **_GZIP)
    assert json.loads(gzip.decompress(nothing.content))["migrations"] == []


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br", ""])
def test_answer_is_plain_for_who_does_not_understand_gzip(
    watched: testing.TestClient, accepted: str
) -> None:
    answer = ask(watched, "&wait=0", **{"Accept-Encoding": accepted})
    assert "content-encoding" not in answer.headers
    assert len(answer.json["migrations"]) == 30


def test_refusal_is_not_said_to_be_compressed(watched: testing.TestClient) -> None:
    cursor = told(watched, "&wait=0")["cursor"]
    answer = ask(watched, f"&wait={LONG}&since={cursor}", **_GZIP)
    error = error_of(answer, ErrorCode.TOO_MANY_LONG_POLLS)
    assert "content-encoding" not in answer.headers
    assert "[api] max_long_polls" in error["detail"]
