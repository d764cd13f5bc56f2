// SPDX-License-Identifier: Apache-2.0
// A migration's figures over time, as series to draw; and what Nova's own figures would have said.
// Pure.

import { epoch } from "./words.mjs";

// While a migration is followed its news is added to the history; beyond this, every other point
// goes.
const MOST_POINTS = 600;
const FIELDS = [
  "sampled_at", "status", "phase", "percent", "eta_seconds", "eta_low_seconds", "eta_high_seconds",
  "verdict", "memory_processed_bytes", "memory_remaining_bytes", "disk_processed_bytes",
  "disk_remaining_bytes", "memory_iteration", "iteration_start_remaining_bytes",
  "throughput_bytes_per_second", "dirty_bytes_per_second", "cpu_throttle_percent",
];

/** The history with what a record says now. */
export function extended(points, record) {
  const point = Object.fromEntries(FIELDS.map((field) => [field, record[field] ?? null]));
  const last = points.at(-1);
  if (last && last.sampled_at >= point.sampled_at) {
    return last.sampled_at === point.sampled_at ? [...points.slice(0, -1), point] : points;
  }
  const all = [...points, point];
  if (all.length <= MOST_POINTS) return all;
  return all.filter((_, index) => index % 2 === 0 || index === all.length - 1);
}

const seconds = (point, record) => epoch(point.sampled_at) - epoch(record.started_at);
const orNull = (value) => value ?? null;

/** [seconds since the start, bytes sent a second, bytes dirtied a second]. */
export const rates = (points, record) => [
  points.map((point) => seconds(point, record)),
  points.map((point) => orNull(point.throughput_bytes_per_second)),
  points.map((point) => orNull(point.dirty_bytes_per_second)),
];

/** [seconds since the start, bytes of memory that remain, bytes that remained when each iteration
 *  began]. The latter stand at the first point that shows the iteration, and at no other. */
export function remaining(points, record) {
  let latest = null;
  const starts = points.map((point) => {
    const isNew = point.memory_iteration != null && point.memory_iteration !== latest;
    latest = point.memory_iteration ?? latest;
    return isNew ? orNull(point.iteration_start_remaining_bytes) : null;
  });
  return [
    points.map((point) => seconds(point, record)),
    points.map((point) => orNull(point.memory_remaining_bytes)),
    starts,
  ];
}

/** [seconds since the start, time left as forecast, its lowest, its highest, what came true (null
 *  before the end), what Nova's figures give]. */
export function forecasts(points, record) {
  const whole = duration(record);
  const at = points.map((point) => seconds(point, record));
  return [
    at,
    points.map((point) => orNull(point.eta_seconds)),
    points.map((point) => orNull(point.eta_low_seconds)),
    points.map((point) => orNull(point.eta_high_seconds)),
    at.map((after) => (whole === null ? null : Math.max(0, whole - after))),
    points.map((point) => byNova(point)),
  ];
}

/** How long a migration took; null if it has not ended. */
export function duration(record) {
  if (record.in_progress || !record.ended_at) return null;
  return epoch(record.ended_at) - epoch(record.started_at);
}

/** The time left by what Nova shows: the bytes that remain, at the present rate. It knows nothing of
 *  what the guest writes meanwhile. */
function byNova(point) {
  const rate = point.throughput_bytes_per_second;
  if (!rate || point.status !== "running" || point.phase === "done") return null;
  const bytes = (point.memory_remaining_bytes ?? 0) + (point.disk_remaining_bytes ?? 0);
  return point.memory_remaining_bytes == null && point.disk_remaining_bytes == null ? null : bytes / rate;
}

/** Nova's percentage of a point: of the bytes that remain, the share of all. Null: not known. */
export function novaPercent(point, record) {
  const total = (record.memory_total_bytes ?? 0) + (record.disk_total_bytes ?? 0);
  if (!total || (point.memory_remaining_bytes == null && point.disk_remaining_bytes == null)) return null;
  const rest = (point.memory_remaining_bytes ?? record.memory_total_bytes ?? 0) + (point.disk_remaining_bytes ?? 0);
  return Math.max(0, Math.min(100, 100 * (1 - rest / total)));
}

/** What Nova's own figures would have said of a migration that has completed: a sentence; null if
 *  too little is known. */
export function novasView(points, record, say) {
  const whole = duration(record);
  if (whole === null || record.status !== "completed") return null;
  const seen = points.filter((point) => byNova(point) !== null && seconds(point, record) < whole);
  if (!seen.length) return null;
  const median = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)];
  const error = median(seen.map((point) => Math.abs(byNova(point) - (whole - seconds(point, record)))));
  const percents = points.map((point) => novaPercent(point, record)).filter((value) => value !== null);
  const back = percents.filter((value, index) => index && value < percents[index - 1] - 1).length;
  const fell = back ? `; its percentage would have gone back ${back} ${back === 1 ? "time" : "times"}` : "";
  return `by Nova's own figures the time left would have been off by ${say(error)} in the median${fell}`;
}
