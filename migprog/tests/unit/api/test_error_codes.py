# SPDX-License-Identifier: Apache-2.0
"""Every code is of one form, documented, and in the OpenAPI document."""

import ast
import functools
import http
import pathlib
import re

import pytest

from migprog import api
from migprog.api.error_codes import BY_FAILURE, BY_REFUSAL, BY_STATUS, ErrorCode
from migprog.tests import answers

ROOT = pathlib.Path(__file__).parents[4]
_ROW = re.compile(r"^``([a-z-]+)`` +(\d{3}) +(.+)$", re.MULTILINE)


def test_page_has_each_code_with_its_status_and_meaning() -> None:
    page = (ROOT / "doc/source/api.rst").read_text()
    documented = [(word, int(status), text) for word, status, text in _ROW.findall(page)]
    assert documented == [
        (code.removeprefix("migration-progress."), code.status, code.meaning) for code in ErrorCode
    ]


def test_openapi_document_has_each_code() -> None:
    error = answers.document()["components"]["schemas"]["Error"]
    properties = error["properties"]["errors"]["items"]["properties"]
    assert properties["code"]["enum"] == [code.value for code in ErrorCode]


@pytest.mark.parametrize("code", ErrorCode)
def test_code_is_of_the_form_of_the_guideline(code: ErrorCode) -> None:
    assert re.fullmatch(r"migration-progress\.[a-z]+(-[a-z]+)*", code)
    assert code.status in set(http.HTTPStatus) and code.status >= 400
    assert code.meaning.endswith(".")


@functools.cache
def _used_names() -> set[str]:
    return {
        node.attr
        for path in pathlib.Path(api.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "ErrorCode"
    }


@pytest.mark.parametrize("code", ErrorCode)
def test_code_is_raised_somewhere(code: ErrorCode) -> None:
    assert code.name in _used_names() or code in {*BY_REFUSAL.values(), *BY_FAILURE.values()}


def test_codes_of_statuses_have_these() -> None:
    assert all(code.status == status for status, code in BY_STATUS.items())
