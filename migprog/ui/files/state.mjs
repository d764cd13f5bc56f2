// SPDX-License-Identifier: Apache-2.0
// What is known of the migrations in progress, and what the news of their list changes. Pure.

import { sorted, stillShown } from "./fleet.mjs";
import { progressRange } from "./record.mjs";

/** `records`: by number. `ended`: [seen at, final record]. `solid`: how far each bar has come, in
 *  percent, by number. `takenAt`: when the API said so, null: nothing is known yet. `outage`: why
 *  it does not answer, null: it does. `truncated`: there are more. */
export const NOTHING_KNOWN = Object.freeze({
  records: new Map(), ended: [], solid: new Map(), sorted: [], takenAt: null, outage: null,
  isPolling: false, truncated: false,
});

/** The state after news. `news`: {whole, migrations, left, ended, truncated, isPolling}. */
export function take(state, news, now) {
  const records = news.whole ? new Map() : new Map(state.records);
  for (const id of news.left) records.delete(id);
  for (const record of news.migrations) records.set(record.id, record);
  const gone = new Set(news.ended.map((record) => record.id));
  const ended = stillShown(
    [
      ...state.ended.filter(([, record]) => !gone.has(record.id) && !records.has(record.id)),
      ...news.ended.map((record) => [now, record]),
    ],
    now,
  );
  return {
    records,
    ended,
    solid: solidBars(state.solid, records, now),
    sorted: sorted([...records.values(), ...ended.map(([, record]) => record)]),
    takenAt: now,
    outage: null,
    isPolling: Boolean(news.isPolling),
    truncated: Boolean(news.truncated),
  };
}

/** The state without those that ended too long ago; the same one if there are none. */
export function expire(state, now) {
  const ended = stillShown(state.ended, now);
  if (ended.length === state.ended.length) return state;
  const records = [...state.records.values(), ...ended.map(([, record]) => record)];
  return { ...state, ended, sorted: sorted(records) };
}

/** The numbers of those that were in progress, and are neither listed now nor known to have ended. */
export const missing = (state, news) => {
  const listed = new Set([...news.migrations, ...news.ended].map((record) => record.id));
  return news.whole
    ? [...state.records.values()].filter((record) => !listed.has(record.id))
    : news.left.filter((id) => !listed.has(id) && state.records.has(id)).map((id) => state.records.get(id));
};

/** How far the sure part of each bar goes: it never goes back, and never beyond the percentage. */
function solidBars(before, records, now) {
  const solid = new Map();
  for (const [id, record] of records) {
    const [low] = progressRange(record, now) ?? [record.percent ?? 0];
    solid.set(id, Math.max(before.get(id) ?? 0, low));
  }
  return solid;
}
