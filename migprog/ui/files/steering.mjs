// SPDX-License-Identifier: Apache-2.0
// What steering's advice in a record asks of people. Pure; the same as the command line's.

import { epoch, printable } from "./words.mjs";

const BY_NOVA = new Set(["nova-downtime-step", "nova-completion-timeout"]);
const BAD = new Set(["not-converging", "stalled", "post-copy-paused"]);
const UNDONE = new Set(["advised", "failed"]);
// Advice with these reasons lapses when the verdict recovers.
const BY_VERDICT = new Set(["not-converging", "hopeless", "disks-do-not-converge", "limit-lowered"]);
// libvirt and Nova round a limit: this near is the same.
const NEARLY = 1.05;

/** The advice that somebody has yet to follow; null if there is none. */
export function pending(record) {
  const newest = newestOwn(record);
  if (!newest || !(newest.state == null || UNDONE.has(newest.state))) return null;
  return newest.action === "stop-asserting" || isOvertaken(newest, record) ? null : newest;
}

/** What steering has done that may yet work; null if nothing may. */
export function underWay(record, now) {
  const newest = newestOwn(record);
  return newest?.state === "done" && isToCome(newest, now) ? newest : null;
}

/** What nova-compute will do next; null if that is not known. */
export function nextByNova(record, now) {
  const newest = (record.advice ?? []).findLast((each) => BY_NOVA.has(each.reason));
  return newest && isToCome(newest, now) ? newest : null;
}

/** Who did or does something, in words; `user`: who asked for it, where that is known. */
export const operator = (user) => (user ? `user ${printable(user)}` : "an operator");

/** What was advised, done and asked for, the oldest first: {at, what, by, state, score_message}. */
export const adviceAndActions = ({ advice, actions }) =>
  [
    ...(advice ?? []).map((each) => ({
      ...each, what: each.message || each.action, by: BY_NOVA.has(each.reason) ? "nova-compute" : "steering",
    })),
    ...(actions ?? []).map((each) => ({ ...each, what: each.action, by: operator(each.user_id) })),
  ].sort((one, other) => epoch(one.at) - epoch(other.at) || 0);

function newestOwn(record) {
  return (record.advice ?? []).findLast((each) => !BY_NOVA.has(each.reason));
}

const isToCome = (entry, now) => entry.works_by != null && epoch(entry.works_by) >= now;

/** Whether the migration needs it no more, by what its record shows. */
function isOvertaken(entry, record) {
  if (BY_VERDICT.has(entry.reason) && record.verdict != null && !BAD.has(record.verdict)) return true;
  const advised = entry.figures?.downtime_limit_seconds, limit = record.downtime_limit_seconds;
  if (advised != null && limit != null && limit * NEARLY >= advised) return true;
  const left = entry.figures?.left_seconds, latest = record.ends_at_latest;
  if (left == null || latest == null || entry.at == null) return false;
  return epoch(latest) <= epoch(entry.at) + left;
}
