# SPDX-License-Identifier: Apache-2.0
import pathlib
from collections.abc import Iterator

import pytest

from migprog import objects
from migprog.tests import stores
from migprog.tests.functional.test_api import serving


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Iterator[objects.Store]:
    made = stores.ready(f"sqlite:///{tmp_path / 'migprog.sqlite'}")
    yield made
    made.close()


@pytest.fixture
def api(tmp_path: pathlib.Path, store: objects.Store) -> Iterator[str]:
    """The address of an API that shows what is in ``store``."""
    with serving(tmp_path, f"sqlite:///{tmp_path / 'migprog.sqlite'}", "threading") as (base, _):
        yield base
