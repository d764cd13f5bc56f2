// SPDX-License-Identifier: Apache-2.0
// Many migrations: their order, their totals, and which of them a filter selects. Pure.

import { Trouble, isInTrouble, trouble } from "./record.mjs";
import { epoch } from "./words.mjs";

// How long those that have ended stay in view, and how many.
export const SHOW_ENDED_SECONDS = 60;
const MOST_ENDED = 1000;

/** Migrations sorted: the most trouble first, then the oldest. */
export function sorted(records) {
  const keyed = records.map((record) => ({
    record,
    trouble: trouble(record),
    stale: record.stale ? 1 : 0,
    started: record.started_at ?? "",
    uuid: record.uuid ?? "",
  }));
  keyed.sort(
    (one, other) =>
      one.trouble - other.trouble ||
      one.stale - other.stale ||
      compare(one.started, other.started) ||
      compare(one.uuid, other.uuid),
  );
  return keyed.map((each) => each.record);
}

/** A function of a list and of texts by name that is computed again only if these are others. */
export function remembered(compute) {
  let list, key, found;
  return (given, texts = {}) => {
    const now = JSON.stringify(texts);
    if (given !== list || now !== key) [list, key, found] = [given, now, compute(given, texts)];
    return found;
  };
}

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

/** The totals of migrations. `lastEndsAt`: null if that of one is not known. */
export function totals(records) {
  const found = {
    inProgress: 0, ended: 0, stale: 0, inTrouble: 0, sent: 0, lastEndsAt: null,
    postCopyPaused: 0, stalled: 0, notConverging: 0,
  };
  let last = -Infinity;
  for (const record of records) {
    if (!record.in_progress) {
      found.ended += 1;
      continue;
    }
    found.inProgress += 1;
    if (record.stale) found.stale += 1;
    else found.sent += record.throughput_bytes_per_second ?? 0;
    const kind = trouble(record);
    if (kind < Trouble.STALE) found.inTrouble += 1;
    if (kind === Trouble.POST_COPY_PAUSED) found.postCopyPaused += 1;
    if (kind === Trouble.STALLED) found.stalled += 1;
    if (kind === Trouble.NOT_CONVERGING) found.notConverging += 1;
    last = record.ends_at == null ? Infinity : Math.max(last, epoch(record.ends_at));
  }
  if (Number.isFinite(last)) found.lastEndsAt = last;
  return found;
}

/** Those that a filter selects: `host`, `project`, `verdict` and `text`, each may be empty. */
export function selected(records, { host = "", project = "", verdict = "", text = "" }) {
  const wanted = text.trim().toLowerCase();
  if (!host && !project && !verdict && !wanted) return records;
  return records.filter(
    (record) =>
      (!host || record.source_compute === host || record.dest_compute === host) &&
      (!project || record.project_id === project) &&
      (!verdict || isOfVerdict(record, verdict)) &&
      (!wanted || searched(record).includes(wanted)),
  );
}

function isOfVerdict(record, verdict) {
  if (verdict === "trouble") return isInTrouble(record);
  if (verdict === "stale") return Boolean(record.stale && record.in_progress);
  return record.verdict === verdict;
}

const searched = (record) =>
  [
    record.server_name, record.server_uuid, record.uuid, record.project_id, record.nova_uuid,
    record.source_compute, record.dest_compute,
  ].join("\n").toLowerCase();

/** The values of a filter that select something: hosts, projects and verdicts, sorted. */
export function choices(records) {
  const hosts = new Set(), projects = new Set(), verdicts = new Set();
  for (const record of records) {
    hosts.add(record.source_compute).add(record.dest_compute);
    projects.add(record.project_id);
    if (record.in_progress) verdicts.add(record.verdict);
  }
  const listed = (values) => [...values].filter(Boolean).sort();
  return { hosts: listed(hosts), projects: listed(projects), verdicts: listed(verdicts) };
}

/** Of [the instant at which its end was seen, its record] those that are still in view. */
export const stillShown = (ended, now) =>
  ended.filter(([at]) => now - at < SHOW_ENDED_SECONDS).slice(-MOST_ENDED);
