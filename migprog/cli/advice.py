# SPDX-License-Identifier: Apache-2.0
"""One line of advice for a migration that needs somebody. Pure.

What steering advises or has done (``advice`` of the record, microversion 1.2) comes first; else
what the reason of the verdict asks for, as the table of verdicts in the documentation has it; then
what nova-compute will do next, where steering says so, and the verdict's own sentence. The line is
made for 76 characters: what is cut on a narrow terminal is the sentence.
"""

from collections.abc import Callable, Mapping

from migprog.cli import pending_advice, record, text
from migprog.cli.record import NEEDS_SOMEBODY, Record, Trouble
from migprog.core.duration import describe
from migprog.core.forecast.verdict_reason import VerdictReason


def line(each: Record, now: float) -> str | None:
    """Return one line for a migration that needs somebody; None for the others."""
    kind = record.trouble(each)
    if kind not in NEEDS_SOMEBODY:
        return None
    if kind is Trouble.ENDED_BADLY:
        why = each.get("error") or each.get("verdict_message") or "the reason is not known"
        return f"{text.printable(each.get('status') or '?')}: {text.printable(why)}"
    message = text.printable(each.get("verdict_message") or "")
    said = _by_steering(each, now) or _by_reason(each)
    shown = " - ".join(part for part in (said, _by_nova(each, now), message) if part)
    if not each.get("stale"):
        return shown or None
    silence = f"no report from {_source(each)} for {text.duration(record.age_seconds(each, now))}"
    return f"{silence}; before: {shown}" if shown else silence


def _by_steering(each: Record, now: float) -> str | None:
    pending = pending_advice.pending(each)
    if pending is not None:
        return _said(pending)
    done = pending_advice.under_way(each, now)
    if done is None:
        return None
    seconds = text.epoch(done["works_by"]) - now
    action = text.printable(done.get("action") or "")
    return f"steering has done this: {action}; it works within {text.duration(seconds)}"


def _by_nova(each: Record, now: float) -> str | None:
    entry = pending_advice.next_by_nova(each, now)
    return None if entry is None else _said(entry)


def _said(entry: pending_advice.Entry) -> str:
    return text.printable(entry.get("message") or entry.get("action") or "")


def _by_reason(each: Record) -> str | None:
    say = _BY_REASON.get(each.get("verdict_reason") or "")
    return say(each) if say is not None else None


def _dirty_rate(each: Record) -> str | None:
    needed = each.get("downtime_needed_seconds")
    bandwidth = each.get("bandwidth_needed_bytes_per_second")
    ways = []
    if needed is not None:
        limit = each.get("downtime_limit_seconds")
        now = "" if limit is None else f" (limit {describe(limit)})"
        ways.append(f"a downtime of {describe(needed)}{now}")
    if bandwidth is not None:
        ways.append(f"{text.size(bandwidth)}/s")
    return f"needs {' or '.join(ways)}; else post-copy or abort" if ways else None


def _disk_rate(each: Record) -> str:
    bandwidth = each.get("bandwidth_needed_bytes_per_second")
    needs = "" if bandwidth is None else f"needs {text.size(bandwidth)}/s; else "
    return f"{needs}let the guest write less to its disks, or abort"


def _source(each: Record) -> str:
    return text.printable(each.get("source_compute") or "the source")


def _destination(each: Record) -> str:
    return text.printable(each.get("dest_compute") or "the destination")


_BY_REASON: Mapping[str, Callable[[Record], str | None]] = {
    VerdictReason.DIRTY_RATE_TOO_HIGH.value: _dirty_rate,
    VerdictReason.DISK_WRITE_RATE_TOO_HIGH.value: _disk_rate,
    VerdictReason.NO_DATA_MOVES.value: lambda each: (
        f"check the network between {_source(each)} and {_destination(each)}"
    ),
    VerdictReason.LIBVIRT_NOT_RESPONDING.value: lambda each: (
        f"check libvirt and QEMU on {_source(each)}"
    ),
    VerdictReason.SWITCHOVER_STUCK.value: lambda each: (
        f"check QEMU and libvirt on {_destination(each)}; abort if {_source(each)} has the guest"
    ),
    VerdictReason.CONNECTION_LOST.value: lambda _each: (
        "restore the network, then virsh migrate --postcopy-resume; stop no host"
    ),
}
