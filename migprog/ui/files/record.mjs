// SPDX-License-Identifier: Apache-2.0
// What a migration's record says at an instant. Pure; the same as the command line's.
// Instants are seconds since the epoch by the API's clock.

import { pending } from "./steering.mjs";
import { duration, epoch, printable } from "./words.mjs";

/** How much a migration needs somebody; the most urgent first. */
export const Trouble = Object.freeze({
  POST_COPY_PAUSED: 0,
  STALLED: 1,
  NOT_CONVERGING: 2,
  // Its host does not report: nothing is known of it.
  STALE: 3,
  ENDED_BADLY: 4,
  // Somebody has yet to do what steering advises, though the verdict is not bad.
  ADVISED: 5,
  NONE: 6,
  COMPLETED: 7,
});
const BY_VERDICT = {
  "post-copy-paused": Trouble.POST_COPY_PAUSED,
  stalled: Trouble.STALLED,
  "not-converging": Trouble.NOT_CONVERGING,
};

export function trouble(record) {
  if (!record.in_progress) {
    return record.status === "completed" ? Trouble.COMPLETED : Trouble.ENDED_BADLY;
  }
  const bad = BY_VERDICT[record.verdict];
  if (bad !== undefined) return bad;
  if (record.stale) return Trouble.STALE;
  return pending(record) ? Trouble.ADVISED : Trouble.NONE;
}

export const isInTrouble = (record) => trouble(record) < Trouble.STALE;
export const needsSomebody = (record) => trouble(record) < Trouble.NONE;

/** The name of a migration's server; its UUID if it has none. */
export const name = (record) => printable(record.server_name || record.server_uuid || "?");

/** Where a server comes from and goes to; empty for those who may not see hosts. */
export function route(record) {
  const { source_compute: source, dest_compute: destination } = record;
  if (!source && !destination) return "";
  return `${printable(source || "?")} → ${printable(destination || "?")}`;
}

/** The seconds since the last report. */
export const age = (record, now) => Math.max(0, now - epoch(record.last_reported_at));

/** The time left, counted down to `now` by the instants of the forecast, with its range; null: not
 *  known, or the migration has ended. */
export function left(record, now) {
  if (!record.in_progress || record.ends_at == null) return null;
  const endsAt = epoch(record.ends_at);
  const low = epoch(record.ends_at_earliest ?? record.ends_at) - now;
  const high = epoch(record.ends_at_latest ?? record.ends_at) - now;
  return { seconds: endsAt - now, low, high, endsAt, isLate: high < 0 };
}

/** "12s", or "12s (9s-15s)"; "<3s" once the expected end has passed, "late" once the latest has. */
export function leftText(left, withRange = false) {
  if (left === null) return "";
  if (left.isLate) return "late";
  if (left.seconds < 0) return `<${duration(Math.max(1, left.high))}`;
  const shown = duration(left.seconds);
  if (!withRange) return shown;
  const low = duration(Math.max(0, left.low)), high = duration(left.high);
  return low === high ? shown : `${shown} (${low}-${high})`;
}

/** The percentages between which the progress is, by the range of the end; null: not known.
 *  The percentage is one of time: what has passed since the start, of the time until the end. */
export function progressRange(record, now) {
  const remaining = left(record, now);
  if (remaining === null || record.percent == null || remaining.isLate) return null;
  const passed = Math.max(0, now - epoch(record.started_at));
  const share = (seconds) => {
    const whole = passed + Math.max(0, seconds);
    return whole > 0 ? (100 * passed) / whole : 100;
  };
  const low = Math.min(share(remaining.high), record.percent);
  const high = Math.max(share(remaining.low), record.percent);
  return [Math.max(0, low), Math.min(99, high)];
}

/** The phase, with the number of the iteration; of what has ended the status. */
export function phase(record) {
  if (!record.in_progress) return printable(record.status ?? "");
  const word = printable(record.phase ?? "");
  return word === "memory-iterations" && record.memory_iteration
    ? `${word} ${record.memory_iteration}`
    : word;
}

/** The verdict; of a stale migration the age of what is known; of what has ended its status. */
export function verdict(record, now) {
  if (!record.in_progress) return printable(record.status ?? "");
  if (record.stale) return `stale ${duration(age(record, now))}`;
  return printable(record.verdict ?? "");
}

/** The kind of a verdict's look: "bad", "unsure", "good" or "plain"; each has a sign of its own. */
export function tone(record) {
  const kind = trouble(record);
  if (kind < Trouble.STALE || kind === Trouble.ENDED_BADLY) return "bad";
  if (kind === Trouble.STALE || kind === Trouble.ADVISED) return "unsure";
  if (kind === Trouble.COMPLETED) return "good";
  return ["converging", "switching-over", "post-copy"].includes(record.verdict) ? "good" : "plain";
}
