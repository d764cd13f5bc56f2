# SPDX-License-Identifier: Apache-2.0
"""What clients find before they have a token."""

import pytest
from falcon import testing

from migprog.tests.unit.api.nova.conftest import Ask, V


@pytest.mark.parametrize("path", ["", "/"])
@pytest.mark.parametrize("version", [None, "2.1", "2.80", "latest"])
def test_discovery(ask: Ask, path: str, version: str | None) -> None:
    answer = ask(path, version, host="localhost:8774")
    assert answer.status_code == 200
    assert answer.json == {
        "version": {
            "id": "v2.1",
            "status": "CURRENT",
            "version": "2.104",
            "min_version": "2.1",
            "updated": "2013-07-23T11:33:21Z",
            "links": [{"rel": "self", "href": "http://localhost:8774/v2.1/"}],
            "media-types": [
                {
                    "base": "application/json",
                    "type": "application/vnd.openstack.compute+json;version=2.1",
                }
            ],
        }
    }


def test_list_of_apis_agrees_with_discovery(client: testing.TestClient) -> None:
    entries = {each["id"]: each for each in client.simulate_get("/").json["versions"]}
    assert set(entries) == {"v1", "v2.1"}
    (link,) = entries["v2.1"]["links"]
    shown = client.simulate_get(link["href"].removeprefix("http://localhost"))
    assert link["href"].endswith(f"{V}/")
    detail = shown.json["version"]
    assert {key: detail[key] for key in entries["v2.1"]} == entries["v2.1"]
