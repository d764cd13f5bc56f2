# SPDX-License-Identifier: Apache-2.0
"""The order of things: each guest untuned and under each policy, on a bench of each."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

from lab.steering.course import Course
from lab.steering.guests import Shape
from lab.steering.judge import Pair
from lab.steering.nova_schedule import NovaSchedule
from lab.steering.policies import UNTUNED, Policy
from lab.steering.site import Site

# An untuned migration that has not ended so long after its first iteration would not have ended; a
# policy has longer, as what it does at its deadline takes some time.
_UNTUNED_SECONDS = 50.0
_STEERED_SECONDS = 75.0
# Its policy gives up setting a limit.
_NOT_ON_MIGRATIONS = "stop-asserting"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tried:
    """A guest and what became of it; ``pairs``: one for each policy."""

    shape: Shape
    pairs: tuple[Pair, ...]


class Runner:
    """Benches of some policies and of none, which serve while the block lasts; ``at_once``: so many
    migrations run side by side."""

    def __init__(
        self, policies: Sequence[Policy], directory: pathlib.Path, at_once: int, say: Say
    ) -> None:
        self._policies = policies
        self._directory = directory
        self._say = say
        self._stack = contextlib.ExitStack()
        self._pool = ThreadPoolExecutor(at_once)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self._stack.close)
            self._benches = {
                policy: self._stack.enter_context(Site(policy, self._directory))
                for policy in (UNTUNED, *self._policies)
            }
            # First: what is begun ends as soon as its hosts do.
            self._stack.callback(self._pool.shutdown, wait=False, cancel_futures=True)
            undo.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def try_all(self, shapes: Sequence[Shape]) -> Iterator[Tried]:
        """Migrate each guest untuned and under each policy."""
        for number, shape in enumerate(shapes, 1):
            self._say(f"{number:3}/{len(shapes)}  {shape.text()}")
            runs = {policy: self._begin(policy, shape) for policy in self._benches}
            untuned, _record = runs.pop(UNTUNED).result()
            self._say(f"         untuned: {untuned.text()}")
            pairs = []
            for policy, run in runs.items():
                steered, record = run.result()
                self._say(f"         {policy.text}: {steered.text()}")
                pairs.append(_pair(f"{number} ({shape.kind})", policy, untuned, steered, record))
            yield Tried(shape, tuple(pairs))

    def try_by_turns(self, shape: Shape, policy: Policy, times: int) -> list[Pair]:
        """Migrate the same guest so often, untuned and under a policy by turns, or at once if that
        is allowed."""
        pairs = []
        for number in range(1, times + 1):
            runs = self._begin(UNTUNED, shape), self._begin(policy, shape)
            untuned, _record = runs[0].result()
            steered, record = runs[1].result()
            self._say(f"{number:3}/{times}  {shape.kind}, untuned: {untuned.text()}")
            self._say(f"         {policy.text}: {steered.text()}")
            pairs.append(_pair(f"{number} ({shape.kind})", policy, untuned, steered, record))
        return pairs

    def try_once(
        self, shape: Shape, policy: Policy, nova: NovaSchedule | None = None
    ) -> tuple[Course, dict[str, Any]]:
        """Migrate a guest under a policy; return what happened and the agent's record."""
        course, record = self._begin(policy, shape, nova).result()
        self._say(f"         {shape.kind}, {policy.text}: {course.text()}")
        return course, record

    def _begin(
        self, policy: Policy, shape: Shape, nova: NovaSchedule | None = None
    ) -> Future[tuple[Course, dict[str, Any]]]:
        seconds = _UNTUNED_SECONDS if policy is UNTUNED else _STEERED_SECONDS
        bound_seconds = shape.first_iteration_seconds + seconds
        return self._pool.submit(self._benches[policy].run, shape, bound_seconds, nova)


def _pair(
    guest: str, policy: Policy, untuned: Course, steered: Course, record: dict[str, Any]
) -> Pair:
    return Pair(
        guest=guest,
        policy=policy.text,
        untuned=untuned,
        steered=steered,
        deadline_seconds=policy.deadline_seconds,
        enforces=policy.enforces,
        recorded_actions=recorded_actions(record),
    )


def recorded_actions(record: dict[str, Any]) -> int | None:
    """Return how many actions on the migration its record has that were carried out."""
    advice = record.get("advice")
    if advice is None:
        return None
    return sum(each["state"] == "done" and each["action"] != _NOT_ON_MIGRATIONS for each in advice)
