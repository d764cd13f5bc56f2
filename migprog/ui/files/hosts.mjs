// SPDX-License-Identifier: Apache-2.0
// What migrations mean for their hosts. Pure.

import { left } from "./record.mjs";
import { count } from "./words.mjs";

/** Those of the migrations in progress that come from a host or go to it. */
export const touching = (records, host) =>
  records.filter(
    (record) =>
      record.in_progress && (record.source_compute === host || record.dest_compute === host),
  );

/** Whether a host may be restarted, as far as migrations are concerned: what the API says of it, as core/may_restart.py
 *  decides. A migration that is known forbids it; that there is none is known only while the agent reports.
 *
 *  `answer`: "yes", "no" or "unknown". `why`: a sentence. `lastEndsAt`: when the last of them ends,
 *  null: not known. `agent`: the host's; undefined if there is none, null before it is known. `isKnown`: all migrations in
 *  progress are known as they are now. */
export function restart(records, host, agent, isKnown, now) {
  const all = touching(records, host);
  if (!isKnown) return unknown(all, "the list of migrations is old or not whole");
  if (!all.length) {
    if (agent === null) return unknown(all, "its agent is being asked for");
    if (!agent) return unknown(all, "no agent of it is known");
    if (agent.silent) return unknown(all, "its agent does not report");
    return { answer: "yes", why: "no migration touches it", lastEndsAt: null, touching: all };
  }
  const ends = all.map((record) => (record.stale ? null : left(record, now)));
  const isForeseen = ends.every((end) => end !== null && !end.isLate);
  const lastEndsAt = isForeseen ? Math.max(...ends.map((end) => end.endsAt)) : null;
  const inPostCopy = all.filter((record) => record.status === "running (post-copy)").length;
  const why = `${count(all.length, "migration")} ${all.length === 1 ? "touches" : "touch"} it` +
    (inPostCopy ? `, ${inPostCopy} of them in post-copy: a restart would lose the server` : "");
  return { answer: "no", why, lastEndsAt, touching: all };
}

const unknown = (all, why) => ({ answer: "unknown", why, lastEndsAt: null, touching: all });

/** Hosts as rows: those with an agent, and those that migrations name. Hosts in use come first. */
export function listed(records, agents, isKnown, now) {
  const byHost = new Map(agents.map((agent) => [agent.host, agent]));
  const named = new Map(agents.map((agent) => [agent.host, []]));
  for (const record of records) {
    for (const host of new Set([record.source_compute, record.dest_compute])) {
      if (!record.in_progress || !host) continue;
      if (!named.has(host)) named.set(host, []);
      named.get(host).push(record);
    }
  }
  return [...named]
    .map(([host, its]) => {
      const agent = byHost.get(host);
      const found = restart(its, host, agent, isKnown, now);
      const off = found.touching.filter((record) => record.source_compute === host).length;
      return { host, agent, ...found, off, to: found.touching.length - off };
    })
    .sort(
      (one, other) =>
        other.touching.length - one.touching.length ||
        RANK[one.answer] - RANK[other.answer] ||
        (one.host < other.host ? -1 : 1),
    );
}

const RANK = { no: 0, unknown: 1, yes: 2 };
