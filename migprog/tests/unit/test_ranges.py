# SPDX-License-Identifier: Apache-2.0
"""How often the range of the time left holds the truth, over the recordings of the corpus."""

import pytest

from lab.corpus import files
from migprog.core.schedule import Rules
from migprog.recording import format, score
from migprog.recording.ground_truth import Group, truth
from migprog.recording.replay import replay

# The completion time in the lab.
COMPLETION_SECONDS = 0.27


@pytest.fixture(scope="module", params=files.HALVES)
def scores(request):
    found = []
    for path in files.recordings(request.param).values():
        recorded = format.read(str(path))
        facts = truth(recorded)
        if facts is not None and facts.completed:
            played = replay(recorded, Rules(20.0, 30.0), COMPLETION_SECONDS)
            found.append(score.score(path.name, played, facts, recorded))
    return found


@pytest.mark.parametrize("group", [Group.STEADY, Group.CHANGING])
def test_range_holds_the_truth_of_three_to_nine_of_ten_samples(scores, group):
    held = [each for one in scores if one.group is group for each in one.in_range]
    assert 0.75 <= sum(held) / len(held) <= 0.9
