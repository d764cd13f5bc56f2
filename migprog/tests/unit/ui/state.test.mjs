// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { changes } from "../../../ui/files/announce.mjs";
import * as fleet from "../../../ui/files/fleet.mjs";
import { NOTHING_KNOWN, expire, missing, take } from "../../../ui/files/state.mjs";

const NOW = 1_700_000_000;
const at = (seconds) => new Date((NOW + seconds) * 1000).toISOString();
const running = (id, more = {}) => ({
  id, uuid: `u${id}`, server_uuid: `s${id}`, server_name: `web-${id}`, in_progress: true,
  status: "running", verdict: "converging", percent: 50, started_at: at(-60), ends_at: at(60),
  ends_at_earliest: at(40), ends_at_latest: at(100), source_compute: "a", dest_compute: "b", ...more,
});
const ended = (id, status = "completed") => running(id, { in_progress: false, status, verdict: "ended", ended_at: at(0) });
const news = (more) => ({ migrations: [], ended: [], left: [], whole: false, ...more });
const known = take(NOTHING_KNOWN, news({ whole: true, migrations: [running(1), running(2)] }), NOW);

test("news changes what it names and nothing else", () => {
  const after = take(known, news({ migrations: [running(2, { percent: 60 })], left: [1] }), NOW + 2);
  assert.deepEqual([...after.records.keys()], [2]);
  assert.equal(after.records.get(2).percent, 60);
  assert.equal(known.records.get(2).percent, 50, "the state before is as it was");
});

test("a whole list replaces what was known", () => {
  const after = take(known, news({ whole: true, migrations: [running(3)] }), NOW + 2);
  assert.deepEqual([...after.records.keys()], [3]);
});

test("news ends an outage, and says when it was taken", () => {
  const after = take({ ...known, outage: "no answer" }, news({}), NOW + 9);
  assert.equal(after.outage, null);
  assert.equal(after.takenAt, NOW + 9);
});

test("the sure part of a bar never goes back, and is never beyond the percentage", () => {
  let state = known;
  let before = 0;
  for (const [percent, latest] of [[50, 100], [51, 4000], [51, 70], [52, 9000], [60, 61]]) {
    state = take(state, news({ migrations: [running(1, { percent, ends_at_latest: at(latest) })] }), NOW);
    const solid = state.solid.get(1);
    assert.ok(solid >= before && solid <= percent, `${before} ${solid} ${percent}`);
    before = solid;
  }
});

test("those that ended are shown for a minute", () => {
  const after = take(known, news({ left: [1], ended: [ended(1)] }), NOW);
  assert.deepEqual(after.sorted.map((each) => each.id), [2, 1]);
  assert.equal(expire(after, NOW + 59), after);
  assert.deepEqual(expire(after, NOW + 60).sorted.map((each) => each.id), [2]);
});

test("those whose end is not in the news are asked for", () => {
  assert.deepEqual(missing(known, news({ left: [1] })).map((each) => each.id), [1]);
  assert.deepEqual(missing(known, news({ left: [1], ended: [ended(1)] })), []);
  assert.deepEqual(missing(known, news({ whole: true, migrations: [running(2)] })).map((each) => each.id), [1]);
});

test("filters select by host, project, verdict and text", () => {
  const all = [
    running(1, { project_id: "p" }), running(2, { verdict: "stalled" }),
    running(3, { source_compute: "c", stale: true }), ended(4),
  ];
  const ids = (filter) => fleet.selected(all, filter).map((each) => each.id);
  assert.deepEqual(ids({}), [1, 2, 3, 4]);
  assert.deepEqual(ids({ host: "c" }), [3]);
  assert.deepEqual(ids({ project: "p" }), [1]);
  assert.deepEqual(ids({ verdict: "trouble" }), [2]);
  assert.deepEqual(ids({ verdict: "stale" }), [3]);
  assert.deepEqual(ids({ text: " WEB-2" }), [2]);
  assert.deepEqual(ids({ text: "u4" }), [4]);
});

test("a screen reader is told of trouble and ends, not of progress", () => {
  assert.equal(changes(NOTHING_KNOWN, known), "2 migrations in progress.");
  const step = (more) => changes(known, take(known, news(more), NOW + 2));
  assert.equal(step({ migrations: [running(1, { percent: 51 })] }), null);
  assert.equal(step({ migrations: [running(1, { verdict: "switching-over" })] }), null);
  assert.equal(step({ migrations: [running(1, { verdict: "stalled" })] }), "web-1: stalled.");
  assert.equal(step({ left: [1], ended: [ended(1, "failed")] }), "web-1: failed.");
  assert.equal(changes(known, { ...known, outage: "no answer" }), "The API does not answer: no answer.");
});

test("many changes are one sentence", () => {
  const many = Array.from({ length: 50 }, (_, id) => running(id));
  const before = take(NOTHING_KNOWN, news({ whole: true, migrations: many }), NOW);
  const bad = many.map((each) => ({ ...each, verdict: "not-converging" }));
  assert.equal(changes(before, take(before, news({ migrations: bad }), NOW)), "50 migrations not-converging.");
});
