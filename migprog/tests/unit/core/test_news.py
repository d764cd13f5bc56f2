# SPDX-License-Identifier: Apache-2.0
"""A watcher's list is what the list's own request gives, whatever happens between its answers."""

import dataclasses

import hypothesis
from hypothesis import strategies as st

from migprog.core.forecast.verdict import Verdict
from migprog.core.news import MOST_ROUNDS, Found, News, Selection, Snapshot, Traits
from migprog.core.status import ENDED, IN_PROGRESS, Status

STATUSES = [Status.RUNNING, Status.POST_COPY, Status.COMPLETED, Status.FAILED]
VERDICTS = [None, Verdict.CONVERGING, Verdict.NOT_CONVERGING]
PROJECTS, HOSTS, SERVERS = ["p", "q", None], ["a", "b", None], ["1", "2", "3"]

traits = st.builds(
    Traits,
    server_uuid=st.sampled_from(SERVERS),
    project_id=st.sampled_from(PROJECTS),
    source_compute=st.sampled_from(HOSTS),
    dest_compute=st.sampled_from(HOSTS),
    status=st.sampled_from(STATUSES),
    verdict=st.sampled_from(VERDICTS),
)
# The records of all migrations: a missing one has not begun or was deleted.
worlds = st.dictionaries(st.integers(1, 4), st.builds(Found, traits, st.integers(0, 2)), max_size=4)
selections = st.builds(
    Selection,
    project_id=st.sampled_from(PROJECTS),
    host=st.sampled_from(HOSTS),
    server_uuid=st.sampled_from([None, *SERVERS]),
    status=st.sampled_from([None, *IN_PROGRESS]),
    verdict=st.sampled_from(VERDICTS),
)
# Whether the watcher asks after the round.
rounds = st.lists(st.tuples(worlds, st.booleans()), min_size=1, max_size=8)
settings = hypothesis.settings(max_examples=100, deadline=None)


def listed(selection, world):
    """What a list request gives: each filter as the list has it."""
    return {
        key: each.value
        for key, each in world.items()
        if each.traits.status in IN_PROGRESS
        and (selection.project_id is None or each.traits.project_id == selection.project_id)
        and (selection.server_uuid is None or each.traits.server_uuid == selection.server_uuid)
        and (selection.status is None or each.traits.status == selection.status)
        and (selection.verdict is None or each.traits.verdict == selection.verdict)
        and (
            selection.host is None
            or selection.host in (each.traits.source_compute, each.traits.dest_compute)
        )
    }


def next_round(snapshot, world):
    in_progress = {k: each for k, each in world.items() if each.traits.status in IN_PROGRESS}
    ended = {
        key: world[key]
        for key in snapshot.left_since(in_progress)
        if key in world and world[key].traits.status in ENDED
    }
    return snapshot.next(in_progress, ended, f"cursor {snapshot.round + 1}")


class Watcher:
    """As a client has it: by what it is answered alone."""

    def __init__(self, selection):
        self.selection = selection
        self.cursor = None
        self.records = {}
        # What has changed since it asked: it may be as it was again.
        self.world, self.touched = {}, set()

    def passes(self, world):
        """A round, whether or not it asks after it."""
        changed = {k for k in self.world | world if self.world.get(k) != world.get(k)}
        self.world, self.touched = world, self.touched | changed

    def ask(self, snapshot, world):
        since = None if self.cursor is None else snapshot.round_of(self.cursor)
        news = snapshot.whole(self.selection)
        if since is not None:
            news = snapshot.news(self.selection, since)
        if news.is_whole:
            self.records = {}
        keys = {id(each): key for key, each in (snapshot.ended | snapshot.entries).items()}
        before = set(self.records)
        for key in news.left:
            del self.records[key]
        for each in news.changed:
            assert news.is_whole or keys[id(each)] in self.touched, "did not change"
            self.records[keys[id(each)]] = each.traits, each.value
        for each in news.ended:
            key = keys[id(each)]
            assert key in news.left and key in before
            # It may have been deleted since.
            assert world.get(key, each).value == each.value
            assert self.selection.project_id in (None, each.traits.project_id)
        self.cursor, self.touched = snapshot.cursor, set()
        return news


@settings
@hypothesis.given(rounds, selections)
def test_watchers_list_is_what_its_list_request_gives(rounds, selection):
    snapshot, watcher = Snapshot(), Watcher(selection)
    for world, asks in rounds:
        snapshot = next_round(snapshot, world)
        watcher.passes(world)
        if asks:
            watcher.ask(snapshot, world)
            values = {key: value for key, (_, value) in watcher.records.items()}
            assert values == listed(selection, world)


@settings
@hypothesis.given(rounds, rounds, st.sampled_from(["p", "q"]))
def test_watcher_gets_the_same_whatever_other_projects_do(rounds, others, project):
    """By content, and by whether it is answered: two clouds differ in other projects only."""
    selection = Selection(project_id=project)
    answers = []
    for mine in (True, False):
        snapshot, watcher = Snapshot(), Watcher(selection)
        told = []
        for number, (world, asks) in enumerate(rounds):
            ours = {k: each for k, each in world.items() if each.traits.project_id == project}
            theirs = others[number % len(others)][0] if mine else {}
            theirs = {k + 10: e for k, e in theirs.items() if e.traits.project_id != project}
            snapshot = next_round(snapshot, ours | theirs)
            watcher.passes(ours | theirs)
            if asks:
                news = watcher.ask(snapshot, ours | theirs)
                told.append((bool(news), [e.value for e in news.changed], news.left))
        answers.append(told)
    assert answers[0] == answers[1]


RUNNING = Found(Traits("1", "p", "a", "b", Status.RUNNING, None), 1)
ALL = Selection()


def test_final_record_comes_with_the_migration_that_ended():
    done = Found(dataclasses.replace(RUNNING.traits, status=Status.COMPLETED), 2)
    snapshot = next_round(next_round(Snapshot(), {1: RUNNING}), {1: done})
    news = snapshot.news(ALL, 1)
    assert (news.changed, news.left, [e.value for e in news.ended]) == ((), (1,), [2])
    assert snapshot.news(Selection(project_id="q"), 1) == News()


def test_deleted_record_leaves_without_a_final_one():
    snapshot = next_round(next_round(Snapshot(), {1: RUNNING}), {})
    assert snapshot.news(ALL, 1) == News(left=(1,))


def test_record_that_another_project_got_leaves_without_its_content():
    theirs = Found(
        dataclasses.replace(RUNNING.traits, project_id="q", status=Status.COMPLETED), "secret"
    )
    snapshot = next_round(next_round(Snapshot(), {1: RUNNING}), {1: theirs})
    assert snapshot.news(Selection(project_id="p"), 1) == News(left=(1,))


def test_nothing_new_is_no_news():
    snapshot = next_round(next_round(Snapshot(), {1: RUNNING}), {1: RUNNING})
    assert not snapshot.news(ALL, 1) and not snapshot.news(ALL, 2)


def test_watcher_that_was_away_for_too_long_is_unknown():
    snapshot = next_round(Snapshot(), {1: RUNNING})
    first = snapshot.cursor
    for _ in range(MOST_ROUNDS):
        snapshot = next_round(snapshot, {1: RUNNING})
    assert snapshot.round_of(first) == 1
    snapshot = next_round(snapshot, {1: RUNNING})
    assert snapshot.round_of(first) is None


def test_what_is_remembered_of_the_past_is_bounded():
    done = Found(dataclasses.replace(RUNNING.traits, status=Status.FAILED), 2)
    snapshot = Snapshot()
    for number in range(5 * MOST_ROUNDS):
        snapshot = next_round(snapshot, {1: RUNNING if number % 2 else done})
    assert len(snapshot._past) <= MOST_ROUNDS
    assert len(snapshot.cursors) <= MOST_ROUNDS + 1
    for number in range(10, 4 * MOST_ROUNDS):
        snapshot = next_round(snapshot, {number: RUNNING})
    assert len(snapshot._past) <= 2 * MOST_ROUNDS
    assert len(snapshot.ended) <= MOST_ROUNDS
