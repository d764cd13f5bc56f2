# SPDX-License-Identifier: Apache-2.0
"""The words of a forecast that is made before a migration starts."""

from migprog.core.duration import describe
from migprog.core.forecast.migration_to_come import MigrationToCome

# What may help a server that does not converge by itself.
DOWNTIME_LIMIT = "downtime-limit"
BANDWIDTH = "bandwidth"
AUTO_CONVERGE = "auto-converge"
POST_COPY = "post-copy"
HELPS = (DOWNTIME_LIMIT, BANDWIDTH, AUTO_CONVERGE, POST_COPY)
# A longer downtime than this is as bad as a cold migration.
_LONGEST_DOWNTIME_SECONDS = 30.0
_MIB = 2**20


def unforeseeable(was_measured: bool, disks_unknown: bool, has_host_devices: bool) -> str | None:
    """Return why nothing can be forecast; None if it can."""
    if not was_measured:
        return "the server's dirty rate was not measured"
    if disks_unknown:
        return "the size of the server's disks is not known, and a block migration copies them"
    if has_host_devices:
        return "the server has devices of the host: how much state they have is not known"
    return None


def helps(
    downtime_seconds: float | None, bytes_per_second: float | None, auto_converge: bool
) -> tuple[str, ...]:
    """Return what may help, the gentlest first."""
    found = []
    if downtime_seconds is not None and downtime_seconds <= _LONGEST_DOWNTIME_SECONDS:
        found.append(DOWNTIME_LIMIT)
    if bytes_per_second is not None:
        found.append(BANDWIDTH)
    if not auto_converge:
        found.append(AUTO_CONVERGE)
    return (*found, POST_COPY)


def message(
    converges: str,
    seconds: tuple[float | None, float | None, float | None],
    migration: MigrationToCome,
    rate: float,
    downtime_seconds: float | None,
    bytes_per_second: float | None,
) -> str:
    """Return the sentence for people."""
    low, middle, high = ("" if each is None else describe(each) for each in seconds)
    at = f"at {rate / _MIB:.0f} MiB/s"
    if converges == "yes":
        return f"converges: about {middle} ({low} to {high}) {at}"
    needs = _needs(migration, downtime_seconds, bytes_per_second)
    if converges == "no":
        return f"does not converge {at}: the server dirties its memory as fast as it is sent{needs}"
    least = f"; if it does, it takes about {middle}" if middle else ""
    return f"may not converge {at}: the server dirties its memory about as fast{least}{needs}"


def _needs(
    migration: MigrationToCome, downtime_seconds: float | None, bytes_per_second: float | None
) -> str:
    text = ""
    if downtime_seconds is not None:
        text += f"; needs a downtime limit of {describe(downtime_seconds)}"
        text += f" (now {describe(migration.downtime_limit_seconds)})"
    if bytes_per_second is not None:
        text += f"; or {bytes_per_second / _MIB:.0f} MiB/s"
    more = "post-copy" if migration.auto_converge else "auto-converge or post-copy"
    return f"{text}; or {more}" if text else f"; {more} would help"
