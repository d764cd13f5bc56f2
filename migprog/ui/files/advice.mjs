// SPDX-License-Identifier: Apache-2.0
// One line of advice for a migration that needs somebody. Pure; the same as the command line's:
// what steering advises or has done, else what the reason of the verdict asks for; then what
// nova-compute will do next, and the verdict's own sentence.

import { Trouble, age, needsSomebody, trouble } from "./record.mjs";
import { nextByNova, pending, underWay } from "./steering.mjs";
import { duration, epoch, printable, size, time } from "./words.mjs";

/** One line for a migration that needs somebody; null for the others. */
export function line(record, now) {
  if (!needsSomebody(record)) return null;
  if (trouble(record) === Trouble.ENDED_BADLY) {
    const why = record.error || record.verdict_message || "the reason is not known";
    return `${printable(record.status || "?")}: ${printable(why)}`;
  }
  const message = printable(record.verdict_message || "");
  const advised = bySteering(record, now) || byReason(record);
  const shown = [advised, byNova(record, now), message].filter(Boolean).join(" - ");
  if (!record.stale) return shown || null;
  const silence = `no report from ${source(record)} for ${duration(age(record, now))}`;
  return shown ? `${silence}; before: ${shown}` : silence;
}

function bySteering(record, now) {
  const advised = pending(record);
  if (advised) return said(advised);
  const done = underWay(record, now);
  if (!done) return null;
  const seconds = epoch(done.works_by) - now;
  return `steering has done this: ${printable(done.action || "")}; it works within ${duration(seconds)}`;
}

function byNova(record, now) {
  const entry = nextByNova(record, now);
  return entry && said(entry);
}

const said = (entry) => printable(entry.message || entry.action || "");
const source = (record) => printable(record.source_compute || "the source");
const destination = (record) => printable(record.dest_compute || "the destination");

function byReason(record) {
  const say = BY_REASON[record.verdict_reason];
  return say ? say(record) : null;
}

const BY_REASON = {
  "dirty-rate-too-high": (record) => {
    const { downtime_needed_seconds: needed, downtime_limit_seconds: limit } = record;
    const ways = [];
    if (needed != null) {
      const now = limit == null ? "" : ` (limit ${time(limit)})`;
      ways.push(`a downtime of ${time(needed)}${now}`);
    }
    if (record.bandwidth_needed_bytes_per_second != null) {
      ways.push(`${size(record.bandwidth_needed_bytes_per_second)}/s`);
    }
    return ways.length ? `needs ${ways.join(" or ")}; else post-copy or abort` : null;
  },
  "disk-write-rate-too-high": (record) => {
    const bandwidth = record.bandwidth_needed_bytes_per_second;
    const needs = bandwidth == null ? "" : `needs ${size(bandwidth)}/s; else `;
    return `${needs}let the guest write less to its disks, or abort`;
  },
  "no-data-moves": (record) =>
    `check the network between ${source(record)} and ${destination(record)}`,
  "libvirt-not-responding": (record) => `check libvirt and QEMU on ${source(record)}`,
  "switchover-stuck": (record) =>
    `check QEMU and libvirt on ${destination(record)}; abort if ${source(record)} has the guest`,
  "connection-lost": () => "restore the network, then virsh migrate --postcopy-resume; stop no host",
};
