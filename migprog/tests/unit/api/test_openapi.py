# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document is one, and has what the code has, no more and no less.

That answers are as it says is looked at with each answer of the other tests: see tests/answers.py.
"""

import inspect
import json
import re
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest
from falcon import testing

from migprog.api import app, openapi, response_schemas, schemas
from migprog.api.access import PUBLIC
from migprog.api.error_codes import ErrorCode
from migprog.api.nova import app as nova
from migprog.api.nova.resource import Resource as NovaResource
from migprog.tests import answers
from migprog.tests.unit.api.conftest import Fill, error_of

ROUTES: dict[str, Any] = dict([*app.ROUTES.items(), *nova.routes()])


def test_document_is_served_and_valid(client: testing.TestClient) -> None:
    served = client.simulate_get("/openapi.json").json
    openapi_spec_validator.validate(served, cls=openapi_spec_validator.OpenAPIV31SpecValidator)
    assert served == json.loads(json.dumps(answers.document()))


def test_document_has_every_route_and_method_and_no_others() -> None:
    asked = {
        (path, name.removeprefix("on_"))
        for path, resource in ROUTES.items()
        for name, _ in inspect.getmembers(resource, inspect.isfunction)
        if name.startswith("on_") and name != "on_head"
    }
    documented = {
        (path, method) for path, item in answers.document()["paths"].items() for method in item
    }
    assert documented == asked


@pytest.mark.parametrize("path", ROUTES)
def test_document_has_every_parameter_and_no_others(path: str) -> None:
    resource = ROUTES[path]
    for method, operation in answers.document()["paths"][path].items():
        of: dict[str, set[str]] = {place: set() for place in ("path", "query", "header")}
        for parameter in operation["parameters"]:
            of[parameter["in"]].add(parameter["name"])
        handler = inspect.signature(getattr(resource, f"on_{method}"))
        names = set(handler.parameters) - {"self", "req", "resp"}
        assert of["path"] - {"project_id"} == names
        assert of["path"] == set(re.findall(r"{(\w+)}", path))
        assert of["header"] == {"OpenStack-API-Version"}
        if method != "get":
            assert of["query"] == set()
        elif issubclass(resource, NovaResource):
            assert of["query"] == set(resource.QUERY.parameters)
        else:
            assert of["query"] == set(resource.QUERY(1000))


@pytest.mark.parametrize("path", ROUTES)
def test_document_says_which_operations_need_a_token_and_which_rule(path: str) -> None:
    for method, operation in answers.document()["paths"][path].items():
        rules = ROUTES[path].RULES
        assert (operation["security"] == []) is (rules is PUBLIC)
        assert ("401" in operation["responses"]) is (rules is not PUBLIC)
        if rules:
            assert operation["description"] == f"Rule: {rules[method.upper()]}"
        # A sentence about this method, as the reference has it for a heading.
        assert operation["summary"] and not operation["summary"].startswith("/")
    of_path = [each["summary"] for each in answers.document()["paths"][path].values()]
    assert len(set(of_path)) == len(of_path)


def test_native_api_refuses_unknown_parameters(client: testing.TestClient, fill: Fill) -> None:
    """A parameter that a resource takes is in the document: here is the other direction."""
    (migration,) = fill()
    for path, resource in app.ROUTES.items():
        address = path.format(
            server_uuid="00000000-0000-0000-0000-000000000001",
            id_or_uuid=migration,
            host="source",
        )
        if "GET" not in resource.RULES and resource.RULES:
            assert client.simulate_get(address).status_code == 405
            continue
        known = set(resource.QUERY(1000))
        answer = client.simulate_get(f"{address}?nothing=1")
        told = error_of(answer, ErrorCode.INVALID_PARAMETER)["rule"]
        words = told.removeprefix("is unknown; known parameters: ")
        assert words == (", ".join(sorted(known)) or "none")


def test_types_make_schemas() -> None:
    assert response_schemas.of_type(int | None) == {"type": ["integer", "null"]}
    assert response_schemas.nullable(response_schemas.nullable(response_schemas.UUID)) == {
        "type": ["string", "null"],
        "format": "uuid",
    }
    verdict = response_schemas.COMPONENTS["Migration"]["properties"]["verdict"]
    assert None in verdict["enum"] and "stalled" in verdict["enum"]


def test_an_answer_that_is_not_as_documented_is_noticed() -> None:
    path = "/agents"
    good: dict[str, Any] = {"agents": []}
    answers.check("GET", path, 200, json.dumps(good).encode())
    for code, body in ((200, {"agents": [{}]}), (200, {}), (200, good | {"x": 1}), (418, good)):
        with pytest.raises(AssertionError):
            answers.check("GET", path, code, json.dumps(body).encode())
    with pytest.raises(AssertionError, match="has a body"):
        answers.check("GET", path, 304, b"{}")


def test_parameters_are_schemas() -> None:
    for schema in schemas.migrations(1000).values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert set(openapi.METHODS) >= {"GET", "POST", "DELETE"}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/migrations", {"host", "changed_since", "sort_key", "wait", "since"}),
        (
            "/v2.1/os-migrations",
            {
                *("host", "source_compute", "user_id", "project_id"),
                *("changes-since", "changes-before"),
            },
        ),
    ],
)
def test_parameters_that_exclude_or_need_each_other_say_so(path: str, names: set[str]) -> None:
    parameters = answers.document()["paths"][path]["get"]["parameters"]
    noted = {each["name"]: each["description"] for each in parameters if "description" in each}
    assert noted.keys() == names
    assert all("else 400" in text for text in noted.values())
