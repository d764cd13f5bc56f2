# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from migprog.core.status import ENDED, IN_PROGRESS, Status, may_follow


def test_each_status_is_in_progress_or_ended():
    assert frozenset(Status) == IN_PROGRESS | ENDED
    assert not IN_PROGRESS & ENDED
    assert Status.POST_COPY in IN_PROGRESS


@pytest.mark.parametrize(
    ("old", "new"), list(itertools.product(sorted(ENDED - {Status.UNKNOWN}), Status)), ids=str
)
def test_a_known_end_is_never_rewritten(old, new):
    assert not may_follow(new, old)


def test_unknown_may_only_become_a_known_end():
    followers = {new for new in Status if may_follow(new, Status.UNKNOWN)}
    assert followers == {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


@pytest.mark.parametrize("old", [Status.POST_COPY, Status.POST_MIGRATING])
def test_a_server_that_has_moved_cannot_be_called_back(old):
    assert not may_follow(Status.RUNNING, old)
    assert not may_follow(Status.CANCELLED, old)


@pytest.mark.parametrize("status", sorted(IN_PROGRESS))
def test_newer_figures_may_repeat_a_status(status):
    assert may_follow(status, status)
