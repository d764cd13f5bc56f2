// SPDX-License-Identifier: Apache-2.0
// How long migrations took, by pair of hosts. Pure.

import { epoch, time } from "./words.mjs";

const TICKS = new Map([
  [0.1, "0.1 s"], [1, "1 s"], [3, "3 s"], [10, "10 s"], [30, "30 s"], [60, "1 min"], [180, "3 min"],
  [600, "10 min"], [1800, "30 min"], [3600, "1 h"], [10800, "3 h"], [36000, "10 h"], [86400, "1 d"],
]);

/** The seconds that a migration took; null if that is not known. */
export function took(record) {
  if (record.total_seconds != null) return record.total_seconds;
  if (!record.ended_at || !record.started_at) return null;
  return epoch(record.ended_at) - epoch(record.started_at);
}

/** The value below which a share of sorted values lies. */
export function quantile(sorted, share) {
  const at = (sorted.length - 1) * share, low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

/** For each pair of hosts with completed migrations: {source, destination, values, low, median,
 *  high, downtime}, those with the most migrations first, at most `most`. `low` and `high` are
 *  quartiles; `downtime` is the median, null if none is known. */
export function byPair(records, most) {
  const pairs = new Map();
  for (const record of records) {
    const { source_compute: source, dest_compute: destination } = record;
    const seconds = record.status === "completed" ? took(record) : null;
    if (!source || !destination || seconds === null) continue;
    const key = JSON.stringify([source, destination]);
    if (!pairs.has(key)) pairs.set(key, { source, destination, values: [], downtimes: [] });
    pairs.get(key).values.push(seconds);
    if (record.downtime_seconds != null) pairs.get(key).downtimes.push(record.downtime_seconds);
  }
  return [...pairs.values()]
    .sort((one, other) => other.values.length - one.values.length)
    .slice(0, most)
    .map(({ source, destination, values, downtimes }) => {
      const ordered = values.sort((one, other) => one - other);
      const paused = downtimes.sort((one, other) => one - other);
      return {
        source,
        destination,
        values: ordered,
        low: quantile(ordered, 0.25),
        median: quantile(ordered, 0.5),
        high: quantile(ordered, 0.75),
        downtime: paused.length ? quantile(paused, 0.5) : null,
      };
    });
}

/** A function that places seconds on a logarithmic scale from 0 to 1, and its ticks: [seconds, text]. */
export function scale(pairs) {
  const all = pairs.flatMap((pair) => [pair.values[0], pair.values.at(-1)]);
  const low = Math.max(0.1, Math.min(...all)), high = Math.max(low * 2, ...all);
  const place = (value) => Math.log(Math.max(value, low) / low) / Math.log(high / low);
  const ticks = [...TICKS].filter(([tick]) => tick >= low && tick <= high);
  return { place, ticks: ticks.length ? ticks : [[low, time(low)], [high, time(high)]] };
}
