# SPDX-License-Identifier: Apache-2.0
"""The page's pure modules: their tests in JavaScript, beside this file."""

import pytest

from migprog.tests.unit.ui import node

TESTS = sorted(path.name for path in node.HERE.glob("*.test.mjs"))


@pytest.mark.parametrize("name", TESTS)
def test_javascript(name: str) -> None:
    node.run("--test", name)


def test_there_are_some() -> None:
    assert len(TESTS) >= 5
