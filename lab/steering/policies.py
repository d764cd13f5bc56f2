# SPDX-License-Identifier: Apache-2.0
"""What an agent of the lab steers by: the ready-made policies, with times for small guests."""

from dataclasses import dataclass

# A migration of the lab that needs no help ends well before that.
DEADLINE_SECONDS = 40
PATIENCE_SECONDS = 10
DOWNTIME_MAX_MS = 2000
_REQUIREMENTS = f"""\
deadline = {DEADLINE_SECONDS}
patience = {PATIENCE_SECONDS}
max_downtime = {DOWNTIME_MAX_MS}
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """``name`` is the policy's; ``mode`` that of [steering]."""

    name: str
    mode: str = "enforce"

    @property
    def enforces(self) -> bool:
        return self.mode == "enforce"

    def settings(self) -> str:
        """Return the lines of the agent's configuration."""
        policy = f"policy = {self.name}\n{_REQUIREMENTS}" if self.mode != "off" else ""
        return f"[steering]\nmode = {self.mode}\n{policy}"


UNTUNED = Policy("untuned", "off")
GENTLE = Policy("gentle")
FINISH_BY_DEADLINE = Policy("finish-by-deadline")
POST_COPY = Policy("post-copy")
# It says what Nova will do next, and does nothing itself.
NOVA = Policy("nova", "advise")
POLICIES = (GENTLE, FINISH_BY_DEADLINE, POST_COPY, NOVA)
