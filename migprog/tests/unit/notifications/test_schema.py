# SPDX-License-Identifier: Apache-2.0
import pathlib

import jsonschema
import pytest

from migprog.core import notices
from migprog.core.notices import Kind
from migprog.notifications import envelope, schema
from migprog.tests import answers

_PAGE = pathlib.Path(__file__).resolve().parents[4] / "doc/source/notifications.rst"


@pytest.mark.parametrize("kind", Kind)
def test_file_has_the_schema_of_the_code(kind: Kind) -> None:
    """To write it: python -m migprog.notifications.schema"""
    assert schema.path(kind).read_text() == schema.text(kind)
    jsonschema.Draft202012Validator.check_schema(schema.of(kind))


def test_no_other_schema_lies_there() -> None:
    assert set(schema.DIRECTORY.glob("*.json")) == {schema.path(kind) for kind in Kind}


def test_keys_of_the_migration_are_the_apis() -> None:
    """But for what a notification shows in another form."""
    keys = answers.document()["components"]["schemas"]["Migration"]["properties"].keys()
    ours = {*notices.MIGRATION, *notices.END}
    assert {name for name in ours - keys if not name.startswith("eta_")} == set()


@pytest.mark.parametrize("kind", Kind)
def test_page_shows_the_event_and_its_schema(kind: Kind) -> None:
    text = _PAGE.read_text()
    assert f"``{envelope.event_type(kind)}``" in text
    assert f"migprog/notifications/schemas/{schema.path(kind).name}" in text
