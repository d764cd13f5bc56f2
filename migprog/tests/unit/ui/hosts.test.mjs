// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { listed, restart } from "../../../ui/files/hosts.mjs";

const NOW = 1_700_000_000;
const at = (seconds) => new Date((NOW + seconds) * 1000).toISOString();
const running = (source, destination, more = {}) => ({
  in_progress: true, source_compute: source, dest_compute: destination, phase: "memory-iterations",
  ends_at: at(60), ends_at_earliest: at(50), ends_at_latest: at(70), ...more,
});
const agent = { host: "a", silent: false };
const ask = (records, { of = agent, isKnown = true } = {}) => restart(records, "a", of, isKnown, NOW);

test("a host that no migration touches is safe to restart", () => {
  assert.equal(ask([running("b", "c"), running("a", "b", { in_progress: false })]).answer, "yes");
});

test("a migration from it or to it says no, and when the last ends", () => {
  const found = ask([running("a", "b"), running("b", "a", { ends_at: at(90), ends_at_latest: at(99) })]);
  assert.equal(found.answer, "no");
  assert.equal(found.why, "2 migrations touch it");
  assert.equal(found.lastEndsAt, NOW + 90);
});

test("when the last ends is not known if one has no forecast, is late or stale", () => {
  for (const more of [{ ends_at: null }, { stale: true }, { ends_at: at(-9), ends_at_latest: at(-1) }]) {
    assert.equal(ask([running("a", "b"), running("a", "c", more)]).lastEndsAt, null);
  }
});

test("nothing is said to be safe that is not known", () => {
  assert.equal(ask([], { isKnown: false }).answer, "unknown");
  assert.equal(restart([], "a", undefined, true, NOW).answer, "unknown");
  assert.match(ask([], { of: null }).why, /being asked for/);
  assert.equal(ask([], { of: { host: "a", silent: true } }).answer, "unknown");
});

test("a migration that is known forbids it, whether or not the host's agent reports", () => {
  for (const of of [undefined, null, { host: "a", silent: true }]) {
    assert.equal(restart([running("a", "b")], "a", of, true, NOW).answer, "no");
  }
  assert.equal(ask([running("a", "b")], { isKnown: false }).answer, "unknown");
});

test("in post-copy it says what a restart would do", () => {
  const found = ask([running("a", "b"), running("b", "a", { status: "running (post-copy)" })]);
  assert.equal(found.why, "2 migrations touch it, 1 of them in post-copy: a restart would lose the server");
});

test("each host has its own migrations, however many there are", () => {
  const records = [running("a", "b"), running("b", "a"), running("b", "b"), running("a", "c", { in_progress: false })];
  const rows = listed(records, [agent], true, NOW);
  assert.deepEqual(rows.map((row) => [row.host, row.off, row.to]), [["b", 2, 1], ["a", 1, 1]]);
});

test("hosts in use come first, also those without an agent", () => {
  const rows = listed([running("c", "d")], [{ host: "a" }, { host: "b", silent: true }], true, NOW);
  assert.deepEqual(rows.map((row) => [row.host, row.answer]), [["c", "no"], ["d", "no"], ["b", "unknown"], ["a", "yes"]]);
  assert.deepEqual([rows[0].off, rows[0].to], [1, 0]);
});
