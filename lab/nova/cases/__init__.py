# SPDX-License-Identifier: Apache-2.0
"""The cases of the check. A case is a function of a :class:`CaseRun`."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.nova.case_run import CaseRun
from lab.nova.cases import broken, cost, ended, identity, no_live_migration, plain

_POST_COPY = ("libvirt.live_migration_permit_post_copy=true",)
# Seconds for each GiB of a server, of which Nova takes two for granted.
_TIMEOUT = ("libvirt.live_migration_completion_timeout=5",)


@dataclass(frozen=True, slots=True)
class Case:
    """``options`` are those of nova-compute; ``user`` is the agents', root if not given."""

    run: Callable[[CaseRun], None]
    what: str
    options: tuple[str, ...] = ()
    user: str = "root"


CASES: dict[str, Case] = {
    "base": Case(plain.steady, "a guest that converges"),
    "block": Case(plain.block, "block copy of a disk, asked for"),
    "quiet": Case(plain.quiet, "a quiet guest"),
    "abort": Case(ended.abort, "Nova's abort"),
    "force": Case(ended.force_complete, "Nova's force complete, by a pause"),
    "two": Case(plain.two_at_once, "two at once"),
    "fro": Case(plain.to_and_fro, "to and fro"),
    "retry": Case(ended.abort_and_retry, "abort, and again at once"),
    "suspend": Case(no_live_migration.suspend, "suspend and resume: no record"),
    "pause": Case(no_live_migration.pause, "pause and unpause: no record"),
    "image": Case(no_live_migration.image, "image create: no record"),
    "cold": Case(no_live_migration.cold, "cold migration: no record"),
    "resize": Case(no_live_migration.resize, "resize: no record"),
    "rename": Case(plain.renamed, "renamed and rebooted before"),
    "nova-away": Case(identity.nova_away, "nova-api away while the record appears"),
    "nova-away-throughout": Case(
        identity.nova_away_throughout, "nova-api away until the migration has ended"
    ),
    "prepare": Case(broken.prepare_fails, "libvirt's prepare phase fails"),
    "agents": Case(broken.agents_killed, "both agents killed in the middle"),
    "compute": Case(broken.compute_killed, "nova-compute killed in the middle"),
    "libvirtd-source": Case(broken.source_libvirtd_killed, "the source's libvirtd killed"),
    "libvirtd-dest": Case(broken.dest_libvirtd_killed, "the destination's libvirtd killed"),
    "evacuate": Case(no_live_migration.evacuate, "evacuate: no record"),
    "post-copy": Case(ended.post_copy, "force complete by post-copy", _POST_COPY),
    "timeout-abort": Case(ended.timeout_aborts, "Nova's timeout aborts", _TIMEOUT),
    "timeout-force": Case(
        ended.timeout_forces,
        "Nova's timeout forces completion",
        (*_TIMEOUT, "libvirt.live_migration_timeout_action=force_complete"),
    ),
    "unprivileged": Case(plain.unprivileged, "agents without rights", user="migprog"),
    "page": Case(plain.by_the_page, "as the manual says"),
    "cost": Case(cost.total_times, "libvirt's times with and without migprog"),
}
SHORT = ("block", "abort")
