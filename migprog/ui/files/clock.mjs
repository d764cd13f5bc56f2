// SPDX-License-Identifier: Apache-2.0
// The API's clock, by the Date of its answers; the browser's clock need not be right. Pure.
// A Date has whole seconds, cut: each answer bounds by how much the API's clock is ahead of ours,
// from (date - received) to (date + 1 - sent); several answers narrow that down.

export const UNKNOWN = Object.freeze({ low: -Infinity, high: Infinity });

/** The bounds after an answer. `sent`, `received`: by a clock of ours that is never set. */
export function learn(bounds, date, sent, received) {
  const seconds = Date.parse(date ?? "") / 1000;
  if (Number.isNaN(seconds)) return bounds;
  const low = Math.max(bounds.low, seconds - received);
  const high = Math.min(bounds.high, seconds + 1 - sent);
  // Else one of the clocks was set.
  return low <= high ? { low, high } : { low: seconds - received, high: seconds + 1 - sent };
}

/** By how much the API's clock is ahead; `otherwise` if no answer had a Date. */
export const ahead = (bounds, otherwise) =>
  bounds.low === -Infinity ? otherwise : (bounds.low + bounds.high) / 2;
