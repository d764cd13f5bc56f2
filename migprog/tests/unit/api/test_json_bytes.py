# SPDX-License-Identifier: Apache-2.0
"""Documents as JSON, with orjson and without it."""

import importlib
import json
import sys

import pytest

from migprog.api import json_bytes

_DOCUMENT = {"name": 'web "ü" </script>', "bytes": 2**63, "none": None, "rate": 0.1, "yes": [True]}


@pytest.fixture(params=["orjson", None])
def dump(request, monkeypatch):
    if request.param is None:
        monkeypatch.setitem(sys.modules, "orjson", None)
    yield importlib.reload(json_bytes).dump
    monkeypatch.undo()
    importlib.reload(json_bytes)


@pytest.mark.parametrize("document", [_DOCUMENT, [], {"most": 2**80}, {"least": -(2**64)}])
def test_document_has_the_same_values_with_and_without_orjson(dump, document):
    assert json.loads(dump(document)) == document
