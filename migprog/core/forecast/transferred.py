# SPDX-License-Identifier: Apache-2.0
"""Compute what moved of a guest's memory between two samples, on the wire and of the guest.

A page of the guest may cost 4096 bytes on the wire and a header, much less where it is compressed,
and next to nothing where it is all zeros. What remains counts the guest's bytes; so its rate must,
too. QEMU counts the pages that it sends whole, those of zeros, and those that XBZRLE or multifd has
compressed, but not those compressed by threads (see :mod:`migprog.core.forecast.job_sample`).
These show as bytes on the wire that the counted pages do not explain, and as a fall of what
remains.
"""

from typing import NamedTuple

from migprog.core.forecast.job_sample import Sample

# Headers and the like are less than this share of the pages, plus these bytes.
_OVERHEAD = 0.1
_OVERHEAD_BYTES = 8 * 1024
# A page of zeros is a header and a byte, instead of 4096.
_ZEROS_COST = 9 / 4096


class Moved(NamedTuple):
    """Bytes on the wire; bytes of the guest in all pages, and those of zeros among them.

    ``counts``: QEMU has counted something as sent. ``uncounted_bytes`` are the guest's bytes in
    pages that are not counted, which took ``unexplained_bytes`` on the wire; both 0 where that was
    not measured.
    """

    wire_bytes: int
    guest_bytes: int
    zero_bytes: int = 0
    counts: bool = False
    uncounted_bytes: int = 0
    unexplained_bytes: int = 0

    @property
    def filled_bytes(self) -> int:
        """The guest's bytes in pages that are not all zeros."""
        return max(0, self.guest_bytes - self.zero_bytes)


def between(before: Sample, now: Sample, expansion: float | None) -> Moved | None:
    """Return what moved between two samples; None if the counters of either are not known.

    ``expansion`` is how many bytes of the guest went in one byte on the wire, lately, of pages that
    are not counted; None before that was measured.
    """
    wire = difference(before.memory_processed_bytes, now.memory_processed_bytes)
    if wire is None:
        return None
    counted = difference(before.memory_copied_bytes, now.memory_copied_bytes)
    zeros = difference(before.memory_zero_bytes, now.memory_zero_bytes) or 0
    fallen = _fallen(before, now)
    if counted is None:
        return Moved(wire, fallen or wire)
    zeros = min(zeros, counted)
    # State of devices is on the wire, too.
    devices = difference(before.vfio_transferred_bytes, now.vfio_transferred_bytes) or 0
    explained = (1 + _OVERHEAD) * (counted - zeros) + _ZEROS_COST * zeros + devices
    unexplained = wire - int(explained)
    if unexplained <= _OVERHEAD_BYTES + _OVERHEAD * wire:
        return Moved(wire, counted, zeros, counted > 0)
    if fallen is None:
        guest = counted + int(unexplained * (expansion or 1.0))
        return Moved(wire, guest, zeros, counted > 0)
    uncounted = max(0, fallen - counted)
    return Moved(wire, counted + uncounted, zeros, counted > 0, uncounted, unexplained)


def difference(before: int | None, now: int | None) -> int | None:
    """Return by how much a counter has grown; None if it is not known at both times."""
    return None if before is None or now is None else max(0, now - before)


def _fallen(before: Sample, now: Sample) -> int | None:
    """Return by how much less remains, within one iteration; None if another has begun."""
    if before.memory_iteration != now.memory_iteration:
        return None
    if before.memory_remaining_bytes is None or now.memory_remaining_bytes is None:
        return None
    return max(0, before.memory_remaining_bytes - now.memory_remaining_bytes)
