# SPDX-License-Identifier: Apache-2.0
"""What the processor time of a guest's vCPUs says about the memory that it can have dirtied.

Before the second iteration no counter shows what a guest dirties. But what its software writes
costs processor time, so a guest that has used almost none has dirtied little. The reverse is not
true: a busy guest may compute without writing, and is expected to do as any other.
"""

from typing import NamedTuple

from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.resent import Resent

# What software dirties in a second of processor time, if it does little else: between the 1.1 GiB
# that Linux copies from a pipe, or 1.4 GiB of new memory that it hands out, and 4 GiB of files.
# Devices write to memory by themselves, but drivers must ask for it and take it. Programs that
# write a word in each page dirty more.
DIRTIED_BYTES_PER_SECOND = 2.5 * 2**30
# Linux counts a thread's time in hundredths of a second: half of that is the mean error.
_ERROR_SECONDS = 0.005
# What a guest is likely to send again, as a share of what is taken for the most.
_LIKELY = 0.5


class VcpuTime(NamedTuple):
    """The processor time of all vCPUs of a guest together, when it was first and last read.

    ``first_at`` and ``latest_at`` in the time of the samples.
    """

    first_at: float
    first_seconds: float
    latest_at: float
    latest_seconds: float

    def dirtied_bytes_per_second(self) -> float | None:
        """Return what the guest has dirtied at most; None where it was read once."""
        seconds = self.latest_at - self.first_at
        if seconds <= 0:
            return None
        used = self.latest_seconds - self.first_seconds + _ERROR_SECONDS
        return DIRTIED_BYTES_PER_SECOND * used / seconds


def observe(known: VcpuTime | None, sample: Sample) -> VcpuTime | None:
    """Return what is known after one more sample, which may have no processor time."""
    seconds = sample.vcpu_time_seconds
    if seconds is None:
        return known
    if known is None or seconds < known.latest_seconds:
        # Less than before: a vCPU was removed, and its time with it.
        return VcpuTime(sample.at, seconds, sample.at, seconds)
    return known._replace(latest_at=sample.at, latest_seconds=seconds)


def limited(
    expected: Resent, known: VcpuTime | None, started_at: float, bytes_per_second: float
) -> Resent:
    """Return what a guest is expected to send again, limited by its processor time.

    ``expected`` is what is expected without that, ``bytes_per_second`` the transfer rate in bytes
    of the guest. In the part of the time since ``started_at`` that was not observed the guest may
    have dirtied the most that is expected. What the server has sent again itself in earlier
    migrations is better evidence, and is not limited.
    """
    dirtied = None if known is None else known.dirtied_bytes_per_second()
    if known is None or dirtied is None or expected.is_own or bytes_per_second <= 0:
        return expected
    share = dirtied / bytes_per_second
    if share >= expected.most:
        return expected
    seen_seconds = known.latest_at - known.first_at
    seen = seen_seconds / max(seen_seconds, known.latest_at - started_at)
    most = seen * share + (1 - seen) * expected.most
    return expected._replace(
        least=min(expected.least, most), likely=min(expected.likely, _LIKELY * most), most=most
    )
