# SPDX-License-Identifier: Apache-2.0
"""What no agent sends: whatever it is, the endpoint answers, and what it accepts can be read."""

from hypothesis import HealthCheck, Phase, given, settings

from migprog.tests.fixtures import hostile

# To make a failure smaller takes longer than a database has.
SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


class Hostile:
    """``endpoint`` is a :class:`migprog.tests.fixtures.hostile.Endpoint`."""

    @SETTINGS
    @given(hostile.valid())
    def test_every_extreme_is_stored(self, endpoint, wire):
        """What keeps the rules can be read, and breaks nothing. Hosts have no say in each other's
        migrations, nor an agent in the row of another, and no sequence leaps; a time that a host
        lies about can move a start by years."""
        refused = endpoint.take(wire).refused.values()
        known = ("host: ", "server_uuid: ", "sequence: ", "instants: ", "at: ", "key: ")
        assert not [why for why in refused if not why.startswith(known)], list(refused)
        endpoint.read_back()

    @SETTINGS
    @given(hostile.spoilt())
    def test_nearly_valid(self, endpoint, wire):
        endpoint.take(wire)
        endpoint.read_back()

    @SETTINGS
    @given(hostile.spoilt_rows())
    def test_valid_entries_are_stored_beside_hostile_ones(self, endpoint, wire):
        endpoint.take_good_beside(wire)
        endpoint.read_back()
