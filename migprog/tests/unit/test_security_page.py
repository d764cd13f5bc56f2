# SPDX-License-Identifier: Apache-2.0
"""The tests that doc/source/security.rst names as proofs exist."""

import pathlib
import re

import pytest

import migprog

_ROOT = pathlib.Path(migprog.__file__).parent
_PAGE = _ROOT.parent / "doc" / "source" / "security.rst"
NAMED = sorted(set(re.findall(r"``([\w/]+\.py)::(\w+)``", _PAGE.read_text())))


def test_the_page_names_tests():
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_the_page_names_exists(file, name):
    text = (_ROOT / "tests" / file).read_text()
    assert re.search(rf"^ *(def|class) {name}\b", text, re.MULTILINE)
