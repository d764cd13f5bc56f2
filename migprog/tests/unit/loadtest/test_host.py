# SPDX-License-Identifier: Apache-2.0
"""A simulated host does what an agent would, by the real throttle and outbox."""

import itertools

import pytest

from migprog import exception
from migprog.compute.reporting.outbox import Outbox
from migprog.compute.reporting.sender import Address, Sender
from migprog.core.messages import ArrivalState
from migprog.core.schedule import ReportReason, Rules
from migprog.core.status import ENDED, Status
from migprog.loadtest import stream
from migprog.loadtest.host import Host
from migprog.loadtest.plan import NO_STEPS, Load, Share, host_name

RULES = Rules(report_interval_seconds=2.0, heartbeat_interval_seconds=30.0)
EPOCH = 1_700_000_000.0


@pytest.fixture(scope="module")
def streams():
    return stream.load(stream.DEFAULT, 100.0)


def host(chosen, peer):
    outbox = Outbox()
    return Host(
        "a", RULES, chosen, outbox, Sender(outbox, None, Address("a", "a", None), RULES), peer
    )


def ticked(host, seconds: float, begin: float = 1000.0):
    """All that it reported in so many seconds, a tick each half of one: by when it was reported."""
    ticks = [begin + n / 2 for n in range(int(2 * seconds))]
    return [(now, told) for now in ticks for told in host.tick(now, EPOCH + now)]


def test_the_recordings_that_come_along_are_of_every_kind(streams):
    assert sum(s.times[-1] for s in streams) / len(streams) == pytest.approx(100.0)
    ends = {s.reports[-1].status for s in streams}
    assert {Status.COMPLETED, Status.CANCELLED} <= ends <= ENDED
    for each in streams:
        assert each.at(-1.0).status not in ENDED
        assert each.at(each.times[-1] + 1).status in ENDED
        assert list(each.times) == sorted(each.times)


def test_migration_is_reported_per_interval_and_changes_at_once(streams):
    (only,) = [s for s in streams if s.reports[-1].status is Status.COMPLETED][:1]
    told = ticked(host([(only, 0.0)], Outbox()), only.times[-1] - 1)
    assert told[0][1].reason is ReportReason.FIRST
    assert {each.report.uuid for _, each in told} == {told[0][1].report.uuid}
    progress = (ReportReason.STEP, ReportReason.FIGURES)
    steps = [now for now, each in told if each.reason in progress]
    assert len(steps) >= 0.3 * only.times[-1]
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(told)]
    assert max(gaps) <= 3.0
    assert [each.report.sequence for _, each in told] == list(range(1, len(told) + 1))
    assert all(each.report.sampled_at == EPOCH + now for now, each in told)


def test_ended_migration_is_followed_by_another_and_its_arrival_is_reported(streams):
    short = next(s for s in streams if s.reports[-1].status is Status.COMPLETED)
    peer = Outbox()
    mine = host([(short, short.times[-1] - 5)], peer)
    told = [each for _, each in ticked(mine, 10.0)]
    (end,) = [each.report for each in told if each.report.status in ENDED]
    first, *_, last = told
    assert end.uuid == first.report.uuid != last.report.uuid
    assert end.ended_at == end.sampled_at
    (resumed, incoming) = sorted(peer.load(1020.0).arrivals, key=lambda a: a.state, reverse=True)
    assert (resumed.state, resumed.server_uuid) == (ArrivalState.RESUMED, end.server_uuid)
    assert (incoming.state, incoming.server_uuid) == (
        ArrivalState.INCOMING,
        last.report.server_uuid,
    )


def test_migrations_are_spread_over_streams_and_time(streams):
    chosen = stream.phases(streams, 1000)
    for each in streams:
        shares = sorted(gone / s.times[-1] for s, gone in chosen if s is each)
        assert len(shares) >= 90
        assert max(b - a for a, b in zip([0, *shares], [*shares, 1], strict=True)) < 0.05


@pytest.mark.parametrize(("step_points", "reports"), [(2, 34), (NO_STEPS, 15)])
def test_within_the_interval_percentages_are_reported_as_they_move(streams, step_points, reports):
    (only,) = [s for s in streams if s.reports[-1].status is Status.COMPLETED][:1]
    outbox, rules = Outbox(), Rules(10.0, 30.0, step_points=step_points)
    sender = Sender(outbox, None, Address("a", "a", None), rules)
    one = Host("a", rules, [(only, 0.0)], outbox, sender, Outbox())
    told = [each.reason for _, each in ticked(one, only.times[-1] - 1)]
    assert len(told) == pytest.approx(reports, abs=3)
    # The time left is found once, while the percentage is still 0.
    assert (told.count(ReportReason.STEP) > 1) == (step_points < NO_STEPS)


def test_a_share_goes_through_json_and_shares_are_everybodys():
    load = Load(hosts=10, per_host=2, interval_seconds=2.0)
    shares = [
        Share(
            load=load,
            run="x",
            first=first,
            step=3,
            config_files=("/a", "/b"),
            recordings=("r",),
            changes_per_second=1.0,
            begin_at=5.0,
            marks=(6.0, 7.0),
        )
        for first in range(3)
    ]
    assert [Share.from_json(share.to_json()) for share in shares] == shares
    names = sorted(name for share in shares for name in share.host_names)
    assert names == [host_name("x", number) for number in range(10)]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hosts": 0}, "hosts: 0 must go with idle_hosts"),
        ({"hosts": 100_001}, "hosts: 100001 must be from 0 to 100000"),
        ({"idle_hosts": -1}, "idle_hosts: -1 must be from 0 to 100000"),
        ({"idle_hosts": 1, "idle_connections": 4}, "idle_connections: 4 must be from 0 to 3"),
        (
            {"idle_hosts": 5001, "idle_connections": 2},
            "idle_connections: 2 for each of 5001 idle hosts must be at most 10000 together",
        ),
        ({"per_host": 501}, "per_host: 501 must be from 1 to 500"),
        ({"interval_seconds": 0.3}, "poll_seconds: 0.5 must not be more than interval_seconds"),
        ({"interval_seconds": 31.0}, "interval_seconds: 31 must not be more than heartbeat"),
    ],
)
def test_an_impossible_load_is_refused(values, said):
    with pytest.raises(exception.MigprogError) as error:
        Load(**({"hosts": 1, "per_host": 1, "interval_seconds": 2.0} | values))
    assert said in str(error.value)


def test_a_recording_without_a_migration_is_refused(tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text('{"kind": "header"}\n')
    with pytest.raises(exception.MigprogError, match="shows no migration"):
        stream.load([str(path)], 100.0)
