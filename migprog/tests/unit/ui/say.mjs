// SPDX-License-Identifier: Apache-2.0
// Reads {records, now, numbers, texts, instants} and writes what the page would show of them.

import { readFileSync } from "node:fs";
import * as advice from "../../../ui/files/advice.mjs";
import * as fleet from "../../../ui/files/fleet.mjs";
import * as record from "../../../ui/files/record.mjs";
import * as words from "../../../ui/files/words.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));
const { now } = given;
const totals = fleet.totals(given.records);
process.stdout.write(JSON.stringify({
  durations: given.numbers.map(words.duration),
  times: given.numbers.map(words.time),
  sizes: given.numbers.map((each) => words.size(Math.abs(each))),
  texts: given.texts.map(words.printable),
  clocks: given.instants.map((each) => words.clock(each, now, "UTC")),
  order: fleet.sorted(given.records).map((each) => each.uuid),
  totals: [totals.inProgress, totals.ended, totals.stale, totals.inTrouble, totals.sent, totals.lastEndsAt],
  records: given.records.map((each) => {
    const left = record.left(each, now);
    return {
      trouble: record.trouble(each),
      name: record.name(each),
      route: record.route(each),
      left: record.leftText(left),
      left_range: record.leftText(left, true),
      range: record.progressRange(each, now),
      phase: record.phase(each),
      verdict: each.in_progress ? record.verdict(each, now) : null,
      advice: advice.line(each, now),
    };
  }),
}));
