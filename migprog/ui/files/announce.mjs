// SPDX-License-Identifier: Apache-2.0
// What a screen reader says: what needs somebody, and what has ended; in one sentence, however
// much has changed. Pure.

import { isInTrouble, name } from "./record.mjs";
import { count, printable } from "./words.mjs";

const MOST_NAMES = 3;

/** What changes between two states mean to people; null: nothing that they must know. */
export function changes(before, after) {
  const said = [];
  if (before.outage !== null && after.outage === null) said.push("The API answers again");
  if (before.outage === null && after.outage !== null) said.push(`The API does not answer: ${printable(after.outage)}`);
  if (before.takenAt === null) {
    if (after.takenAt !== null) said.push(`${count(after.records.size, "migration")} in progress`);
    return joined(said);
  }
  const troubled = [], recovered = [];
  for (const [id, record] of after.records) {
    const was = before.records.get(id);
    if (isInTrouble(record) && !(was && was.verdict === record.verdict)) troubled.push(record);
    if (was && isInTrouble(was) && !isInTrouble(record)) recovered.push(record);
  }
  const seen = new Set(before.ended.map(([, record]) => record.id));
  const ended = after.ended.map(([, record]) => record).filter((record) => !seen.has(record.id));
  said.push(listed(troubled, (record) => record.verdict), listed(recovered, (record) => record.verdict));
  said.push(listed(ended, (record) => record.status));
  return joined(said);
}

function listed(records, word) {
  if (!records.length) return "";
  if (records.length <= MOST_NAMES) {
    return records.map((record) => `${name(record)}: ${printable(word(record))}`).join(". ");
  }
  const byWord = new Map();
  for (const record of records) byWord.set(word(record), (byWord.get(word(record)) ?? 0) + 1);
  return [...byWord].map(([kind, number]) => `${count(number, "migration")} ${printable(kind)}`).join(". ");
}

function joined(said) {
  const found = said.filter(Boolean);
  return found.length ? `${found.join(". ")}.` : null;
}
