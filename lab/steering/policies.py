# SPDX-License-Identifier: Apache-2.0
"""What an agent of the lab steers by: the ready-made policies, with times for small guests."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

PATIENCE_SECONDS = 8
# A migration of the lab that needs no help ends well before that.
DEADLINE_SECONDS = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """``name`` is one of [steering] policy, ``mode`` of [steering] mode; ``requirements`` are what
    differs from the policy, by the names of [steering] requirements. ``label`` distinguishes those
    of the same name."""

    name: str
    mode: str = "enforce"
    requirements: Mapping[str, float | str] = field(
        default_factory=lambda: {"patience_seconds": PATIENCE_SECONDS}
    )
    label: str = ""

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def text(self) -> str:
        """What it is called."""
        return self.label or self.name

    @property
    def enforces(self) -> bool:
        return self.mode == "enforce"

    @property
    def deadline_seconds(self) -> float:
        """Since a migration's begin; infinite without one."""
        return float(self.requirements.get("deadline_seconds", math.inf))

    def config(self) -> str:
        """Return the lines of the agent's configuration."""
        requirements = ",".join(f"{name}:{value}" for name, value in self.requirements.items())
        lines = [f"[compute]\nallow_actions = {self.enforces}", "report_interval = 1"]
        lines += ["[steering]", f"mode = {self.mode}", f"policy = {self.name}"]
        return "\n".join([*lines, f"requirements = {requirements}", ""])


UNTUNED = Policy(name="gentle", mode="off", label="untuned")
GENTLE = Policy(name="gentle")
FINISH_BY_DEADLINE = Policy(
    name="finish-by-deadline",
    requirements={"patience_seconds": PATIENCE_SECONDS, "deadline_seconds": DEADLINE_SECONDS},
)
POST_COPY = Policy(name="post-copy")
# It says what Nova will do next, and does nothing itself.
NOVA = Policy(name="nova", mode="advise")
POLICIES = (GENTLE, FINISH_BY_DEADLINE, POST_COPY, NOVA)
