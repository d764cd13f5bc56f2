# SPDX-License-Identifier: Apache-2.0
"""The tests of test_end_to_end that differ by the concurrency backend, once more on eventlet:
a migration's figures and metrics, SIGHUP, a libvirt that goes away, and one that hangs."""

import pytest

from lab.parts.deployment import Deployment
from migprog.tests.functional.test_end_to_end import (
    guest,
    test_a_guest_with_its_disk_is_seen_on_its_way_and_after,
    test_a_libvirt_that_goes_and_comes_back,
    test_a_server_that_hangs_costs_its_own_figures_only,
    test_intervals_change_without_a_restart,
    watched,
)

__all__ = [
    "guest",
    "test_a_guest_with_its_disk_is_seen_on_its_way_and_after",
    "test_a_libvirt_that_goes_and_comes_back",
    "test_a_server_that_hangs_costs_its_own_figures_only",
    "test_intervals_change_without_a_restart",
    "watched",
]
pytestmark = pytest.mark.functional


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, rabbitmq, mariadb):
    directory = tmp_path_factory.mktemp("eventlet")
    with Deployment(directory, rabbitmq, mariadb, "eventlet") as deployment:
        yield deployment
